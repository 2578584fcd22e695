//! The door to the outbox.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_store::{Db, KeyRange, ScanOptions, StoreError, Txn, put_large};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::deliver::Deliver;
use crate::dispatcher::Dispatcher;
use crate::error::BusError;
use crate::event::{Header, INLINE_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES, NewEvent, encode};
use crate::keys;
use crate::settle::Owner;

/// How far [`Outbox::backlog`] counts.
const BACKLOG_COUNT_LIMIT: usize = 10_000;

/// Events that are delivered at least once; clone it freely.
#[derive(Clone)]
pub struct Outbox {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// How many events wait, counted up to ten thousand each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// To be delivered now, or being delivered.
    pub ready: usize,
    /// Put off: not due yet, or to be tried again.
    pub later: usize,
}

impl Outbox {
    /// The outbox in `db`.
    pub fn new(db: Db, clock: Clock, random: Random) -> Self {
        Self { db, clock, random }
    }

    /// Puts an event into the caller's transaction: it exists if and only if that commits. Returns its request id.
    ///
    /// Errors: `PayloadTooLarge`; `Store` to be handed on to [`Db::run`].
    pub async fn put(&self, txn: &Txn, event: NewEvent) -> Result<String, BusError> {
        let length = event.payload.len();
        if length > MAX_PAYLOAD_BYTES {
            return Err(BusError::PayloadTooLarge { length });
        }
        let request_id = event.request_id.clone().unwrap_or_else(|| self.random.uuid());
        let now_ms = self.clock.unix_ms();
        let body = (length > INLINE_PAYLOAD_BYTES).then(|| self.random.bytes());
        let header = Header::new(&event, request_id.clone(), now_ms, body);
        let row = match body {
            None => encode(&header, &event.payload)?,
            Some(id) => {
                put_large(txn, &keys::body(id), &event.payload).await?;
                encode(&header, b"")?
            }
        };
        match event.not_before_ms.filter(|due_ms| *due_ms > now_ms) {
            Some(due_ms) => txn.put(&keys::later(due_ms, self.random.bytes()), &row),
            None => txn.put_stamped(keys::READY, b"", &row),
        }
        txn.on_commit(keys::TOPIC);
        Ok(request_id)
    }

    /// Starts to deliver, beginning with everything that was committed and not settled before. Any other process that
    /// delivered from the same store stops. `deliverers` by the kind of events that they take.
    pub async fn start(&self, deliverers: HashMap<String, Arc<dyn Deliver>>) -> Result<Workers, BusError> {
        let owner = Owner::take_over(self.db.clone(), self.clock.clone(), self.random.clone()).await?;
        let (stop, stopped) = watch::channel(false);
        let (rounds, rounds_seen) = watch::channel(0);
        let dispatcher = Dispatcher::new(owner, deliverers, stopped, rounds);
        let task = Some(tokio::spawn(dispatcher.run()));
        Ok(Workers { stop, task, rounds: rounds_seen })
    }

    /// Makes the workers look at once, as after a change of the clock.
    pub async fn wake(&self) -> Result<(), BusError> {
        let wake = self.db.read(|txn| async move {
            txn.on_commit(keys::TOPIC);
            Ok::<_, StoreError>(())
        });
        Ok(wake.await?)
    }

    /// How many events wait.
    pub async fn backlog(&self) -> Result<Backlog, BusError> {
        let count = async |prefix: &[u8]| {
            let range = &KeyRange::prefix(prefix);
            let options = ScanOptions::rows(BACKLOG_COUNT_LIMIT).keys_only();
            self.db
                .read(|txn| async move { txn.scan(range, options).await })
                .await
                .map(|page| page.rows.len())
        };
        Ok(Backlog { ready: count(keys::READY).await?, later: count(keys::LATER).await? })
    }
}

/// The running workers. Dropped, they stop at once, in the middle of whatever they do, as in a crash.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    /// How often the dispatcher woke up.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests watch that an idle dispatcher sleeps"))]
    pub(crate) rounds: watch::Receiver<u64>,
}

impl Workers {
    /// Starts no further delivery, waits some seconds for those under way, and releases the rest: they come again
    /// after the next start.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the outbox's dispatcher had failed");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
