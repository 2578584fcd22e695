//! Work that outlasts a request: a row with a cursor, worked on in bounded transactions.
//!
//! A request puts the row in the transaction that makes the work necessary ([`put`]). Whoever holds the lease
//! ([`Dynamo::run_jobs`](crate::Dynamo::run_jobs)) takes one step after the other; each moves the cursor in the transaction
//! that does the work, and depends on the row, so that what was done is not done again after a crash, nor by two nodes at
//! once. The [roster] says whose turn it is.
//!
//! A step that fails is tried again, after longer and longer pauses. What a caller waits for ends as failed when
//! [`FAILURES_MAX`] attempts in a row came to nothing; what only the platform waits for is tried for ever.
//!
//! A new kind of work is a variant of [`Task`] and a file with its `step`.

mod backfill;
mod clear;
mod roster;
mod runner;
#[cfg(test)]
mod tests;

use std::time::Duration;

use lambent_base::{Random, text};
use lambent_store::{Db, Txn};
use serde::{Deserialize, Serialize};

use crate::backups::copy::{Copy, DropCopy};
use crate::backups::restore::Restore;
use crate::transfers::export_job::Export;
use crate::transfers::import_job::Import;
pub(crate) use backfill::Backfill;
pub(crate) use clear::{Clear, remove};

use crate::{Dynamo, DynamoError, keys, rows};

/// How many attempts in a row may fail before a job that somebody waits for is given up: with the pauses between them,
/// about a day.
pub(crate) const FAILURES_MAX: u32 = 300;

/// A job, as it is stored under `dynamodb/job/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    #[serde(skip)]
    pub(crate) id: u64,
    /// For whom it is done: accounts take turns.
    #[serde(default)]
    account: String,
    pub(crate) task: Task,
    /// Where to go on: a key of the store, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// How many attempts failed since it last moved.
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Fills a new index with the items that are there.
    Backfill(Backfill),
    /// Removes what a deleted table or index leaves behind.
    Clear(Clear),
    /// Copies a table as it was at one moment.
    Copy(Copy),
    /// Fills a new table with a copy.
    Restore(Restore),
    /// Removes a copy.
    DropCopy(DropCopy),
    /// Writes a copy into a bucket.
    Export(Export),
    /// Fills a new table from a bucket.
    Import(Import),
}

/// Whether a job has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    More,
    /// Nothing before this time has passed.
    Later(Duration),
    Done,
}

impl Task {
    async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        match self {
            Self::Backfill(its) => its.step(dynamo, db, job).await,
            Self::Clear(its) => its.step(dynamo, db, job).await,
            Self::Copy(its) => its.step(dynamo, db, job).await,
            Self::Restore(its) => its.step(dynamo, db, job).await,
            Self::DropCopy(its) => its.step(db, job).await,
            Self::Export(its) => its.step(dynamo, db, job).await,
            Self::Import(its) => its.step(dynamo, db, job).await,
        }
    }

    /// Whether a step may take long: an import reads an object in one, whatever its size.
    fn is_long(&self) -> bool {
        matches!(self, Self::Import(_))
    }

    /// Ends a job that came to nothing as failed, where somebody waits for it; `false` where nobody does.
    async fn give_up(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        why: &DynamoError,
    ) -> Result<bool, DynamoError> {
        match self {
            Self::Copy(its) => its.give_up(dynamo, db, job, why).await?,
            Self::Restore(its) => its.give_up(dynamo, db, job).await?,
            Self::Export(its) => its.give_up(dynamo, db, job, why).await?,
            Self::Import(its) => its.give_up(dynamo, db, job, why).await?,
            Self::Backfill(_) | Self::Clear(_) | Self::DropCopy(_) => return Ok(false),
        }
        Ok(true)
    }
}

impl Job {
    /// Makes the transaction depend on the job's being where this step found it; `false` when it is not, and the step is
    /// another's.
    pub(crate) async fn is_mine(&self, txn: &Txn) -> Result<bool, DynamoError> {
        Ok(read(txn, self.id).await?.as_ref() == Some(self))
    }

    /// The key of the store to go on after.
    pub(crate) fn cursor(&self) -> Result<Option<Vec<u8>>, DynamoError> {
        let damaged = || DynamoError::Row { what: "a job", why: "its cursor is not hex".to_owned() };
        self.cursor.as_deref().map(|cursor| text::unhex(cursor).ok_or_else(damaged)).transpose()
    }

    /// Goes on after this key.
    pub(crate) fn advance(&self, txn: &Txn, cursor: &[u8]) {
        self.moved(cursor).keep(txn);
    }

    /// The same job, further on.
    pub(crate) fn moved(&self, cursor: &[u8]) -> Self {
        Self { cursor: Some(text::hex(cursor)), failures: 0, ..self.clone() }
    }

    /// Has the job go on from here.
    pub(crate) fn keep(&self, txn: &Txn) {
        txn.put(&keys::job(self.id), &rows::encode(self));
    }

    /// The same job with something else to do: its next phase, from the beginning.
    pub(crate) fn turn_to(&self, txn: &Txn, task: Task) {
        Self { task, cursor: None, failures: 0, ..self.clone() }.keep(txn);
    }

    pub(crate) fn finish(&self, txn: &Txn) {
        txn.delete(&keys::job(self.id));
        txn.frees_space();
    }
}

/// Has this done for an account, once the transaction is committed.
pub(crate) fn put(txn: &Txn, random: &Random, account: &str, task: Task) {
    let job = Job { id: random.u64(), account: account.to_owned(), task, cursor: None, failures: 0 };
    job.keep(txn);
    txn.on_commit(keys::JOBS_TOPIC);
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How many rows a step tries next that failed with `rows`: half of them, where they were more than a transaction holds, or
/// writers left it no peace. The error itself where fewer would not help.
pub(crate) fn fewer(rows: usize, error: DynamoError) -> Result<usize, DynamoError> {
    if rows > 1 && error.asks_for_less() { Ok(rows / 2) } else { Err(error) }
}

/// The job of this number as it stands; `None` when it is done.
pub(crate) async fn read(txn: &Txn, id: u64) -> Result<Option<Job>, DynamoError> {
    match txn.get(&keys::job(id)).await? {
        Some(row) => Ok(Some(Job { id, ..rows::decode("a job", &row)? })),
        None => Ok(None),
    }
}
