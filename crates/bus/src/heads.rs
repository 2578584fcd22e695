//! Where a queue begins: what comes before was settled, and is not walked again after a start.
//!
//! On every ordered store a scan has to pass the rows that were deleted and not yet forgotten; over a queue that lives
//! for long these are millions. Heads lag behind by some events: a head is a promise about what lies before it, never
//! about what lies after.

use bytes::Bytes;
use lambent_store::{Db, Page, ScanOptions};

use crate::error::BusError;
use crate::keys;
use crate::settle::Owner;

/// How many heads of targets are read at once.
const PAGE_ROWS: usize = 1_000;

/// The heads of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Every ready event of an older commit is settled.
    pub(crate) ready_version: u64,
    /// Every event that was put off and due earlier is settled; in ms since 1970.
    pub(crate) later_due_ms: u64,
    /// The targets that events wait for; of each, every such event of an older commit is settled.
    pub(crate) waits: Vec<(String, u64)>,
}

impl Heads {
    /// The heads as they were last kept.
    pub(crate) async fn read(db: &Db, queue: u64) -> Result<Self, BusError> {
        let mut heads = db
            .read(|txn| async move {
                let ready_version = counter(txn.get(&keys::head_of_ready(queue)).await?)?.unwrap_or(0);
                let later_due_ms = counter(txn.get(&keys::head_of_later(queue)).await?)?.unwrap_or(0);
                Ok::<_, BusError>(Self { ready_version, later_due_ms, waits: Vec::new() })
            })
            .await?;
        let mut left = Some(keys::heads_of_wait(queue));
        while let Some(range) = left {
            let step = &range;
            let page = db.read(|txn| async move { txn.scan(step, ScanOptions::rows(PAGE_ROWS)).await }).await;
            let page: Page = page?;
            for (key, row) in &page.rows {
                let target = keys::target_of_head(key);
                let target = target.ok_or_else(|| BusError::Unreadable("the head of a target".to_owned()))?;
                heads.waits.push((target, counter(Some(row.clone()))?.unwrap_or(0)));
            }
            left = range.rest(&page, false);
        }
        Ok(heads)
    }

    /// Keeps the heads.
    pub(crate) async fn keep(&self, owner: &Owner) -> Result<(), BusError> {
        owner
            .db
            .run(|txn| async move {
                owner.lease.check(&txn).await?;
                txn.max(&keys::head_of_ready(owner.queue), self.ready_version);
                // Not the highest that ever was: clocks are set back, too.
                txn.put(&keys::head_of_later(owner.queue), &self.later_due_ms.to_le_bytes());
                for (target, version) in &self.waits {
                    txn.max(&keys::head_of_wait(owner.queue, target), *version);
                }
                Ok(())
            })
            .await
    }
}

pub(crate) fn counter(row: Option<Bytes>) -> Result<Option<u64>, BusError> {
    let Some(row) = row else { return Ok(None) };
    let number = row[..].try_into().map(u64::from_le_bytes);
    number.map(Some).map_err(|_| BusError::Unreadable("the head of a queue is not a number".to_owned()))
}
