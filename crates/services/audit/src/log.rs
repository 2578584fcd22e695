//! Takes decisions and answers, and makes events of them durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lambent_base::text::hex;
use lambent_base::{Clock, Random};
use lambent_identity::{Decision, Witness};
use lambent_store::Db;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::event::Event;
use crate::keys::{self, Events};
use crate::open::Open;
use crate::queue::Queue;
use crate::{AuditError, sweep};

/// How long events gather before they are written together.
const GATHER: Duration = Duration::from_millis(500);
/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Events that wait in memory to be written. Those beyond are lost, and that is logged.
const PENDING_MAX: usize = 100_000;
/// Bytes that they may take together; those beyond are lost, too: of whoever has most of them.
const PENDING_BYTES_MAX: usize = 64 << 20;
/// Events of strangers, who signed nothing, that are kept of each second, as many allowed as denied ones: they cost whoever
/// sends them nothing.
const STRANGERS_PER_S: u32 = 100;
/// Bytes of the events in one row, below the store's limit for values.
const CHUNK_BYTES: usize = 48 * 1024;
/// Rows that one transaction writes, below the store's limit for transactions.
const TXN_CHUNKS: usize = 40;
/// How often old events are looked for, while there are new ones.
const SWEEP_EVERY_MS: i64 = 86_400_000;

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Audit(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Db,
    /// In whose log that stands which concerns no account: a stranger who asked for what is not there.
    home: String,
    clock: Clock,
    random: Random,
    open: Mutex<Open>,
    pending: Mutex<Pending>,
    arrived: Notify,
    /// One writer at a time; holds when old events were last looked for.
    writer: tokio::sync::Mutex<Option<i64>>,
}

#[derive(Default)]
struct Pending {
    queue: Queue,
    lost: u64,
    /// What strangers were allowed, and what they were not, so that the one hides nothing of the other.
    strangers: Strangers,
    denied_strangers: Strangers,
    /// Events of strangers.
    passed_over: u64,
}

/// How many events of strangers there were in this second.
#[derive(Default)]
struct Strangers {
    second: i64,
    count: u32,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    pub request_id: &'a str,
    /// As in actions: `s3`.
    pub service: &'a str,
    /// `None` when the request named none.
    pub operation: Option<&'a str>,
    /// Code and message of the error that went back.
    pub error: Option<(&'a str, &'a str)>,
    /// Whether there is an answer: not when its client went away before.
    pub is_answered: bool,
}

/// A row to be written, in both places if something in it was denied.
struct Chunk {
    of: Events,
    account: String,
    time_ms: i64,
    json: Vec<u8>,
}

impl Audit {
    /// A log in this store, of a cloud that belongs to the account `home`. [`Audit::run`] must run somewhere, or nothing becomes durable but by [`Audit::flush`].
    pub fn new(db: Db, clock: Clock, random: Random, home: &str) -> Self {
        Self(Arc::new(Inner {
            db,
            home: home.to_owned(),
            clock,
            random,
            open: Mutex::default(),
            pending: Mutex::default(),
            arrived: Notify::new(),
            writer: tokio::sync::Mutex::default(),
        }))
    }

    /// A request has ended. One on which nothing was decided leaves no event: nobody knows who sent it.
    pub fn answered(&self, answered: &Answered<'_>) {
        let closed = self.0.open.lock().close(answered.request_id);
        if let Some(mut event) = closed {
            event.end(answered);
            self.push(event);
        }
    }

    /// Writes what is recorded until the future is dropped; call [`Audit::close`] after that.
    pub async fn run(&self) {
        loop {
            self.0.arrived.notified().await;
            tokio::time::sleep(GATHER).await;
            let old = self.0.open.lock().take_old(self.0.clock.unix_ms());
            old.into_iter().for_each(|event| self.push(event));
            if let Err(error) = self.flush().await {
                tracing::error!(%error, "the audit log could not be written; trying again");
                tokio::time::sleep(RETRY).await;
                self.0.arrived.notify_one();
            }
        }
    }

    /// Makes every event so far durable. What cannot be written is kept for the next time.
    pub async fn flush(&self) -> Result<(), AuditError> {
        // A task of its own, because a caller who goes away in the middle would leave events neither written nor kept.
        let audit = self.clone();
        tokio::spawn(async move { audit.write_pending().await }).await.map_err(|_| AuditError::Stopped)?
    }

    /// Makes all events durable, also of requests that have no answer.
    pub async fn close(&self) -> Result<(), AuditError> {
        let open = self.0.open.lock().take_all();
        open.into_iter().for_each(|event| self.push(event));
        self.flush().await
    }

    fn push(&self, event: Event) {
        let mut pending = self.0.pending.lock();
        let strangers =
            if event.is_denied() { &mut pending.denied_strangers } else { &mut pending.strangers };
        if event.is_strangers() && !strangers.has_room(event.time_ms / 1_000) {
            pending.passed_over += 1;
        } else {
            pending.queue.push(event);
            while pending.queue.count > PENDING_MAX || pending.queue.bytes > PENDING_BYTES_MAX {
                pending.queue.drop_of_fullest();
                pending.lost += 1;
            }
        }
        drop(pending);
        self.0.arrived.notify_one();
    }

    async fn write_pending(&self) -> Result<(), AuditError> {
        let mut swept_ms = self.0.writer.lock().await;
        let (events, lost, passed_over) = self.0.pending.lock().take();
        if passed_over > 0 {
            tracing::warn!(
                passed_over,
                kept_per_s = STRANGERS_PER_S,
                "requests of strangers are not in the audit log"
            );
        }
        if lost > 0 {
            tracing::error!(lost, kept = PENDING_MAX, "events of the audit log found no room and are lost");
        }
        if events.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.write(&events).await {
            let mut pending = self.0.pending.lock();
            let newer = std::mem::take(&mut pending.queue).into_events();
            events.into_iter().chain(newer).for_each(|event| pending.queue.push(event));
            return Err(error);
        }
        let now_ms = self.0.clock.unix_ms();
        if swept_ms.is_none_or(|swept_ms| now_ms - swept_ms >= SWEEP_EVERY_MS) {
            *swept_ms = Some(now_ms);
            // Whoever waits for new events is not concerned.
            if let Err(error) = sweep::old_events(&self.0.db, now_ms).await {
                tracing::warn!(%error, "old events of the audit log stay for another day");
            }
        }
        Ok(())
    }

    /// After an error some events may be there twice once it is tried again, none is missing.
    async fn write(&self, events: &[Event]) -> Result<(), AuditError> {
        let chunks = chunks_of(events, &self.0.home)?;
        let written: BTreeSet<_> = chunks.iter().map(|chunk| (chunk.of, chunk.account.as_str())).collect();
        for (of, account) in &written {
            // Before anything is added; without it the log is larger than it should be, but it is there.
            if let Err(error) = sweep::count_first(&self.0.db, *of, account).await {
                tracing::warn!(%error, account, "older events of an account are not counted");
            }
        }
        for some in chunks.chunks(TXN_CHUNKS) {
            let numbered: Vec<_> = some.iter().map(|chunk| (self.0.random.u64(), chunk)).collect();
            let numbered = &numbered;
            let written = self.0.db.run(|txn| async move {
                for (number, chunk) in numbered {
                    let key = keys::chunk(chunk.of, &chunk.account, chunk.time_ms, *number);
                    txn.put(&key.into_bytes(), &chunk.json);
                    let bytes = i64::try_from(chunk.json.len()).unwrap_or(i64::MAX);
                    txn.add(&keys::bytes(chunk.of, &chunk.account), bytes);
                }
                Ok::<_, AuditError>(())
            });
            written.await?;
        }
        for (of, account) in written {
            // What was written is there whatever becomes of this.
            if let Err(error) = sweep::down_to(&self.0.db, of, account, sweep::kept_bytes(of)).await {
                tracing::warn!(%error, account, "the audit log of an account is larger than it should be");
            }
        }
        Ok(())
    }
}

impl Pending {
    /// The events, how many were lost, and how many of strangers were passed over.
    fn take(&mut self) -> (Vec<Event>, u64, u64) {
        let lost = std::mem::take(&mut self.lost);
        (std::mem::take(&mut self.queue).into_events(), lost, std::mem::take(&mut self.passed_over))
    }
}

impl Strangers {
    fn has_room(&mut self, second: i64) -> bool {
        if second != self.second {
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
        self.count <= STRANGERS_PER_S
    }
}

impl Witness for Audit {
    fn decided(&self, decision: &Decision<'_>) {
        let begin = |decision: &Decision<'_>| {
            let id = hex(&self.0.random.identifier::<16>());
            Event::begin(id, self.0.clock.unix_ms(), decision)
        };
        let alone = self.0.open.lock().decided(decision, begin);
        if let Some(event) = alone {
            self.push(event);
        }
    }
}

/// Events by account, in rows that are not too large. An event that is larger than a row by itself keeps its first decisions.
fn chunks_of<'a>(events: &'a [Event], home: &'a str) -> Result<Vec<Chunk>, AuditError> {
    let mut filling: BTreeMap<(Events, &'a str), Chunk> = BTreeMap::new();
    let mut full = Vec::new();
    // One for all: they are some hundred bytes each, and grow in steps.
    let mut json = Vec::new();
    for event in events {
        for account in event.accounts(home) {
            let Some(told) = event.for_account(account, home) else { continue };
            fit(&told, &mut json)?;
            for of in Events::places(event.who.account != account, told.is_denied()) {
                let place = (of, account);
                if let Some(chunk) = filling.get(&place)
                    && chunk.json.len() + json.len() + 2 > CHUNK_BYTES
                {
                    full.extend(filling.remove(&place));
                }
                filling.entry(place).or_insert_with(|| Chunk::new(of, account)).add(told.time_ms, &json);
            }
        }
    }
    full.extend(filling.into_values());
    full.iter_mut().for_each(|chunk| chunk.json.push(b']'));
    Ok(full)
}

/// Writes an event as JSON, with so many of its decisions that it fits into a row.
fn fit(event: &Event, json: &mut Vec<u8>) -> Result<(), AuditError> {
    let mut write = |event: &Event| {
        json.clear();
        serde_json::to_writer(&mut *json, event).map(|()| json.len() + 2 <= CHUNK_BYTES)
    };
    if write(event)? {
        return Ok(());
    }
    let mut event = event.clone();
    // Halves of a bounded list: it ends, at the latest with one decision, which fits.
    while event.decisions.len() > 1 {
        // A no is worth more than a yes.
        event.decisions.sort_by_key(|decided| decided.is_allowed);
        event.decisions.truncate(event.decisions.len() / 2);
        if write(&event)? {
            return Ok(());
        }
    }
    event.decisions.iter_mut().for_each(|decided| decided.statements.clear());
    write(&event)?;
    Ok(())
}

impl Chunk {
    fn new(of: Events, account: &str) -> Self {
        Self { of, account: account.to_owned(), time_ms: i64::MIN, json: Vec::new() }
    }

    fn add(&mut self, time_ms: i64, json: &[u8]) {
        // A request that took long ends among younger ones: whoever looks for those must not stop before this row.
        self.time_ms = self.time_ms.max(time_ms);
        self.json.push(if self.json.is_empty() { b'[' } else { b',' });
        self.json.extend_from_slice(json);
    }
}
