//! The job that writes a copy of a table into a bucket, a file with each step.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use lambent_base::Place;
use lambent_expressions::{Item, decode_item, encode_item, item_bytes};
use lambent_store::{Db, ScanOptions, Txn, get_large, load_large, put_large};
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asker::Asker;
use super::export::{self, ExportRow};
use super::{ObjectName, keys, manifest};
use crate::backups::copy::{self, DropCopy};
use crate::backups::{self, journal};
use crate::jobs::{Job, Step, Task};
use crate::json::item_to_json;
use crate::stamped;
use crate::table::Table;
use crate::{Dynamo, DynamoError, rows};

/// How many bytes of items a file has, and how many rows are read for it at once.
const FILE_BYTES: usize = 8 << 20;
const SCAN_ROWS: usize = 500;
const SCAN_BYTES: usize = 1 << 20;
/// From this status on a later attempt may succeed.
const SERVER_ERRORS: u16 = 500;

/// An export whose copy is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Export {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) id: String,
    pub(crate) table: String,
    pub(crate) copy: u64,
    pub(crate) asker: Asker,
}

/// The time of an incremental export: changes of `from_ms` and later, before `to_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) with_old: bool,
}

/// A line of the list of files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileLine {
    pub(super) item_count: u64,
    pub(super) md5_checksum: String,
    pub(super) etag: String,
    pub(super) data_file_s3_key: String,
}

/// A file's lines, and where to go on.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    items: u64,
    bytes: usize,
    last: Option<Bytes>,
    is_more: bool,
}

/// How far the export came. The number of the next file moves with the rest, so that a node which lost the job writes nothing
/// but what that file has anyway.
struct Cursor {
    phase: Phase,
    number: u64,
    /// A key of the store, or nothing.
    after: Vec<u8>,
}

/// A phase of the job: the cursor begins with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Gathers what changed, for an incremental export.
    Gathering = 0,
    Writing = 1,
}

impl Export {
    pub(crate) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let place = &self.place();
        let row = db.read(|txn| async move { export::find(&txn, place, &self.id).await }).await?;
        let Some(row) = row else { return self.end(dynamo, db, job, None).await };
        match self.write(dynamo, db, job, row.clone()).await {
            Ok(step) => Ok(step),
            Err(error) if is_final(&error) => {
                let row = row.failed(super::failure(&error), dynamo.clock.unix_ms());
                self.end(dynamo, db, job, Some(row)).await
            }
            Err(error) => Err(error),
        }
    }

    /// Ends an export that came to nothing.
    pub(crate) async fn give_up(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        why: &DynamoError,
    ) -> Result<(), DynamoError> {
        let place = &self.place();
        let row = db.read(|txn| async move { export::find(&txn, place, &self.id).await }).await?;
        let row = row.map(|row| row.failed(super::failure(why), dynamo.clock.unix_ms()));
        self.end(dynamo, db, job, row).await.map(drop)
    }

    /// The copy could not be made.
    pub(crate) async fn keep_failure(
        &self,
        dynamo: &Dynamo,
        txn: &Txn,
        failure: (String, String),
    ) -> Result<(), DynamoError> {
        let place = &self.place();
        if let Some(row) = export::find(txn, place, &self.id).await? {
            let row = row.failed(failure, dynamo.clock.unix_ms());
            txn.put(&keys::export(place, &self.id), &rows::encode(&row));
        }
        Ok(())
    }

    /// Writes one of the export's objects, and gives its ETag; nothing when the job is another's by now: that may have written
    /// the object already, or will.
    pub(super) async fn put_object(
        &self,
        (dynamo, db, job): (&Dynamo, &Db, &Job),
        object: &ObjectName,
        kind: &str,
        body: Bytes,
    ) -> Result<Option<String>, DynamoError> {
        if !db.read(|txn| async move { job.is_mine(&txn).await }).await? {
            return Ok(None);
        }
        let who = self.asker.again(dynamo);
        let etag = dynamo.buckets()?.put(&who, object, kind, body).await.map_err(super::of_bucket)?;
        Ok(Some(etag))
    }

    async fn write(&self, dynamo: &Dynamo, db: &Db, job: &Job, row: ExportRow) -> Result<Step, DynamoError> {
        let at = Cursor::of(job, &row)?;
        if let (Phase::Gathering, Some(window)) = (at.phase, row.window) {
            return self.gather(dynamo, db, job, (window, &at.after)).await;
        }
        let (number, after) = (at.number, at.after);
        let lines = self.lines(dynamo, db, &row, &after).await?;
        if lines.items > 0 || number == 0 {
            return self.put_file(dynamo, db, job, &row, number, lines).await;
        }
        match manifest::put(self, (dynamo, db, job), row).await? {
            Some(row) => self.end(dynamo, db, job, Some(row)).await,
            None => Ok(Step::Done),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place { account: self.account.clone(), region: self.region.clone() }
    }

    /// Writes one file; the same again if the job ended before it was written down.
    async fn put_file(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        row: &ExportRow,
        number: u64,
        lines: Lines,
    ) -> Result<Step, DynamoError> {
        let name = format!("{:016x}{number:010x}.json.gz", self.copy);
        let object = match row.window {
            // Incremental exports share a folder, on AWS too.
            Some(_) => row.below(&format!("AWSDynamoDB/data/{name}")),
            None => row.object(&self.id, &format!("data/{name}")),
        };
        let body =
            compressed(&lines.text).map_err(|error| DynamoError::Refused(ApiError::internal(&error)))?;
        let md5_checksum = manifest::md5(&body);
        let put = self.put_object((dynamo, db, job), &object, "application/gzip", body.into());
        let Some(etag) = put.await? else { return Ok(Step::Done) };
        let line = FileLine { item_count: lines.items, md5_checksum, etag, data_file_s3_key: object.key };
        let (line, lines, place) = (&line, &lines, &self.place());
        db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            let Some(mut row) = export::find(&txn, place, &self.id).await? else { return Ok(Step::More) };
            row.items += i64::try_from(lines.items).unwrap_or(i64::MAX);
            row.bytes += i64::try_from(lines.bytes).unwrap_or(i64::MAX);
            txn.put(&keys::export(place, &self.id), &rows::encode(&row));
            txn.put(&keys::file(self.copy, number), &rows::encode(line));
            // What comes after the last one has no items, and ends the job.
            let last = lines.last.clone().unwrap_or_default();
            job.advance(&txn, &Cursor::bytes(Phase::Writing, number + 1, &last));
            Ok(Step::More)
        })
        .await
    }

    /// The lines of the next file.
    async fn lines(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        row: &ExportRow,
        after: &[u8],
    ) -> Result<Lines, DynamoError> {
        let mut lines = Lines { is_more: true, ..Lines::default() };
        lines.last = (!after.is_empty()).then(|| Bytes::copy_from_slice(after));
        while lines.is_more && lines.bytes < FILE_BYTES {
            let last = lines.last.clone();
            let read = |txn: Txn| {
                let last = last.clone();
                async move {
                    match row.window {
                        Some(window) => self.changed(dynamo, &txn, window, last).await,
                        None => self.items(&txn, last).await,
                    }
                }
            };
            let page = db.read(read).await?;
            lines.text.extend_from_slice(&page.text);
            lines.items += page.items;
            lines.bytes += page.bytes;
            lines.is_more = page.is_more;
            lines.last = page.last.or(lines.last);
        }
        Ok(lines)
    }

    /// Lines of a full export.
    async fn items(&self, txn: &Txn, after: Option<Bytes>) -> Result<Lines, DynamoError> {
        let all = backups::keys::copy(self.copy);
        let range = after.as_ref().map_or_else(|| all.clone(), |after| all.clone().after(after));
        let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS).max_bytes(SCAN_BYTES)).await?;
        let mut lines = Lines { is_more: page.more.is_some(), ..Lines::default() };
        for (key, row) in &page.rows {
            let item = decode_item(&load_large(txn, key, row.clone()).await?)?;
            lines.push(key, item_bytes(&item), &json!({ "Item": item_to_json(&item) }));
            if lines.bytes > SCAN_BYTES {
                lines.is_more = true;
                break;
            }
        }
        Ok(lines)
    }

    /// Lines of an incremental export: what items were before the time, and are at its end.
    async fn changed(
        &self,
        dynamo: &Dynamo,
        txn: &Txn,
        window: Window,
        after: Option<Bytes>,
    ) -> Result<Lines, DynamoError> {
        let Some(table) = rows::find_table(&dynamo.known, txn, &self.place(), &self.table).await? else {
            return Err(gone());
        };
        let all = keys::deltas(self.copy);
        let range = after.as_ref().map_or_else(|| all.clone(), |after| all.clone().after(after));
        let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS).max_bytes(SCAN_BYTES)).await?;
        let mut lines = Lines { is_more: page.more.is_some(), ..Lines::default() };
        for (key, row) in &page.rows {
            let delta = Delta::read(&load_large(txn, key, row.clone()).await?)?;
            let now = backups::keys::copied_at(self.copy, keys::read_delta(key)?);
            let now = get_large(txn, &now).await?.map(|now| decode_item(&now)).transpose()?;
            lines.push(key, delta.bytes(now.as_ref()), &delta.line(&table, window, now.as_ref()));
            if lines.bytes > SCAN_BYTES {
                lines.is_more = true;
                break;
            }
        }
        Ok(lines)
    }

    /// Notes the items that some changes of the time were of, and what they were before.
    async fn gather(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        (window, after): (Window, &[u8]),
    ) -> Result<Step, DynamoError> {
        let place = &self.place();
        db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            let table = rows::find_table(&dynamo.known, &txn, place, &self.table).await?;
            let table = table.ok_or_else(gone)?;
            let log = table.log.as_ref().ok_or_else(gone)?.id;
            let prefix = backups::keys::journal(log);
            let range = match after {
                [] => {
                    let from = copy::first_since(&txn, &prefix, window.from_ms).await?;
                    stamped::range_from(&prefix, from)
                }
                after => prefix.range().after(after),
            };
            let page = stamped::read(&txn, &range, SCAN_ROWS, SCAN_BYTES, false).await?;
            for record in &page.records {
                let undo = journal::read(record)?;
                if (window.from_ms..window.to_ms).contains(&undo.at_ms) {
                    self.note(&txn, &table, undo).await?;
                }
            }
            match page.records.last().filter(|_| !page.is_last) {
                Some(last) => {
                    let last = stamped::last_key(&prefix, last);
                    job.advance(&txn, &Cursor::bytes(Phase::Gathering, 0, &last));
                }
                None => job.advance(&txn, &Cursor::bytes(Phase::Writing, 0, &[])),
            }
            Ok(Step::More)
        })
        .await
    }

    /// The first change of an item says what it was, the last one when it was written.
    async fn note(&self, txn: &Txn, table: &Table, undo: journal::Undo) -> Result<(), DynamoError> {
        let Ok(key) = table.key_of(&undo.item) else { return Ok(()) };
        let key = keys::delta(self.copy, key.within_table());
        let delta = match get_large(txn, &key).await? {
            Some(delta) => Delta { written_ms: undo.at_ms, ..Delta::read(&delta)? },
            None => Delta { written_ms: undo.at_ms, was_there: undo.was_there, item: undo.item },
        };
        Ok(put_large(txn, &key, &delta.encode()).await?)
    }

    /// Writes down what the export came to, and with it that nothing is left to do but to clean up: were that done before, the
    /// export might come to something else meanwhile.
    async fn end(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        row: Option<ExportRow>,
    ) -> Result<Step, DynamoError> {
        let (place, row) = (&self.place(), &row);
        let step = db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            if let Some(row) = row {
                txn.put(&keys::export(place, &self.id), &rows::encode(row));
            }
            journal::release_named(&dynamo.known, &txn, (place, &self.table), self.copy).await?;
            job.turn_to(&txn, Task::DropCopy(DropCopy { copy: self.copy }));
            txn.frees_space();
            Ok::<_, DynamoError>(Step::More)
        });
        let step = step.await?;
        dynamo.known.forget(place, &self.table);
        Ok(step)
    }
}

impl Cursor {
    fn of(job: &Job, row: &ExportRow) -> Result<Self, DynamoError> {
        let Some(cursor) = job.cursor()? else {
            let phase = if row.window.is_some() { Phase::Gathering } else { Phase::Writing };
            return Ok(Self { phase, number: 0, after: Vec::new() });
        };
        let read = || {
            let (phase, rest) = cursor.split_first()?;
            let (number, after) = rest.split_first_chunk()?;
            let phase = if *phase == Phase::Gathering as u8 { Phase::Gathering } else { Phase::Writing };
            Some(Self { phase, number: u64::from_be_bytes(*number), after: after.to_vec() })
        };
        read().ok_or_else(|| DynamoError::Row { what: "an export", why: "its cursor is damaged".to_owned() })
    }

    fn bytes(phase: Phase, number: u64, after: &[u8]) -> Vec<u8> {
        [&[phase as u8][..], &number.to_be_bytes(), after].concat()
    }
}

impl Window {
    pub(super) fn view(&self) -> &'static str {
        if self.with_old { "NEW_AND_OLD_IMAGES" } else { "NEW_IMAGE" }
    }
}

impl Lines {
    fn push(&mut self, key: &Bytes, bytes: usize, line: &Value) {
        // A JSON value of texts can always be written to memory.
        self.text.extend_from_slice(line.to_string().as_bytes());
        self.text.push(b'\n');
        self.items += 1;
        self.bytes += bytes;
        self.last = Some(key.clone());
    }
}

/// An item that changed: 8 bytes of the last time, 1 of whether it was there, and what it was, or its key.
struct Delta {
    written_ms: i64,
    was_there: bool,
    item: Item,
}

/// Whether a changed item can be read.
pub(crate) fn check_delta(row: &[u8]) -> Result<(), DynamoError> {
    Delta::read(row).map(drop)
}

impl Delta {
    fn encode(&self) -> Vec<u8> {
        [&self.written_ms.to_be_bytes()[..], &[u8::from(self.was_there)], &encode_item(&self.item)].concat()
    }

    fn read(row: &[u8]) -> Result<Self, DynamoError> {
        let short = || DynamoError::Row { what: "a changed item", why: "it is too short".to_owned() };
        let (time, rest) = row.split_first_chunk().ok_or_else(short)?;
        let (was_there, item) = rest.split_first().ok_or_else(short)?;
        let item = decode_item(item)?;
        Ok(Self { written_ms: i64::from_be_bytes(*time), was_there: *was_there != 0, item })
    }

    fn bytes(&self, now: Option<&Item>) -> usize {
        item_bytes(&self.item) + now.map_or(0, item_bytes)
    }

    fn line(&self, table: &Table, window: Window, now: Option<&Item>) -> Value {
        let micros = self.written_ms.saturating_mul(1000).to_string();
        let mut line = json!({
            "Metadata": { "WriteTimestampMicros": { "N": micros } },
            "Keys": item_to_json(&table.keys_of(&self.item)),
        });
        if self.was_there && window.with_old {
            line["OldImage"] = item_to_json(&self.item);
        }
        if let Some(now) = now {
            line["NewImage"] = item_to_json(now);
        }
        line
    }
}

/// Whether trying again will not help.
pub(super) fn is_final(error: &DynamoError) -> bool {
    matches!(error, DynamoError::Refused(refusal) if refusal.status < SERVER_ERRORS)
}

fn gone() -> DynamoError {
    lambent_model_dynamodb::errors::table_not_found_exception("The table was deleted while it was exported")
        .into()
}

fn compressed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}
