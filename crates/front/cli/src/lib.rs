//! The commands of `lambent` beside `up`. They talk to a running cloud as any other client does: signed requests over HTTP.
//!
//! Results go to stdout, everything else (progress, hints, errors) to stderr. Each command has an `Args` for clap and a
//! `run` that gives the exit code, one of [`exit::TABLE`].
#![forbid(unsafe_code)]

pub mod account;
pub mod audit;
mod base_image;
pub mod bill;
pub mod care;
mod client;
mod cloud;
pub mod dead_letters;
pub mod demo;
pub mod doctor;
pub mod env;
mod error;
pub mod exit;
pub mod iam;
pub mod invocations;
pub mod logs;
pub mod runtime;
mod screen;
mod table;
mod text;
pub mod top;
pub mod trust;
pub mod ui;

pub use cloud::{CA_FILE, DataArg};
pub use error::CliError;
