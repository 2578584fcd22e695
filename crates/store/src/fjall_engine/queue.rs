//! Commits on their way to the committer, and whose turn it is to decide them.
//!
//! A commit that finds nobody deciding is decided by the thread that brought it: two hand-overs between threads cost
//! more than a fast disk's sync. What comes meanwhile waits, and goes to the committer's own thread as one batch; as
//! long as more waits when that is done, that thread goes on. So one client has no detour, and many share their syncs.
//!
//! A thread of the runtime is held only while a write takes (it serves nothing else then), so it is not on a runtime
//! that has one, nor on a disk that was slow the last time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::committer::Committer;
use crate::engine::{Commit, Op, Version};
use crate::error::StoreError;

/// The most commits that one batch takes.
pub(super) const MAX_BATCH_COMMITS: usize = 512;
/// A batch takes no further commit once it holds this many bytes.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// What may wait for the committer, in KiB, each commit counting as one at least; more wait before the queue.
const MAX_WAITING_KIB: usize = 64 * 1024;
/// A disk whose last write took longer than this is waited for by the committer's thread alone.
const MAX_WRITE_IN_PLACE: Duration = Duration::from_millis(1);

pub(super) type Verdict = Result<Version, StoreError>;
pub(super) type Reply = oneshot::Sender<Verdict>;

pub(super) struct Waiting {
    pub(super) commit: Commit,
    pub(super) reply: Reply,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    room: Arc<Semaphore>,
    stopped: watch::Sender<bool>,
    clock: Clock,
    /// Locked by whoever has the turn.
    committer: Mutex<Committer>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Whether some thread has the turn.
    deciding: bool,
    closed: bool,
    /// Why nothing can be written any more.
    broken: Option<StoreError>,
    /// When the high-water mark must be brought to disk, in monotonic time.
    mark_due: Option<Duration>,
    /// Whether the committer's thread wakes by itself in time for that.
    mark_watched: bool,
    last_write: Duration,
}

/// What the committer's thread does next; it then has the turn.
enum Step {
    Decide(Vec<Waiting>),
    SyncMark,
    End,
}

impl Queue {
    pub(super) fn new(committer: Committer, clock: Clock) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            room: Arc::new(Semaphore::new(MAX_WAITING_KIB)),
            stopped: watch::Sender::new(false),
            clock,
            committer: Mutex::new(committer),
        }
    }

    /// Returns once a commit is decided and durable.
    pub(super) async fn submit(&self, commit: Commit) -> Result<Version, StoreError> {
        let id = commit.id;
        let bytes = commit.ops.iter().map(op_bytes).sum::<usize>();
        let kib = u32::try_from((bytes / 1024 + 1).min(MAX_WAITING_KIB)).expect("bounded just before");
        let room = self.room.clone().acquire_many_owned(kib).await;
        let room = room.map_err(|_| StoreError::Unavailable("it was closed".to_owned()))?;
        let (reply, answer) = oneshot::channel();
        if let Some(own) = self.enter(Waiting { commit, reply, bytes, _room: room })? {
            self.decide(vec![own]);
        }
        match answer.await {
            Ok(verdict) => verdict,
            // The committer panicked half-way. Whoever asks for the outcome now must be told that only a restart knows.
            Err(_) => {
                self.stopped().await;
                Err(StoreError::UnknownOutcome(id))
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.state.lock().check()
    }

    /// Takes no more commits; those that wait are still decided.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }

    /// Returns once the committer's thread has ended.
    pub(super) async fn stopped(&self) {
        // The sender lives in `self`, so the wait can only end by the value.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// The committer's thread: works until the queue is closed and empty.
    pub(super) fn run(&self) {
        loop {
            match self.next_step() {
                Step::Decide(batch) => self.decide(batch),
                Step::SyncMark => drop(self.take_turn(Committer::sync_mark)),
                Step::End => break,
            }
        }
        self.committer.lock().sync_mark();
        self.stopped.send_replace(true);
    }

    /// Lets a commit wait, or gives it back together with the turn.
    fn enter(&self, waiting: Waiting) -> Result<Option<Waiting>, StoreError> {
        let mut state = self.state.lock();
        state.check()?;
        if state.deciding {
            // Whoever has the turn looks again after it.
            state.waiting.push_back(waiting);
            return Ok(None);
        }
        // The committer's thread brings an overdue mark to disk before it decides.
        let mark_late = state.mark_due.is_some_and(|due| due <= self.clock.monotonic());
        if state.waiting.is_empty()
            && !mark_late
            && state.last_write <= MAX_WRITE_IN_PLACE
            && may_hold_thread()
        {
            state.deciding = true;
            return Ok(Some(waiting));
        }
        state.waiting.push_back(waiting);
        drop(state);
        self.filled.notify_one();
        Ok(None)
    }

    fn decide(&self, batch: Vec<Waiting>) {
        // Answered when the turn is over: who hears that an outcome is unknown must find the store broken.
        for (reply, verdict) in self.take_turn(|committer| committer.decide(batch)).unwrap_or_default() {
            // Nobody listens when the caller has gone.
            drop(reply.send(verdict));
        }
    }

    /// Uses up the turn that the caller has. `None` when the committer panicked, and with it the store has ended.
    fn take_turn<T>(&self, work: impl FnOnce(&mut Committer) -> T) -> Option<T> {
        let mut committer = self.committer.lock();
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut committer))).ok();
        let mut state = self.state.lock();
        state.deciding = false;
        state.broken.clone_from(&committer.broken);
        state.mark_due = committer.mark_due();
        state.last_write = committer.last_write;
        drop(committer);
        if done.is_none() {
            state.give_up();
        }
        let wanted =
            !state.waiting.is_empty() || state.closed || (state.mark_due.is_some() && !state.mark_watched);
        drop(state);
        if wanted {
            self.filled.notify_one();
        }
        done
    }

    /// Sleeps until something waits; wakes by itself only for a high-water mark that is due.
    fn next_step(&self) -> Step {
        let mut state = self.state.lock();
        loop {
            if state.deciding {
                state.mark_watched = false;
                self.filled.wait(&mut state);
                continue;
            }
            let left = state.mark_due.map(|due| due.saturating_sub(self.clock.monotonic()));
            if left.is_some_and(|left| left.is_zero()) {
                state.deciding = true;
                return Step::SyncMark;
            }
            if !state.waiting.is_empty() {
                state.deciding = true;
                return Step::Decide(state.take_batch());
            }
            if state.closed {
                return Step::End;
            }
            state.mark_watched = left.is_some();
            match left {
                None => self.filled.wait(&mut state),
                Some(left) => drop(self.filled.wait_for(&mut state, left)),
            }
        }
    }
}

impl State {
    fn check(&self) -> Result<(), StoreError> {
        match &self.broken {
            Some(failure) => Err(failure.clone()),
            None if self.closed => Err(StoreError::Unavailable("it was closed".to_owned())),
            None => Ok(()),
        }
    }

    fn take_batch(&mut self) -> Vec<Waiting> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < MAX_BATCH_COMMITS && bytes < MAX_BATCH_BYTES {
            let Some(next) = self.waiting.pop_front() else { break };
            bytes += next.bytes;
            batch.push(next);
        }
        batch
    }

    /// Leaves nobody waiting for a committer that panicked.
    fn give_up(&mut self) {
        tracing::error!("the store's committer panicked; the store stops accepting writes until a restart");
        let failure = StoreError::Unavailable("its committer panicked; restart".to_owned());
        self.broken = Some(failure.clone());
        self.closed = true;
        for Waiting { reply, .. } in self.waiting.drain(..) {
            drop(reply.send(Err(failure.clone())));
        }
    }
}

/// Whether other threads of the runtime go on serving while this one waits for the disk.
fn may_hold_thread() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
}

fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Put(key, value) => key.len() + value.len(),
        Op::Delete(key) => key.len(),
        Op::DeleteRange(range) => range.start.len() + range.end.len(),
        Op::Add(key, _) | Op::Max(key, _) => key.len() + 8,
        Op::PutStamped { prefix, suffix, value } => prefix.len() + suffix.len() + value.len() + 12,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::active::ActiveReads;
    use crate::engine::TxnId;
    use crate::fjall_engine::high_water::HighWater;
    use crate::fjall_engine::space::Space;
    use crate::fjall_engine::tree::Tree;
    use crate::window::Window;

    fn put(key: &'static str) -> Commit {
        put_bytes(key, 0)
    }

    fn put_bytes(key: &'static str, length: usize) -> Commit {
        Commit {
            id: TxnId(1),
            snapshot: None,
            read_keys: vec![],
            read_ranges: vec![],
            ops: vec![Op::Put(Bytes::from_static(key.as_bytes()), vec![7; length].into())],
            topics: vec![],
            frees_space: false,
            at_least: Version(0),
        }
    }

    fn queue(directory: &std::path::Path) -> Arc<Queue> {
        queue_in(directory, Space::open(directory, 0).unwrap())
    }

    fn queue_in(directory: &std::path::Path, space: Space) -> Arc<Queue> {
        let clock = Clock::system();
        let committer = Committer {
            tree: Arc::new(Tree::open(&directory.join("tree"), 1024 * 1024).unwrap()),
            reads: ActiveReads::new(0),
            recent: Arc::default(),
            wakes: Arc::default(),
            high_water: HighWater::open(directory, false).unwrap().0,
            space,
            window: Window::new(0),
            clock: clock.clone(),
            version: 0,
            batch_number: 0,
            broken: None,
            last_write: Duration::ZERO,
        };
        Arc::new(Queue::new(committer, clock))
    }

    /// The empty key, at which fjall panics; transactions refuse it, so that only a test can commit it.
    const PANICS: &str = "";

    #[tokio::test]
    async fn a_panic_of_the_committer_leaves_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let queue = queue(directory.path());
        // One commit more than a batch takes waits behind the batch that panics.
        let keys = std::iter::once(PANICS).chain(std::iter::repeat_n("k", MAX_BATCH_COMMITS));
        let submit = |key| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.submit(put(key)).await })
        };
        let mut callers: Vec<_> = keys.map(submit).collect();
        while queue.state.lock().waiting.len() < callers.len() {
            tokio::task::yield_now().await;
        }
        let working = queue.clone();
        let thread = std::thread::spawn(move || working.run());
        let last = callers.pop().unwrap().await.unwrap();
        assert!(matches!(last, Err(StoreError::Unavailable(_))), "{last:?}");
        for caller in callers {
            let verdict = caller.await.unwrap();
            assert!(matches!(verdict, Err(StoreError::UnknownOutcome(_))), "{verdict:?}");
        }
        thread.join().unwrap();
        assert!(matches!(queue.check(), Err(StoreError::Unavailable(_))));
        assert!(matches!(queue.submit(put("k")).await, Err(StoreError::Unavailable(_))));
        queue.stopped().await;
    }

    #[tokio::test]
    async fn of_a_batch_only_what_has_no_room_is_refused() {
        const FREE_BYTES: u64 = 300_000;
        const RESERVE_BYTES: u64 = 150_000;
        let directory = tempfile::tempdir().unwrap();
        let space = Space::new(directory.path(), RESERVE_BYTES, Box::new(|| Ok(FREE_BYTES)));
        let queue = queue_in(directory.path(), space);
        // Each alone but the second has room; the fourth has none beside the third.
        let wanted = [("a", 10, true), ("b", 100_000, false), ("c", 40_000, true), ("d", 40_000, false)];
        let wanted = wanted.into_iter().chain([("e", 10, true)]);
        let submit = |(key, length, is_room)| {
            let queue = queue.clone();
            (key, is_room, tokio::spawn(async move { queue.submit(put_bytes(key, length)).await }))
        };
        let callers: Vec<_> = wanted.map(submit).collect();
        while queue.state.lock().waiting.len() < callers.len() {
            tokio::task::yield_now().await;
        }
        let working = queue.clone();
        let thread = std::thread::spawn(move || working.run());
        for (key, is_room, caller) in callers {
            match caller.await.unwrap() {
                Ok(_) => assert!(is_room, "{key}"),
                Err(StoreError::DiskFull { .. }) => assert!(!is_room, "{key}"),
                Err(other) => panic!("{key}: {other}"),
            }
        }
        // In the next batch there is room for it again.
        queue.submit(put_bytes("d", 40_000)).await.unwrap();
        queue.close();
        thread.join().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lone_commit_is_decided_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let queue = queue(directory.path());
        // Nobody runs the committer's thread.
        assert_eq!(queue.submit(put("k")).await.unwrap(), Version(1));
        // However long the first one took here.
        queue.state.lock().last_write = Duration::ZERO;
        assert_eq!(queue.submit(put("k")).await.unwrap(), Version(2));
        queue.state.lock().last_write = MAX_WRITE_IN_PLACE * 2;
        let slow = tokio::spawn({
            let queue = queue.clone();
            async move { queue.submit(put("k")).await }
        });
        while queue.state.lock().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        let working = queue.clone();
        let thread = std::thread::spawn(move || working.run());
        assert_eq!(slow.await.unwrap().unwrap(), Version(3), "a slow disk is waited for by that thread");
        queue.close();
        queue.stopped().await;
        thread.join().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panic_where_it_is_decided_ends_the_commits_too() {
        let directory = tempfile::tempdir().unwrap();
        let queue = queue(directory.path());
        let working = queue.clone();
        let thread = std::thread::spawn(move || working.run());
        let verdict = queue.submit(put(PANICS)).await;
        assert!(matches!(verdict, Err(StoreError::UnknownOutcome(_))), "{verdict:?}");
        assert!(matches!(queue.submit(put("k")).await, Err(StoreError::Unavailable(_))));
        thread.join().unwrap();
    }
}
