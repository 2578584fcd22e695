//! What only one node may do at a time, by name.
//!
//! A lease is a row that names a node and an epoch; it is free when that node is not at work any more. A node that lost
//! one may not know it yet. Where two at once would do harm, as with the queues of the outbox, the transactions of the
//! work depend on the row ([`Lease::check`]), so that such a node changes nothing. Work that two may do at once, as each of
//! its steps is a transaction that finds out what is left to do, is only spared by a lease ([`Nodes::hold`]).

use lambent_store::Txn;

use crate::error::BusError;
use crate::keys;
use crate::nodes::{NodeId, Nodes};

/// The pause after the store failed.
pub(crate) const PAUSE_AFTER_FAILURE: std::time::Duration = std::time::Duration::from_secs(1);

/// The right to do what its name says, as long as [`Lease::check`] agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(crate) name: String,
    pub(crate) row: LeaseRow,
}

/// Who holds a lease: 16 bytes of the node, 8 of the epoch (big-endian), 1 for a spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    pub(crate) node: NodeId,
    /// Grows with each new holder.
    epoch: u64,
    /// Whether the holder would rather give it to a node that has none of its kind.
    pub(crate) is_spare: bool,
}

impl Lease {
    /// Makes a transaction of the holder depend on the lease.
    ///
    /// Errors: `Deposed` when another node has it.
    pub async fn check(&self, txn: &Txn) -> Result<(), BusError> {
        match read(txn, &self.name).await? {
            Some(row) if row == self.row => Ok(()),
            _ => Err(BusError::Deposed),
        }
    }
}

impl Nodes {
    /// Does `work` whenever this node holds the lease of that name, until it is dropped. The work of a node that is
    /// taken for dead is dropped when it hears of that, so for a moment two nodes may be at it: it must be fit for that.
    /// Work that ends by itself is begun again, after a pause.
    pub async fn hold<F, Fut>(&self, name: &str, mut work: F)
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = ()>,
    {
        let (mut renamed, mut freed) = (self.renamed(), self.freed());
        loop {
            renamed.mark_unchanged();
            match self.take(name).await {
                Ok(Some(_)) => {
                    tracing::debug!(name, "this node has the lease");
                    tokio::select! {
                        () = work() => tokio::time::sleep(PAUSE_AFTER_FAILURE).await,
                        _ = renamed.changed() => {}
                    }
                }
                Ok(None) => tokio::select! {
                    () = freed.changed() => {}
                    _ = renamed.changed() => {}
                },
                Err(error) => {
                    tracing::warn!(%error, name, "a lease could not be asked for; trying again");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    /// Lets another node have the lease of that name, if this one holds it.
    pub async fn give_away(&self, txn: &Txn, name: &str) -> Result<(), BusError> {
        if read(txn, name).await?.is_some_and(|row| row.node == self.id()) {
            txn.delete(&keys::lease(name));
            txn.on_commit(keys::FREED_TOPIC);
        }
        Ok(())
    }

    /// Removes the lease of that name, as what it was for is gone: in the transaction that removes that.
    pub fn forget_lease(txn: &Txn, name: &str) {
        txn.delete(&keys::lease(name));
    }

    /// The lease of that name, if it is free or this node's own, as after an attempt whose answer was lost.
    pub(crate) async fn take(&self, name: &str) -> Result<Option<Lease>, BusError> {
        let me = self.id();
        self.db()
            .run(|txn| async move {
                let row = read(&txn, name).await?;
                let is_mine = row.is_some_and(|row| row.node == me);
                if is_mine || is_free(&txn, row).await? {
                    assign(&txn, name, row, me, false).await
                } else {
                    Ok(None)
                }
            })
            .await
    }
}

pub(crate) async fn read(txn: &Txn, name: &str) -> Result<Option<LeaseRow>, BusError> {
    txn.get(&keys::lease(name)).await?.map(|row| LeaseRow::decode(&row)).transpose()
}

/// Whether nobody at work has it.
pub(crate) async fn is_free(txn: &Txn, row: Option<LeaseRow>) -> Result<bool, BusError> {
    match row {
        None => Ok(true),
        Some(row) => Ok(!Nodes::is_alive(txn, row.node).await?),
    }
}

/// Gives a lease to a node, unless that is not at work itself; `row` is what was read of it.
pub(crate) async fn assign(
    txn: &Txn,
    name: &str,
    row: Option<LeaseRow>,
    node: NodeId,
    is_spare: bool,
) -> Result<Option<Lease>, BusError> {
    if !Nodes::is_alive(txn, node).await? {
        return Ok(None);
    }
    let epoch = row.map_or(0, |row| row.epoch) + 1;
    let row = LeaseRow { node, epoch, is_spare };
    txn.put(&keys::lease(name), &row.encode());
    Ok(Some(Lease { name: name.to_owned(), row }))
}

impl LeaseRow {
    fn encode(self) -> Vec<u8> {
        [&self.node.0[..], &self.epoch.to_be_bytes(), &[u8::from(self.is_spare)]].concat()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, BusError> {
        let unreadable = || BusError::Unreadable("a lease is not 25 bytes".to_owned());
        let (node, rest) = row.split_first_chunk().ok_or_else(unreadable)?;
        let (epoch, rest) = rest.split_first_chunk().ok_or_else(unreadable)?;
        let [spare] = rest else { return Err(unreadable()) };
        Ok(Self { node: NodeId(*node), epoch: u64::from_be_bytes(*epoch), is_spare: *spare != 0 })
    }
}
