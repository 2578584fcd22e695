//! Streams of an HTTP/2 connection whose client opens their windows no more: what waits for them is held in memory, and the
//! connection itself is well.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The responses of one connection that are on their way. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Vec<Weak<Stream>>>>);

/// One response.
#[derive(Default)]
pub(crate) struct Stream {
    /// Since when the client could have taken more; `None` while nothing is there for it.
    offered: Mutex<Option<Instant>>,
}

impl Streams {
    pub(crate) fn add(&self) -> Arc<Stream> {
        let stream = Arc::new(Stream::default());
        stream.offer();
        let mut all = self.0.lock();
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&stream));
        stream
    }

    /// Returns when a client has taken nothing of a response for as long as `patience`.
    pub(crate) async fn stalled(&self, patience: Duration) {
        loop {
            let oldest = self.oldest();
            let due = oldest.unwrap_or_else(Instant::now) + patience;
            if oldest.is_some() && due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }

    fn oldest(&self) -> Option<Instant> {
        self.0.lock().iter().filter_map(Weak::upgrade).filter_map(|stream| *stream.offered.lock()).min()
    }
}

impl Stream {
    /// There is more for the client from now on: it is its turn.
    pub(crate) fn offer(&self) {
        *self.offered.lock() = Some(Instant::now());
    }

    /// The client waits for us.
    pub(crate) fn wait(&self) {
        *self.offered.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_stream_that_stands_still_is_enough() {
        let streams = Streams::default();
        assert_eq!(streams.oldest(), None, "nothing is there to be taken");
        let (quick, slow) = (streams.add(), streams.add());
        let began = streams.oldest().unwrap();
        quick.offer();
        let long_ago = began.checked_sub(Duration::from_secs(60)).unwrap();
        *slow.offered.lock() = Some(long_ago);
        assert_eq!(streams.oldest(), Some(long_ago), "whatever the others take");
        streams.stalled(Duration::from_secs(60)).await;
    }

    #[test]
    fn a_stream_that_waits_for_us_or_is_over_does_not_count() {
        let streams = Streams::default();
        let (one, other) = (streams.add(), streams.add());
        one.wait();
        drop(other);
        assert_eq!(streams.oldest(), None);
        one.offer();
        assert!(streams.oldest().is_some());
        drop(one);
        let _last = streams.add();
        assert_eq!(streams.0.lock().len(), 1, "what is over is forgotten");
    }
}
