//! URLs held in memory, so that a request reads no store.
//!
//! Own writes clear it before they answer, those of other nodes when the store's watch tells, and one that is as old as a policy
//! may be is read anew: who may ask without a signature depends on it. A read that began before
//! must not put its older row back: the generation that it was given tells.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::UrlRow;
use crate::limits::{CACHED_URLS_MAX, POLICY_AGE_MAX};
use crate::names::FunctionName;

/// A URL and whose it is.
pub(crate) struct Url {
    pub(crate) row: UrlRow,
    pub(crate) name: FunctionName,
    /// When it was read, by the clock that only goes on.
    pub(crate) read_at: Duration,
}

/// URLs by region and id.
#[derive(Default)]
pub(crate) struct UrlCache(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    generation: u64,
    entries: HashMap<String, Arc<Url>>,
}

impl UrlCache {
    pub(super) fn get(&self, region: &str, id: &str, now: Duration) -> Option<Arc<Url>> {
        let inner = self.0.read();
        let url = inner.entries.get(id).filter(|url| url.name.place.region == region)?;
        (now.saturating_sub(url.read_at) < POLICY_AGE_MAX).then(|| url.clone())
    }

    /// To be asked before the store is read.
    pub(super) fn generation(&self) -> u64 {
        self.0.read().generation
    }

    /// Keeps what was read, unless something changed since `began`.
    pub(super) fn put(&self, began: u64, url: &Arc<Url>) {
        let mut inner = self.0.write();
        if inner.generation != began {
            return;
        }
        if inner.entries.len() >= CACHED_URLS_MAX {
            inner.entries.clear();
        }
        inner.entries.insert(url.row.id.clone(), url.clone());
    }

    /// Forgets everything: somebody changed something.
    pub(crate) fn clear(&self) {
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.entries.clear();
    }
}
