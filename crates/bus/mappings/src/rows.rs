//! What is kept of mappings, and the transactions on them that others make.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_base::{Arn, Place};
use lambent_store::{ScanOptions, StoreError, Txn, delete_large, load_large, put_large};
use serde::{Deserialize, Serialize};

use crate::error::MappingError;
use crate::keys;

/// How the last batch ended, when there was none.
const NO_RECORDS: &str = "No records processed";

/// A mapping of a source to a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    pub uuid: String,
    pub account: String,
    pub region: String,
    /// With the version or alias that it was given.
    pub function_arn: String,
    pub source_arn: String,
    pub settings: Settings,
    /// What is wanted; `phase` says how far it is.
    pub is_enabled: bool,
    pub phase: Phase,
    /// Grows with each change: lanes that were begun with an older one end.
    pub revision: u64,
    /// In milliseconds since 1970.
    pub modified_ms: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// How a mapping is to be worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub batch_size: usize,
    /// How long a batch that is not full waits for more.
    pub batching_window_s: u32,
    pub start: Start,
    /// Patterns: a record that meets none of them is passed over. All count if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    pub bisects: bool,
    /// -1 for as long as the source has the records.
    pub retries_max: i32,
    /// -1 likewise.
    pub age_max_s: i32,
    /// ReportBatchItemFailures.
    pub reports_item_failures: bool,
    pub parallelization_factor: u64,
    /// The ARN of what is told of batches that were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// 0 for no windows.
    pub tumbling_window_s: u32,
    /// The metrics that were asked for: kept to be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
}

/// Where a mapping begins in the shards that are there when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    TrimHorizon,
    Latest,
    /// In milliseconds since 1970.
    At(i64),
}

/// What is being done to a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Creating,
    Enabling,
    Disabling,
    Updating,
    Deleting,
    /// Nothing: it is as it is wanted.
    Settled,
}

/// How far a lane is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneRow {
    /// Everything before it is done; empty for the shard's own beginning.
    pub(crate) position: String,
    /// How many lanes its shard had when the row was made.
    pub(crate) count: u64,
    /// What a batch that failed was split into: each begins where the one before it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) segments: Vec<Segment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<WindowRow>,
    /// Whether nothing more will come.
    #[serde(default)]
    pub(crate) is_over: bool,
}

/// Records that are tried together again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Where reading goes on after its last record.
    pub(crate) end: String,
    /// How often it failed.
    pub(crate) attempts: u32,
}

/// A window that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WindowRow {
    /// In milliseconds since 1970.
    pub(crate) start_ms: i64,
    /// As the settings were when it was opened; 0 in rows from before that was kept: see [`LaneRow::fill_in`].
    #[serde(default)]
    pub(crate) length_s: u32,
    /// JSON, as the function gave it last.
    pub(crate) state: String,
    /// Whether it ends before its time: its state is too long, or the shard is over.
    #[serde(default)]
    pub(crate) is_early: bool,
    /// How often its final invocation failed.
    #[serde(default)]
    pub(crate) attempts: u32,
}

impl Mapping {
    pub fn place(&self) -> Place {
        Place { account: self.account.clone(), region: self.region.clone() }
    }

    /// The mapping's own ARN.
    pub fn arn(&self) -> Arn {
        Arn::new("lambda", &self.region, &self.account, format!("event-source-mapping:{}", self.uuid))
    }

    /// As AWS names what it is doing.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Creating => "Creating",
            Phase::Enabling => "Enabling",
            Phase::Disabling => "Disabling",
            Phase::Updating => "Updating",
            Phase::Deleting => "Deleting",
            Phase::Settled if self.is_enabled => "Enabled",
            Phase::Settled => "Disabled",
        }
    }

    /// Whether there is anything to do for it.
    pub(crate) fn is_live(&self) -> bool {
        self.is_enabled || self.phase != Phase::Settled
    }

    /// One mapping.
    pub async fn get(txn: &Txn, place: &Place, uuid: &str) -> Result<Option<Self>, MappingError> {
        txn.get(&keys::row(place, uuid)).await?.map(|row| read(&row)).transpose()
    }

    /// The mappings of a place that come after the one with this id, in the order of their ids.
    pub async fn list(
        txn: &Txn,
        place: &Place,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Self>, MappingError> {
        let mut range = keys::of_place(place).range();
        if let Some(after) = after {
            range = range.after(&keys::row(place, after));
        }
        let page = txn.scan(&range, ScanOptions::rows(most)).await?;
        page.rows.iter().map(|(_, row)| read(row)).collect()
    }

    /// Writes it, and wakes who works on it.
    pub fn put(&self, txn: &Txn) {
        self.keep(txn);
        txn.on_commit(keys::CHANGED);
        txn.on_commit(&keys::topic(&self.uuid));
    }

    /// Writes it without a word.
    fn keep(&self, txn: &Txn) {
        let row = serde_json::to_vec(self).expect("a mapping has texts and numbers");
        txn.put(&keys::row(&self.place(), &self.uuid), &row);
    }

    /// The same for one that is new: `starts` says where its shards begin, as [`crate::starts`] found out.
    pub async fn create(&self, txn: &Txn, starts: &[(String, Option<String>)]) -> Result<(), MappingError> {
        let count = self.settings.parallelization_factor;
        for (shard, position) in starts {
            let is_over = position.is_none();
            let position = position.clone().unwrap_or_default();
            let row = LaneRow { position, count, is_over, ..LaneRow::default() };
            for index in 0..count {
                row.put(txn, &self.uuid, shard, index).await?;
            }
        }
        self.put(txn);
        Ok(())
    }

    /// How the last batch ended.
    pub async fn result(&self, txn: &Txn) -> Result<String, MappingError> {
        let row = txn.get(&keys::result(&self.uuid)).await?;
        Ok(row.map_or_else(|| NO_RECORDS.to_owned(), |row| String::from_utf8_lossy(&row).into_owned()))
    }

    /// Says that it is as it is wanted, if it was not changed since.
    pub(crate) async fn settle(&self, txn: &Txn) -> Result<bool, MappingError> {
        let Some(mut row) = Self::get(txn, &self.place(), &self.uuid).await? else { return Ok(false) };
        if row.revision != self.revision {
            return Ok(false);
        }
        if row.phase != Phase::Settled {
            row.phase = Phase::Settled;
            row.keep(txn);
            // Who has nothing to do for it any more is ended by whoever began it.
            txn.on_commit(keys::CHANGED);
        }
        Ok(true)
    }

    /// Keeps how the last batch ended, or why there is none.
    pub(crate) fn put_result(&self, txn: &Txn, result: &str) {
        txn.put(&keys::result(&self.uuid), result.as_bytes());
    }

    /// Removes all that is kept of it.
    pub(crate) async fn remove(&self, txn: &Txn) -> Result<(), MappingError> {
        for (shard, index, _) in lanes(txn, &self.uuid).await? {
            LaneRow::delete(txn, &self.uuid, &shard, index).await?;
        }
        txn.delete(&keys::holder(&self.uuid));
        txn.delete(&keys::unable(&self.uuid));
        txn.delete(&keys::result(&self.uuid));
        txn.delete(&keys::row(&self.place(), &self.uuid));
        lambent_bus::Nodes::forget_lease(txn, &keys::lease(&self.uuid));
        txn.on_commit(keys::CHANGED);
        txn.on_commit(&keys::topic(&self.uuid));
        Ok(())
    }
}

impl LaneRow {
    /// Makes up for what rows from before do not have: their window has the length that is set now.
    pub(crate) fn fill_in(&mut self, settings: &Settings) {
        if let Some(window) = self.window.as_mut().filter(|window| window.length_s == 0) {
            window.length_s = settings.tumbling_window_s;
        }
    }

    /// Puts a segment in the place of the first one.
    pub(crate) fn set_first(&mut self, segment: Segment) {
        match self.segments.first_mut() {
            Some(first) => *first = segment,
            None => self.segments.push(segment),
        }
    }

    pub(crate) async fn put(&self, txn: &Txn, uuid: &str, shard: &str, index: u64) -> Result<(), StoreError> {
        let row = serde_json::to_vec(self).expect("a lane has texts and numbers");
        put_large(txn, &keys::lane(uuid, shard, index), &row).await
    }

    pub(crate) async fn delete(txn: &Txn, uuid: &str, shard: &str, index: u64) -> Result<(), StoreError> {
        delete_large(txn, &keys::lane(uuid, shard, index)).await
    }
}

/// The lanes of a mapping: shard, index and row, in the order of the shards' names.
pub(crate) async fn lanes(txn: &Txn, uuid: &str) -> Result<Vec<(String, u64, LaneRow)>, MappingError> {
    let mut found = Vec::new();
    let mut left = Some(keys::lanes(uuid).range());
    while let Some(range) = left {
        let page = txn.scan(&range, ScanOptions::default()).await?;
        for (key, row) in &page.rows {
            let (_, shard, index) = keys::read_lane(key)?;
            let row = load_large(txn, key, row.clone()).await?;
            found.push((shard, index, serde_json::from_slice(&row)?));
        }
        left = range.rest(&page, false);
    }
    Ok(found)
}

/// Fails unless this worker's transactions count.
pub(crate) async fn check_holder(txn: &Txn, uuid: &str, holder: [u8; 8]) -> Result<(), MappingError> {
    match txn.get(&keys::holder(uuid)).await? {
        Some(row) if row[..] == holder => Ok(()),
        _ => Err(MappingError::Deposed),
    }
}

pub(crate) fn read(row: &Bytes) -> Result<Mapping, MappingError> {
    Ok(serde_json::from_slice(row)?)
}
