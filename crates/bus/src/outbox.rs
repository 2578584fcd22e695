//! The door to the outbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lambent_base::{Clock, Random};
use lambent_store::{Db, KeyRange, ScanOptions, StoreError, Txn, put_large};

use crate::deliver::Deliver;
use crate::error::BusError;
use crate::event::{Header, INLINE_PAYLOAD_BYTES, NewEvent, encode};
use crate::keys;
use crate::nodes::Nodes;
use crate::workers::Workers;

/// How far [`Outbox::backlog`] counts.
const BACKLOG_COUNT_LIMIT: usize = 10_000;

/// Events that are delivered at least once; clone it freely.
#[derive(Clone)]
pub struct Outbox {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// The queue that events are put into: this node's own once it has one. Whoever delivers from any other is as good.
    pub(crate) queue: Arc<AtomicU64>,
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
        Self { db, clock, random, queue: Arc::default() }
    }

    /// Puts an event into the caller's transaction: it exists if and only if that commits. Returns its request id.
    ///
    /// Errors: `PayloadTooLarge`; `Store` to be handed on to [`Db::run`].
    pub async fn put(&self, txn: &Txn, event: NewEvent) -> Result<String, BusError> {
        let (length, limit) = (event.payload.len(), event.payload_max());
        if length > limit {
            return Err(BusError::PayloadTooLarge { length, limit });
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
            Some(due_ms) => {
                let queue = self.own_queue();
                txn.put(&keys::later(queue, due_ms, self.random.bytes()), &row);
                txn.on_commit(&keys::topic(queue));
            }
            None => self.line_up(txn, &row),
        }
        Ok(request_id)
    }

    /// Puts the row of an event behind all others that are ready.
    pub(crate) fn line_up(&self, txn: &Txn, row: &[u8]) {
        let queue = self.own_queue();
        txn.put_stamped(&keys::ready(queue), b"", row);
        txn.on_commit(&keys::topic(queue));
    }

    fn own_queue(&self) -> u64 {
        self.queue.load(Ordering::Relaxed)
    }

    /// Starts to deliver, beginning with what was committed and not settled before: the events of a queue of this node's
    /// own, and of those whose nodes are gone. `deliverers` by the kind of events that they take.
    ///
    /// Errors: `TooManyNodes`.
    pub async fn start(
        &self,
        nodes: &Nodes,
        deliverers: HashMap<String, Arc<dyn Deliver>>,
    ) -> Result<Workers, BusError> {
        Workers::start(self.clone(), nodes.clone(), deliverers).await
    }

    /// Makes the workers look at once, as after a change of the clock.
    pub async fn wake(&self) -> Result<(), BusError> {
        let wake = self.db.read(|txn| async move {
            txn.on_commit(&keys::topic(self.own_queue()));
            Ok::<_, StoreError>(())
        });
        Ok(wake.await?)
    }

    /// How many events wait.
    pub async fn backlog(&self) -> Result<Backlog, BusError> {
        let count = async |range: KeyRange| {
            let range = &range;
            let options = ScanOptions::rows(BACKLOG_COUNT_LIMIT).keys_only();
            self.db
                .read(|txn| async move { txn.scan(range, options).await })
                .await
                .map(|page| page.rows.len())
        };
        let ready = count(keys::all_ready()).await? + count(keys::all_wait()).await?;
        Ok(Backlog { ready, later: count(keys::all_later()).await? })
    }
}
