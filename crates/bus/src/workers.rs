//! The dispatchers of this node: that of its own queue, and those of the queues that it minds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lambent_store::Watch;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinHandle, JoinSet};

use crate::deliver::Deliver;
use crate::dispatcher::{Dispatcher, stopped};
use crate::error::BusError;
use crate::heads::Heads;
use crate::leases::PAUSE_AFTER_FAILURE;
use crate::nodes::{NodeId, Nodes};
use crate::outbox::Outbox;
use crate::queues::{self, Claim};
use crate::settle::Owner;

/// The running workers. Dropped, they stop at once, in the middle of whatever they do, as in a crash.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    /// How often a dispatcher woke up.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests watch that an idle dispatcher sleeps"))]
    pub(crate) rounds: watch::Receiver<u64>,
}

impl Workers {
    pub(crate) async fn start(
        outbox: Outbox,
        nodes: Nodes,
        deliverers: HashMap<String, Arc<dyn Deliver>>,
    ) -> Result<Self, BusError> {
        let (stop, stopped) = watch::channel(false);
        let (rounds, rounds_seen) = watch::channel(0);
        let mut minder = Minder {
            renamed: nodes.renamed(),
            freed: nodes.freed(),
            outbox,
            nodes,
            deliverers,
            stop: stopped,
            rounds,
            own: None,
            running: HashMap::new(),
            dispatchers: JoinSet::new(),
        };
        minder.look().await?;
        let task = Some(tokio::spawn(minder.run()));
        Ok(Self { stop, task, rounds: rounds_seen })
    }

    /// Starts no further delivery, waits some seconds for those under way, and releases the rest: they come again
    /// after the next start, or at another node.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the outbox's workers had failed");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Sees to it that this node delivers from its own queue, and somebody from every other.
struct Minder {
    outbox: Outbox,
    nodes: Nodes,
    deliverers: HashMap<String, Arc<dyn Deliver>>,
    renamed: watch::Receiver<NodeId>,
    freed: Watch,
    stop: watch::Receiver<bool>,
    rounds: watch::Sender<u64>,
    /// This node's own queue.
    own: Option<u64>,
    running: HashMap<u64, AbortHandle>,
    dispatchers: JoinSet<()>,
}

/// Why the minder woke up.
enum Wake {
    Look,
    StartOver,
    Ended(Id),
    Stop,
}

impl Minder {
    async fn run(mut self) {
        let mut look_again = false;
        loop {
            match self.wait(look_again || self.own.is_none()).await {
                Wake::Stop => break,
                Wake::Look => {}
                Wake::StartOver => self.start_over().await,
                Wake::Ended(task) => {
                    self.running.retain(|_, running| running.id() != task);
                    self.own = self.own.filter(|own| self.running.contains_key(own));
                    // Whose queue it was may have it again, or this node if it only broke.
                    look_again = true;
                    continue;
                }
            }
            let looked = self.look().await;
            look_again = looked.is_err();
            if let Err(error) = looked {
                tracing::warn!(%error, "it could not be seen which events nobody delivers; trying again");
            }
        }
        while self.dispatchers.join_next().await.is_some() {}
    }

    async fn wait(&mut self, look_again: bool) -> Wake {
        tokio::select! {
            () = stopped(&mut self.stop) => Wake::Stop,
            () = self.freed.changed() => Wake::Look,
            _ = self.renamed.changed() => Wake::StartOver,
            () = tokio::time::sleep(PAUSE_AFTER_FAILURE), if look_again => Wake::Look,
            Some(ended) = self.dispatchers.join_next_with_id() => Wake::Ended(match ended {
                Ok((task, ())) => task,
                Err(error) => error.id(),
            }),
        }
    }

    /// Nothing that this node held is its own any more.
    async fn start_over(&mut self) {
        self.dispatchers.shutdown().await;
        self.running.clear();
        self.own = None;
    }

    /// Takes what nobody has.
    async fn look(&mut self) -> Result<(), BusError> {
        if self.own.is_none() {
            let claim = queues::claim(&self.nodes).await?;
            let queue = claim.queue;
            self.begin(claim).await?;
            self.own = Some(queue);
            self.outbox.queue.store(queue, Ordering::Relaxed);
        }
        let minded = queues::adopt(&self.nodes, &self.running).await?;
        for queue in minded.lost {
            if let Some(running) = self.running.remove(&queue) {
                running.abort();
            }
            self.own = self.own.filter(|own| *own != queue);
        }
        for claim in minded.new {
            tracing::info!(queue = claim.queue, "this node minds the events of one that is gone");
            self.begin(claim).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, Claim { queue, lease }: Claim) -> Result<(), BusError> {
        let Outbox { db, clock, random, .. } = self.outbox.clone();
        let heads = Heads::read(&db, queue).await?;
        let owner = Owner { db, clock, random, queue, lease };
        let (stop, rounds) = (self.stop.clone(), self.rounds.clone());
        let dispatcher = Dispatcher::new(owner, heads, self.deliverers.clone(), stop, rounds);
        let task = self.dispatchers.spawn(dispatcher.run());
        if let Some(former) = self.running.insert(queue, task) {
            former.abort();
        }
        Ok(())
    }
}
