//! The task that finds events and starts their deliveries.
//!
//! It sleeps until a commit wakes it, a delivery ends, or the next put-off event is due. The head of the ready events
//! is a cursor: deleted rows before it are never walked again. It is kept in the store now and then, for the next start
//! (see [`crate::heads`]).
//!
//! No target takes all the room, nor do a few together: a target may have as many deliveries under way as there is room
//! left to share, and the last of the room is for targets that have none (see [`crate::room`]). Ready events of a target
//! that has enough under way are moved out of the others' way (see [`crate::waits`]), and so are put-off ones that are due;
//! the target catches up as its deliveries end. But not at once: where deliveries flow, a moment's patience at the head
//! costs nobody anything, and to move a backlog costs as much as to deliver it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_store::{KeyRange, Page, ScanOptions, Watch};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::deliver::Delivery;
use crate::error::BusError;
use crate::event::decode;
use crate::heads::Heads;
use crate::keys;
use crate::put_off::PutOff;
use crate::room::{InFlight, Room};
use crate::settle::{Head, Owner};
use crate::waits::Waits;
use crate::work::{Deliverers, FIRST_STORE_PAUSE, MAX_STORE_PAUSE, Work};

/// How many events are read at once, and how many bytes of them: what is read may have to be moved in one transaction.
const PAGE_ROWS: usize = 256;
const PAGE_BYTES: usize = 1024 * 1024;
/// How long the head stands before an event of a busy target is moved out of the way.
const HEAD_PATIENCE: Duration = Duration::from_millis(20);
/// How many pages of ready events one look reads: one for what there is room for, and one to be moved out of the way, before
/// what has ended meanwhile is seen to.
const PAGES_A_LOOK: usize = 2;
/// How long a delivery under way may take to end when the workers stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// After how many settled events the heads are kept: what a start may have to pass in vain.
const KEEP_HEADS_EVERY: usize = 256;
/// How many targets' heads are kept at once; the others have their turn the next time.
const HEADS_A_KEEP: usize = 1_000;

pub(crate) struct Dispatcher {
    work: Arc<Work>,
    watch: Watch,
    stop: watch::Receiver<bool>,
    /// Where the ready events that were not looked at begin.
    ready: KeyRange,
    put_off: PutOff,
    /// When to look at the put-off events again: [`None`] when there is none.
    put_off_due_ms: Option<i64>,
    /// Since when the head stands before an event of a busy target.
    stands_since: Option<Instant>,
    waits: Waits,
    room: Room,
    tasks: JoinSet<Result<(), BusError>>,
    /// How many events were settled since the heads were kept.
    settled: usize,
    /// How often it woke up: for tests of idleness.
    rounds: watch::Sender<u64>,
}

/// How a task came to its end.
type Ended = Result<(Id, Result<(), BusError>), JoinError>;

/// What one look at the store came to.
#[derive(Default)]
struct Found {
    /// Whether there was no room for all that there is.
    more: bool,
    /// Whether there is more to look at now, room or not.
    again: bool,
}

/// Why the dispatcher woke up.
enum Wake {
    /// A commit, or a due time.
    Look,
    /// A delivery ended: there is room for one more.
    Room,
    Stop,
}

impl Dispatcher {
    pub(crate) fn new(
        owner: Owner,
        heads: Heads,
        deliverers: Deliverers,
        stop: watch::Receiver<bool>,
        rounds: watch::Sender<u64>,
    ) -> Self {
        let queue = owner.queue;
        let due_ms = i64::try_from(heads.later_due_ms).unwrap_or(i64::MAX);
        Self {
            watch: owner.db.watch(&keys::topic(queue)),
            work: Arc::new(Work::new(owner, deliverers)),
            stop,
            ready: keys::ready(queue).range().starting_at(&keys::ready_from(queue, heads.ready_version)),
            put_off: PutOff::new(queue, due_ms),
            put_off_due_ms: Some(0),
            stands_since: None,
            waits: Waits::new(queue, heads.waits),
            room: Room::default(),
            tasks: JoinSet::new(),
            settled: 0,
            rounds,
        }
    }

    /// Works until it is stopped or deposed.
    pub(crate) async fn run(mut self) {
        let mut found = self.look().await;
        loop {
            match self.wait(&found).await {
                Wake::Stop => break,
                Wake::Room if !found.more && self.can_catch_up().is_none() => {}
                Wake::Room => found = self.look().await,
                Wake::Look => {
                    self.put_off_due_ms = Some(0);
                    found = self.look().await;
                }
            }
        }
        self.end().await;
    }

    /// Looks into the store until it answers or the work is over.
    async fn look(&mut self) -> Found {
        let mut pause = FIRST_STORE_PAUSE;
        loop {
            self.rounds.send_modify(|rounds| *rounds += 1);
            match self.find().await {
                Ok(found) => return found,
                // Whoever has the lease now looks; the next settling here finds out, or there is nothing to settle.
                Err(BusError::Deposed) => return Found::default(),
                Err(error) => tracing::error!(%error, "the outbox cannot be read; trying again"),
            }
            if tokio::time::timeout(pause, stopped(&mut self.stop)).await.is_ok() {
                return Found::default();
            }
            pause = (pause * 2).min(MAX_STORE_PAUSE);
        }
    }

    /// Starts as many deliveries as there is room for.
    async fn find(&mut self) -> Result<Found, BusError> {
        if self.room.is_full() {
            return Ok(Found { more: true, ..Found::default() });
        }
        let mut found = Found::default();
        let now_ms = self.work.owner.clock.unix_ms();
        if self.put_off_due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            found = self.find_put_off(now_ms).await?;
        }
        while let Some(target) = self.can_catch_up().filter(|_| !self.room.is_full() && !*self.stop.borrow())
        {
            let target = target.to_owned();
            self.catch_up(&target).await?;
        }
        let ready = self.find_ready().await?;
        Ok(Found { more: found.more || ready.more, again: found.again || ready.again })
    }

    /// Starts ready events from the head on, but lets those wait whose targets have enough under way or waiting.
    async fn find_ready(&mut self) -> Result<Found, BusError> {
        let mut rows = self.room.left();
        let mut stands_since = self.stands_since.take();
        for _ in 0..PAGES_A_LOOK {
            let page = self.scan(&self.ready, rows).await?;
            rows = PAGE_ROWS;
            let is_last = page.more.is_none();
            let is_patient = stands_since.is_none_or(|since: Instant| since.elapsed() < HEAD_PATIENCE);
            let passed = self.take_up(page.rows, is_patient).await?;
            if let Some(last) = passed.last {
                self.ready = keys::ready(self.work.owner.queue).range().after(&last);
                stands_since = None;
            }
            match passed.stop {
                Some(Stop::Busy) => {
                    self.stands_since = stands_since.or_else(|| Some(Instant::now()));
                    return Ok(Found { more: true, again: false });
                }
                Some(Stop::Full) => return Ok(Found { more: true, again: false }),
                None if is_last || *self.stop.borrow() => return Ok(Found::default()),
                None => {}
            }
        }
        Ok(Found { more: false, again: true })
    }

    /// Starts put-off events that are due, or lets them wait, and finds the time when the next one is.
    async fn find_put_off(&mut self, now_ms: i64) -> Result<Found, BusError> {
        if self.put_off.is_ahead(now_ms) {
            // At once: a start after the clock has caught up must not trust the old one.
            self.put_off.begin(now_ms);
            self.heads().keep(&self.work.owner).await?;
        }
        self.put_off.begin(now_ms);
        let mut page = self.scan(&self.put_off.from, self.room.left() + 1).await?;
        // An unreadable due time is as good as now: the row is settled like any other.
        let is_due = |key: &Bytes| keys::due_of_later(key).is_none_or(|due_ms| due_ms <= now_ms);
        let due = page.rows.iter().take_while(|(key, _)| is_due(key)).count();
        let next_due_ms = page.rows.get(due).and_then(|(key, _)| keys::due_of_later(key));
        let is_last = page.more.is_none() || due < page.rows.len();
        page.rows.truncate(due);
        let passed = self.take_up(page.rows, false).await?;
        if let Some(last) = passed.last {
            self.put_off.pass(&last);
        }
        let all = passed.stop.is_none();
        if all && is_last {
            self.put_off.end();
            self.put_off_due_ms = next_due_ms;
        }
        Ok(Found { more: !all, again: all && !is_last })
    }

    /// Starts the deliveries of these events, or lets them wait for their targets, as far as there is room. `is_patient`:
    /// stops before one whose target is only busy.
    async fn take_up(&mut self, rows: Vec<(Bytes, Bytes)>, is_patient: bool) -> Result<Passed, BusError> {
        let mut passed = Passed { last: None, stop: None };
        let mut waiting = Vec::new();
        for (key, row) in rows {
            if self.room.has(&key) {
                passed.last = Some(key);
                continue;
            }
            if self.room.is_full() {
                passed.stop = Some(Stop::Full);
                break;
            }
            let target = target_of(&row);
            let waits = self.waits.has(&target);
            if is_patient && !waits && self.room.is_crowded(&target) {
                passed.stop = Some(Stop::Busy);
                break;
            }
            passed.last = Some(key.clone());
            if waits || self.room.is_crowded(&target) {
                waiting.push((key, row, target));
            } else {
                self.begin(key, row, target);
            }
        }
        if !waiting.is_empty() {
            self.park(waiting).await?;
        }
        Ok(passed)
    }

    /// Lets events wait for their targets.
    async fn park(&mut self, events: Vec<(Bytes, Bytes, String)>) -> Result<(), BusError> {
        let mut heads = BTreeMap::new();
        for (key, _, target) in &events {
            if heads.contains_key(target) {
                continue;
            }
            let head = match self.waits.version(target) {
                Some(version) => Head::Known(version),
                // They wait from a later commit on than those that put them.
                None => Head::New(keys::version_of_ready(key).unwrap_or(0)),
            };
            heads.insert(target.clone(), head);
        }
        // Before it is done: an answer may be lost, and then they are looked for, from the beginning on.
        for (target, head) in &heads {
            match head {
                Head::Known(_) => self.waits.more(target),
                Head::New(_) => self.waits.add(target.clone(), 0),
            }
        }
        let kept = self.work.owner.park(&events, &heads).await?;
        for (target, version) in kept {
            if matches!(heads.get(&target), Some(Head::New(_))) {
                self.waits.add(target, version);
            }
        }
        Ok(())
    }

    /// Starts events that waited for a target, as many as there is room for.
    async fn catch_up(&mut self, target: &str) -> Result<(), BusError> {
        while let Some(from) = self.waits.from(target) {
            if self.room.is_full() || self.room.is_crowded(target) || *self.stop.borrow() {
                break;
            }
            let page = self.scan(&from, self.room.left_for(target)).await?;
            for (key, row) in page.rows {
                if self.room.is_full() || self.room.is_crowded(target) {
                    return Ok(());
                }
                self.waits.taken(target, &key);
                if !self.room.has(&key) {
                    self.begin(key, row, target.to_owned());
                }
            }
            if page.more.is_none() {
                self.waits.emptied(target);
                self.forget_wait(target);
            }
        }
        Ok(())
    }

    /// Forgets that events waited for a target, once the last of them is settled.
    fn forget_wait(&mut self, target: &str) {
        if self.room.first_within(&self.waits.all(target)).is_some() {
            return;
        }
        if let Some(from) = self.waits.forget(target) {
            let (work, target) = (self.work.clone(), target.to_owned());
            self.tasks.spawn(async move { work.forget_wait(&target, &from).await });
        }
    }

    /// A target that events wait for, and that may have one.
    fn can_catch_up(&self) -> Option<&str> {
        self.waits.next(|target| !self.room.is_crowded(target))
    }

    async fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, BusError> {
        let options = ScanOptions::rows(rows).max_bytes(PAGE_BYTES);
        let page = self.work.owner.db.read(|txn| async move { txn.scan(range, options).await });
        Ok(page.await?)
    }

    /// Starts a delivery.
    fn begin(&mut self, key: Bytes, row: Bytes, target: String) {
        let entry = InFlight { key: key.clone(), row: row.clone(), target };
        let work = self.work.clone();
        let task = self.tasks.spawn(async move { work.deliver(&key, &row).await });
        self.room.enter(task.id(), entry);
    }

    /// Sleeps until there may be something to do.
    async fn wait(&mut self, found: &Found) -> Wake {
        let full = self.room.is_full();
        let due = timer(self.put_off_due_ms.map(|due_ms| self.until(due_ms)));
        let impatience = timer(self.stands_since.map(|since| HEAD_PATIENCE.saturating_sub(since.elapsed())));
        tokio::select! {
            () = stopped(&mut self.stop) => Wake::Stop,
            () = self.watch.changed(), if !full => Wake::Look,
            () = due, if !full => Wake::Look,
            () = impatience, if !full => Wake::Room,
            () = std::future::ready(()), if found.again && !full => Wake::Look,
            Some(ended) = self.tasks.join_next_with_id() => self.all_ended(ended),
        }
    }

    /// Sees to everything that has ended, so that one look serves them all.
    fn all_ended(&mut self, first: Ended) -> Wake {
        let mut wake = self.ended(first);
        while matches!(wake, Wake::Room) {
            let Some(next) = self.tasks.try_join_next_with_id() else { break };
            wake = self.ended(next);
        }
        wake
    }

    fn until(&self, due_ms: i64) -> Duration {
        let left_ms = due_ms.saturating_sub(self.work.owner.clock.unix_ms());
        Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
    }

    fn ended(&mut self, ended: Ended) -> Wake {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Some(result)),
            Err(error) => (error.id(), None),
        };
        let Some(ended) = self.room.leave(id) else { return Wake::Room };
        match result {
            None => self.panicked(ended),
            Some(Ok(())) => {
                self.room.settled(&ended.key);
                self.forget_wait(&ended.target);
                self.settled += 1;
            }
            Some(Err(BusError::Deposed)) => {
                tracing::warn!(queue = self.work.owner.queue, "another node delivers these events now");
                return Wake::Stop;
            }
            Some(Err(error)) => tracing::error!(%error, "an event stays until the next start"),
        }
        if self.settled >= KEEP_HEADS_EVERY {
            self.settled = 0;
            let (work, heads) = (self.work.clone(), self.heads());
            self.tasks.spawn(async move { work.keep_heads(heads).await });
        }
        Wake::Room
    }

    fn panicked(&mut self, event: InFlight) {
        let (work, key, row) = (self.work.clone(), event.key.clone(), event.row.clone());
        let attempt = Delivery::Failed("the delivery panicked".to_owned()).into();
        let task = self.tasks.spawn(async move { work.settle(&key, &row, &attempt).await });
        self.room.enter(task.id(), event);
    }

    /// Before these everything is settled.
    fn heads(&mut self) -> Heads {
        let first = |all: &KeyRange, from: &KeyRange| {
            let first = self.room.first_within(all).unwrap_or(&from.start).min(&from.start);
            first.clone()
        };
        let queue = self.work.owner.queue;
        let due_ms = keys::due_of_later(&first(&keys::laters(queue), &self.put_off.settled()));
        Heads {
            ready_version: keys::version_of_ready(&first(&keys::ready(queue).range(), &self.ready))
                .unwrap_or(0),
            later_due_ms: due_ms.and_then(|due_ms| u64::try_from(due_ms).ok()).unwrap_or(0),
            waits: self.waits.moved(HEADS_A_KEEP, |all| self.room.first_within(all)),
        }
    }

    /// Lets deliveries end that end soon. The others are dropped: their events are still in the store.
    async fn end(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_GRACE, all).await.is_err() {
            tracing::warn!(
                released = self.tasks.len(),
                "deliveries are cut off and come again after the next start"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// How far some events were taken up.
struct Passed {
    last: Option<Bytes>,
    /// Why not all were.
    stop: Option<Stop>,
}

#[derive(Clone, Copy)]
enum Stop {
    Full,
    /// The target of the next one has enough under way.
    Busy,
}

/// Sleeps so long; for ever when there is no time.
async fn timer(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

/// Returns when the work is over.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could stop us is gone: the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The target of the event in a row; unreadable rows have the empty one in common.
fn target_of(row: &Bytes) -> String {
    decode(row).map_or_else(|_| String::new(), |(header, _)| header.target)
}
