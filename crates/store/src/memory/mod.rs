//! An engine in memory: nothing is durable. It is the oracle of the conformance suite and the ground of the
//! services' tests; with [`Faults`] it does, repeatably, what real engines do rarely, and with
//! [`MemoryEngine::crash_after`] it dies at any point.

mod crash;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use lambent_base::{BoxFuture, Random};
use parking_lot::Mutex;

use crate::active::{ActiveReads, ReadGuard};
use crate::engine::{Commit, Engine, Snapshot, TxnId, Version};
use crate::error::StoreError;
use crate::range::{KeyRange, Page, ScanOptions};
use crate::wakes::Wakes;
use crash::Crash;
use state::State;

/// How often, in a thousand, the engine misbehaves in a way that the contract allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A commit that could pass is refused with `Conflict`.
    pub conflicts: u64,
    /// A commit is applied, and answered with `UnknownOutcome`.
    pub unknown_applied: u64,
    /// A commit is not applied, and answered with `UnknownOutcome`.
    pub unknown_lost: u64,
    /// A read lets other tasks run first, several times.
    pub slow_reads: u64,
}

/// A slow read gives way at most this often.
const SLOW_READ_YIELDS: u64 = 16;

/// See the module. A clone is the same store.
#[derive(Clone)]
pub struct MemoryEngine(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    reads: Arc<ActiveReads>,
    wakes: Wakes,
    random: Random,
    faults: Mutex<Faults>,
    crash: Crash,
    is_shared: AtomicBool,
}

struct MemorySnapshot {
    shared: Arc<Shared>,
    guard: ReadGuard,
}

impl MemoryEngine {
    /// An empty store that behaves well.
    pub fn new() -> Self {
        Self::with_faults(0, Faults::default())
    }

    /// An empty store that misbehaves as `faults` says, in an order that `seed` decides.
    pub fn with_faults(seed: u64, faults: Faults) -> Self {
        Self::on_state(State::default(), Random::seeded(seed), faults)
    }

    fn on_state(state: State, random: Random, faults: Faults) -> Self {
        let reads = ActiveReads::new(state.version());
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            reads,
            wakes: Wakes::default(),
            random,
            faults: Mutex::new(faults),
            crash: Crash::default(),
            is_shared: AtomicBool::new(false),
        }))
    }

    /// Passes for a store that several processes share, each with a [`crate::Db`] of its own.
    #[must_use]
    pub fn shared(self) -> Self {
        self.0.is_shared.store(true, Ordering::Relaxed);
        self
    }

    /// Misbehaves differently from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.0.faults.lock() = faults;
    }

    /// Lets the process "die" after that many more snapshots, reads and commits: whatever is asked of it then, and
    /// what is under way, fails with `Unavailable`. A commit that it dies in may have been applied, as the seed decides.
    pub fn crash_after(&self, steps: u64) {
        self.0.crash.after(steps);
    }

    /// What the next process finds: every commit that was answered, whole, and perhaps some that were not.
    /// This engine works no more.
    pub fn restart(&self) -> Self {
        self.0.crash.after(0);
        let state = self.0.state.lock().survivor();
        let survivor = Self::on_state(state, self.0.random.clone(), *self.0.faults.lock());
        if self.is_shared() { survivor.shared() } else { survivor }
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for MemoryEngine {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn is_shared(&self) -> bool {
        self.0.is_shared.load(Ordering::Relaxed)
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        Box::pin(async {
            self.0.read().await?;
            let guard = self.0.reads.open();
            Ok(Arc::new(MemorySnapshot { shared: self.0.clone(), guard }) as Arc<dyn Snapshot>)
        })
    }

    fn export(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        self.snapshot()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move { self.0.commit(commit) })
    }

    fn outcome(&self, id: TxnId) -> BoxFuture<'_, Result<Option<Version>, StoreError>> {
        Box::pin(async move { self.0.crash.step().map(|()| self.0.state.lock().outcome(id)) })
    }

    fn wakes(&self) -> &Wakes {
        &self.0.wakes
    }

    fn health(&self) -> Result<(), StoreError> {
        self.0.crash.check()?;
        self.0.state.lock().check_open()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.state.lock().close();
        Box::pin(std::future::ready(()))
    }
}

impl Shared {
    fn commit(&self, commit: Commit) -> Result<Version, StoreError> {
        let faults = *self.faults.lock();
        let (id, topics) = (commit.id, commit.topics.clone());
        // It dies before the commit, or after it and before the answer.
        let dies = self.crash.step().err();
        if let Some(death) = &dies
            && (self.crash.is_over() || self.random.u64().is_multiple_of(2))
        {
            return Err(death.clone());
        }
        if self.strikes(faults.conflicts) {
            return Err(StoreError::Conflict);
        }
        if self.strikes(faults.unknown_lost) {
            return Err(StoreError::UnknownOutcome(id));
        }
        let version = {
            let mut state = self.state.lock();
            if dies.is_none() {
                // Whoever restarts holds this lock when it looks: nothing is added behind its back.
                self.crash.check()?;
            }
            let version = state.commit(commit, self.reads.oldest())?;
            self.reads.publish(version.0);
            version
        };
        if let Some(death) = dies {
            return Err(death);
        }
        self.wakes.wake(&topics);
        if self.strikes(faults.unknown_applied) {
            return Err(StoreError::UnknownOutcome(id));
        }
        Ok(version)
    }

    fn strikes(&self, per_thousand: u64) -> bool {
        per_thousand > 0 && self.random.u64() % 1000 < per_thousand
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.crash.step()?;
        self.maybe_slow().await;
        self.crash.check()
    }

    async fn maybe_slow(&self) {
        let per_thousand = self.faults.lock().slow_reads;
        if self.strikes(per_thousand) {
            for _ in 0..=self.random.u64() % SLOW_READ_YIELDS {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Snapshot for MemorySnapshot {
    fn version(&self) -> Version {
        Version(self.guard.version)
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(async {
            self.shared.read().await?;
            Ok(self.shared.state.lock().get(key, self.guard.version))
        })
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        options: ScanOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            self.shared.read().await?;
            Ok(self.shared.state.lock().scan(range, options, self.guard.version))
        })
    }
}
