//! Functions: made, shown, listed, changed, deleted, and held in memory to be called.

pub(crate) mod attached;
pub(crate) mod cache;
mod crud;
pub(crate) mod describe;
mod lifecycle;
mod listings;
pub(crate) mod spec;
mod tags;
mod updates;

pub(crate) use crud::{existing, unqualified, without_qualifier};
