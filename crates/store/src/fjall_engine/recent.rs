//! Rows that were read lately, kept in memory: a point read of fjall's tables costs as much as many of these.
//!
//! A row is kept with the version `since` that its reader's snapshot was of, and serves snapshots that are not older. It
//! is what they would read, because
//!
//! - the committer forgets the keys of a batch before any of the batch becomes visible, so what is here has not changed
//!   since, in any state that a snapshot may show by now;
//! - after that, a snapshot from before the batch may put nothing here: whether it shows the batch is not known.
//!
//! Rows that were asked for while they were here are wanted often: where such a one is overwritten, the committer puts what
//! became of it back, once it is visible.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

/// Rows lie in so many parts, so that readers seldom wait for writers.
const SHARDS: usize = 16;
/// What all rows may take, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Longer rows are not kept: reading them is not what costs.
const MAX_ROW_BYTES: usize = 4 * 1024;
/// What a row costs beside its key and value, roughly.
const ENTRY_BYTES: usize = 128;

/// The rows of one engine.
#[derive(Default)]
pub(super) struct Recent {
    shards: [RwLock<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    /// When the younger ones have half of the room, they become the older ones, and what was older is forgotten.
    young: HashMap<Bytes, Row>,
    old: HashMap<Bytes, Row>,
    young_bytes: usize,
    /// The newest version that wrote to any key of this shard.
    written: u64,
}

struct Row {
    since: u64,
    /// `None` where there is no row.
    value: Option<Bytes>,
    /// Whether it was asked for since it is here.
    is_used: AtomicBool,
}

impl Recent {
    /// The row as a snapshot of `version` shows it, or that there is none; nothing if that is not known here.
    pub(super) fn get(&self, key: &[u8], version: u64) -> Option<Option<Bytes>> {
        let shard = self.shard(key);
        {
            let shard = shard.read();
            if let Some(row) = shard.young.get(key) {
                return row.at(version);
            }
            if !shard.old.contains_key(key) {
                return None;
            }
        }
        let mut shard = shard.write();
        let (key, row) = shard.old.remove_entry(key)?;
        let value = row.at(version);
        shard.insert(key, row);
        value
    }

    /// Keeps what a snapshot of `version` read, unless a later one has written there.
    pub(super) fn put(&self, key: &[u8], version: u64, value: Option<&Bytes>) {
        if key.len() + value.map_or(0, Bytes::len) > MAX_ROW_BYTES {
            return;
        }
        // Copied: what fjall gives is a part of a larger block.
        let value = value.map(|value| Bytes::copy_from_slice(value));
        let row = Row { since: version, value, is_used: AtomicBool::new(false) };
        let mut shard = self.shard(key).write();
        if version >= shard.written {
            shard.insert(Bytes::copy_from_slice(key), row);
        }
    }

    /// Forgets a key that a batch up to `version` is about to write; says whether it was here and asked for.
    pub(super) fn forget(&self, key: &[u8], version: u64) -> bool {
        let mut shard = self.shard(key).write();
        shard.written = shard.written.max(version);
        let Some((key, row)) = shard.young.remove_entry(key) else {
            return shard.old.remove(key).is_some_and(|row| row.is_used.into_inner());
        };
        shard.young_bytes -= row.bytes(&key);
        shard.old.remove(&key);
        row.is_used.into_inner()
    }

    fn shard(&self, key: &[u8]) -> &RwLock<Shard> {
        let hash = self.hasher.hash_one(key).to_le_bytes();
        &self.shards[usize::from(hash[0]) % SHARDS]
    }
}

impl Shard {
    fn insert(&mut self, key: Bytes, row: Row) {
        self.young_bytes += row.bytes(&key);
        if let Some(known) = self.young.get(&key) {
            self.young_bytes -= known.bytes(&key);
        }
        self.young.insert(key, row);
        if self.young_bytes > MAX_BYTES / SHARDS / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

impl Row {
    /// What a snapshot of `version` shows of it, if that is known.
    fn at(&self, version: u64) -> Option<Option<Bytes>> {
        (self.since <= version).then(|| {
            if !self.is_used.load(Ordering::Relaxed) {
                self.is_used.store(true, Ordering::Relaxed);
            }
            self.value.clone()
        })
    }

    fn bytes(&self, key: &[u8]) -> usize {
        ENTRY_BYTES + key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"key";

    fn value(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_row_serves_snapshots_that_are_not_older_than_its_reader() {
        let recent = Recent::default();
        recent.put(KEY, 5, value("a").as_ref());
        assert_eq!(recent.get(KEY, 4), None, "it may have been another then");
        assert_eq!(recent.get(KEY, 5), Some(value("a")));
        assert_eq!(recent.get(KEY, 9), Some(value("a")));
        recent.put(b"absent", 5, None);
        assert_eq!(recent.get(b"absent", 5), Some(None));
        assert_eq!(recent.get(b"other", 5), None);
    }

    #[test]
    fn a_reader_from_before_a_write_keeps_nothing_after_it() {
        let recent = Recent::default();
        recent.put(KEY, 5, value("a").as_ref());
        assert_eq!(recent.get(KEY, 5), Some(value("a")));
        assert!(recent.forget(KEY, 6));
        assert_eq!(recent.get(KEY, 9), None);
        recent.put(KEY, 5, value("a").as_ref());
        assert_eq!(recent.get(KEY, 9), None, "whether its snapshot shows the write is not known");
        recent.put(KEY, 6, value("b").as_ref());
        assert_eq!(recent.get(KEY, 6), Some(value("b")));
        assert_eq!(recent.get(KEY, 5), None);
        assert!(!recent.forget(b"other", 7));
    }

    #[test]
    fn rows_that_nobody_asks_for_are_not_put_back() {
        let recent = Recent::default();
        recent.put(KEY, 5, value("a").as_ref());
        assert_eq!(recent.get(KEY, 4), None);
        assert!(!recent.forget(KEY, 6));
        assert_eq!(recent.get(KEY, 6), None);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let recent = Recent::default();
        recent.put(KEY, 1, value("used").as_ref());
        let long = Bytes::from(vec![0; 1_000]);
        for number in 0..100_000_u32 {
            recent.put(&number.to_be_bytes(), 1, Some(&long));
            assert_eq!(recent.get(KEY, 1), Some(value("used")), "after {number}");
        }
        let bytes = |rows: &HashMap<Bytes, Row>| rows.iter().map(|(key, row)| row.bytes(key)).sum::<usize>();
        let all: usize =
            recent.shards.iter().map(|one| bytes(&one.read().young) + bytes(&one.read().old)).sum();
        assert!(all <= MAX_BYTES, "{all}");
        for shard in &recent.shards {
            assert_eq!(shard.read().young_bytes, bytes(&shard.read().young));
        }
        recent.put(b"long", 1, Some(&Bytes::from(vec![0; MAX_ROW_BYTES])));
        assert_eq!(recent.get(b"long", 1), None);
    }
}
