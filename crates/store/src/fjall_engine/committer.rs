//! The one thread that decides, orders and writes commits.
//!
//! It takes whatever waits (a lone commit does not wait for company), checks each against the window, writes all
//! that pass as one batch with one sync, then makes them visible and answers. While it syncs, the next batch gathers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use lambent_base::Clock;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::high_water::HighWater;
use super::space::Space;
use super::tree::Tree;
use super::window::Window;
use crate::active::ActiveReads;
use crate::engine::{Commit, Op, TxnId, Version};
use crate::error::StoreError;
use crate::range::KeyRange;
use crate::resolve::{Before, Rows, resolve};
use crate::wakes::Wakes;

/// The most commits that one batch takes.
const MAX_BATCH_COMMITS: usize = 512;
/// A batch takes no further commit once it holds this many bytes.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// What may wait for the committer, in KiB, each commit counting as one at least; more wait before the queue.
const MAX_WAITING_KIB: usize = 64 * 1024;

type Reply = oneshot::Sender<Result<Version, StoreError>>;

struct Waiting {
    commit: Commit,
    bytes: usize,
    reply: Reply,
    _room: OwnedSemaphorePermit,
}

/// Commits on their way to the committer.
pub(super) struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
    room: Arc<Semaphore>,
    stopped: watch::Sender<bool>,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Waiting>,
    closed: bool,
    /// Why nothing can be written any more.
    broken: Option<StoreError>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            room: Arc::new(Semaphore::new(MAX_WAITING_KIB)),
            stopped: watch::Sender::new(false),
        }
    }

    /// Hands a commit over and waits until it is decided and durable.
    pub(super) async fn submit(&self, commit: Commit) -> Result<Version, StoreError> {
        let id = commit.id;
        let bytes = commit.ops.iter().map(op_bytes).sum::<usize>();
        let kib = u32::try_from((bytes / 1024 + 1).min(MAX_WAITING_KIB)).expect("bounded just before");
        let room = self.room.clone().acquire_many_owned(kib).await;
        let room = room.map_err(|_| StoreError::Unavailable("it was closed".to_owned()))?;
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.state.lock();
            state.check()?;
            state.waiting.push_back(Waiting { commit, bytes, reply, _room: room });
        }
        self.filled.notify_one();
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

    /// Returns once the committer has ended.
    pub(super) async fn stopped(&self) {
        // The sender lives in `self`, so the wait can only end by the value.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    fn take_batch(&self, state: &mut QueueState) -> Vec<Waiting> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < MAX_BATCH_COMMITS && bytes < MAX_BATCH_BYTES {
            let Some(next) = state.waiting.pop_front() else { break };
            bytes += next.bytes;
            batch.push(next);
        }
        batch
    }
}

impl QueueState {
    fn check(&self) -> Result<(), StoreError> {
        match &self.broken {
            Some(failure) => Err(failure.clone()),
            None if self.closed => Err(StoreError::Unavailable("it was closed".to_owned())),
            None => Ok(()),
        }
    }
}

/// What the thread works with.
pub(super) struct Committer {
    pub(super) queue: Arc<Queue>,
    pub(super) tree: Arc<Tree>,
    pub(super) reads: Arc<ActiveReads>,
    pub(super) wakes: Arc<Wakes>,
    pub(super) high_water: HighWater,
    pub(super) space: Space,
    pub(super) window: Window,
    pub(super) clock: Clock,
    pub(super) version: u64,
    pub(super) batch_number: u64,
}

/// Leaves nobody waiting for a committer that has ended, however it ended.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "the store's committer panicked; the store stops accepting writes until a restart"
            );
            let failure = StoreError::Unavailable("its committer panicked; restart".to_owned());
            let waiting = {
                let mut state = self.0.state.lock();
                state.broken = Some(failure.clone());
                std::mem::take(&mut state.waiting)
            };
            for Waiting { reply, .. } in waiting {
                drop(reply.send(Err(failure.clone())));
            }
        }
        self.0.stopped.send_replace(true);
    }
}

/// A batch in the making.
struct Batch<'a> {
    tree: &'a Tree,
    rows: Rows,
    ids: Vec<TxnId>,
    accepted: Vec<(Reply, Version, Vec<Bytes>)>,
}

impl Committer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _ending = Ending(self.queue.clone());
        while let Some(batch) = self.next_batch() {
            self.decide(batch);
        }
        self.sync_high_water();
    }

    /// Sleeps until something waits; wakes by itself only for a sync of the high-water mark that is due.
    fn next_batch(&mut self) -> Option<Vec<Waiting>> {
        let queue = self.queue.clone();
        let mut state = queue.state.lock();
        loop {
            if !state.waiting.is_empty() {
                return Some(queue.take_batch(&mut state));
            }
            if state.closed {
                return None;
            }
            match self.high_water.sync_due() {
                None => queue.filled.wait(&mut state),
                Some(due) => {
                    let left = due.saturating_sub(self.clock.monotonic());
                    let idle = queue.filled.wait_for(&mut state, left).timed_out();
                    if idle && state.waiting.is_empty() {
                        drop(state);
                        self.sync_high_water();
                        state = queue.state.lock();
                    }
                }
            }
        }
    }

    fn decide(&mut self, waiting: Vec<Waiting>) {
        let tree = self.tree.clone();
        let mut batch = Batch { tree: &tree, rows: Rows::new(), ids: Vec::new(), accepted: Vec::new() };
        let broken = self.queue.check_broken().and_then(|()| self.space.look()).err();
        let first = self.version + 1;
        self.window.trim(self.reads.oldest());
        for Waiting { commit, reply, .. } in waiting {
            let verdict = match &broken {
                Some(failure) => Err(failure.clone()),
                None => self.accept(commit, &mut batch),
            };
            match verdict {
                Ok((version, topics)) => batch.accepted.push((reply, version, topics)),
                // Nobody listens when the caller has gone: the answer may be dropped.
                Err(failure) => drop(reply.send(Err(failure))),
            }
        }
        if batch.ids.is_empty() {
            return;
        }
        let Batch { rows, ids, accepted, .. } = batch;
        match self.write(rows, first, &ids) {
            Ok(()) => self.publish(accepted),
            Err(failure) => self.fail(&failure, accepted, &ids),
        }
    }

    /// Checks one commit against everything before it, and adds its rows to the batch.
    fn accept(&mut self, commit: Commit, batch: &mut Batch<'_>) -> Result<(Version, Vec<Bytes>), StoreError> {
        let writes = commit.ops.iter().any(|op| !matches!(op, Op::Delete(_) | Op::DeleteRange(_)));
        let grows = writes && !commit.frees_space;
        self.space.check(grows)?;
        self.window.check(&commit)?;
        let version = Version(self.version + 1);
        let rows = resolve(commit.ops, version, &*batch)?;
        self.version = version.0;
        for (key, value) in rows {
            self.window.record(version.0, &key);
            batch.rows.insert(key, value);
        }
        batch.ids.push(commit.id);
        Ok((version, commit.topics))
    }

    fn write(&mut self, rows: Rows, first: u64, ids: &[TxnId]) -> Result<(), StoreError> {
        self.batch_number += 1;
        self.tree.write(rows, first, ids, self.batch_number)?;
        self.high_water.mark(self.version, self.clock.monotonic())
    }

    fn publish(&mut self, accepted: Vec<(Reply, Version, Vec<Bytes>)>) {
        self.reads.publish(self.version);
        for (reply, version, topics) in accepted {
            drop(reply.send(Ok(version)));
            self.wakes.wake(&topics);
        }
        if self.high_water.sync_due().is_some_and(|due| due <= self.clock.monotonic()) {
            self.sync_high_water();
        }
    }

    /// After a failed write nobody knows what is on disk: nothing more is accepted until a restart has looked.
    fn fail(&self, failure: &StoreError, accepted: Vec<(Reply, Version, Vec<Bytes>)>, ids: &[TxnId]) {
        tracing::error!(%failure, "the store stops accepting writes; restart after the disk is mended");
        self.queue.state.lock().broken = Some(failure.clone());
        for ((reply, ..), id) in accepted.into_iter().zip(ids) {
            drop(reply.send(Err(StoreError::UnknownOutcome(*id))));
        }
    }

    fn sync_high_water(&mut self) {
        if let Err(failure) = self.high_water.sync() {
            tracing::error!(%failure, "the high-water mark is not on disk; damage after a power cut may go unnoticed");
        }
    }
}

impl Queue {
    fn check_broken(&self) -> Result<(), StoreError> {
        match &self.state.lock().broken {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }
}

impl Before for Batch<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.rows.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.tree.get(key),
        }
    }

    fn keys(&self, range: &KeyRange, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        let ours = self.rows.range(range.start.clone()..range.end.clone());
        let mut keys: Vec<Bytes> = ours.map(|(key, _)| key.clone()).collect();
        // Keys that this batch has deleted already are deleted once more: no harm.
        keys.extend(self.tree.keys(range, limit)?);
        Ok(keys)
    }
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
    use super::*;

    fn put(key: &'static str) -> Commit {
        Commit {
            id: TxnId(1),
            snapshot: None,
            read_keys: vec![],
            read_ranges: vec![],
            ops: vec![Op::Put(Bytes::from_static(key.as_bytes()), Bytes::new())],
            topics: vec![],
            frees_space: false,
        }
    }

    fn committer(directory: &std::path::Path, queue: Arc<Queue>) -> Committer {
        Committer {
            queue,
            tree: Arc::new(Tree::open(&directory.join("tree"), 1024 * 1024).unwrap()),
            reads: ActiveReads::new(0),
            wakes: Arc::default(),
            high_water: HighWater::open(directory, false).unwrap().0,
            space: Space::open(directory, 0).unwrap(),
            window: Window::new(0),
            clock: Clock::system(),
            version: 0,
            batch_number: 0,
        }
    }

    #[tokio::test]
    async fn a_panic_of_the_committer_leaves_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::new());
        let committer = committer(directory.path(), queue.clone());
        // fjall asserts that no key is empty, which transactions see to: nothing else makes it panic at will. One
        // commit more than a batch takes waits behind the batch with that key.
        let keys = std::iter::once("").chain(std::iter::repeat_n("k", MAX_BATCH_COMMITS));
        let submit = |key| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.submit(put(key)).await })
        };
        let mut callers: Vec<_> = keys.map(submit).collect();
        while queue.state.lock().waiting.len() < callers.len() {
            tokio::task::yield_now().await;
        }
        let thread = std::thread::spawn(move || committer.run());
        let last = callers.pop().unwrap().await.unwrap();
        assert!(matches!(last, Err(StoreError::Unavailable(_))), "{last:?}");
        for caller in callers {
            let verdict = caller.await.unwrap();
            assert!(matches!(verdict, Err(StoreError::UnknownOutcome(_))), "{verdict:?}");
        }
        thread.join().unwrap_err();
        assert!(matches!(queue.check(), Err(StoreError::Unavailable(_))));
        assert!(matches!(queue.submit(put("k")).await, Err(StoreError::Unavailable(_))));
        queue.close();
        queue.stopped().await;
    }
}
