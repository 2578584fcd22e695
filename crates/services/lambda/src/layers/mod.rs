//! Layers: versions, names, policies, and the functions that have them.

pub(crate) mod folders;
pub(crate) mod layer_use;
pub(crate) mod lists;
pub(crate) mod names;
pub(crate) mod policy;
mod published;

pub(crate) use published::{listed, own};
