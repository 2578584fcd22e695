//! Functions that were called of late: their components, mapped, and the places in which their calls run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lambent_pool::{FunctionKey, Journal};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::Proxy;

use crate::host::{Host, Surroundings};
use crate::limits::{AGE_MAX, IDLE_TIMEOUT};
use crate::program::Program;
use crate::world;

/// All of them.
#[derive(Default)]
pub(crate) struct Functions(Mutex<HashMap<FunctionKey, Arc<Function>>>);

/// One runnable state of a function.
#[derive(Default)]
pub(crate) struct Function {
    pub(crate) program: OnceCell<Program>,
    /// Places without a call; the one used last is taken first.
    places: Mutex<Vec<Place>>,
    /// Calls of this state, for which it is kept.
    running: AtomicUsize,
}

/// Where calls run one after the other, as in an environment: with a log stream and credentials, and an instance if that is
/// reused.
pub(crate) struct Place {
    pub(crate) journal: Journal,
    pub(crate) surroundings: Surroundings,
    pub(crate) instance: Option<Instance>,
    pub(crate) made: Duration,
    pub(crate) used: Duration,
}

/// An instance that may serve another call.
pub(crate) struct Instance {
    pub(crate) store: Store<Host>,
    pub(crate) exports: Exports,
    pub(crate) calls: u32,
}

/// What is called.
pub(crate) enum Exports {
    Http(Proxy),
    Event(world::Function),
}

/// A call of a function that runs.
pub(crate) struct Running(Arc<Function>);

impl Functions {
    /// The function, which may have been called before. Another revision of it is forgotten.
    pub(crate) fn get(&self, key: &FunctionKey) -> Arc<Function> {
        let mut known = self.0.lock();
        if let Some(function) = known.get(key) {
            return function.clone();
        }
        known.retain(|other, _| !is_same(other, key));
        known.entry(key.clone()).or_default().clone()
    }

    /// Forgets the functions that this says; their calls end as they would.
    pub(crate) fn forget(&self, is_its: impl Fn(&FunctionKey) -> bool) {
        let forgotten: Vec<_> = self.0.lock().extract_if(|key, _| is_its(key)).collect();
        drop(forgotten);
    }

    /// Gives up what was not used for long; whether anything is left.
    pub(crate) fn reap(&self, now: Duration) -> bool {
        let mut known = self.0.lock();
        known.retain(|_, function| {
            let mut places = function.places.lock();
            places.retain(|place| !place.is_stale(now));
            !places.is_empty() || function.running.load(Ordering::SeqCst) > 0
        });
        !known.is_empty()
    }
}

impl Function {
    /// Keeps it for a call.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        Running(self.clone())
    }

    /// A place that is free.
    pub(crate) fn take(&self, now: Duration) -> Option<Place> {
        let mut places = self.places.lock();
        loop {
            let place = places.pop()?;
            if !place.is_stale(now) {
                return Some(place);
            }
        }
    }

    pub(crate) fn give_back(&self, place: Place) {
        self.places.lock().push(place);
    }
}

impl Place {
    fn is_stale(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= IDLE_TIMEOUT || now.saturating_sub(self.made) >= AGE_MAX
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether both are states of the same function and version.
fn is_same(one: &FunctionKey, other: &FunctionKey) -> bool {
    (&one.account, &one.region, &one.name, &one.version)
        == (&other.account, &other.region, &other.name, &other.version)
}
