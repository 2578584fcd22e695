//! Targets that have more ready events than they may have under way.
//!
//! The events of such a target are moved out of the others' way, to a queue of the target's own, once: so however many
//! wait for however many targets, each event is read twice at most, and nobody's but its own.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use lambent_store::KeyRange;

use crate::keys;

/// The targets of one queue that events wait for.
pub(crate) struct Waits {
    queue: u64,
    /// By ARN.
    targets: BTreeMap<String, Wait>,
    /// Who was served last: the next one is first.
    last: String,
}

struct Wait {
    /// Where the events that were not taken up begin.
    from: KeyRange,
    /// Whether there were none at the last look.
    is_empty: bool,
    /// The head that was kept last.
    kept: u64,
}

impl Waits {
    /// `heads`: for each target the commit before which every event is settled.
    pub(crate) fn new(queue: u64, heads: Vec<(String, u64)>) -> Self {
        let mut waits = Self { queue, targets: BTreeMap::new(), last: String::new() };
        for (target, version) in heads {
            waits.add(target, version);
        }
        waits
    }

    /// Whether events wait for a target: the later ones have to line up.
    pub(crate) fn has(&self, target: &str) -> bool {
        self.targets.get(target).is_some_and(|wait| !wait.is_empty)
    }

    /// Every event that waits for a target now belongs to this commit or a later one.
    pub(crate) fn add(&mut self, target: String, version: u64) {
        let from = self.all(&target).starting_at(&keys::wait(self.queue, &target).u64(version));
        self.targets.insert(target, Wait { from, is_empty: false, kept: version });
    }

    /// One more event waits for a target that is known.
    pub(crate) fn more(&mut self, target: &str) {
        if let Some(wait) = self.targets.get_mut(target) {
            wait.is_empty = false;
        }
    }

    /// The next target that events wait for and that `may` have one, in turn.
    pub(crate) fn next(&self, may: impl Fn(&str) -> bool) -> Option<&str> {
        let after = (Bound::Excluded(self.last.as_str()), Bound::Unbounded);
        let until = (Bound::Unbounded, Bound::Included(self.last.as_str()));
        let mut turn = self.targets.range::<str, _>(after).chain(self.targets.range::<str, _>(until));
        turn.find(|(target, wait)| !wait.is_empty && may(target)).map(|(target, _)| target.as_str())
    }

    /// Where the events of a target begin that were not taken up.
    pub(crate) fn from(&self, target: &str) -> Option<KeyRange> {
        self.targets.get(target).filter(|wait| !wait.is_empty).map(|wait| wait.from.clone())
    }

    /// The event under a key was taken up.
    pub(crate) fn taken(&mut self, target: &str, key: &[u8]) {
        let all = self.all(target);
        if let Some(wait) = self.targets.get_mut(target) {
            wait.from = all.after(key);
        }
        target.clone_into(&mut self.last);
    }

    /// No event is left that was not taken up.
    pub(crate) fn emptied(&mut self, target: &str) {
        if let Some(wait) = self.targets.get_mut(target) {
            wait.is_empty = true;
        }
    }

    /// Forgets a target that no event waits for any more, if that is so; gives where its next one would be.
    pub(crate) fn forget(&mut self, target: &str) -> Option<KeyRange> {
        if !self.targets.get(target)?.is_empty {
            return None;
        }
        self.targets.remove(target).map(|wait| wait.from)
    }

    /// Every event that waits, or waited, for a target.
    pub(crate) fn all(&self, target: &str) -> KeyRange {
        keys::wait(self.queue, target).range()
    }

    /// Heads that have moved since they were kept, at most so many; `first_within` gives the first event of a range that is
    /// not settled.
    pub(crate) fn moved<'a>(
        &mut self,
        most: usize,
        first_within: impl Fn(&KeyRange) -> Option<&'a Bytes>,
    ) -> Vec<(String, u64)> {
        let queue = self.queue;
        let head = |(target, wait): (&String, &mut Wait)| {
            let first = first_within(&keys::wait(queue, target).range());
            let first = first.map_or(&wait.from.start, |first| first.min(&wait.from.start));
            let version = keys::version_of_wait(first).unwrap_or(0);
            let has_moved = version > wait.kept;
            wait.kept = version.max(wait.kept);
            has_moved.then(|| (target.clone(), version))
        };
        self.targets.iter_mut().filter_map(head).take(most).collect()
    }

    /// Before this commit everything that waited for a target is settled or under way.
    pub(crate) fn version(&self, target: &str) -> Option<u64> {
        self.targets.get(target).map(|wait| wait.kept)
    }
}
