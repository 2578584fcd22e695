//! Which node delivers from which queue of the outbox.
//!
//! Queues are numbered from 0 and never go away; there are as many as nodes ever were at work at once. A node that
//! starts takes the first that nobody has, or else one that another only minds; so after a crash the work goes on where
//! it stopped. The queue of a node that died is minded by whoever comes first, until a new node wants one.

use std::collections::HashMap;

use lambent_store::ScanOptions;

use crate::error::BusError;
use crate::keys;
use crate::leases::{self, Lease, LeaseRow};
use crate::nodes::Nodes;

const PREFIX: &str = "outbox/";
/// The most nodes that may be at work on one store at once.
pub(crate) const QUEUES_MAX: u64 = 256;

/// A queue, and the right to deliver from it.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) queue: u64,
    pub(crate) lease: Lease,
}

/// What has changed about the queues that this node delivers from.
#[derive(Debug, Default)]
pub(crate) struct Minded {
    pub(crate) new: Vec<Claim>,
    /// Those that another node has taken.
    pub(crate) lost: Vec<u64>,
}

/// A queue for this node to put its events into.
///
/// Errors: `TooManyNodes`, `Deposed`.
pub(crate) async fn claim(nodes: &Nodes) -> Result<Claim, BusError> {
    let me = nodes.id();
    nodes
        .db()
        .run(|txn| async move {
            for queue in 0..QUEUES_MAX {
                let name = name(queue);
                let row = leases::read(&txn, &name).await?;
                let is_mine = row.is_some_and(|row| row.node == me);
                let is_spare = row.is_some_and(|row| row.is_spare);
                if is_mine || is_spare || leases::is_free(&txn, row).await? {
                    let lease =
                        leases::assign(&txn, &name, row, me, false).await?.ok_or(BusError::Deposed)?;
                    // Whoever minded it hears that it need not.
                    txn.on_commit(keys::FREED_TOPIC);
                    return Ok(Claim { queue, lease });
                }
            }
            Err(BusError::TooManyNodes)
        })
        .await
}

/// Minds every queue whose node is not at work any more, and those that this node minds and nothing works on (`running`
/// has the queues that something does).
pub(crate) async fn adopt<T>(nodes: &Nodes, running: &HashMap<u64, T>) -> Result<Minded, BusError> {
    let me = nodes.id();
    nodes
        .db()
        .run(|txn| async move {
            let limit = usize::try_from(QUEUES_MAX).unwrap_or(usize::MAX);
            let page = txn.scan_snapshot(&keys::leases(PREFIX), ScanOptions::rows(limit)).await?;
            let mut minded = Minded::default();
            for (key, row) in &page.rows {
                let unreadable = || BusError::Unreadable("the name of a queue".to_owned());
                let name = keys::read_lease(key).ok_or_else(unreadable)?;
                let queue = name.strip_prefix(PREFIX).and_then(|queue| queue.parse().ok());
                let queue = queue.ok_or_else(unreadable)?;
                let row = LeaseRow::decode(row)?;
                if row.node != me && running.contains_key(&queue) {
                    minded.lost.push(queue);
                }
                let is_left = row.node == me && !running.contains_key(&queue);
                if !is_left && !leases::is_free(&txn, Some(row)).await? {
                    continue;
                }
                // Depends on the row: of two that come, one is first.
                let row = leases::read(&txn, &name).await?;
                if let Some(lease) = leases::assign(&txn, &name, row, me, true).await? {
                    minded.new.push(Claim { queue, lease });
                }
            }
            Ok(minded)
        })
        .await
}

fn name(queue: u64) -> String {
    format!("{PREFIX}{queue}")
}
