//! What is stored of a stream: made when a table's stream is turned on, kept for a day longer than it is on.

use std::time::Duration;

use lambent_base::{Place, Random};
use lambent_store::Txn;
use lambent_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::DynamoError;
use crate::table::{BillingMode, KeySchema, StreamSpec, StreamView, Table};

/// How long records can be read, and a stream that is over.
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);
pub(crate) const RETENTION_MS: i64 = 24 * 3600 * 1000;
/// Shards of a stream whose table takes as much as comes.
const SHARDS_ON_DEMAND: u16 = 4;
const SHARDS_MAX: u16 = 16;
/// What a partition takes on AWS, and so a shard: "Partitions and data distribution in DynamoDB".
const SHARD_WRITE_UNITS: i64 = 1_000;
const SHARD_READ_UNITS: i64 = 3_000;

/// A stream, on or over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamRow {
    /// Names the stream in the keys of its records.
    pub(crate) id: u64,
    pub(crate) view: StreamView,
    pub(crate) shards: u16,
    pub(crate) key: KeySchema,
    pub(crate) created_ms: i64,
    /// When it was turned off, or its table deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_ms: Option<i64>,
}

impl StreamRow {
    /// Whether its day after the end is over.
    pub(crate) fn is_gone(&self, now_ms: i64) -> bool {
        self.ended_ms.is_some_and(|ended_ms| ended_ms + RETENTION_MS <= now_ms)
    }
}

/// Turns on a stream in the row of its table, which the caller writes.
pub(crate) fn begin(txn: &Txn, table: &mut Table, view: StreamView, random: &Random, now_ms: i64) {
    let last = table.stream_label.as_deref().and_then(|label| Timestamp::parse(&format!("{label}Z")));
    // Labels name streams, so that no two of a table have the same.
    let at_ms = last.map_or(now_ms, |last| now_ms.max(last.as_ms() + 1));
    let label = Timestamp::from_ms(at_ms).iso8601_ms().trim_end_matches('Z').to_owned();
    let stream = StreamSpec { id: random.u64(), label: label.clone(), view, shards: shards_of(table) };
    let row = StreamRow {
        id: stream.id,
        view,
        shards: stream.shards,
        key: table.key.clone(),
        created_ms: now_ms,
        ended_ms: None,
    };
    put(txn, &table.place, &table.name, &label, &row);
    table.stream_label = Some(label);
    table.stream = Some(stream);
    txn.on_commit(keys::SWEEP_TOPIC);
}

/// Turns off the table's stream, if it is on. Its records can be read for a day.
pub(crate) async fn end(txn: &Txn, table: &mut Table, now_ms: i64) -> Result<(), DynamoError> {
    let Some(stream) = table.stream.take() else { return Ok(()) };
    if let Some(mut row) = find(txn, &table.place, &table.name, &stream.label).await? {
        row.ended_ms = Some(now_ms);
        put(txn, &table.place, &table.name, &stream.label, &row);
    }
    // Whoever waits for records learns that there will be none.
    (0..stream.shards).for_each(|shard| txn.on_commit(&keys::topic(stream.id, shard)));
    txn.on_commit(keys::SWEEP_TOPIC);
    Ok(())
}

pub(crate) async fn find(
    txn: &Txn,
    place: &Place,
    table: &str,
    label: &str,
) -> Result<Option<StreamRow>, DynamoError> {
    let row = txn.get(&keys::row(place, table, label)).await?;
    row.map(|row| decode(&row)).transpose()
}

pub(crate) fn decode(row: &[u8]) -> Result<StreamRow, DynamoError> {
    serde_json::from_slice(row).map_err(|why| DynamoError::Row { what: "a stream", why: why.to_string() })
}

fn put(txn: &Txn, place: &Place, table: &str, label: &str, row: &StreamRow) {
    let row = serde_json::to_vec(row).expect("rows are plain structs, which JSON always holds");
    txn.put(&keys::row(place, table, label), &row);
}

/// As many as AWS would make partitions for the throughput.
fn shards_of(table: &Table) -> u16 {
    if table.billing.mode == BillingMode::OnDemand {
        return SHARDS_ON_DEMAND;
    }
    let parts = |units: i64, of: i64| units.max(1).cast_unsigned().div_ceil(of.cast_unsigned());
    let writes = parts(table.throughput.write_units, SHARD_WRITE_UNITS);
    let reads = parts(table.throughput.read_units, SHARD_READ_UNITS);
    u16::try_from(writes.max(reads)).unwrap_or(SHARDS_MAX).min(SHARDS_MAX)
}
