//! Which snapshots are open: what nobody can see any more may be forgotten.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// The open snapshots of one engine, and its newest visible version.
#[derive(Debug, Default)]
pub(crate) struct ActiveReads(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    published: u64,
    /// Versions ascending, with the number of snapshots open at each.
    open: VecDeque<(u64, usize)>,
}

/// One open snapshot.
#[derive(Debug)]
pub(crate) struct ReadGuard {
    reads: Arc<ActiveReads>,
    pub(crate) version: u64,
}

impl ActiveReads {
    pub(crate) fn new(published: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { published, open: VecDeque::new() })))
    }

    /// Opens a snapshot at the newest visible version.
    pub(crate) fn open(self: &Arc<Self>) -> ReadGuard {
        let mut inner = self.0.lock();
        let version = inner.published;
        match inner.open.back_mut() {
            Some((newest, count)) if *newest == version => *count += 1,
            _ => inner.open.push_back((version, 1)),
        }
        ReadGuard { reads: self.clone(), version }
    }

    /// Makes `version` the newest visible one.
    pub(crate) fn publish(&self, version: u64) {
        let mut inner = self.0.lock();
        inner.published = inner.published.max(version);
    }

    /// The oldest version that an open or a future snapshot can have.
    pub(crate) fn oldest(&self) -> u64 {
        let inner = self.0.lock();
        inner.open.front().map_or(inner.published, |(version, _)| *version)
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        let mut inner = self.reads.0.lock();
        if let Ok(at) = inner.open.binary_search_by_key(&self.version, |(version, _)| *version) {
            inner.open[at].1 -= 1;
        }
        while inner.open.front().is_some_and(|(_, count)| *count == 0) {
            inner.open.pop_front();
        }
    }
}
