//! A bounded number of connections for reads, each shared by many tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lambent_store::{StoreError, limits};
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::Config;

use crate::connection::Connection;
use crate::error::{PgError, unreachable};

/// How long something is tried again when the database cannot be reached.
pub(crate) const RETRY_FOR: Duration = limits::MAX_TXN_AGE;
/// How many statements may be under way on one connection; more wait.
const STATEMENTS_PER_CONNECTION: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

pub(crate) struct Pool {
    config: Config,
    slots: Vec<Slot>,
    room: Semaphore,
}

#[derive(Default)]
struct Slot {
    connection: Mutex<Option<Arc<Connection>>>,
    load: AtomicUsize,
}

/// Counts a task for as long as it uses a slot.
struct Loaded<'a>(&'a AtomicUsize);

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// Connections are made when they are needed, at most `connections`.
    pub(crate) fn new(config: Config, connections: usize) -> Self {
        let slots: Vec<Slot> = (0..connections.max(1)).map(|_| Slot::default()).collect();
        let room = Semaphore::new(slots.len() * STATEMENTS_PER_CONNECTION);
        Self { config, slots, room }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Does work that may be repeated: again, on another connection, while the database cannot be reached, for
    /// [`RETRY_FOR`].
    pub(crate) async fn run<T, F, Fut>(&self, work: F) -> Result<T, StoreError>
    where
        F: Fn(Arc<Connection>) -> Fut,
        Fut: Future<Output = Result<T, PgError>>,
    {
        let room = tokio::time::timeout(RETRY_FOR, self.room.acquire()).await;
        let _room = room.map_err(|_| unreachable("all connections are busy"))?;
        let mut retries = Retries::new();
        loop {
            // Also a wait for a connection that others are making ends in time.
            let attempt = tokio::time::timeout_at(retries.end, self.attempt(&work)).await;
            match attempt.unwrap_or_else(|_| Err(PgError::Lost("no answer in time".to_owned()))) {
                Ok(value) => return Ok(value),
                Err(PgError::Lost(reason)) => retries.pause(&reason).await?,
                Err(other) => return Err(other.into_store()),
            }
        }
    }

    async fn attempt<T, F, Fut>(&self, work: &F) -> Result<T, PgError>
    where
        F: Fn(Arc<Connection>) -> Fut,
        Fut: Future<Output = Result<T, PgError>>,
    {
        let slot = self.slots.iter().min_by_key(|slot| slot.load.load(Ordering::Relaxed));
        let slot = slot.expect("a pool has at least one slot");
        slot.load.fetch_add(1, Ordering::Relaxed);
        let _loaded = Loaded(&slot.load);
        let connection = {
            let mut held = slot.connection.lock().await;
            match &*held {
                Some(connection) if connection.is_usable() => connection.clone(),
                _ => held.insert(Arc::new(Connection::open(&self.config).await?)).clone(),
            }
        };
        work(connection).await
    }
}

/// Pauses between attempts, longer each time, up to an end.
pub(crate) struct Retries {
    end: tokio::time::Instant,
    pause: Duration,
}

impl Retries {
    pub(crate) fn new() -> Self {
        Self { end: tokio::time::Instant::now() + RETRY_FOR, pause: FIRST_PAUSE }
    }

    /// Errors: `Unavailable`, with the reason, once it was tried for [`RETRY_FOR`].
    pub(crate) async fn pause(&mut self, reason: &str) -> Result<(), StoreError> {
        if tokio::time::Instant::now() >= self.end {
            return Err(unreachable(reason));
        }
        tracing::debug!(reason, "PostgreSQL cannot be reached; trying again");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
