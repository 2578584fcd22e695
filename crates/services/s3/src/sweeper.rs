//! Deletes data that nothing names any more, and goes around what is damaged.
//!
//! A row that does not read back is set aside: moved below `s3/damaged/`, its bytes as they are, and named in the log,
//! then and at each start. Whatever it named stays on disk, so that nothing is lost that a repair could need.

use std::time::Duration;

use bytes::Bytes;
use lambent_api::PlatformWork;
use lambent_blobs::BlobId;
use lambent_bus::pins;
use lambent_store::{Db, KeyRange, ScanOptions, StoreError, Txn};
use parking_lot::Mutex;

use crate::errors::S3Error;
use crate::readers::OpenReaders;
use crate::rows::{self, DeadRow, PartRow, SpanRow};
use crate::service::S3Parts;
use crate::{keys, limits};

/// The pause after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// How many damaged rows are named at a start.
const DAMAGED_NAMED: usize = 20;

/// How long after a look for dead data from the beginning on, and not only from where the last one ended, there is
/// another if something was deleted since: a node whose clock lags far behind may have put some there.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(3600);

/// Deletes what is dead when its grace is over. Nothing dead, nothing done: it then waits to be woken.
pub struct Sweeper {
    parts: S3Parts,
    work: PlatformWork,
    cursor: Mutex<Cursor>,
}

/// Where what is dead begins: what was deleted before is not walked over at each step.
struct Cursor {
    from: KeyRange,
    /// When everything was looked at, on the monotonic clock.
    looked_back: Duration,
}

impl Cursor {
    fn at_beginning(now: Duration) -> Self {
        Self { from: keys::all_dead(), looked_back: now }
    }

    /// Where to look now.
    fn begin(&mut self, now: Duration) -> KeyRange {
        if now.saturating_sub(self.looked_back) >= LOOK_BACK_EVERY {
            *self = Self::at_beginning(now);
        }
        self.from.clone()
    }

    /// After how long there is more to see than from here on; `None` at the beginning, where everything is seen.
    fn looks_back_in(&self, now: Duration) -> Option<Duration> {
        let due = self.looked_back + LOOK_BACK_EVERY;
        (self.from != keys::all_dead()).then(|| due.saturating_sub(now))
    }
}

/// What one transaction did.
enum Step {
    /// Nothing; the time of the next, in milliseconds since 1970, if there is one.
    Wait(Option<i64>),
    /// Something, at that key.
    Done(Done, Bytes),
}

#[derive(Default)]
struct Done {
    /// Blobs that no row names any more.
    free: Vec<BlobId>,
    damaged: Vec<Damage>,
}

/// A row that is not what it should be.
struct Damage {
    key: Bytes,
    expected: &'static str,
    found: String,
}

impl Sweeper {
    pub fn new(parts: S3Parts, work: PlatformWork) -> Self {
        let cursor = Cursor::at_beginning(parts.clock.monotonic());
        Self { parts, work, cursor: Mutex::new(cursor) }
    }

    fn db(&self) -> &Db {
        self.parts.rows.of_platform(&self.work)
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut watch = self.db().watch(keys::DEAD_TOPIC);
        if let Err(failure) = self.name_damaged().await {
            tracing::warn!(%failure, "it could not be looked for damaged rows");
        }
        loop {
            match self.sweep().await {
                Ok(None) => match self.looks_back_in() {
                    // Comes to its end with or without a change.
                    Some(pause) => drop(tokio::time::timeout(pause, watch.changed()).await),
                    None => watch.changed().await,
                },
                Ok(Some(due_unix_ms)) => {
                    let wait_ms = due_unix_ms.saturating_sub(self.parts.clock.unix_ms()).max(1);
                    tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
                }
                Err(failure) => {
                    tracing::warn!(%failure, "deleted objects could not be swept; will try again");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    /// When nothing is dead: after how long to look again nevertheless, once.
    pub(crate) fn looks_back_in(&self) -> Option<Duration> {
        self.cursor.lock().looks_back_in(self.parts.clock.monotonic())
    }

    /// Deletes all that may go now; returns when the next will be due, if there is one.
    pub(crate) async fn sweep(&self) -> Result<Option<i64>, S3Error> {
        let mut from = self.cursor.lock().begin(self.parts.clock.monotonic());
        loop {
            let now_unix_ms = self.parts.clock.unix_ms();
            let (readers, here) = (&self.parts.readers, &from);
            let step =
                self.db().run(|txn| async move { step(&txn, readers, here, now_unix_ms).await }).await?;
            match step {
                Step::Wait(next) => return Ok(next),
                Step::Done(done, at) => {
                    from = keys::all_dead().starting_at(&at);
                    self.cursor.lock().from = from.clone();
                    self.finish(done).await;
                }
            }
        }
    }

    async fn finish(&self, done: Done) {
        for Damage { key, expected, found } in done.damaged {
            tracing::error!(
                row = %key.escape_ascii(),
                expected,
                found,
                "a damaged row was set aside below s3/damaged/, and what it names stays; restore it from a backup"
            );
        }
        for blob in done.free {
            if let Err(failure) = self.parts.blobs.of_platform(&self.work).delete(blob).await {
                tracing::warn!(%failure, %blob, "a deleted object's blob stays until the next sweep of orphans");
            }
        }
    }

    /// Says again what was set aside before.
    async fn name_damaged(&self) -> Result<(), StoreError> {
        let (all, options) = (&keys::all_damaged(), ScanOptions::rows(DAMAGED_NAMED).keys_only());
        let page = self.db().read(|txn| async move { txn.scan_snapshot(all, options).await }).await?;
        for (key, _) in &page.rows {
            tracing::error!(row = %key.escape_ascii(), more = page.more.is_some(), "a damaged row is set aside");
        }
        Ok(())
    }
}

async fn step(txn: &Txn, readers: &OpenReaders, from: &KeyRange, now_unix_ms: i64) -> Result<Step, S3Error> {
    let page = txn.scan_snapshot(from, ScanOptions::rows(1)).await?;
    let Some((key, row)) = page.rows.first() else { return Ok(Step::Wait(None)) };
    let mut done = Done::default();
    txn.frees_space();
    let due = keys::due_of_dead(key);
    if let Ok(due) = due
        && due > now_unix_ms
    {
        return Ok(Step::Wait(Some(due)));
    }
    // A backup copies the rows first, and then the blobs that these name.
    if let Some(until) = pins::pinned_until(txn, now_unix_ms).await? {
        return Ok(Step::Wait(Some(until)));
    }
    let dead = match due {
        Ok(_) => rows::decode(key, row),
        Err(failure) => Err(failure.into()),
    };
    // Depends on the row: of two sweepers only one may take the reference away.
    txn.get(key).await?;
    let finished = match dead {
        // Asked here, so that it is asked before each step: who begins to read later finds no row that names these.
        Ok(DeadRow::Blob(name) | DeadRow::Spans(name)) if readers.reads(txn, &name).await? => {
            let due = now_unix_ms + limits::GC_READ_PAUSE_MS;
            txn.put(&keys::dead_later(key, due)?, row);
            true
        }
        Ok(DeadRow::Blob(blob)) => match blob.parse() {
            Ok(blob) => {
                done.release(txn, blob).await?;
                true
            }
            Err(failure) => {
                done.set_aside(txn, (key, row), "a blob that nothing names any more", &failure);
                true
            }
        },
        Ok(DeadRow::Spans(upload)) => {
            let blob_of = |key: &[u8], row: &[u8]| rows::decode(key, row).map(|row: SpanRow| row.blob);
            done.release_rows(txn, &keys::spans(&upload).range(), "a part of a deleted object", blob_of)
                .await?
        }
        Ok(DeadRow::Parts(upload)) => {
            let blob_of = |key: &[u8], row: &[u8]| rows::decode(key, row).map(|row: PartRow| row.blob);
            done.release_rows(txn, &keys::parts(&upload).range(), "a part of an ended upload", blob_of)
                .await?
        }
        Err(failure) => {
            done.set_aside(txn, (key, row), "data that nothing names any more", &failure);
            true
        }
    };
    if finished {
        txn.delete(key);
    }
    Ok(Step::Done(done, key.clone()))
}

impl Done {
    /// Takes some rows and their references away; says whether none is left.
    async fn release_rows(
        &mut self,
        txn: &Txn,
        range: &KeyRange,
        expected: &'static str,
        blob_of: fn(&[u8], &[u8]) -> Result<String, S3Error>,
    ) -> Result<bool, S3Error> {
        let options = ScanOptions::rows(limits::GC_STEP_ROWS).max_bytes(limits::GC_STEP_BYTES);
        let page = txn.scan(range, options).await?;
        for (key, row) in &page.rows {
            match blob_of(key, row).and_then(|blob| Ok(blob.parse()?)) {
                Ok(blob) => self.release(txn, blob).await?,
                Err(failure) => self.set_aside(txn, (key, row), expected, &failure),
            }
            txn.delete(key);
        }
        Ok(page.more.is_none())
    }

    /// Takes one reference to a blob away; the last one frees it.
    async fn release(&mut self, txn: &Txn, blob: BlobId) -> Result<(), S3Error> {
        let key = keys::blob_references(&blob.to_string());
        let row = txn.get(&key).await?.unwrap_or_default();
        let count = row[..].try_into().map(i64::from_le_bytes);
        match count {
            Ok(count @ 2..) => txn.put(&key, &(count - 1).to_le_bytes()),
            Ok(1) => {
                txn.delete(&key);
                self.free.push(blob);
            }
            // Who else names the blob cannot be told, so it stays.
            _ => {
                let found = row.escape_ascii();
                self.set_aside(
                    txn,
                    (&key.into_bytes(), &row),
                    "a count of references, 8 bytes, above 0",
                    &found,
                );
            }
        }
        Ok(())
    }

    /// Keeps a damaged row where it is in nobody's way; whether it also stays where it was is the caller's.
    fn set_aside(
        &mut self,
        txn: &Txn,
        (key, row): (&Bytes, &Bytes),
        expected: &'static str,
        found: &impl ToString,
    ) {
        txn.put(&keys::damaged(key), row);
        self.damaged.push(Damage { key: key.clone(), expected, found: found.to_string() });
    }
}
