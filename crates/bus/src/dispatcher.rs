//! The task that finds events and starts their deliveries.
//!
//! It sleeps until a commit wakes it, a delivery ends, or the next put-off event is due. The head of the ready events
//! is a cursor: deleted rows before it are never walked again. It is kept in the store now and then, for the next start
//! (see [`crate::heads`]).
//!
//! No target takes all the room, nor do a few together: a target may have as many deliveries under way as there is room
//! left to share, and the last of the room is for targets that have none. The head passes over ready events of a target
//! that has enough under way. The first of them becomes a cursor of that target's own, from which it catches up as
//! deliveries end. Put-off events of such a target, once due, line up with the ready ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_store::{KeyRange, Page, ScanOptions, StoreError, Watch, get_large};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use crate::deliver::{Deliver, Delivery};
use crate::error::BusError;
use crate::event::{Event, decode};
use crate::heads::Heads;
use crate::keys;
use crate::settle::{Outcome, Owner};

/// The most deliveries at once.
pub(crate) const MAX_IN_FLIGHT: usize = 256;
/// The most deliveries at once to one target, so that a slow one leaves room for others.
const MAX_IN_FLIGHT_TO_ONE: usize = 64;
/// How much of [`MAX_IN_FLIGHT`] is kept for targets that have nothing under way, one delivery each: so many targets
/// may never answer without delaying any other.
pub(crate) const KEPT_FOR_OTHERS: usize = 64;
/// How many ready events are read at once after the first page, when there are some to pass over.
const PASSING_PAGE_ROWS: usize = 64;
/// How long a delivery under way may take to end when the workers stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// After how many settled events the heads are kept: what a start may have to pass in vain.
const KEEP_HEADS_EVERY: usize = 256;
/// A transaction may put an event at a due time that has passed when it commits, by no more than this.
const LATE_COMMIT_MS: i64 = 60_000;
/// The first pause after the store failed; it doubles up to [`MAX_STORE_PAUSE`].
const FIRST_STORE_PAUSE: Duration = Duration::from_millis(100);
const MAX_STORE_PAUSE: Duration = Duration::from_secs(10);

pub(crate) type Deliverers = HashMap<String, Arc<dyn Deliver>>;

pub(crate) struct Dispatcher {
    work: Arc<Work>,
    watch: Watch,
    stop: watch::Receiver<bool>,
    /// Where the ready events that were not looked at begin.
    ready: KeyRange,
    /// Where put-off events that may be due begin: from the first look on, not in the more distant past.
    put_off: KeyRange,
    /// Where the first ready event that was passed over begins, by the ARN of the target that it waits for.
    behind: BTreeMap<String, KeyRange>,
    tasks: JoinSet<Result<(), BusError>>,
    in_flight: HashMap<Id, InFlight>,
    /// How many deliveries are in flight, by the ARN of their target.
    in_flight_to: HashMap<String, usize>,
    /// Keys of the put-off events that are in flight: their rows are met again until they are settled.
    put_off_in_flight: HashSet<Bytes>,
    /// Keys of the ready events that are in flight, in order: the head does not pass them.
    ready_in_flight: BTreeSet<Bytes>,
    /// How many events were settled since the heads were kept.
    settled: usize,
    /// How often it woke up: for tests of idleness.
    rounds: watch::Sender<u64>,
}

/// An event that a task works on.
struct InFlight {
    key: Bytes,
    row: Bytes,
    /// The ARN of the target that it is delivered to; none when it only lines up.
    target: Option<String>,
}

/// What a delivery needs.
struct Work {
    owner: Owner,
    deliverers: Deliverers,
}

/// What one look at the store came to.
struct Found {
    started: usize,
    /// When the next put-off event is due, if that is later than now.
    next_due_ms: Option<i64>,
    /// Whether there was no room for all that there is.
    more: bool,
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
        let now_ms = owner.clock.unix_ms();
        // A head that lies ahead of the clock was kept by a clock that has been set back since: it says nothing.
        let due_ms = i64::try_from(heads.later_due_ms).ok().filter(|due_ms| *due_ms <= now_ms).unwrap_or(0);
        Self {
            watch: owner.db.watch(&keys::topic(queue)),
            work: Arc::new(Work { owner, deliverers }),
            stop,
            ready: keys::ready(queue).range().starting_at(&keys::ready_from(queue, heads.ready_version)),
            put_off: keys::laters(queue).starting_at(&keys::later_from(queue, due_ms)),
            behind: BTreeMap::new(),
            tasks: JoinSet::new(),
            in_flight: HashMap::new(),
            in_flight_to: HashMap::new(),
            put_off_in_flight: HashSet::new(),
            ready_in_flight: BTreeSet::new(),
            settled: 0,
            rounds,
        }
    }

    /// Works until it is stopped or deposed.
    pub(crate) async fn run(mut self) {
        let mut found = self.look().await;
        loop {
            match self.wait(found.next_due_ms).await {
                Wake::Stop => break,
                Wake::Room if !found.more && !self.can_catch_up() => {}
                Wake::Room | Wake::Look => found = self.look().await,
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
                Err(error) => tracing::error!(%error, "the outbox cannot be read; trying again"),
            }
            if tokio::time::timeout(pause, stopped(&mut self.stop)).await.is_ok() {
                return Found { started: 0, next_due_ms: None, more: false };
            }
            pause = (pause * 2).min(MAX_STORE_PAUSE);
        }
    }

    /// Starts as many deliveries as there is room for.
    async fn find(&mut self) -> Result<Found, StoreError> {
        let room = MAX_IN_FLIGHT.saturating_sub(self.in_flight.len());
        if room == 0 {
            return Ok(Found { started: 0, next_due_ms: None, more: true });
        }
        let mut found = self.find_put_off(room).await?;
        for target in self.behind.keys().cloned().collect::<Vec<_>>() {
            self.catch_up(&target).await?;
        }
        found.more |= self.find_ready().await?;
        Ok(found)
    }

    /// Starts ready events from the head on, but passes over those of targets that have enough under way or are
    /// behind; says whether there was no room for all others.
    async fn find_ready(&mut self) -> Result<bool, StoreError> {
        let mut rows = MAX_IN_FLIGHT.saturating_sub(self.in_flight.len());
        loop {
            let page = self.scan(&self.ready, rows).await?;
            for (key, row) in page.rows {
                if self.is_full() {
                    return Ok(true);
                }
                self.ready = self.all_ready().after(&key);
                let target = target_of(&row);
                if self.must_wait(&target) {
                    let first = self.all_ready().starting_at(&key);
                    self.behind.entry(target).or_insert(first);
                } else {
                    self.begin(key, row, target);
                }
            }
            if page.more.is_none() || *self.stop.borrow() {
                return Ok(false);
            }
            if self.is_full() {
                return Ok(true);
            }
            rows = PASSING_PAGE_ROWS;
        }
    }

    /// Starts events of a target that were passed over, as many as there is room for.
    async fn catch_up(&mut self, target: &str) -> Result<(), StoreError> {
        let under_way = self.in_flight_to.get(target).copied().unwrap_or(0);
        let mut rows = MAX_IN_FLIGHT_TO_ONE.saturating_sub(under_way);
        while let Some(from) = self.behind.get(target) {
            if self.is_full() || self.is_crowded(target) || *self.stop.borrow() {
                break;
            }
            let passed = from.clone().before(&self.ready.start);
            let page = self.scan(&passed, rows).await?;
            for (key, row) in page.rows {
                if self.is_full() || self.is_crowded(target) {
                    return Ok(());
                }
                self.behind.insert(target.to_owned(), self.all_ready().after(&key));
                if target_of(&row) == target {
                    self.begin(key, row, target.to_owned());
                }
            }
            if page.more.is_none() {
                self.behind.remove(target);
            }
            rows = PASSING_PAGE_ROWS;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.in_flight.len() >= MAX_IN_FLIGHT
    }

    /// Whether a target has enough under way.
    fn is_crowded(&self, target: &str) -> bool {
        let to_share = (MAX_IN_FLIGHT - KEPT_FOR_OTHERS).saturating_sub(self.in_flight.len());
        let most = to_share.min(MAX_IN_FLIGHT_TO_ONE);
        self.in_flight_to.get(target).is_some_and(|&deliveries| deliveries >= most)
    }

    /// Whether a target has enough under way, or earlier events to deliver first.
    fn must_wait(&self, target: &str) -> bool {
        self.is_crowded(target) || self.behind.contains_key(target)
    }

    fn can_catch_up(&self) -> bool {
        self.behind.keys().any(|target| !self.is_crowded(target))
    }

    /// Starts put-off events that are due, or lines them up, and finds the time when the next one is.
    async fn find_put_off(&mut self, room: usize) -> Result<Found, StoreError> {
        let now_ms = self.work.owner.clock.unix_ms();
        let page = self.scan(&self.put_off, room + self.put_off_in_flight.len()).await?;
        let mut found = Found { started: 0, next_due_ms: None, more: page.more.is_some() };
        for (key, row) in page.rows {
            // An unreadable due time is as good as now: the row is settled like any other.
            if let Some(due_ms) = keys::due_of_later(&key).filter(|due_ms| *due_ms > now_ms) {
                (found.next_due_ms, found.more) = (Some(due_ms), false);
                break;
            }
            if found.started == room {
                found.more = true;
                break;
            }
            if self.put_off_in_flight.insert(key.clone()) {
                found.started += 1;
                let target = target_of(&row);
                if self.must_wait(&target) {
                    self.settle(InFlight { key, row, target: None }, Outcome::LinesUp);
                } else {
                    self.begin(key, row, target);
                }
            }
        }
        if !found.more {
            let queue = self.work.owner.queue;
            let from = keys::later_from(queue, now_ms - LATE_COMMIT_MS);
            self.put_off = keys::laters(queue).starting_at(&from);
        }
        Ok(found)
    }

    async fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, StoreError> {
        self.work.owner.db.read(|txn| async move { txn.scan(range, ScanOptions::rows(rows)).await }).await
    }

    fn all_ready(&self) -> KeyRange {
        keys::ready(self.work.owner.queue).range()
    }

    /// Starts a delivery.
    fn begin(&mut self, key: Bytes, row: Bytes, target: String) {
        *self.in_flight_to.entry(target.clone()).or_default() += 1;
        if keys::is_ready(&key) {
            self.ready_in_flight.insert(key.clone());
        }
        let entry = InFlight { key: key.clone(), row: row.clone(), target: Some(target) };
        let work = self.work.clone();
        let task = self.tasks.spawn(async move { work.deliver(&key, &row).await });
        self.in_flight.insert(task.id(), entry);
    }

    /// Starts to settle an event without a delivery.
    fn settle(&mut self, event: InFlight, outcome: Outcome) {
        let (work, key, row) = (self.work.clone(), event.key.clone(), event.row.clone());
        let task = self.tasks.spawn(async move { work.settle(&key, &row, &outcome).await });
        self.in_flight.insert(task.id(), event);
    }

    /// A task has ended, a delivery if it had a target.
    fn leave(&mut self, target: Option<&str>) {
        let Some(target) = target else { return };
        if let Some(deliveries) = self.in_flight_to.get_mut(target) {
            *deliveries -= 1;
            if *deliveries == 0 {
                self.in_flight_to.remove(target);
            }
        }
    }

    /// Sleeps until there may be something to do.
    async fn wait(&mut self, next_due_ms: Option<i64>) -> Wake {
        let full = self.is_full();
        let left = next_due_ms.map(|due_ms| self.until(due_ms));
        let timer = async move {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(&mut self.stop) => Wake::Stop,
            () = self.watch.changed(), if !full => Wake::Look,
            () = timer, if !full => Wake::Look,
            Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
        }
    }

    fn until(&self, due_ms: i64) -> Duration {
        let left_ms = due_ms.saturating_sub(self.work.owner.clock.unix_ms());
        Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
    }

    fn ended(&mut self, ended: Result<(Id, Result<(), BusError>), JoinError>) -> Wake {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Some(result)),
            Err(error) => (error.id(), None),
        };
        let Some(ended) = self.in_flight.remove(&id) else { return Wake::Room };
        let Some(result) = result else {
            let outcome = Outcome::Tried(Delivery::Failed("the delivery panicked".to_owned()));
            self.settle(ended, outcome);
            return Wake::Room;
        };
        self.leave(ended.target.as_deref());
        match result {
            Ok(()) => {
                self.put_off_in_flight.remove(&ended.key);
                self.ready_in_flight.remove(&ended.key);
                self.settled += 1;
            }
            Err(BusError::Deposed) => {
                tracing::warn!(queue = self.work.owner.queue, "another node delivers these events now");
                return Wake::Stop;
            }
            Err(error) => tracing::error!(%error, "an event stays until the next start"),
        }
        if self.settled >= KEEP_HEADS_EVERY {
            self.settled = 0;
            let (work, heads) = (self.work.clone(), self.heads());
            self.tasks.spawn(async move { work.keep_heads(heads).await });
        }
        Wake::Room
    }

    /// Before these everything is settled.
    fn heads(&self) -> Heads {
        let behind = self.behind.values().map(|range| &range.start);
        let unsettled = behind.chain(self.ready_in_flight.first()).chain([&self.ready.start]);
        let due = self.put_off_in_flight.iter().chain([&self.put_off.start]);
        let due = due.map(|key| keys::due_of_later(key).and_then(|due_ms| u64::try_from(due_ms).ok()));
        Heads {
            ready_version: unsettled.map(|key| keys::version_of_ready(key).unwrap_or(0)).min().unwrap_or(0),
            later_due_ms: due.map(|due_ms| due_ms.unwrap_or(0)).min().unwrap_or(0),
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

impl Work {
    async fn deliver(&self, key: &Bytes, row: &Bytes) -> Result<(), BusError> {
        let delivery = match self.load(row).await {
            Ok(event) => match self.deliverers.get(&event.kind) {
                Some(deliverer) => deliverer.deliver(&event).await,
                None => Delivery::Busy(format!("nothing here delivers events of kind `{}`", event.kind)),
            },
            Err(error @ BusError::Store(_)) => Delivery::Busy(error.to_string()),
            Err(error) => Delivery::Refused(error.to_string()),
        };
        self.settle(key, row, &Outcome::Tried(delivery)).await
    }

    /// Keeps the heads, or leaves them as they are: the next start then passes more in vain, and loses nothing.
    async fn keep_heads(&self, heads: Heads) -> Result<(), BusError> {
        if let Err(error) = heads.keep(&self.owner).await {
            tracing::warn!(%error, queue = self.owner.queue, "the head of the queue could not be kept");
        }
        Ok(())
    }

    async fn load(&self, row: &Bytes) -> Result<Event, BusError> {
        let (header, mut payload) = decode(row)?;
        if let Some(body) = header.body {
            let key = &keys::body(body);
            let stored = self.owner.db.read(|txn| async move { get_large(&txn, key).await }).await?;
            payload = stored.ok_or_else(|| BusError::Unreadable("its body is missing".to_owned()))?;
        }
        header.event(payload)
    }

    /// Settles, and keeps trying while the store fails: a delivery that has happened must be accounted for.
    async fn settle(&self, key: &Bytes, row: &Bytes, outcome: &Outcome) -> Result<(), BusError> {
        let mut pause = FIRST_STORE_PAUSE;
        loop {
            match self.owner.settle(key, row, outcome).await {
                Err(BusError::Store(error)) => {
                    tracing::error!(%error, "an attempt cannot be recorded; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_STORE_PAUSE);
                }
                other => return other,
            }
        }
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
