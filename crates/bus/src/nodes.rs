//! Who is at work on the store: each process has a row, and says again and again that it is alive.
//!
//! Nobody compares clocks. A node counts how many beats of its own went by without one of another's; a node that has
//! missed enough of them is declared dead by deleting its row. What it held is free from then on, and the transactions
//! with which it would have done its part fail, as they depend on what it held. A node that finds its own row gone was
//! taken for dead (it slept, or was cut off): it joins anew, as another. While the store is away nobody beats, so
//! nobody is missed.
//!
//! On a store that one process has for itself nothing of this costs anything: whoever joins is alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Random, text};
use lambent_store::{Db, ScanOptions, StoreError, Txn, Watch};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::error::BusError;
use crate::keys;

/// How often a node says that it is alive.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(1);
/// After so many beats of its own a node takes another, of which there was none, for dead. With the time to notice, what
/// a dead node held is free within seven seconds.
pub(crate) const MISSED_MAX: u32 = 5;
/// More nodes than this are not looked at.
pub(crate) const NODES_MAX: usize = 1_000;

/// Names one run of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) [u8; 16]);

impl NodeId {
    /// The id's bytes, for rows that name it.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The id with these bytes, as [`NodeId::to_bytes`] gave them.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}

/// This process among the others; clone it freely.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    db: Db,
    random: Random,
    me: watch::Sender<NodeId>,
    others: Mutex<HashMap<NodeId, Heard>>,
}

/// What was last heard of another node.
#[derive(Clone, Copy)]
struct Heard {
    beats: u64,
    /// Beats of this node since.
    missed: u32,
}

impl Nodes {
    /// Joins the nodes of a store. On one that cannot be shared, whatever was there before is gone.
    pub async fn join(db: Db, random: Random) -> Result<Self, BusError> {
        let id = enter(&db, &random).await?;
        let (me, _) = watch::channel(id);
        Ok(Self(Arc::new(Inner { db, random, me, others: Mutex::default() })))
    }

    /// This node, as it is called now.
    pub fn id(&self) -> NodeId {
        *self.0.me.borrow()
    }

    /// Changes when this node was taken for dead and has joined anew: what it held is not its own any more.
    pub fn renamed(&self) -> watch::Receiver<NodeId> {
        self.0.me.subscribe()
    }

    /// Wakes up when something that a node held may have become free, as when one has died.
    pub fn freed(&self) -> Watch {
        self.0.db.watch(keys::FREED_TOPIC)
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    /// Whether a node is at work, as this transaction sees it, which then depends on that.
    pub async fn is_alive(txn: &Txn, id: NodeId) -> Result<bool, StoreError> {
        Ok(txn.get(&keys::node(id)).await?.is_some())
    }

    /// The nodes at work, this one too, as this transaction sees them, which does not depend on that: their rows change
    /// with every beat.
    pub async fn all(txn: &Txn) -> Result<Vec<NodeId>, StoreError> {
        let page = txn.scan_snapshot(&keys::nodes(), ScanOptions::rows(NODES_MAX).keys_only()).await?;
        Ok(page.rows.iter().filter_map(|(key, _)| keys::read_node(key)).collect())
    }

    /// Says that this node is alive, and looks for those that are not, until it is dropped; ends at once where there can
    /// be no others.
    pub async fn run(&self) {
        if !self.0.db.is_shared() {
            return;
        }
        let mut ticks = tokio::time::interval(BEAT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.beat().await {
                tracing::warn!(%error, "this node could not say that it is alive; trying again");
            }
        }
    }

    /// One beat; declares those dead that have missed too many.
    pub(crate) async fn beat(&self) -> Result<(), BusError> {
        let Some(beats) = self.say_alive().await? else {
            let id = enter(&self.0.db, &self.0.random).await?;
            tracing::warn!(%id, "this node was taken for dead, as it had not been heard of; it goes on as a new one");
            self.0.others.lock().clear();
            self.0.me.send_replace(id);
            return Ok(());
        };
        for (id, beats) in self.listen(beats) {
            self.declare_dead(id, beats).await?;
        }
        Ok(())
    }

    /// Gives up all that this node holds, so that the others need not miss it first.
    pub async fn leave(&self) -> Result<(), BusError> {
        let me = self.id();
        self.0
            .db
            .run(|txn| async move {
                txn.delete(&keys::node(me));
                txn.on_commit(keys::FREED_TOPIC);
                Ok(())
            })
            .await
    }

    /// How often each node has beaten; `None` when this one is not among them.
    async fn say_alive(&self) -> Result<Option<HashMap<NodeId, u64>>, BusError> {
        let me = self.id();
        self.0
            .db
            .run(|txn| async move {
                let Some(row) = txn.get(&keys::node(me)).await? else { return Ok(None) };
                txn.put(&keys::node(me), &(read_beats(&row)? + 1).to_be_bytes());
                let page = txn.scan_snapshot(&keys::nodes(), ScanOptions::rows(NODES_MAX)).await?;
                let mut beats = HashMap::with_capacity(page.rows.len());
                for (key, row) in &page.rows {
                    let id = keys::read_node(key);
                    let id = id.ok_or_else(|| BusError::Unreadable("the name of a node".to_owned()))?;
                    beats.insert(id, read_beats(row)?);
                }
                Ok(Some(beats))
            })
            .await
    }

    /// Notes who was heard; gives those that have missed too many beats, with the last one of each.
    fn listen(&self, mut beats: HashMap<NodeId, u64>) -> Vec<(NodeId, u64)> {
        beats.remove(&self.id());
        let mut others = self.0.others.lock();
        others.retain(|id, _| beats.contains_key(id));
        for (id, beats) in beats {
            let heard = others.entry(id).or_insert(Heard { beats, missed: 0 });
            let missed = if heard.beats == beats { heard.missed + 1 } else { 0 };
            *heard = Heard { beats, missed };
        }
        let silent = others.iter().filter(|(_, heard)| heard.missed > MISSED_MAX);
        silent.map(|(id, heard)| (*id, heard.beats)).collect()
    }

    async fn declare_dead(&self, id: NodeId, beats: u64) -> Result<(), BusError> {
        let died = self.0.db.run(|txn| async move {
            let row = txn.get(&keys::node(id)).await?;
            let is_silent = row.is_some_and(|row| row[..] == beats.to_be_bytes());
            if is_silent {
                txn.delete(&keys::node(id));
                txn.on_commit(keys::FREED_TOPIC);
            }
            Ok::<_, BusError>(is_silent)
        });
        if died.await? {
            tracing::warn!(%id, "a node was not heard of any more: its work goes to others");
        }
        Ok(())
    }
}

async fn enter(db: &Db, random: &Random) -> Result<NodeId, BusError> {
    let id = NodeId(random.bytes());
    let is_alone = !db.is_shared();
    db.run(|txn| async move {
        if is_alone {
            txn.delete_range(&keys::nodes());
        }
        txn.put(&keys::node(id), &0_u64.to_be_bytes());
        txn.on_commit(keys::FREED_TOPIC);
        Ok(id)
    })
    .await
}

fn read_beats(row: &[u8]) -> Result<u64, BusError> {
    let beats = row.try_into().map(u64::from_be_bytes);
    beats.map_err(|_| BusError::Unreadable("the beats of a node are not a number".to_owned()))
}
