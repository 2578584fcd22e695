//! Turns the operations of a commit into plain rows, at the place in the order where it commits.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::engine::{Op, Version, add_to, raise_to, stamped_key};
use crate::error::StoreError;
use crate::limits::MAX_RANGE_DELETE_ROWS;
use crate::range::KeyRange;

/// The state just before a commit.
pub trait Before {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
    /// The keys of the range, at most `limit`.
    fn keys(&self, range: &KeyRange, limit: usize) -> Result<Vec<Bytes>, StoreError>;
}

/// New values by key; `None` deletes.
pub type Rows = BTreeMap<Bytes, Option<Bytes>>;

/// The rows that the operations leave behind.
///
/// Errors: `NotACounter`, `RangeTooLarge`, and those of `before`.
pub fn resolve(ops: Vec<Op>, version: Version, before: &dyn Before) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    let mut stamps = 0;
    for op in ops {
        match op {
            Op::Put(key, value) => {
                rows.insert(key, Some(value));
            }
            Op::Delete(key) => {
                rows.insert(key, None);
            }
            Op::DeleteRange(range) => delete_range(&mut rows, &range, before)?,
            Op::Add(key, delta) => {
                let value = add_to(current(&rows, &key, before)?.as_deref(), delta)?;
                rows.insert(key, Some(value));
            }
            Op::Max(key, floor) => {
                let value = raise_to(current(&rows, &key, before)?.as_deref(), floor)?;
                rows.insert(key, Some(value));
            }
            Op::PutStamped { prefix, suffix, value } => {
                rows.insert(stamped_key(&prefix, version, stamps, &suffix), Some(value));
                stamps += 1;
            }
        }
    }
    Ok(rows)
}

fn current(rows: &Rows, key: &[u8], before: &dyn Before) -> Result<Option<Bytes>, StoreError> {
    match rows.get(key) {
        Some(value) => Ok(value.clone()),
        None => before.get(key),
    }
}

fn delete_range(rows: &mut Rows, range: &KeyRange, before: &dyn Before) -> Result<(), StoreError> {
    if range.is_empty() {
        return Ok(());
    }
    for (_, value) in rows.range_mut(range.start.clone()..range.end.clone()) {
        *value = None;
    }
    let keys = before.keys(range, MAX_RANGE_DELETE_ROWS + 1)?;
    if keys.len() > MAX_RANGE_DELETE_ROWS {
        return Err(StoreError::RangeTooLarge);
    }
    rows.extend(keys.into_iter().map(|key| (key, None)));
    Ok(())
}
