//! Where a queue begins: what comes before was settled, and is not walked again after a start.
//!
//! On every ordered store a scan has to pass the rows that were deleted and not yet forgotten; over a queue that lives
//! for long these are millions. Heads lag behind by some events: a head is a promise about what lies before it, never
//! about what lies after.

use lambent_store::Txn;

use crate::error::BusError;
use crate::keys;
use crate::settle::Owner;

/// The heads of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Every ready event of an older commit is settled.
    pub(crate) ready_version: u64,
    /// Every event that was put off and due earlier is settled; in ms since 1970.
    pub(crate) later_due_ms: u64,
}

impl Heads {
    /// The heads as they were last kept.
    pub(crate) async fn read(txn: &Txn, queue: u64) -> Result<Self, BusError> {
        Ok(Self {
            ready_version: counter(txn.get(&keys::head_of_ready(queue)).await?)?,
            later_due_ms: counter(txn.get(&keys::head_of_later(queue)).await?)?,
        })
    }

    /// Keeps the heads.
    pub(crate) async fn keep(self, owner: &Owner) -> Result<(), BusError> {
        owner
            .db
            .run(|txn| async move {
                owner.lease.check(&txn).await?;
                txn.max(&keys::head_of_ready(owner.queue), self.ready_version);
                // Not the highest that ever was: clocks are set back, too.
                txn.put(&keys::head_of_later(owner.queue), &self.later_due_ms.to_le_bytes());
                Ok(())
            })
            .await
    }
}

fn counter(row: Option<bytes::Bytes>) -> Result<u64, BusError> {
    let Some(row) = row else { return Ok(0) };
    let number = row[..].try_into().map(u64::from_le_bytes);
    number.map_err(|_| BusError::Unreadable("the head of a queue is not a number".to_owned()))
}
