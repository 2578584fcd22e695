//! Amazon CloudWatch Logs: groups of streams of timed lines.
//!
//! Lines come in through PutLogEvents and, for functions, through [`Logs::write`]; both pack them into chunk rows, because
//! a row for each line would be slow to write and to read. Groups with a retention policy lose old chunks to a sweeper
//! ([`Logs::sweep`]) that sleeps until the oldest of them expires.
#![forbid(unsafe_code)]

mod check;
mod chunk;
mod error;
mod filter;
mod get;
mod groups;
mod keys;
mod names;
mod page;
mod pattern;
mod put;
mod rows;
mod service;
mod streams;
mod sweep;
#[cfg(test)]
mod tests;
mod tokens;
mod write;

pub use check::check;
pub use error::LogsError;
pub use service::service;
pub use write::StreamLines;

use lambent_api::Guarded;
use lambent_base::{Clock, Random};
use lambent_store::Db;

/// The logs of every account and region. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    rows: Guarded<Db>,
    clock: Clock,
    random: Random,
}

impl Logs {
    /// Logs kept in `rows`.
    pub fn new(rows: Guarded<Db>, clock: Clock, random: Random) -> Self {
        Self { rows, clock, random }
    }
}
