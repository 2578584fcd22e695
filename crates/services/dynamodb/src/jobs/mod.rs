//! Work that outlasts a request: a row with a cursor, worked on in bounded transactions.
//!
//! A request puts the row in the transaction that makes the work necessary ([`put`]). Whoever holds the lease
//! ([`Dynamo::run_jobs`]) takes one step after the other; each moves the cursor in the transaction that does the work,
//! and depends on the row, so that what was done is not done again after a crash, nor by two nodes at once.
//!
//! A new kind of work is a variant of [`Task`] and a file with its `step`.

mod backfill;
mod clear;

use std::collections::HashSet;
use std::time::Duration;

use lambent_base::{Random, text};
use lambent_store::{Db, ScanOptions, Txn};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::backups::copy::{Copy, DropCopy};
use crate::backups::restore::Restore;
use crate::transfers::export_job::Export;
use crate::transfers::import_job::Import;
pub(crate) use backfill::Backfill;
pub(crate) use clear::Clear;

use crate::{Dynamo, DynamoError, keys, rows};

/// How many jobs are worked on at once.
const AT_ONCE_MAX: usize = 8;
/// How many jobs are looked at in one scan.
const LIST_ROWS: usize = 200;
/// The pause before a job whose step failed is tried again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// A job, as it is stored under `dynamodb/job/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    #[serde(skip)]
    pub(crate) id: u64,
    pub(crate) task: Task,
    /// Where to go on: a key of the store, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
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
        Self { cursor: Some(text::hex(cursor)), ..self.clone() }
    }

    /// Has the job go on from here.
    pub(crate) fn keep(&self, txn: &Txn) {
        txn.put(&keys::job(self.id), &rows::encode(self));
    }

    /// The same job with something else to do: its next phase, from the beginning.
    pub(crate) fn turn_to(&self, txn: &Txn, task: Task) {
        txn.put(&keys::job(self.id), &rows::encode(&Self { id: self.id, task, cursor: None }));
    }

    pub(crate) fn finish(&self, txn: &Txn) {
        txn.delete(&keys::job(self.id));
        txn.frees_space();
    }
}

/// Has this done, once the transaction is committed; gives the job's number.
pub(crate) fn put(txn: &Txn, random: &Random, task: Task) -> u64 {
    let job = Job { id: random.u64(), task, cursor: None };
    txn.put(&keys::job(job.id), &rows::encode(&job));
    txn.on_commit(keys::JOBS_TOPIC);
    job.id
}

/// The job of this number as it stands; `None` when it is done.
pub(crate) async fn read(txn: &Txn, id: u64) -> Result<Option<Job>, DynamoError> {
    match txn.get(&keys::job(id)).await? {
        Some(row) => Ok(Some(Job { id, ..rows::decode("a job", &row)? })),
        None => Ok(None),
    }
}

impl Dynamo {
    /// Works on jobs until the future is dropped. To be done by one node at a time; two at once do no harm.
    pub async fn run_jobs(&self) {
        let mut added = self.known.db().watch(keys::JOBS_TOPIC);
        let mut at_work = JoinSet::new();
        let mut ids = HashSet::new();
        loop {
            let has_room = match self.start_jobs(&mut at_work, &mut ids).await {
                Ok(has_room) => has_room,
                Err(error) => {
                    tracing::error!(%error, "the jobs of tables could not be read; trying again");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    continue;
                }
            };
            tokio::select! {
                () = added.changed(), if has_room => {}
                Some(ended) = at_work.join_next() => match ended {
                    Ok(id) => drop(ids.remove(&id)),
                    // Which one it was is not known: all others go on, and all are looked at again.
                    Err(error) => {
                        tracing::error!(%error, "a job of a table ended by itself; trying again");
                        at_work.shutdown().await;
                        ids.clear();
                        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    }
                },
            }
        }
    }

    /// Takes one step of each job: for tests.
    #[cfg(test)]
    pub(crate) async fn step_jobs(&self) {
        for job in self.jobs(LIST_ROWS).await.expect("a store in memory can be read") {
            job.task.step(self, self.known.db(), &job).await.expect("nothing fails in a store in memory");
        }
    }

    /// Does every job that is there, and those that come of them: for tests.
    #[cfg(test)]
    pub(crate) async fn finish_jobs(&self) {
        loop {
            let jobs = self.jobs(LIST_ROWS).await.expect("a store in memory can be read");
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                self.work_on(job).await;
            }
        }
    }

    /// Starts what is not under way, and says whether more could be.
    async fn start_jobs(
        &self,
        at_work: &mut JoinSet<u64>,
        ids: &mut HashSet<u64>,
    ) -> Result<bool, DynamoError> {
        for job in self.jobs(LIST_ROWS).await? {
            if ids.len() >= AT_ONCE_MAX {
                return Ok(false);
            }
            if ids.insert(job.id) {
                let dynamo = self.clone();
                at_work.spawn(async move {
                    let id = job.id;
                    dynamo.work_on(job).await;
                    id
                });
            }
        }
        Ok(true)
    }

    async fn jobs(&self, count: usize) -> Result<Vec<Job>, DynamoError> {
        let range = &keys::jobs();
        let scan = |txn: Txn| async move {
            Ok::<_, DynamoError>(txn.scan_snapshot(range, ScanOptions::rows(count)).await?)
        };
        let page = self.known.db().read(scan).await?;
        let job = |(key, row): &(bytes::Bytes, bytes::Bytes)| {
            Ok(Job { id: keys::read_job(key)?, ..rows::decode("a job", row)? })
        };
        page.rows.iter().map(job).collect()
    }

    /// Takes a job's steps until there is none left.
    async fn work_on(&self, job: Job) {
        let db = self.known.db();
        let id = job.id;
        let mut next = Some(job);
        while let Some(job) = next {
            match job.task.step(self, db, &job).await {
                Ok(Step::Done) => return,
                Ok(Step::More) => {}
                Err(error) => {
                    tracing::error!(%error, ?job, "a job of a table failed; trying again");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
            next = match db.read(|txn| async move { read(&txn, id).await }).await {
                Ok(job) => job,
                Err(error) => {
                    tracing::error!(%error, "a job of a table could not be read; trying again");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    Some(job)
                }
            };
        }
    }
}
