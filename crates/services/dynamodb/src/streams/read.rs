//! Records of a shard, in their order.

use lambent_base::Place;
use lambent_store::{Db, KeyRange, Txn, Watch};

use super::record::{self, ChangeRecord};
use super::rows::{self, StreamRow};
use super::{StreamName, keys, names};
use crate::DynamoError;
use crate::stamped::{self, Position};

/// The most records of one answer. Source: API reference, GetRecords.
pub(super) const RECORDS_MAX: usize = 1_000;
/// What one answer holds at most, and the record that goes beyond it.
const RECORDS_BYTES_MAX: usize = 1 << 20;

/// Some records of a shard.
#[derive(Debug)]
pub struct Records {
    pub records: Vec<ChangeRecord>,
    /// Where to go on; `None` when the shard is closed and has no more.
    pub next: Option<Position>,
    /// Whether there are no more for now.
    pub is_last: bool,
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the stream does not exist")]
    NoStream,
    #[error("the stream has no such shard")]
    NoShard,
    /// Records at this place were deleted as they were a day old.
    #[error("the records before {} are gone", first.sequence_number())]
    Trimmed { first: Position },
    #[error(transparent)]
    Failed(#[from] DynamoError),
}

impl From<lambent_store::StoreError> for ReadError {
    fn from(error: lambent_store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// A stream that was found.
#[derive(Clone, Debug)]
pub struct FoundStream {
    pub place: Place,
    pub table: String,
    pub label: String,
    pub(crate) row: StreamRow,
}

impl FoundStream {
    /// Shards are numbered from zero.
    pub fn shards(&self) -> u16 {
        self.row.shards
    }

    /// Whether records may still come.
    pub fn is_on(&self) -> bool {
        self.row.ended_ms.is_none()
    }

    /// The id of a shard.
    pub fn shard_id(&self, shard: u16) -> String {
        names::shard_id(&self.row, shard)
    }

    /// The number of the shard with this id.
    pub fn shard_of_id(&self, id: &str) -> Option<u16> {
        names::shard_of_id(&self.row, id)
    }

    /// The hash of the partition key that a record is about.
    pub fn hash_of(&self, record: &ChangeRecord) -> u16 {
        self.row.key.hash.of(&record.keys).map_or(0, lambent_expressions::hash_of)
    }

    /// When it was turned on, in milliseconds since 1970.
    pub fn created_ms(&self) -> i64 {
        self.row.created_ms
    }
}

/// Looks a stream up; `None` when there is none, or its day after the end is over.
pub(crate) async fn find(
    txn: &Txn,
    name: &StreamName,
    now_ms: i64,
) -> Result<Option<FoundStream>, DynamoError> {
    let row = rows::find(txn, &name.place, &name.table, &name.label).await?;
    let row = row.filter(|row| !row.is_gone(now_ms));
    let StreamName { place, table, label } = name.clone();
    Ok(row.map(|row| FoundStream { place, table, label, row }))
}

/// Reads records from a place on: at most `limit`, and a megabyte.
pub(crate) async fn read(
    txn: &Txn,
    stream: &FoundStream,
    shard: u16,
    from: Position,
    limit: usize,
) -> Result<Records, ReadError> {
    if shard >= stream.row.shards {
        return Err(ReadError::NoShard);
    }
    let first = first(txn, stream, shard).await?;
    if from < first && from != Position::START {
        return Err(ReadError::Trimmed { first });
    }
    let from = from.max(first);
    let range = stamped::range_from(&keys::shard(stream.row.id, shard), from);
    let page = stamped::read(txn, &range, limit.clamp(1, RECORDS_MAX), RECORDS_BYTES_MAX, false).await?;
    let next = page.records.last().map_or(from, |last| last.at.after());
    let next = (stream.is_on() || !page.is_last).then_some(next);
    let records = page.records.iter().map(record::decode).collect::<Result<_, _>>()?;
    Ok(Records { records, next, is_last: page.is_last })
}

/// Where the shard's records begin: all before it are gone.
pub(crate) async fn first(txn: &Txn, stream: &FoundStream, shard: u16) -> Result<Position, DynamoError> {
    stamped::start_of(txn, &keys::trimmed(stream.row.id, shard)).await
}

/// The place of the shard's last record.
pub(crate) async fn last(
    txn: &Txn,
    stream: &FoundStream,
    shard: u16,
) -> Result<Option<Position>, DynamoError> {
    let prefix = keys::shard(stream.row.id, shard);
    let page = stamped::read(txn, &KeyRange::prefix(&prefix), 1, 1, true).await?;
    Ok(page.records.last().map(|record| record.at))
}

/// The place after the shard's last record.
pub(crate) async fn latest(txn: &Txn, stream: &FoundStream, shard: u16) -> Result<Position, DynamoError> {
    match last(txn, stream, shard).await? {
        Some(last) => Ok(last.after()),
        None => first(txn, stream, shard).await,
    }
}

/// The place of the first record that was made at a time or later, see [`stamped::at_time`].
pub(crate) async fn at_time(
    txn: &Txn,
    stream: &FoundStream,
    shard: u16,
    at_ms: i64,
) -> Result<Position, DynamoError> {
    let found = stamped::at_time(txn, &keys::shard(stream.row.id, shard), at_ms).await?;
    Ok(found.max(first(txn, stream, shard).await?))
}

/// Wakes after a commit that added records to a shard, or ended it.
pub(crate) fn watch(db: &Db, stream: &FoundStream, shard: u16) -> Watch {
    db.watch(&keys::topic(stream.row.id, shard))
}
