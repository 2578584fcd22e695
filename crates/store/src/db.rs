//! The door to the store: runs transactions until they commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lambent_base::{Clock, Random};
use tokio::sync::Semaphore;

use crate::engine::{Commit, Engine, TxnId};
use crate::error::StoreError;
use crate::limits;
use crate::range::{KeyRange, ScanOptions};
use crate::txn::{Mode, Txn};
use crate::wakes::Watch;

/// The pause before the first retry of a conflict; doubles up to [`LONGEST_PAUSE`], with full jitter.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How many keys [`Db::clear`] deletes in one transaction.
const CLEAR_STEP_ROWS: usize = 4_000;

/// A store; clone it freely.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    clock: Clock,
    random: Random,
    /// Random, so that ids of two processes differ.
    id_prefix: u64,
    next_id: AtomicU64,
    /// Whose turn it is to run a large transaction.
    large: Semaphore,
}

impl Db {
    /// A store on `engine`.
    pub fn new(engine: Arc<dyn Engine>, clock: Clock, random: Random) -> Self {
        let id_prefix = random.u64();
        Self(Arc::new(Inner {
            engine,
            clock,
            random,
            id_prefix,
            next_id: AtomicU64::new(0),
            large: Semaphore::new(1),
        }))
    }

    /// An empty store in memory: for tests.
    pub fn memory(clock: Clock, random: Random) -> Self {
        Self::new(Arc::new(crate::memory::MemoryEngine::new()), clock, random)
    }

    /// Runs `body` as a serializable transaction and returns its value once the changes are durable.
    ///
    /// `body` runs again, on a fresh snapshot, when another transaction changed what it read; so it must have no
    /// effects but through its [`Txn`]. When it fails, nothing is written and its error is returned.
    ///
    /// ```
    /// # use lambent_store::{Db, StoreError};
    /// # async fn example(db: Db, name: &str) -> Result<(), StoreError> {
    /// let created = db
    ///     .run(|txn| async move {
    ///         if txn.get(name.as_bytes()).await?.is_some() {
    ///             return Ok(false);
    ///         }
    ///         txn.put(name.as_bytes(), b"here");
    ///         Ok::<_, StoreError>(true)
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Errors (through `E::from`): `Contended` when conflicts do not end within [`limits::MAX_TXN_AGE`], broken
    /// limits, and whatever the engine meets.
    pub async fn run<T, E, F, Fut>(&self, body: F) -> Result<T, E>
    where
        F: FnMut(Txn) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        self.run_within(limits::MAX_TXN_BYTES, body).await
    }

    /// [`Db::run`] for a change that cannot be cut in two, of as much as the engine
    /// [takes at once](Engine::max_large_txn_bytes), [`limits::MAX_LARGE_TXN_BYTES`] at most. This process runs one at a
    /// time: whoever can, uses [`Db::run`].
    ///
    /// Errors: as there, and `Unavailable` when others have not come to their end within
    /// [`limits::MAX_LARGE_TXN_WAIT`].
    pub async fn run_large<T, E, F, Fut>(&self, body: F) -> Result<T, E>
    where
        F: FnMut(Txn) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let turn = tokio::time::timeout(limits::MAX_LARGE_TXN_WAIT, self.0.large.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let why = "too many large transactions wait for each other; try again";
            return Err(StoreError::Unavailable(why.to_owned()).into());
        };
        self.run_within(self.0.engine.max_large_txn_bytes(), body).await
    }

    async fn run_within<T, E, F, Fut>(&self, at_most: usize, mut body: F) -> Result<T, E>
    where
        F: FnMut(Txn) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let started = self.0.clock.monotonic();
        let mut attempts = 0;
        loop {
            let txn = Txn::new(self.0.engine.clone(), self.0.clock.clone(), Mode::Write { at_most });
            match body(txn.clone()).await {
                Ok(value) => match self.commit(txn).await {
                    Ok(()) => return Ok(value),
                    Err(failure) if failure.is_retriable() => {}
                    Err(failure) => return Err(failure.into()),
                },
                // A conflict that surfaced in a read is retried, whatever error the closure made of it.
                Err(_) if txn.retriable_failure().is_some() => {}
                Err(error) => return Err(error),
            }
            attempts += 1;
            self.pause(attempts, started).await?;
        }
    }

    /// Runs `body` on a snapshot. Its reads are consistent with each other and conflict with nobody; writes are
    /// refused with `ReadOnly`.
    pub async fn read<T, E, F, Fut>(&self, mut body: F) -> Result<T, E>
    where
        F: FnMut(Txn) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let started = self.0.clock.monotonic();
        let mut attempts = 0;
        loop {
            let txn = Txn::new(self.0.engine.clone(), self.0.clock.clone(), Mode::Read);
            match body(txn.clone()).await {
                Err(_) if txn.retriable_failure().is_some() => {}
                Ok(value) => {
                    txn.into_commit(TxnId(0))?;
                    return Ok(value);
                }
                Err(error) => return Err(error),
            }
            attempts += 1;
            self.pause(attempts, started).await?;
        }
    }

    /// Deletes every row of a range of any size, in several transactions; returns how many there were. Not for rows of
    /// [`crate::put_large`], whose chunks lie elsewhere.
    pub async fn clear(&self, range: &KeyRange) -> Result<u64, StoreError> {
        let mut deleted = 0;
        let mut left = Some(range.clone());
        while let Some(step) = left {
            let step = &step;
            let options = ScanOptions::rows(CLEAR_STEP_ROWS).keys_only();
            let page = self
                .run(|txn| async move {
                    let page = txn.scan_snapshot(step, options).await?;
                    for (key, _) in &page.rows {
                        txn.delete(key);
                    }
                    Ok::<_, StoreError>(page)
                })
                .await?;
            deleted += page.rows.len() as u64;
            left = step.rest(&page, false);
        }
        Ok(deleted)
    }

    /// Waits for commits that name `topic`, from now on. A hint: look into the store after every return, and once
    /// before the first wait.
    pub fn watch(&self, topic: &[u8]) -> Watch {
        self.0.engine.wakes().watch(topic)
    }

    /// `Ok` when reads and writes work.
    pub fn health(&self) -> Result<(), StoreError> {
        self.0.engine.health()
    }

    /// The engine's name.
    pub fn engine_name(&self) -> &'static str {
        self.0.engine.name()
    }

    /// Whether other processes may be at work on the same store.
    pub fn is_shared(&self) -> bool {
        self.0.engine.is_shared()
    }

    /// Finishes accepted commits and stops; later commits fail with `Unavailable`.
    pub async fn close(&self) {
        self.0.engine.close().await;
    }

    async fn commit(&self, txn: Txn) -> Result<(), StoreError> {
        match txn.into_commit(self.new_id())? {
            Some(commit) => self.settle(commit).await,
            None => Ok(()),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.0.engine
    }

    pub(crate) fn new_id(&self) -> TxnId {
        let number = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        TxnId((u128::from(self.0.id_prefix) << 64) | u128::from(number))
    }

    /// Commits once, and finds out what became of it.
    pub(crate) async fn settle(&self, commit: Commit) -> Result<(), StoreError> {
        let engine = &self.0.engine;
        match engine.commit(commit).await {
            Ok(_) => Ok(()),
            Err(StoreError::UnknownOutcome(id)) => match engine.outcome(id).await? {
                Some(_) => Ok(()),
                // Surely not applied: as good as a conflict.
                None => Err(StoreError::Conflict),
            },
            Err(failure) => Err(failure),
        }
    }

    async fn pause(&self, attempts: u32, started: Duration) -> Result<(), StoreError> {
        let inner = &*self.0;
        let elapsed = inner.clock.monotonic().saturating_sub(started);
        if elapsed > limits::MAX_TXN_AGE || attempts >= limits::MAX_ATTEMPTS {
            return Err(StoreError::Contended { attempts });
        }
        let ceiling = FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE);
        let ceiling_us = u64::try_from(ceiling.as_micros()).expect("the longest pause fits");
        let jittered = Duration::from_micros(inner.random.u64() % (ceiling_us + 1));
        tracing::debug!(attempts, ?jittered, "transaction met a conflict");
        tokio::time::sleep(jittered).await;
        Ok(())
    }
}
