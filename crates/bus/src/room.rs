//! What is under way, and how much more may be.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use lambent_store::KeyRange;
use tokio::task::Id;

/// The most deliveries at once.
pub(crate) const MAX_IN_FLIGHT: usize = 256;
/// The most deliveries at once to one target, so that a slow one leaves room for others.
const MAX_IN_FLIGHT_TO_ONE: usize = 64;
/// How much of [`MAX_IN_FLIGHT`] is kept for targets that have nothing under way, one delivery each: so many targets
/// may never answer without delaying any other.
pub(crate) const KEPT_FOR_OTHERS: usize = 64;

/// An event that a task works on.
pub(crate) struct InFlight {
    pub(crate) key: Bytes,
    pub(crate) row: Bytes,
    /// The ARN of the target that it is delivered to.
    pub(crate) target: String,
}

/// The deliveries of one dispatcher.
#[derive(Default)]
pub(crate) struct Room {
    by_task: HashMap<Id, InFlight>,
    by_target: HashMap<String, usize>,
    /// Keys of the events that are not settled, in order: no head passes them.
    keys: BTreeSet<Bytes>,
}

impl Room {
    pub(crate) fn left(&self) -> usize {
        MAX_IN_FLIGHT.saturating_sub(self.by_task.len())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.left() == 0
    }

    /// Whether a target has enough under way.
    pub(crate) fn is_crowded(&self, target: &str) -> bool {
        let to_share = (MAX_IN_FLIGHT - KEPT_FOR_OTHERS).saturating_sub(self.by_task.len());
        let most = to_share.min(MAX_IN_FLIGHT_TO_ONE);
        self.by_target.get(target).is_some_and(|&deliveries| deliveries >= most)
    }

    /// How many more deliveries to a target may begin, as far as it alone decides.
    pub(crate) fn left_for(&self, target: &str) -> usize {
        MAX_IN_FLIGHT_TO_ONE.saturating_sub(self.by_target.get(target).copied().unwrap_or(0))
    }

    /// Whether an event is under way: its row is met again until it is settled.
    pub(crate) fn has(&self, key: &Bytes) -> bool {
        self.keys.contains(key)
    }

    /// The first event of a range that is not settled.
    pub(crate) fn first_within(&self, range: &KeyRange) -> Option<&Bytes> {
        self.keys.range(range.start.clone()..range.end.clone()).next()
    }

    pub(crate) fn enter(&mut self, task: Id, event: InFlight) {
        *self.by_target.entry(event.target.clone()).or_default() += 1;
        self.keys.insert(event.key.clone());
        self.by_task.insert(task, event);
    }

    /// A task has ended; its event is not settled yet.
    pub(crate) fn leave(&mut self, task: Id) -> Option<InFlight> {
        let event = self.by_task.remove(&task)?;
        if let Some(deliveries) = self.by_target.get_mut(&event.target) {
            *deliveries -= 1;
            if *deliveries == 0 {
                self.by_target.remove(&event.target);
            }
        }
        Some(event)
    }

    pub(crate) fn settled(&mut self, key: &Bytes) {
        self.keys.remove(key);
    }
}
