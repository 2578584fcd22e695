//! Names of hosts that are looked up. The system's resolver blocks a thread of those that the whole platform shares, and goes on
//! when nobody waits for it any more: so few do so at once, and fewer of one function's.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::limits::{LOOKUPS_EACH, LOOKUPS_MAX};

/// The turns of all functions.
pub(crate) struct Lookups {
    all: Arc<Semaphore>,
    owners: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
}

/// The turns of one function. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OwnLookups {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(LOOKUPS_MAX)), owners: Mutex::default() }
    }
}

impl Lookups {
    /// Those of one owner, which all of its instances share.
    pub(crate) fn of(&self, owner: &Arc<str>) -> OwnLookups {
        let mut owners = self.owners.lock();
        let own = owners.get(owner).and_then(Weak::upgrade).unwrap_or_else(|| {
            owners.retain(|_, own| own.strong_count() > 0);
            let own = Arc::new(Semaphore::new(LOOKUPS_EACH));
            owners.insert(owner.clone(), Arc::downgrade(&own));
            own
        });
        OwnLookups { all: self.all.clone(), own }
    }
}

impl OwnLookups {
    /// The addresses of a host, once it is the owner's turn.
    pub(crate) async fn addresses(&self, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.run(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let own = self.own.clone().acquire_owned().await.map_err(io::Error::other)?;
        let all = self.all.clone().acquire_owned().await.map_err(io::Error::other)?;
        let done = tokio::task::spawn_blocking(move || {
            // They are given back when the thread is, whoever still waits.
            let _held = (own, all);
            work()
        });
        done.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn who_stops_waiting_keeps_the_turn_until_the_thread_is_free() {
        let lookups = Lookups::default();
        let own = lookups.of(&"a".into());
        let mut ends = Vec::new();
        for _ in 0..LOOKUPS_EACH {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let mut work = Box::pin(own.run(move || ended.recv().map_err(io::Error::other)));
            let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
        // Another instance of the same function waits, another function does not.
        let same = lookups.of(&"a".into());
        let mut late = Box::pin(same.run(|| Ok(1)));
        assert!(matches!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        assert_eq!(same.own.available_permits(), 0);
        assert_eq!(lookups.of(&"b".into()).run(|| Ok(2)).await.unwrap(), 2);
        for end in ends {
            end.send(()).unwrap();
        }
        assert_eq!(late.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_name_is_looked_up() {
        let found = Lookups::default().of(&"a".into()).addresses("localhost".to_owned(), 80).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert!(!found.is_empty());
    }
}
