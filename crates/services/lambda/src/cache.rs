//! Functions held in memory, so that a warm invocation reads no store.
//!
//! An entry is what the store said at one moment. Own writes forget it before they answer; the writes of other nodes reach
//! [`Cache::clear`] through the store's watch. A read that began before either must not put its older row back: the
//! generation that it was given tells.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_pool::FunctionSpec;
use parking_lot::RwLock;

use crate::configuration::host_architecture;
use crate::limits::CACHED_FUNCTIONS_MAX;
use crate::rows::{Phase, PolicyRow};

/// A function or a published version of it, ready to be invoked (or to say why it is not).
pub(crate) struct Loaded {
    /// With the number of a published version, else without qualifier.
    pub(crate) arn: String,
    pub(crate) phase: Phase,
    /// Of what would run now.
    pub(crate) architecture: Option<String>,
    pub(crate) policy: Option<PolicyRow>,
    /// `None` while there is nothing to run.
    pub(crate) spec: Option<Arc<FunctionSpec>>,
}

impl Loaded {
    /// Why this host cannot run the function, if it is for another architecture.
    pub(crate) fn foreign_architecture(&self) -> Option<String> {
        let architecture = self.architecture.as_ref()?;
        let host = host_architecture();
        (architecture != host).then(|| {
            format!(
                "The function is for {architecture}, and this host has {host}: set its Architectures to {host}, or \
                 run Lambent on a host with {architecture}."
            )
        })
    }
}

/// Loaded functions by ARN.
#[derive(Default)]
pub(crate) struct Cache(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    generation: u64,
    entries: HashMap<String, Arc<Loaded>>,
}

/// When a read began; see [`Cache::put`].
#[derive(Clone, Copy)]
pub(crate) struct Generation(u64);

impl Cache {
    pub(crate) fn get(&self, arn: &str) -> Option<Arc<Loaded>> {
        self.0.read().entries.get(arn).cloned()
    }

    /// To be asked before the store is read.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.0.read().generation)
    }

    /// Keeps what was read, unless something changed since `began`.
    pub(crate) fn put(&self, began: Generation, loaded: &Arc<Loaded>) {
        let mut inner = self.0.write();
        if inner.generation != began.0 {
            return;
        }
        if inner.entries.len() >= CACHED_FUNCTIONS_MAX {
            inner.entries.clear();
        }
        inner.entries.insert(loaded.arn.clone(), loaded.clone());
    }

    /// Forgets a function and its versions: to be called after a change is committed, before anybody is told. `arn` has
    /// no qualifier.
    pub(crate) fn forget(&self, arn: &str) {
        let is_of = |known: &str| {
            known.strip_prefix(arn).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.entries.retain(|known, _| !is_of(known));
    }

    /// Forgets everything: somebody changed something.
    pub(crate) fn clear(&self) {
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.entries.clear();
    }
}
