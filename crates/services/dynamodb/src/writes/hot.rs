//! Who writes which item, and who waits for it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use lambent_expressions::Item;
use parking_lot::Mutex;

use super::{Wish, Written};
use crate::DynamoError;
use crate::table::Table;

/// How many writes may wait for one item, and how many bytes of requests they may hold.
const QUEUE_MAX: usize = 4_096;
pub(super) const QUEUE_BYTES_MAX: usize = 16 << 20;
/// How many of them one transaction runs.
const BATCH_MAX: usize = 512;
/// Queues lie in so many maps, so that writers of different items seldom meet.
const SHARDS: usize = 32;

/// The items that are being written, with the writes that wait for each.
#[derive(Clone)]
pub(crate) struct Hot(Arc<[Mutex<Queues>; SHARDS]>);

type Queues = HashMap<Bytes, Queue>;

/// Those who wait for one item.
#[derive(Default)]
struct Queue {
    writes: VecDeque<Box<dyn Waiting>>,
    /// What they hold.
    bytes: usize,
}

impl Queue {
    /// Lets a write wait, if there is room.
    fn push<Q: Waiting + 'static>(&mut self, write: Q) -> bool {
        let bytes = self.bytes + write.bytes();
        if self.writes.len() >= QUEUE_MAX || bytes > QUEUE_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.writes.push_back(Box::new(write));
        true
    }
}

/// A write that waits: shown the item in each attempt, told at last.
pub(super) trait Waiting: Send {
    fn decide(&mut self, table: &Table, old: Option<&Item>) -> Result<Wish, DynamoError>;
    /// What came of it, if the attempt is committed.
    fn note(&mut self, outcome: Result<Written, DynamoError>);
    /// The attempt that was noted last is durable, or failed.
    fn answer(self: Box<Self>, committed: Result<(), DynamoError>);
    /// What it holds while it waits.
    fn bytes(&self) -> usize;
    /// Whether nobody waits for the answer any more.
    fn is_given_up(&self) -> bool;
}

impl Waiting for Box<dyn Waiting> {
    fn decide(&mut self, table: &Table, old: Option<&Item>) -> Result<Wish, DynamoError> {
        (**self).decide(table, old)
    }

    fn note(&mut self, outcome: Result<Written, DynamoError>) {
        (**self).note(outcome);
    }

    fn answer(self: Box<Self>, committed: Result<(), DynamoError>) {
        (*self).answer(committed);
    }

    fn bytes(&self) -> usize {
        (**self).bytes()
    }

    fn is_given_up(&self) -> bool {
        (**self).is_given_up()
    }
}

pub(super) enum Entered<Q> {
    /// Nobody writes the item: the caller does, and minds its queue until it is done.
    First(Q),
    Queued,
    Full,
}

impl Hot {
    pub(crate) fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Mutex::default())))
    }

    pub(super) fn enter<Q: Waiting + 'static>(&self, key: &Bytes, write: Q) -> Entered<Q> {
        match self.shard(key).lock().entry(key.clone()) {
            Entry::Vacant(free) => {
                free.insert(Queue::default());
                Entered::First(write)
            }
            Entry::Occupied(mut queue) => match queue.get_mut().push(write) {
                true => Entered::Queued,
                false => Entered::Full,
            },
        }
    }

    /// Those who wait longest.
    pub(super) fn next_batch(&self, key: &Bytes) -> Vec<Mutex<Box<dyn Waiting>>> {
        let mut queues = self.shard(key).lock();
        let Some(queue) = queues.get_mut(key) else { return Vec::new() };
        let count = queue.writes.len().min(BATCH_MAX);
        let batch: Vec<_> = queue.writes.drain(..count).collect();
        queue.bytes -= batch.iter().map(|write| write.bytes()).sum::<usize>();
        batch.into_iter().filter(|write| !write.is_given_up()).map(Mutex::new).collect()
    }

    /// Puts those back whom a transaction had no room for.
    pub(super) fn put_back(&self, key: &Bytes, writes: impl DoubleEndedIterator<Item = Box<dyn Waiting>>) {
        let mut queues = self.shard(key).lock();
        if let Some(queue) = queues.get_mut(key) {
            for write in writes.rev() {
                queue.bytes += write.bytes();
                queue.writes.push_front(write);
            }
        }
    }

    /// Frees the item, unless somebody waits for it.
    pub(super) fn leave(&self, key: &Bytes) -> bool {
        let mut queues = self.shard(key).lock();
        let is_free = queues.get(key).is_none_or(|queue| queue.writes.is_empty());
        if is_free {
            queues.remove(key);
        }
        is_free
    }

    pub(super) fn abandon(&self, key: &Bytes) {
        let abandoned = self.shard(key).lock().remove(key);
        drop(abandoned);
    }

    /// How many wait for an item.
    #[cfg(test)]
    pub(super) fn waiting(&self, key: &Bytes) -> usize {
        self.shard(key).lock().get(key).map_or(0, |queue| queue.writes.len())
    }

    /// Whether nobody writes anything.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.0.iter().all(|queues| queues.lock().is_empty())
    }

    fn shard(&self, key: &Bytes) -> &Mutex<Queues> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let at = hasher.finish() % SHARDS as u64;
        &self.0[usize::try_from(at).expect("there are few shards")]
    }
}
