//! AWS Lambda: functions, their code, their invocations, their resource policies.
//!
//! [`Lambda`] is the service's state: [`service`] makes the gateway's table of it, and the outbox's workers and other
//! services invoke functions through its [`lambent_bus::ports::InvokeFunction`].
#![forbid(unsafe_code)]

mod asynchronous;
mod check;
mod code;
mod concurrency;
mod configuration;
mod engine;
mod errors;
mod functions;
mod images;
mod invocations;
mod keys;
mod lambda;
mod layers;
pub mod limits;
mod mappings;
mod markers;
mod names;
mod parts;
mod policies;
mod resolve;
mod rows;
mod service;
#[cfg(test)]
mod tests;
mod urls;
mod versions;
mod wanted;

pub use check::{check, named_blob};
pub use code::CODE_PATH;
pub use configuration::reseal;
pub use engine::Engine;
pub use errors::LambdaError;
pub use lambda::Lambda;
pub use parts::{FetchError, FetchObject, LambdaParts, ObjectName, Runner};
pub use service::service;
pub use urls::LambdaUrls;
