//! One transaction of the database for each commit, under `SERIALIZABLE`: simple enough to be the oracle for
//! [`crate::batched`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lambent_store::StoreError;
use lambent_store::engine::{Commit, Version};
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::engine::Shared;
use crate::error::{PgError, column, stored, unreachable, version_column};
use crate::head;
use crate::plan::{Check, Known, Plan};
use crate::pool::Retries;

const HORIZON: &str = "SELECT swept FROM lambent_horizon WHERE one = 1";
const CHANGED_KEY: &str = "SELECT EXISTS (
    SELECT 1 FROM unnest($1::bytea[]) AS u(k) JOIN lambent_rows r ON r.k = u.k WHERE r.ver > $2)
    OR EXISTS (SELECT 1 FROM unnest($1::bytea[]) AS u(k) JOIN lambent_long_rows r
        ON substring(r.k FROM 1 FOR 2000) = substring(u.k FROM 1 FOR 2000) AND r.k = u.k WHERE r.ver > $2)";
const CHANGED_RANGE: &str = "SELECT EXISTS (
    SELECT 1 FROM lambent_rows r WHERE r.k >= $1 AND r.k < $2 AND r.ver > $3)
    OR EXISTS (SELECT 1 FROM lambent_long_rows r WHERE substring(r.k FROM 1 FOR 2000) >= substring($1::bytea FROM 1 FOR 2000)
        AND substring(r.k FROM 1 FOR 2000) <= substring($2::bytea FROM 1 FOR 2000)
        AND r.k >= $1 AND r.k < $2 AND r.ver > $3)";

/// The connection for commits. One at a time: they all change the head, so at once they would only conflict.
#[derive(Default)]
pub(crate) struct OneEach {
    connection: Mutex<Option<Connection>>,
    closed: AtomicBool,
}

impl OneEach {
    /// Takes no more commits, and returns when the one under way has ended.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.connection.lock().await.take();
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("it was closed".to_owned())),
            false => Ok(()),
        }
    }

    /// Runs to its end even when the caller goes away.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        commit: Commit,
    ) -> Result<Version, StoreError> {
        let (own, shared, id) = (self.clone(), shared.clone(), commit.id);
        let running = tokio::spawn(async move { own.commit(&shared, &commit).await });
        running.await.unwrap_or(Err(StoreError::UnknownOutcome(id)))
    }

    async fn commit(&self, shared: &Shared, commit: &Commit) -> Result<Version, StoreError> {
        let mut slot = self.connection.lock().await;
        self.check()?;
        let mut retries = Retries::new();
        loop {
            let connection = match slot.take().filter(Connection::is_usable) {
                Some(connection) => Ok(connection),
                None => Connection::open(shared.pool.config()).await,
            };
            let prepared = match &connection {
                Ok(connection) => prepare(connection, shared, commit).await,
                Err(error) => Err(error.clone()),
            };
            match (prepared, connection) {
                (Ok(plan), Ok(connection)) => {
                    let finished = finish(&connection, shared, commit, plan).await;
                    *slot = finished.is_ok().then_some(connection);
                    return finished;
                }
                // Nothing was committed: the transaction ended with its connection.
                (Err(PgError::Lost(reason)), _) | (Ok(_), Err(PgError::Lost(reason))) => {
                    shared.health.failed(unreachable(&reason));
                    retries.pause(&reason).await?;
                }
                (Err(error), connection) => {
                    if let Ok(connection) = connection
                        && connection.execute("ROLLBACK").await.is_ok()
                    {
                        *slot = Some(connection);
                    }
                    return Err(error.into_store());
                }
                (Ok(_), Err(error)) => return Err(error.into_store()),
            }
        }
    }
}

/// Everything but `COMMIT`.
async fn prepare(connection: &Connection, shared: &Shared, commit: &Commit) -> Result<Plan, PgError> {
    // Sent one after the other without waiting: none depends on the answer to another.
    let begin = connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE");
    let ((), head, ()) = tokio::try_join!(begin, head::read(connection), check_reads(connection, commit))?;
    let known = Known::read(connection, std::iter::once(commit), &head).await?;
    let mut plan = Plan::new(head, shared.random.bytes());
    plan.add(commit, &Check::Done, &known);
    if let Some(Err(error)) = plan.verdicts.first() {
        return Err(PgError::Refused(error.clone()));
    }
    if !head::swap(connection, &shared.writer, &plan).await? {
        return Err(PgError::Serialization);
    }
    Ok(plan)
}

async fn finish(
    connection: &Connection,
    shared: &Shared,
    commit: &Commit,
    plan: Plan,
) -> Result<Version, StoreError> {
    match connection.execute("COMMIT").await {
        Ok(()) => {
            shared.health.works();
            shared.committed(&plan.topics);
            Ok(Version(plan.head.version))
        }
        Err(PgError::Lost(_)) => {
            shared.in_doubt.add(commit.id, plan.before.version);
            Err(StoreError::UnknownOutcome(commit.id))
        }
        Err(error) => Err(error.into_store()),
    }
}

/// Errors: `Conflict` when something that the commit has read was written since, `SnapshotTooOld` when that can no
/// longer be told.
async fn check_reads(connection: &Connection, commit: &Commit) -> Result<(), PgError> {
    if commit.read_keys.is_empty() && commit.read_ranges.is_empty() {
        return Ok(());
    }
    let read_version = commit.read_version().0;
    let swept = version_column(&connection.query_one(HORIZON, &[]).await?, 0)?;
    if read_version < swept {
        return Err(PgError::Refused(StoreError::SnapshotTooOld));
    }
    let since = stored(read_version);
    let keys: Vec<&[u8]> = commit.read_keys.iter().map(|key| &key[..]).collect();
    let mut changed: bool = match keys.is_empty() {
        true => false,
        false => column(&connection.query_one(CHANGED_KEY, &[&keys, &since]).await?, 0)?,
    };
    for range in &commit.read_ranges {
        let (start, end) = (&range.start[..], &range.end[..]);
        changed |= column::<bool>(&connection.query_one(CHANGED_RANGE, &[&start, &end, &since]).await?, 0)?;
    }
    if changed { Err(PgError::Refused(StoreError::Conflict)) } else { Ok(()) }
}
