//! Topics that a commit wakes. A hint, never the truth: wake-ups are coalesced, may be spurious, and whoever
//! waits reads the store again.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The watchers of one engine.
#[derive(Debug, Default)]
pub struct Wakes {
    topics: Mutex<HashMap<Bytes, watch::Sender<u64>>>,
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

impl Wakes {
    /// Waits for `topic` from now on.
    pub fn watch(&self, topic: &[u8]) -> Watch {
        let mut topics = self.topics.lock();
        // Topics whose watchers are gone are dropped here, where the table would otherwise grow.
        topics.retain(|_, sender| sender.receiver_count() > 0);
        let sender = topics.entry(Bytes::copy_from_slice(topic)).or_insert_with(|| watch::channel(0).0);
        Watch(sender.subscribe())
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
}
