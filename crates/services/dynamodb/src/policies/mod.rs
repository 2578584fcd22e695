//! Policies of tables and of their streams: what decisions know of them, and the operations that change them.

mod document;
mod known;
mod operations;

pub(crate) use known::Facts;
pub(crate) use operations::{drop_policy, new_policy, put_policy};
