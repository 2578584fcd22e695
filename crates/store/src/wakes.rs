//! Topics that a commit wakes. A hint, never the truth: wake-ups are coalesced, may be spurious, and whoever
//! waits reads the store again.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The watchers of one engine.
#[derive(Debug)]
pub struct Wakes {
    topics: Mutex<HashMap<Bytes, watch::Sender<u64>>>,
    /// How many watches were ever made.
    made: watch::Sender<u64>,
}

/// Waits for commits that named a topic with [`crate::Txn::on_commit`].
#[derive(Debug)]
pub struct Watch(watch::Receiver<u64>);

impl Watch {
    /// Returns after a commit that named the topic since the watch was made or last returned.
    /// Never returns when the store is gone.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Default for Wakes {
    fn default() -> Self {
        Self { topics: Mutex::default(), made: watch::Sender::new(0) }
    }
}

impl Wakes {
    /// Waits for `topic` from now on.
    pub fn watch(&self, topic: &[u8]) -> Watch {
        let watch = {
            let mut topics = self.topics.lock();
            // Topics whose watchers are gone are dropped here, where the table would otherwise grow.
            topics.retain(|_, sender| sender.receiver_count() > 0);
            let sender = topics.entry(Bytes::copy_from_slice(topic)).or_insert_with(|| watch::channel(0).0);
            Watch(sender.subscribe())
        };
        self.made.send_modify(|made| *made += 1);
        watch
    }

    /// Wakes whoever watches one of `topics`.
    pub fn wake(&self, topics: &[Bytes]) {
        if topics.is_empty() {
            return;
        }
        let table = self.topics.lock();
        for topic in topics {
            if let Some(sender) = table.get(topic) {
                sender.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// Wakes everybody: for an engine that no longer knows what was committed.
    pub fn wake_all(&self) {
        for sender in self.topics.lock().values() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Whether anybody watches: an engine that must look for other nodes' commits looks only then.
    pub fn is_watched(&self) -> bool {
        self.topics.lock().values().any(|sender| sender.receiver_count() > 0)
    }

    /// Changes with each new watch.
    pub fn made(&self) -> watch::Receiver<u64> {
        self.made.subscribe()
    }
}
