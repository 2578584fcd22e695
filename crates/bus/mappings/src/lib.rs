//! Event source mappings: what lies in a source is brought to a function, in batches and in order.
//!
//! A [`Mapping`] is a row that Lambda's API writes. Whichever node holds its lease works on it: one task for each lane
//! (a shard, or with a parallelisation factor a part of a shard's keys) reads records, invokes the function, and moves
//! the lane's checkpoint in one transaction with whatever else follows from the batch: its retries, its bisection, its
//! window, the record of what was given up. A process that is killed goes on from there, so every record is delivered
//! at least once, and those of a lane in their order. Nothing polls: tasks sleep until the source's commits wake them.
//!
//! What there is to know of a source is behind the port in [`source`]. Sources: Lambda Developer Guide, "How Lambda processes
//! records from stream and queue-based event sources", "Process DynamoDB records with Lambda".
#![forbid(unsafe_code)]

mod batch;
mod check;
mod checkpoint;
mod closing;
mod discard;
mod engine;
mod error;
mod event;
mod invoke;
mod keys;
mod lane;
mod outcome;
mod reader;
mod room;
mod rows;
pub mod source;
mod standing;
#[cfg(test)]
mod tests;
mod unable;
mod window;
mod worker;

pub use check::check;
pub use engine::{Mappings, MappingsParts, starts};
pub use error::MappingError;
pub use rows::{Mapping, Phase, Settings, Start};
