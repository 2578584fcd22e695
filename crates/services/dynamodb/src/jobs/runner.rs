//! Working on jobs: several at once, each for a turn of some steps.

use std::collections::HashMap;
use std::time::Duration;

use lambent_store::{ScanOptions, Txn};
use tokio::task::{self, JoinSet};

use super::roster::{AT_ONCE_MAX, Roster};
use super::{FAILURES_MAX, Job, Step, read};
use crate::{Dynamo, DynamoError, keys, rows};

/// How many steps a job takes in one turn.
const TURN_STEPS: usize = 16;
/// How many jobs one scan reads.
const LIST_ROWS: usize = 1_000;
/// The pause before jobs are listed again that could not be.
const LIST_PAUSE: Duration = Duration::from_secs(2);

/// How a turn of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The job is there no more.
    Done,
    More,
    Later(Duration),
    /// So many attempts in a row failed, as far as that could be written down.
    Failed(u32),
}

/// What a task at work is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// Takes a turn of this job.
    Turn(u64),
    /// Counts that a turn of this job ended by itself.
    Count(u64),
}

/// Jobs that are worked on.
#[derive(Default)]
struct Crew {
    roster: Roster,
    at_work: JoinSet<Turn>,
    duties: HashMap<task::Id, Duty>,
}

impl Dynamo {
    /// Works on jobs until the future is dropped. To be done by one node at a time; two at once do no harm.
    pub async fn run_jobs(&self) {
        let mut added = self.known.db().watch(keys::JOBS_TOPIC);
        let mut crew = Crew::default();
        let mut wants_listing = true;
        loop {
            if wants_listing {
                if let Err(error) = self.list_jobs(&mut crew.roster).await {
                    tracing::error!(%error, "the jobs of tables could not be read; trying again");
                    tokio::time::sleep(LIST_PAUSE).await;
                    continue;
                }
                wants_listing = false;
            }
            crew.start(self);
            let due = crew.roster.next_due();
            let pause = due.unwrap_or_default().saturating_sub(self.clock.monotonic());
            tokio::select! {
                () = added.changed() => wants_listing = true,
                Some(ended) = crew.at_work.join_next_with_id() => {
                    crew.settle(ended, self);
                    wants_listing = crew.roster.wants_listing();
                }
                () = tokio::time::sleep(pause), if due.is_some() => {}
            }
        }
    }

    /// Takes one step of each job: for tests.
    #[cfg(test)]
    pub(crate) async fn step_jobs(&self) {
        for id in self.job_ids().await {
            if let Some(job) = self.known.db().read(|txn| async move { read(&txn, id).await }).await.unwrap()
            {
                job.task.step(self, self.known.db(), &job).await.expect("nothing fails in a store in memory");
            }
        }
    }

    /// Does every job as two nodes do of which one is a step behind: for tests.
    #[cfg(test)]
    pub(crate) async fn finish_jobs_twice(&self) {
        loop {
            let ids = self.job_ids().await;
            if ids.is_empty() {
                return;
            }
            for id in ids {
                let db = self.known.db();
                let Some(job) = db.read(|txn| async move { read(&txn, id).await }).await.unwrap() else {
                    continue;
                };
                for _ in 0..2 {
                    job.task.step(self, db, &job).await.expect("nothing fails in a store in memory");
                }
            }
        }
    }

    /// Does every job that is there, and those that come of them, without pauses: for tests.
    #[cfg(test)]
    pub(crate) async fn finish_jobs(&self) {
        loop {
            let ids = self.job_ids().await;
            if ids.is_empty() {
                return;
            }
            for id in ids {
                if let Turn::Later(pause) = self.take_turn(id).await {
                    panic!("job {id} waits for {pause:?}: move the clock");
                }
            }
        }
    }

    #[cfg(test)]
    async fn job_ids(&self) -> Vec<u64> {
        let mut roster = Roster::default();
        self.list_jobs(&mut roster).await.expect("a store in memory can be read");
        roster.ids()
    }

    /// Adds all jobs that there are.
    async fn list_jobs(&self, roster: &mut Roster) -> Result<(), DynamoError> {
        roster.begin_listing();
        let mut left = Some(keys::jobs());
        while let Some(range) = left {
            let range = &range;
            let scan = |txn: Txn| async move {
                Ok::<_, DynamoError>(txn.scan_snapshot(range, ScanOptions::rows(LIST_ROWS)).await?)
            };
            let page = self.known.db().read(scan).await?;
            for (key, row) in &page.rows {
                let id = keys::read_job(key).map_err(DynamoError::from);
                match id.and_then(|id| Ok((id, rows::decode::<Job>("a job", row)?))) {
                    Ok((id, job)) => roster.add(id, &job.account, job.task.is_long()),
                    // No other job has to wait for that.
                    Err(error) => {
                        tracing::error!(%error, key = %key.escape_ascii(), "a job of tables is left alone");
                    }
                }
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    /// Takes some steps of a job.
    async fn take_turn(&self, id: u64) -> Turn {
        let db = self.known.db();
        for _ in 0..TURN_STEPS {
            let job = match db.read(|txn| async move { read(&txn, id).await }).await {
                Ok(Some(job)) => job,
                Ok(None) => return Turn::Done,
                Err(error) => {
                    tracing::error!(%error, id, "a job of a table could not be read; trying again later");
                    return Turn::Failed(0);
                }
            };
            match job.task.step(self, db, &job).await {
                // Whether the job is done, its row says: this step may have been another node's.
                Ok(Step::More | Step::Done) => {}
                Ok(Step::Later(pause)) => return Turn::Later(pause),
                Err(error) => return self.failed(&job, &error).await,
            }
        }
        Turn::More
    }

    /// Counts an attempt that ended by itself, as one that failed.
    async fn ended(&self, id: u64, why: String) -> Turn {
        match self.known.db().read(|txn| async move { read(&txn, id).await }).await {
            Ok(Some(job)) => self.failed(&job, &DynamoError::Ended(why)).await,
            Ok(None) => Turn::Done,
            Err(error) => {
                tracing::error!(%error, id, "a job of a table could not be read; trying again later");
                Turn::Failed(0)
            }
        }
    }

    /// Counts an attempt that failed, and gives the job up where they were too many.
    async fn failed(&self, job: &Job, why: &DynamoError) -> Turn {
        let (db, id) = (self.known.db(), job.id);
        let failures = job.failures.saturating_add(1);
        if failures >= FAILURES_MAX {
            match job.task.give_up(self, db, job, why).await {
                Ok(true) => {
                    tracing::error!(error = %why, ?job, "a job of a table failed {failures} times, and was given up");
                    return Turn::More;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, id, "a job of a table could not be given up; trying again later");
                }
            }
        }
        tracing::error!(error = %why, ?job, "a job of a table failed; trying again later");
        let counted = db.run(|txn| async move {
            if job.is_mine(&txn).await? {
                Job { failures, ..job.clone() }.keep(&txn);
            }
            Ok::<_, DynamoError>(())
        });
        if let Err(error) = counted.await {
            // A store that takes no writes is no reason to give a job up.
            tracing::warn!(%error, id, "the failure of a job could not be counted");
        }
        Turn::Failed(failures)
    }
}

impl Crew {
    /// Starts the jobs whose turn it is.
    fn start(&mut self, dynamo: &Dynamo) {
        while self.at_work.len() < AT_ONCE_MAX
            && let Some(id) = self.roster.next(dynamo.clock.monotonic())
        {
            let dynamo = dynamo.clone();
            self.work(Duty::Turn(id), async move { dynamo.take_turn(id).await });
        }
    }

    fn work(&mut self, duty: Duty, work: impl Future<Output = Turn> + Send + 'static) {
        let handle = self.at_work.spawn(work);
        self.duties.insert(handle.id(), duty);
    }

    fn settle(&mut self, ended: Result<(task::Id, Turn), task::JoinError>, dynamo: &Dynamo) {
        let now = dynamo.clock.monotonic();
        let task = ended.as_ref().map_or_else(task::JoinError::id, |(task, _)| *task);
        let Some(duty) = self.duties.remove(&task) else { return };
        let (id, turn) = match (duty, ended) {
            (Duty::Turn(id) | Duty::Count(id), Ok((_, turn))) => (id, turn),
            // The job keeps its place until that is counted.
            (Duty::Turn(id), Err(error)) => {
                let dynamo = dynamo.clone();
                return self.work(Duty::Count(id), async move { dynamo.ended(id, error.to_string()).await });
            }
            (Duty::Count(id), Err(error)) => {
                tracing::error!(%error, id, "a job of a table could not be given up; trying again later");
                (id, Turn::Failed(0))
            }
        };
        match turn {
            Turn::Done => self.roster.done(id),
            Turn::More => self.roster.again(id),
            Turn::Later(pause) => self.roster.later(id, now + pause),
            Turn::Failed(failures) => self.roster.failed(id, failures, now),
        }
    }
}
