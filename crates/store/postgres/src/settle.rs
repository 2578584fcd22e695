//! Finds out what became of a batch whose answer did not come, and makes that final.

use std::collections::HashMap;

use lambent_base::Random;
use lambent_store::StoreError;
use lambent_store::engine::{TxnId, Version};
use parking_lot::Mutex;

use crate::connection::Connection;
use crate::error::{PgError, column, stored, version_column};
use crate::head::{self, Writer};
use crate::plan::Plan;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const HAS_BATCH: &str =
    "SELECT z.forgotten, EXISTS (SELECT 1 FROM lambent_batches b WHERE b.last = $1 AND b.token = $2)
FROM lambent_horizon z WHERE z.one = 1";
const BATCH_OF: &str =
    "SELECT b.last, b.ids FROM lambent_batches b WHERE b.last > $1 AND $2::bytea = ANY(b.ids)";
const FORGOTTEN: &str = "SELECT forgotten FROM lambent_horizon WHERE one = 1";

/// The commits that were answered with `UnknownOutcome`, each with the version of the head that it was made for: its
/// batch, if there is one, comes later.
#[derive(Default)]
pub(crate) struct InDoubt(Mutex<HashMap<TxnId, u64>>);

impl InDoubt {
    pub(crate) fn add(&self, id: TxnId, head_version: u64) {
        self.0.lock().insert(id, head_version);
    }

    pub(crate) fn made_after(&self, id: TxnId) -> Option<u64> {
        self.0.lock().get(&id).copied()
    }

    pub(crate) fn remove(&self, id: TxnId) {
        self.0.lock().remove(&id);
    }
}

/// Whether the plan was written; if not, it never will be.
pub(crate) async fn has_landed(
    connection: &Connection,
    writer: &Writer,
    random: &Random,
    plan: &Plan,
) -> Result<bool, PgError> {
    connection.execute(BEGIN).await?;
    let head = head::lock(connection).await?;
    let row = connection.query_one(HAS_BATCH, &[&stored(plan.head.version), &plan.head.token]).await?;
    let landed: bool = column(&row, 1)?;
    if !landed && version_column(&row, 0)? > plan.before.version {
        connection.execute("ROLLBACK").await?;
        return Err(PgError::Refused(forgotten()));
    }
    if !landed && head == plan.before {
        head::swap(connection, writer, &Plan::fence(head, random.bytes())).await?;
    }
    connection.execute("COMMIT").await?;
    Ok(landed)
}

/// Under which version the commit was applied; after `None` it never will be. `made_after` is the version of the head
/// that it was made for, where that is known.
pub(crate) async fn outcome(
    connection: &Connection,
    writer: &Writer,
    random: &Random,
    id: TxnId,
    made_after: Option<u64>,
) -> Result<Option<Version>, PgError> {
    connection.execute(BEGIN).await?;
    let head = head::lock(connection).await?;
    let wanted = &id.0.to_be_bytes()[..];
    let rows = connection.query(BATCH_OF, &[&stored(made_after.unwrap_or(0)), &wanted]).await?;
    let found = rows.first().map(|row| place(row, wanted)).transpose()?;
    if found.is_none() {
        let row = connection.query_one(FORGOTTEN, &[]).await?;
        if made_after.is_some_and(|after| version_column(&row, 0).is_ok_and(|forgotten| forgotten > after)) {
            connection.execute("ROLLBACK").await?;
            return Err(PgError::Refused(forgotten()));
        }
        head::swap(connection, writer, &Plan::fence(head, random.bytes())).await?;
    }
    connection.execute("COMMIT").await?;
    Ok(found)
}

/// The version of a commit: a batch's last belongs to its last.
fn place(row: &tokio_postgres::Row, wanted: &[u8]) -> Result<Version, PgError> {
    let (last, ids) = (version_column(row, 0)?, column::<Vec<&[u8]>>(row, 1)?);
    let after = ids.iter().rev().position(|id| *id == wanted).unwrap_or(0);
    Ok(Version(last - after as u64))
}

fn forgotten() -> StoreError {
    StoreError::Unavailable(
        "the outcome of a commit is no longer known: its answer was lost, and this process stood still for a minute"
            .to_owned(),
    )
}
