//! Data that nothing names any more: remembered in the transaction that let go of it, deleted after a grace in which
//! readers that had begun can finish.

use std::collections::HashSet;
use std::time::Duration;

use lambent_blobs::BlobId;
use lambent_store::{KeyRange, ScanOptions, StoreError, Txn};

use crate::errors::S3Error;
use crate::readers::OpenReaders;
use crate::rows::{self, Data, DeadRow, ObjectRow, PartRow, SpanRow};
use crate::service::S3Parts;
use crate::{keys, limits};

/// The pause after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Remembers that this may be deleted once the grace is over; `id` tells it from others of the same millisecond.
pub(crate) fn bury(txn: &Txn, now_unix_ms: i64, id: &str, dead: &DeadRow) -> Result<(), S3Error> {
    bury_until(txn, now_unix_ms + limits::GC_GRACE_MS, id, dead)
}

fn bury_until(txn: &Txn, due_unix_ms: i64, id: &str, dead: &DeadRow) -> Result<(), S3Error> {
    txn.put(&keys::dead(due_unix_ms, id), &rows::encode(dead)?);
    txn.on_commit(keys::DEAD_TOPIC);
    Ok(())
}

/// Lets go of the data of an object that is replaced or deleted.
pub(crate) fn bury_object(txn: &Txn, now_unix_ms: i64, object: &ObjectRow) -> Result<(), S3Error> {
    match &object.data {
        Data::Inline => Ok(()),
        // The sequencer tells this reference to a shared blob from the others.
        Data::Blob(blob) => {
            let id = format!("{blob}/{}", object.sequencer);
            bury(txn, now_unix_ms, &id, &DeadRow::Blob(blob.clone()))
        }
        Data::Spans { upload, .. } => bury(txn, now_unix_ms, upload, &DeadRow::Spans(upload.clone())),
    }
}

/// Those of the blobs that a row of this service names, or that wait for the end of their grace: for the blob store's
/// sweep of orphans.
pub async fn referenced(db: &lambent_store::Db, blobs: &[BlobId]) -> Result<HashSet<BlobId>, StoreError> {
    db.read(|txn| async move {
        let mut found = HashSet::new();
        for blob in blobs {
            if txn.get(&keys::blob_references(&blob.to_string())).await?.is_some() {
                found.insert(*blob);
            }
        }
        Ok(found)
    })
    .await
}

/// Deletes what is dead when its grace is over. Nothing dead, nothing done: it then waits to be woken.
pub struct Sweeper {
    parts: S3Parts,
}

/// One thing done, and the blobs that are free now.
enum Step {
    /// The time of the next, in milliseconds since 1970, if there is one.
    Wait(Option<i64>),
    Done(Vec<String>),
}

impl Sweeper {
    pub fn new(parts: S3Parts) -> Self {
        Self { parts }
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut watch = self.parts.db.watch(keys::DEAD_TOPIC);
        loop {
            match self.sweep().await {
                Ok(None) => watch.changed().await,
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

    /// Deletes all that may go now; returns when the next will be due, if there is one.
    pub(crate) async fn sweep(&self) -> Result<Option<i64>, S3Error> {
        loop {
            let now_unix_ms = self.parts.clock.unix_ms();
            let step = self
                .parts
                .db
                .run(|txn| async move { step(&txn, &self.parts.readers, now_unix_ms).await })
                .await?;
            match step {
                Step::Wait(next) => return Ok(next),
                Step::Done(free) => {
                    for blob in free {
                        self.parts.blobs.delete(blob.parse()?).await?;
                    }
                }
            }
        }
    }
}

async fn step(txn: &Txn, readers: &OpenReaders, now_unix_ms: i64) -> Result<Step, S3Error> {
    let page = txn.scan_snapshot(&keys::all_dead(), ScanOptions::rows(1)).await?;
    let Some((key, row)) = page.rows.first() else { return Ok(Step::Wait(None)) };
    let due = keys::due_of_dead(key)?;
    if due > now_unix_ms {
        return Ok(Step::Wait(Some(due)));
    }
    txn.frees_space();
    let mut free = Vec::new();
    let dead = match rows::decode(key, row) {
        Ok(dead) => dead,
        Err(failure) => {
            // What it named stays for good; better than that nothing is ever deleted again.
            tracing::error!(%failure, "dead data cannot be read and will not be deleted");
            txn.delete(key);
            return Ok(Step::Done(free));
        }
    };
    let finished = match dead {
        DeadRow::Blob(blob) => {
            release(txn, blob, &mut free).await?;
            true
        }
        // Asked here, so that it is asked before each step: who begins to read later finds no row that names these.
        DeadRow::Spans(upload) if readers.reads(&upload) => {
            bury_until(
                txn,
                now_unix_ms + limits::GC_READ_PAUSE_MS,
                &upload,
                &DeadRow::Spans(upload.clone()),
            )?;
            true
        }
        DeadRow::Spans(upload) => {
            release_rows(txn, &keys::spans(&upload).range(), &mut free, |key, row| {
                rows::decode::<SpanRow>(key, row).map(|row| row.blob)
            })
            .await?
        }
        DeadRow::Parts(upload) => {
            release_rows(txn, &keys::parts(&upload).range(), &mut free, |key, row| {
                rows::decode::<PartRow>(key, row).map(|row| row.blob)
            })
            .await?
        }
    };
    if finished {
        // Depends on the row: of two sweepers only one may take the reference away.
        txn.get(key).await?;
        txn.delete(key);
    }
    Ok(Step::Done(free))
}

/// Takes some rows and their references away; says whether none is left.
async fn release_rows(
    txn: &Txn,
    range: &KeyRange,
    free: &mut Vec<String>,
    blob_of: fn(&[u8], &[u8]) -> Result<String, S3Error>,
) -> Result<bool, S3Error> {
    let page = txn.scan(range, ScanOptions::rows(limits::GC_STEP_ROWS)).await?;
    for (key, row) in &page.rows {
        release(txn, blob_of(key, row)?, free).await?;
        txn.delete(key);
    }
    Ok(page.more.is_none())
}

/// Takes one reference to a blob away; the last one frees it.
async fn release(txn: &Txn, blob: String, free: &mut Vec<String>) -> Result<(), S3Error> {
    let key = keys::blob_references(&blob);
    let count = match txn.get(&key).await? {
        None => 0,
        Some(row) => {
            let bytes: [u8; 8] =
                row[..].try_into().map_err(|_| StoreError::NotACounter { length: row.len() })?;
            i64::from_le_bytes(bytes)
        }
    };
    if count > 1 {
        txn.put(&key, &(count - 1).to_le_bytes());
    } else {
        txn.delete(&key);
        free.push(blob);
    }
    Ok(())
}
