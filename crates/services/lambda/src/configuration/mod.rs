//! What CreateFunction and UpdateFunctionConfiguration may say: each member, its default, its check.

mod environment_migration;
pub(crate) mod environment_seal;
mod environment_variables;
pub(crate) mod logging;
mod members;
pub(crate) mod network;
pub(crate) mod runtime_management;
pub(crate) mod runtime_names;
pub(crate) mod tenancy;

pub use environment_migration::reseal;
pub(crate) use members::{
    architecture, create, host_architecture, refuse_publish_to, source_key, tags, update,
};
