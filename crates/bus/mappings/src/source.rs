//! The port for sources, and the one for the functions that they are mapped to.
//!
//! A stream has shards, and a shard has records in an order that stays: the engine keeps a position for each. Queues will be
//! the other kind: a queue-like source (SQS) has no order to keep and no position, but messages that are received, hidden
//! for a while and deleted. It will be a second trait beside [`StreamSource`], with `receive(source, most, wait)`,
//! `delete(source, receipts)` and `release(source, receipts)`, and a second variant of what [`Sources`] gives; its workers
//! are lanes without a checkpoint, as many as the mapping's concurrency allows. Event payloads ([`Record::json`]), filters,
//! batch bounds, invocation, partial batch responses, permissions and the wake-up by [`StreamSource::watch`] are the same
//! for both: only where a batch comes from and what its end means (move a checkpoint, or delete messages) differ.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Arn, BoxFuture};
use lambent_bus::ports::{InvokeFunction, PortError};
use lambent_store::Watch;
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

/// Streams of one service: implemented by that service, found by its name in the ARN.
pub trait StreamSource: Send + Sync {
    /// What a function's role must be allowed to have a stream read for it: actions and resources, as policies name them.
    fn permissions(&self, stream: &Arn) -> Vec<(&'static str, String)>;

    /// How long records can be read at least: those of batches that are older are given up, if nothing gives them up before.
    fn retention(&self) -> Duration;

    /// What tells of a batch in the record that is kept of it when it is given up.
    fn batch_info(&self) -> BatchInfo;

    /// The shards of a stream, those that are over too as long as their records can be read.
    fn shards<'a>(&'a self, stream: &'a Arn) -> BoxFuture<'a, Result<Vec<Shard>, SourceError>>;

    /// Where reading a shard has to begin to see what is put from now on, or from a time on.
    fn position<'a>(
        &'a self,
        stream: &'a Arn,
        shard: &'a str,
        from: From,
    ) -> BoxFuture<'a, Result<String, SourceError>>;

    /// Reads some records of a shard, in their order. What was trimmed since the position is passed over.
    fn read<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Page, SourceError>>;

    /// Wakes when there may be more records in a shard, or it is over.
    fn watch<'a>(&'a self, stream: &'a Arn, shard: &'a str) -> BoxFuture<'a, Result<Watch, SourceError>>;

    /// A record as filter criteria see it; `None` where they cannot match. Usually what functions get.
    fn filtered_as(&self, record: &Record) -> Option<Value> {
        serde_json::from_slice(&record.json).ok()
    }
}

/// Where a shard is begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Latest,
    /// In milliseconds since 1970. Not every source has it.
    Time(i64),
}

/// A part of a stream with an order of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    pub id: String,
    /// The shards that this one goes on from: it is begun with when they are over.
    pub parents: Vec<String>,
    /// Whether no further records come.
    pub is_closed: bool,
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub stream: &'a Arn,
    pub shard: &'a str,
    /// Where to begin; empty for the shard's own beginning.
    pub from: &'a str,
    pub lane: Lane,
    /// At most so many records of the lane; fewer are given where they are long.
    pub most: usize,
}

/// Some of a shard's keys: those whose hash leaves `index` when it is divided by `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub index: u64,
    pub count: u64,
}

impl Lane {
    /// Whether records of a key with this hash belong to the lane.
    pub fn has(self, key_hash: u64) -> bool {
        self.count <= 1 || key_hash % self.count == self.index
    }
}

/// Some records of a lane.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub records: Vec<Record>,
    /// Where to go on: behind everything that was looked at, of other lanes too.
    pub next: String,
    /// Whether there is nothing more for now.
    pub is_last: bool,
    /// Whether nothing more will come.
    pub is_over: bool,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As functions are told it, and tell it in partial batch responses.
    pub sequence: String,
    /// Where reading goes on after this record. Positions of one shard sort as texts do, in the order of the records.
    pub next: String,
    /// When it was put, in milliseconds since 1970.
    pub arrived_ms: i64,
    /// The element of the event's `Records`.
    pub json: Bytes,
}

/// How a source's batches are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// The member's name, as `DDBStreamBatchInfo`.
    pub name: &'static str,
    /// Whether times have milliseconds.
    pub has_millis: bool,
}

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("the stream does not exist")]
    NotFound,
    /// Trying again may help.
    #[error("the source could not be read: {0}")]
    Failed(String),
}

/// The sources that there are, by the name of the service in an ARN. Services join it when the platform is put together.
#[derive(Default)]
pub struct Sources(RwLock<HashMap<&'static str, Arc<dyn StreamSource>>>);

impl Sources {
    /// Streams of this service can be mapped from now on.
    pub fn add(&self, service: &'static str, source: Arc<dyn StreamSource>) {
        self.0.write().insert(service, source);
    }

    /// Who has the streams of this service.
    pub fn of(&self, service: &str) -> Option<Arc<dyn StreamSource>> {
        self.0.read().get(service).cloned()
    }
}

/// The functions that sources are mapped to: implemented by `lambda`.
pub trait MappedFunctions: InvokeFunction {
    /// What a function is, and what decisions on its role depend on, in brief: another text when [`MappedFunctions::may_read`]
    /// may say something else.
    fn basis<'a>(&'a self, function: &'a Arn) -> BoxFuture<'a, Result<String, PortError>>;

    /// Changes when a function or what roles may do has changed: [`MappedFunctions::basis`] may be another one, and what
    /// could not be run may be.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether the role of a function may do all of this for the mapping with this ARN: actions and resources.
    fn may_read<'a>(
        &'a self,
        mapping: &'a Arn,
        function: &'a Arn,
        wanted: &'a [(&'static str, String)],
    ) -> BoxFuture<'a, Result<Reading, PortError>>;
}

/// What a function's role lets the platform do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Allowed {
        role_arn: String,
    },
    /// As the mapping's LastProcessingResult tells it.
    Refused(String),
}
