//! What a qualifier names: published versions, and aliases of them.

mod aliases;
mod published;

pub(crate) use published::delete_some;
