//! Requests that the platform makes to hosts of others: to registries of images, to identity providers.
//!
//! Callers choose the names, so every connection is judged: see [`Guard`].
#![forbid(unsafe_code)]

mod guard;

pub use guard::{Guard, HostRule, is_host};
