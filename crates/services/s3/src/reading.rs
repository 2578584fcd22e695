//! Reads that last, told to the other nodes on the same store.
//!
//! What is replaced or deleted stays for a grace, which is enough for almost every read. One that lasts longer than a part
//! of the grace writes a row, in a transaction of its own, and removes it at its end. A sweeper reads these rows in the
//! transaction in which it lets go. The sweeper that finds a row of a dead node removes it, and yet takes its word once
//! more: a node that was only cut off from the store reads on, and tells again as soon as it has joined anew.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lambent_bus::{NodeId, Nodes};
use lambent_store::{Db, Key, ScanOptions, StoreError, Txn};
use tokio::sync::oneshot;

use crate::{keys, limits};

/// The pause before a row is tried again that could not be written or removed.
const PAUSE: Duration = Duration::from_secs(10);
/// Rows of one blob or upload that a sweeper looks at; where there are more, it waits.
const ROWS_MAX: usize = 1000;

/// What this node tells the others, and hears from them.
#[derive(Clone)]
pub(crate) struct Reading {
    db: Db,
    nodes: Nodes,
    /// How long a read lasts before it is told.
    after: Duration,
    /// Tells the rows of this node from each other.
    next: Arc<AtomicU64>,
}

/// A read that is told to others if it lasts, until this is dropped.
pub(crate) struct Told {
    _ended: oneshot::Sender<()>,
}

impl Reading {
    pub(crate) fn new(db: Db, nodes: Nodes) -> Self {
        Self::after(db, nodes, Duration::from_millis(limits::READ_TOLD_AFTER_MS.unsigned_abs()))
    }

    /// With a time of its own after which reads are told.
    pub(crate) fn after(db: Db, nodes: Nodes, after: Duration) -> Self {
        Self { db, nodes, after, next: Arc::default() }
    }

    pub(crate) fn begin(&self, name: &str) -> Told {
        let (ended, wait) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(self.clone().tell(name.to_owned(), number, wait));
        Told { _ended: ended }
    }

    async fn tell(self, name: String, number: u64, ended: oneshot::Receiver<()>) {
        let mut ended = std::pin::pin!(async { drop(ended.await) });
        if tokio::time::timeout(self.after, ended.as_mut()).await.is_ok() {
            return;
        }
        let mut renamed = self.nodes.renamed();
        // Under the name before, as long as that row may be there.
        let mut told: Option<Key> = None;
        loop {
            let node = *renamed.borrow_and_update();
            let key = keys::reading(&name, node, number);
            let mut over = !self.write(&key, told.as_ref(), ended.as_mut()).await;
            if !over {
                told = None;
                // Taken for dead and joined anew, the node has to say it again: the row may be gone.
                over = tokio::select! {
                    () = ended.as_mut() => true,
                    _ = renamed.changed() => false,
                };
            }
            if over {
                return self.remove(&key, told.as_ref()).await;
            }
            told = Some(key);
        }
    }

    /// Writes a row in the place of another; not, if the read ends before that succeeds. Never ended before the outcome of
    /// an attempt is known: a row that comes after its removal would stay.
    async fn write(
        &self,
        key: &Key,
        instead: Option<&Key>,
        mut ended: Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        let write = |txn: &Txn| {
            instead.into_iter().for_each(|old| txn.delete(old));
            txn.put(key, b"");
        };
        while let Err(failure) = self.change(write).await {
            tracing::warn!(%failure, "other nodes could not be told of a read; trying again");
            if tokio::time::timeout(PAUSE, ended.as_mut()).await.is_ok() {
                return false;
            }
        }
        true
    }

    async fn remove(&self, key: &Key, other: Option<&Key>) {
        let remove = |txn: &Txn| [Some(key), other].into_iter().flatten().for_each(|key| txn.delete(key));
        while let Err(failure) = self.change(remove).await {
            tracing::warn!(%failure, "other nodes could not be told of a read's end; trying again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn change(&self, change: impl Fn(&Txn)) -> Result<(), StoreError> {
        let change = &change;
        self.db
            .run(|txn| async move {
                change(&txn);
                Ok(())
            })
            .await
    }

    /// Whether another node reads this blob or completed upload, or did so when it was taken for dead: the latter is said
    /// once, as its rows go with the transaction.
    pub(crate) async fn elsewhere(&self, txn: &Txn, name: &str) -> Result<bool, StoreError> {
        let page = txn.scan(&keys::all_reading(name), ScanOptions::rows(ROWS_MAX).keys_only()).await?;
        let mut found = page.more.is_some();
        for (key, _) in &page.rows {
            let node: Option<NodeId> = keys::node_of_reading(key).ok();
            match node {
                // What this node reads, it knows without rows: this one is about to go.
                Some(node) if node == self.nodes.id() => {}
                Some(node) if Nodes::is_alive(txn, node).await? => found = true,
                // Perhaps only cut off, and reading: the data waits for as long as the node needs to tell again.
                Some(_) => {
                    txn.delete(key);
                    found = true;
                }
                None => txn.delete(key),
            }
        }
        Ok(found)
    }
}
