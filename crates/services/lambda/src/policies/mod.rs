//! Resource policies of functions: single statements, whole documents, and whom they let in.

mod document;
pub(crate) mod known;
mod pinned;
pub(crate) mod statements;
mod whole;
