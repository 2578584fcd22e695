//! What a transaction has written so far, laid over what it reads.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::engine::{self, Op};
use crate::error::StoreError;
use crate::range::KeyRange;

/// The newest change of one key.
#[derive(Clone, Debug)]
enum Change {
    Put(Bytes),
    Delete,
    /// Changes of a counter whose stored value is not known here.
    Merge(Vec<Merge>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Merge {
    Add(i64),
    Max(u64),
}

/// What the overlay knows of a key.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The value is decided here.
    Known(Option<Bytes>),
    /// The stored value counts, then these changes.
    Stored(Vec<Merge>),
}

#[derive(Debug, Default)]
pub(crate) struct Overlay {
    changes: BTreeMap<Bytes, Change>,
    deleted: Vec<KeyRange>,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.deleted.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len() + self.deleted.len()
    }

    pub(crate) fn put(&mut self, key: Bytes, value: Bytes) {
        self.changes.insert(key, Change::Put(value));
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.changes.insert(key, Change::Delete);
    }

    pub(crate) fn delete_range(&mut self, range: KeyRange) {
        let inside: Vec<Bytes> = self.within(&range).map(|(key, _)| key.clone()).collect();
        for key in inside {
            self.changes.remove(&key);
        }
        self.deleted.push(range);
    }

    /// Errors: `NotACounter` when this transaction has put another kind of value there.
    pub(crate) fn merge(&mut self, key: &[u8], merge: Merge) -> Result<(), StoreError> {
        match self.see(key) {
            Seen::Known(value) => {
                let value = apply(value, &[merge])?;
                self.changes.insert(Bytes::copy_from_slice(key), Change::Put(value));
            }
            Seen::Stored(mut merges) => {
                match (merges.last_mut(), merge) {
                    (Some(Merge::Max(old)), Merge::Max(new)) => *old = (*old).max(new),
                    _ => merges.push(merge),
                }
                self.changes.insert(Bytes::copy_from_slice(key), Change::Merge(merges));
            }
        }
        Ok(())
    }

    pub(crate) fn see(&self, key: &[u8]) -> Seen {
        match self.changes.get(key) {
            Some(Change::Put(value)) => Seen::Known(Some(value.clone())),
            Some(Change::Delete) => Seen::Known(None),
            Some(Change::Merge(merges)) => Seen::Stored(merges.clone()),
            None if self.is_deleted(key) => Seen::Known(None),
            None => Seen::Stored(Vec::new()),
        }
    }

    /// The rows of `covered` as this transaction sees them, ascending, given the stored ones, ascending.
    pub(crate) fn lay_over(
        &self,
        stored: Vec<(Bytes, Bytes)>,
        covered: &KeyRange,
        keys_only: bool,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        if covered.is_empty() || self.is_empty() {
            return Ok(stored);
        }
        let mut rows: BTreeMap<Bytes, Bytes> =
            stored.into_iter().filter(|(key, _)| !self.is_deleted(key)).collect();
        for (key, change) in self.within(covered) {
            let value = match change {
                Change::Delete => {
                    rows.remove(key);
                    continue;
                }
                _ if keys_only => Bytes::new(),
                Change::Put(value) => value.clone(),
                Change::Merge(merges) => apply(rows.get(key).cloned(), merges)?,
            };
            rows.insert(key.clone(), value);
        }
        Ok(rows.into_iter().collect())
    }

    /// The changes as a commit carries them.
    pub(crate) fn into_ops(self) -> Vec<Op> {
        let mut ops: Vec<Op> = self.deleted.into_iter().map(Op::DeleteRange).collect();
        for (key, change) in self.changes {
            match change {
                Change::Put(value) => ops.push(Op::Put(key, value)),
                Change::Delete => ops.push(Op::Delete(key)),
                Change::Merge(merges) => ops.extend(merges.into_iter().map(|merge| match merge {
                    Merge::Add(delta) => Op::Add(key.clone(), delta),
                    Merge::Max(floor) => Op::Max(key.clone(), floor),
                })),
            }
        }
        ops
    }

    fn is_deleted(&self, key: &[u8]) -> bool {
        self.deleted.iter().any(|range| range.contains(key))
    }

    fn within(&self, range: &KeyRange) -> impl Iterator<Item = (&Bytes, &Change)> {
        // An empty range may have its bounds the wrong way round, at which BTreeMap::range would panic.
        let end = if range.is_empty() { range.start.clone() } else { range.end.clone() };
        self.changes.range(range.start.clone()..end)
    }
}

/// The counter row after `merges`.
pub(crate) fn apply(row: Option<Bytes>, merges: &[Merge]) -> Result<Bytes, StoreError> {
    let mut row = row;
    for merge in merges {
        row = Some(match *merge {
            Merge::Add(delta) => engine::add_to(row.as_deref(), delta)?,
            Merge::Max(floor) => engine::raise_to(row.as_deref(), floor)?,
        });
    }
    // An empty list only comes with a row that is not a counter of ours; the caller does not ask then.
    Ok(row.unwrap_or_default())
}
