//! A target that takes everything at once, and counts.

use lambent_base::BoxFuture;
use lambent_bus::{Deliver, Delivery, Event};
use tokio::sync::watch;

/// How many events have arrived, and how many were waited for.
pub(crate) struct Sink {
    arrived: watch::Sender<usize>,
    awaited: std::sync::atomic::AtomicUsize,
}

impl Default for Sink {
    fn default() -> Self {
        Self { arrived: watch::channel(0).0, awaited: std::sync::atomic::AtomicUsize::default() }
    }
}

impl Sink {
    /// Waits for so many more arrivals than were waited for before.
    pub(crate) async fn wait_for(&self, events: usize) {
        let total = self.awaited.fetch_add(events, std::sync::atomic::Ordering::Relaxed) + events;
        let mut arrived = self.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived >= total).await.unwrap();
    }
}

impl Deliver for Sink {
    fn deliver<'a>(&'a self, _: &'a Event) -> BoxFuture<'a, Delivery> {
        self.arrived.send_modify(|arrived| *arrived += 1);
        Box::pin(std::future::ready(Delivery::Done))
    }
}
