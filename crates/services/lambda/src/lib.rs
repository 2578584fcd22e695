//! AWS Lambda: functions, their code, their invocations, their resource policies.
//!
//! [`Lambda`] is the service's state: [`service`] makes the gateway's table of it, and the outbox's workers and other
//! services invoke functions through its [`lambent_bus::ports::InvokeFunction`].
#![forbid(unsafe_code)]

mod account_settings;
mod aliases;
mod archive;
mod asynchronous;
mod attached;
mod cache;
mod check;
mod code;
mod code_cache;
mod code_signing;
mod code_signing_use;
mod concurrency;
mod configuration;
mod dead_letter_config;
mod describe;
mod destinations;
mod download;
mod environment_migration;
mod environment_seal;
mod environment_variables;
mod errors;
mod event_invoke;
mod folders;
mod function_target;
mod functions;
mod image_config;
mod images;
mod invoke;
mod invoke_async;
mod keys;
mod lambda;
mod layer_folders;
mod layer_lists;
mod layer_names;
mod layer_policy;
mod layer_use;
mod layers;
mod lifecycle;
pub mod limits;
mod listings;
mod logging;
mod markers;
mod names;
mod network;
mod packages;
mod parts;
mod payload;
mod policy;
mod policy_decision;
mod policy_document;
mod provisioned;
mod recursion;
mod resolve;
mod resource_policy;
mod rows;
mod runtime_management;
mod runtime_names;
mod service;
mod space;
mod spec;
mod spool;
mod streams;
mod tags;
mod tenancy;
#[cfg(test)]
mod tests;
mod trace;
mod updates;
mod urls;
mod versions;

pub use check::{check, named_blob};
pub use download::CODE_PATH;
pub use environment_migration::reseal;
pub use errors::LambdaError;
pub use lambda::Lambda;
pub use parts::{FetchError, FetchObject, LambdaParts, ObjectName, Runner};
pub use service::service;
pub use urls::LambdaUrls;
