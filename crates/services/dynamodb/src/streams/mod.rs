//! Streams: what happened to the items of a table, in order for each item, readable for a day.
//!
//! A stream has a fixed number of shards, each of which takes a range of the partition keys' hashes; they close when the
//! stream is turned off. Records are rows in the order of their commits, so writing them meets no conflict, and the sequence
//! number is the stamp of the commit.

mod api;
mod iterators;
pub(crate) mod keys;
mod names;
mod read;
mod reader;
mod record;
mod rows;
mod service;
mod spec;
mod sweep;
#[cfg(test)]
mod tests;
mod wire;

pub use names::StreamName;
pub use read::{FoundStream, ReadError, Records};
pub use reader::StreamReader;
pub use record::{ChangeRecord, EventName};
pub(crate) use record::{decode as decode_record, record, shard_of};
pub use rows::RETENTION;
pub(crate) use rows::{StreamRow, begin, end, find};
pub use service::service;
pub(crate) use spec::{update, wanted};
pub use wire::to_event;
