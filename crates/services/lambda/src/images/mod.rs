//! Functions that are container images.

pub(crate) mod image_config;
mod pulls;

pub(crate) use pulls::{reason, reason_code};
