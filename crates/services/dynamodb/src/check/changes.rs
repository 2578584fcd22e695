//! Changes that are kept: the records of streams, and what items were before they changed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use lambent_care::Mend;
use lambent_expressions::hash_of;
use lambent_store::{KeyRange, StoreError};

use super::{Check, SERVICE};
use crate::backups::journal::{self, LogRow};
use crate::backups::keys as log_keys;
use crate::rows;
use crate::stamped::{self, STAMP_BYTES, Stamped};
use crate::streams::keys as stream_keys;
use crate::streams::{ChangeRecord, StreamRow, decode_record, shard_of};
use crate::table::{KeySchema, Table};

/// The rows that are the parts of a record, in the order of their keys.
type Parts = Vec<(Bytes, Bytes)>;

impl Check<'_> {
    /// Streams and their records.
    pub(super) async fn streams(&mut self) -> Result<(), StoreError> {
        let mut streams: HashMap<u64, StreamRow> = HashMap::new();
        self.each(stream_keys::all(), |check, key, row| {
            match (stream_keys::read_row(key), serde_json::from_slice::<StreamRow>(row)) {
                (Ok((_, table, label)), Ok(stream)) => {
                    check.stream(&stream, &table, &label);
                    streams.insert(stream.id, stream);
                }
                (Err(why), _) => check.unreadable("a stream", key, row, &why),
                (_, Err(why)) => check.unreadable("a stream", key, row, &why),
            }
        })
        .await?;
        for table in self.known_tables() {
            if let Some(stream) = table.stream.as_ref().filter(|stream| !streams.contains_key(&stream.id)) {
                self.problem(format!(
                    "the row of stream {} of table {} is missing",
                    stream.label, table.name
                ));
            }
        }
        let streams = &streams;
        self.each(stream_keys::all_starts(), |check, key, row| {
            let stream = stream_keys::read_shard(key).ok().and_then(|(stream, _)| streams.get(&stream));
            check.start(key, row, stream.is_some(), "a shard of a stream");
        })
        .await?;
        self.records(stream_keys::all_records(), "a stream's record", |check, record, parts| {
            let (stream, shard) = stream_keys::read_shard(&parts[0].0).map_err(|why| why.to_string())?;
            let Some(stream) = streams.get(&stream) else {
                check.strays("a record is in no stream", parts);
                return Ok(());
            };
            let record = decode_record(record).map_err(|why| why.to_string())?;
            if !fits(&record, stream, shard) {
                check.problem(format!("a record of stream {} is not of its table's items", stream.id));
            }
            Ok(())
        })
        .await
    }

    /// Whether a stream that is on is its table's.
    fn stream(&mut self, stream: &StreamRow, table: &str, label: &str) {
        let own = |known: &super::Known| known.table.stream.as_ref().is_some_and(|own| own.id == stream.id);
        if stream.ended_ms.is_none() && !self.tables.values().any(own) {
            self.problem(format!("stream {label} of table {table} is on, but no table has it"));
        }
    }

    /// What items were before they changed.
    pub(super) async fn journals(&mut self) -> Result<(), StoreError> {
        let tables = self.known_tables();
        let of_log = |log: u64| {
            let own = |table: &&Arc<Table>| table.log.as_ref().is_some_and(|own| own.id == log);
            tables.iter().find(own).map(Arc::clone)
        };
        let mut logs: HashMap<u64, Option<Arc<Table>>> = HashMap::new();
        self.each(log_keys::all_logs(), |check, key, row| {
            match (log_keys::read_log(key), serde_json::from_slice::<LogRow>(row)) {
                (Ok(log), Ok(_)) => drop(logs.insert(log, of_log(log))),
                (Err(why), _) => check.unreadable("a journal", key, row, &why),
                (_, Err(why)) => check.unreadable("a journal", key, row, &why),
            }
        })
        .await?;
        for table in &tables {
            if let Some(log) = table.log.as_ref().filter(|log| !logs.contains_key(&log.id)) {
                let what = format!("the journal of table {} would never be swept", table.name);
                let (key, to) = (log_keys::log(log.id).into_bytes(), rows::encode(&LogRow::of(table)));
                let mend = Mend::Row { key, seen: None, to: Some(to.into()) };
                self.findings.problem(SERVICE, what, vec![mend]);
                logs.insert(log.id, Some(Arc::clone(table)));
            }
        }
        let logs = &logs;
        self.each(log_keys::all_starts(), |check, key, row| {
            let is_known = log_keys::read_owner(key).is_ok_and(|log| logs.contains_key(&log));
            check.start(key, row, is_known, "a journal");
        })
        .await?;
        self.records(log_keys::all_records(), "a journal's record", |check, record, parts| {
            let log = log_keys::read_owner(&parts[0].0).map_err(|why| why.to_string())?;
            let Some(table) = logs.get(&log) else {
                check.strays("a change is in no journal", parts);
                return Ok(());
            };
            let undo = journal::read(record).map_err(|why| why.to_string())?;
            if let Some(table) = table.as_ref().filter(|table| table.key_of(&undo.item).is_err()) {
                check.problem(format!(
                    "a change in the journal of table {} is of none of its items",
                    table.name
                ));
            }
            Ok(())
        })
        .await
    }

    fn known_tables(&self) -> Vec<Arc<Table>> {
        self.tables.values().map(|known| Arc::clone(&known.table)).collect()
    }

    /// The row that says where records begin.
    fn start(&mut self, key: &Bytes, row: &Bytes, is_known: bool, of: &str) {
        if !is_known {
            self.findings.stray(SERVICE, format!("the beginning of {of} that does not exist"), (key, row));
        } else if row.len() != STAMP_BYTES {
            self.unreadable(&format!("the beginning of {of}"), key, row, &"it is no stamp");
        }
    }

    /// Puts records together, and shows each with its rows; what cannot be read is said of all of them.
    async fn records(
        &mut self,
        range: KeyRange,
        kind: &str,
        mut visit: impl FnMut(&mut Self, &Stamped, &Parts) -> Result<(), String> + Send,
    ) -> Result<(), StoreError> {
        let mut parts: Parts = Vec::new();
        self.each(range, |check, key, row| {
            let is_head = key.last() == Some(&0);
            if is_head && !parts.is_empty() {
                check.broken(kind, &std::mem::take(&mut parts), "parts of it are missing");
            }
            parts.push((key.clone(), row.clone()));
            match whole(&parts) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    let parts = std::mem::take(&mut parts);
                    if let Err(why) = visit(check, &record, &parts) {
                        check.broken(kind, &parts, &why);
                    }
                }
                Err(why) => check.broken(kind, &std::mem::take(&mut parts), &why),
            }
        })
        .await?;
        if !parts.is_empty() {
            self.broken(kind, &parts, "parts of it are missing");
        }
        Ok(())
    }

    fn broken(&mut self, kind: &str, parts: &Parts, why: &str) {
        for (key, row) in parts {
            self.unreadable(kind, key, row, &why);
        }
    }

    fn strays(&mut self, what: &str, parts: &Parts) {
        for (key, row) in parts {
            self.findings.stray(SERVICE, what, (key, row));
        }
    }
}

/// The record that its parts are, or `None` where some are still to come.
fn whole(parts: &Parts) -> Result<Option<Stamped>, String> {
    let (key, head) = &parts[0];
    let count = head.first().filter(|_| key.last() == Some(&0)).ok_or("its first part is missing")?;
    if parts.len() < usize::from(*count) {
        return Ok(None);
    }
    let bytes: Vec<_> =
        std::iter::once(&head[1..]).chain(parts[1..].iter().map(|(_, part)| &part[..])).collect();
    let at = stamped::position_of(key).map_err(|why| why.to_string())?;
    Ok(Some(Stamped { at, bytes: bytes.concat().into() }))
}

/// Whether a record is of an item of the stream's table, and in the right shard.
fn fits(record: &ChangeRecord, stream: &StreamRow, shard: u16) -> bool {
    let is_key = |key: &KeySchema| key.attributes().all(|one| one.of(&record.keys).is_some());
    let hash = stream.key.hash.of(&record.keys).map(hash_of);
    is_key(&stream.key) && hash.is_some_and(|hash| shard_of(hash, stream.shards) == shard)
}
