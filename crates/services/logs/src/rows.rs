//! What is stored for a group and for a stream.

use std::collections::BTreeMap;

use lambent_base::Place;
use lambent_model_logs::errors::resource_not_found_exception;
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use crate::LogsError;
use crate::keys;

/// A log group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupRow {
    /// Names the group in all other keys.
    pub(crate) id: u64,
    pub(crate) created_ms: i64,
    /// `STANDARD` and so on.
    pub(crate) class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retention_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kms_key_id: Option<String>,
    #[serde(default)]
    pub(crate) deletion_protection: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
}

/// A log stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamRow {
    pub(crate) created_ms: i64,
    /// The sequence of the next chunk.
    pub(crate) sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<EventTimes>,
}

/// When a stream's events happened and came in, milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventTimes {
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) ingested_ms: i64,
}

impl GroupRow {
    pub(crate) fn new(id: u64, created_ms: i64) -> Self {
        let class = "STANDARD".to_owned();
        Self {
            id,
            created_ms,
            class,
            retention_days: None,
            kms_key_id: None,
            deletion_protection: false,
            tags: BTreeMap::new(),
        }
    }

    /// Events before this time are not shown any more; `i64::MIN` without a retention policy.
    pub(crate) fn expired_before_ms(&self, now_ms: i64) -> i64 {
        self.retention_days.map_or(i64::MIN, |days| now_ms - i64::from(days) * MS_PER_DAY)
    }
}

impl StreamRow {
    /// The time under which the stream stands in the order LastEventTime.
    pub(crate) fn recent_ms(&self) -> i64 {
        self.events.map_or(0, |events| events.last_ms)
    }
}

pub(crate) const MS_PER_DAY: i64 = 86_400_000;

/// Reads a row.
pub(crate) fn decode<T: for<'a> Deserialize<'a>>(what: &'static str, row: &[u8]) -> Result<T, LogsError> {
    serde_json::from_slice(row).map_err(|source| LogsError::Row { what, source })
}

/// Writes a row.
pub(crate) fn encode(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows are plain structs of text and numbers, which JSON always holds")
}

pub(crate) async fn find_group(txn: &Txn, place: &Place, name: &str) -> Result<Option<GroupRow>, LogsError> {
    let row = txn.get(&keys::group(place, name)).await?;
    row.map(|row| decode("a log group", &row)).transpose()
}

pub(crate) async fn group(txn: &Txn, place: &Place, name: &str) -> Result<GroupRow, LogsError> {
    let found = find_group(txn, place, name).await?;
    found.ok_or_else(|| resource_not_found_exception("The specified log group does not exist.").into())
}

pub(crate) async fn find_stream(txn: &Txn, group: u64, name: &str) -> Result<Option<StreamRow>, LogsError> {
    let row = txn.get(&keys::stream(group, name)).await?;
    row.map(|row| decode("a log stream", &row)).transpose()
}

pub(crate) async fn stream(txn: &Txn, group: u64, name: &str) -> Result<StreamRow, LogsError> {
    let found = find_stream(txn, group, name).await?;
    found.ok_or_else(|| resource_not_found_exception("The specified log stream does not exist.").into())
}

pub(crate) fn put_stream(txn: &Txn, group: u64, name: &str, row: &StreamRow) {
    txn.put(&keys::stream(group, name), &encode(row));
    txn.put(&keys::recent(group, row.recent_ms(), name), b"");
}
