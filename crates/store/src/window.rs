//! The recently written keys, against which a committer checks what a transaction read.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::engine::Commit;
use crate::error::StoreError;

/// What the window may hold, in bytes; beyond, the oldest writes are forgotten and older snapshots are refused.
const MAX_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// What one entry costs beside its key: a map node and a queue slot, roughly.
const ENTRY_BYTES: usize = 120;

/// For each key written after `floor`, the version that last wrote it.
#[derive(Debug)]
pub struct Window {
    newest: BTreeMap<Bytes, u64>,
    order: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// Nothing is known of writes up to here.
    floor: u64,
}

impl Window {
    /// A window that starts after `version`.
    pub fn new(version: u64) -> Self {
        Self { newest: BTreeMap::new(), order: VecDeque::new(), bytes: 0, floor: version }
    }

    /// Errors: `Conflict`, `SnapshotTooOld`.
    pub fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        if commit.read_keys.is_empty() && commit.read_ranges.is_empty() {
            return Ok(());
        }
        let read_version = commit.read_version().0;
        if read_version < self.floor {
            return Err(StoreError::SnapshotTooOld);
        }
        let key_changed =
            commit.read_keys.iter().any(|key| self.newest.get(key).is_some_and(|&at| at > read_version));
        let range_changed = || {
            commit.read_ranges.iter().filter(|range| !range.is_empty()).any(|range| {
                let within = self.newest.range(range.start.clone()..range.end.clone());
                within.into_iter().any(|(_, &at)| at > read_version)
            })
        };
        if key_changed || range_changed() { Err(StoreError::Conflict) } else { Ok(()) }
    }

    /// Notes that `version` wrote `key`.
    pub fn record(&mut self, version: u64, key: &Bytes) {
        self.newest.insert(key.clone(), version);
        self.order.push_back((version, key.clone()));
        self.bytes += key.len() + ENTRY_BYTES;
    }

    /// Forgets what no snapshot from `oldest` on needs, and more if the window is too large.
    pub fn trim(&mut self, oldest: u64) {
        while let Some((version, _)) = self.order.front()
            && (*version <= oldest || self.bytes > MAX_WINDOW_BYTES)
        {
            let Some((version, key)) = self.order.pop_front() else { return };
            self.bytes -= key.len() + ENTRY_BYTES;
            self.floor = version;
            if self.newest.get(&key) == Some(&version) {
                self.newest.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Snapshot, TxnId, Version};
    use crate::range::{KeyRange, Page, ScanOptions};
    use lambent_base::BoxFuture;
    use std::sync::Arc;

    struct At(u64);

    impl Snapshot for At {
        fn version(&self) -> Version {
            Version(self.0)
        }
        fn get<'a>(&'a self, _: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
            unreachable!("the window only asks for the version")
        }
        fn scan<'a>(&'a self, _: &'a KeyRange, _: ScanOptions) -> BoxFuture<'a, Result<Page, StoreError>> {
            unreachable!("the window only asks for the version")
        }
    }

    fn reader(version: u64, keys: &[&'static str], ranges: &[KeyRange]) -> Commit {
        Commit {
            id: TxnId(0),
            snapshot: Some(Arc::new(At(version))),
            read_keys: keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect(),
            read_ranges: ranges.to_vec(),
            ops: vec![],
            topics: vec![],
            frees_space: false,
            at_least: Version(0),
        }
    }

    #[test]
    fn later_writes_conflict_and_earlier_ones_do_not() {
        let mut window = Window::new(0);
        window.record(5, &Bytes::from_static(b"k"));
        assert!(window.check(&reader(5, &["k"], &[])).is_ok());
        assert!(matches!(window.check(&reader(4, &["k"], &[])), Err(StoreError::Conflict)));
        assert!(window.check(&reader(4, &["j"], &[])).is_ok());
        let range = [KeyRange::new(&b"j"[..], &b"l"[..])];
        assert!(matches!(window.check(&reader(4, &[], &range)), Err(StoreError::Conflict)));
    }

    #[test]
    fn forgotten_writes_refuse_older_snapshots() {
        let mut window = Window::new(0);
        for version in 1..=9 {
            window.record(version, &Bytes::from_static(b"k"));
        }
        window.trim(6);
        assert!(matches!(window.check(&reader(5, &["other"], &[])), Err(StoreError::SnapshotTooOld)));
        assert!(window.check(&reader(6, &["other"], &[])).is_ok());
        assert!(matches!(window.check(&reader(8, &["k"], &[])), Err(StoreError::Conflict)));
        window.trim(9);
        assert_eq!((window.bytes, window.newest.len()), (0, 0));
    }

    #[test]
    fn the_window_is_bounded_in_bytes() {
        let mut window = Window::new(0);
        for version in 1..=10_000 {
            window.record(version, &Bytes::from(format!("{version:04096}")));
        }
        window.trim(0);
        assert!(window.bytes <= MAX_WINDOW_BYTES && window.floor > 0);
    }
}
