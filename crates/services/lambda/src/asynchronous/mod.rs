//! Asynchronous invocations: how they wait and are tried again, where their records go, and what stops a loop.

pub(crate) mod dead_letter_config;
mod delivery;
mod destinations;
pub(crate) mod event_invoke;
mod function_target;
pub(crate) mod recursion;
