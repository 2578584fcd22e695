//! Room on the disk. fjall stops for good when a write fails half-way, so writes are refused before that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Deletes, and what leads to them, are accepted down to this part of the reserve: they are how room is made.
const RESERVE_FOR_DELETES_DIVISOR: u64 = 4;

/// What is written is in the journal and in a table at once, until the journal is dropped.
const COPIES: u64 = 2;

/// Asks how many bytes are free.
type AskFree = Box<dyn Fn() -> io::Result<u64> + Send>;

/// The file system of a directory.
pub(super) struct Space {
    path: PathBuf,
    ask_free: AskFree,
    reserve_bytes: u64,
    free_bytes: u64,
    /// What the commits since the last look, and those that are in no table yet, are going to take.
    promised_bytes: u64,
}

impl Space {
    pub(super) fn open(path: &Path, reserve_bytes: u64) -> Result<Self, StoreError> {
        let directory = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
        let ask_free = move || {
            let status = rustix::fs::fstatvfs(&directory)?;
            Ok(status.f_bavail.saturating_mul(status.f_frsize))
        };
        Ok(Self::new(path, reserve_bytes, Box::new(ask_free)))
    }

    pub(super) fn new(path: &Path, reserve_bytes: u64, ask_free: AskFree) -> Self {
        Self { path: path.to_owned(), ask_free, reserve_bytes, free_bytes: 0, promised_bytes: 0 }
    }

    /// Asks how much is free: once for each batch. Tables are going to take `unflushed_bytes` of it for earlier ones.
    pub(super) fn look(&mut self, unflushed_bytes: u64) -> Result<(), StoreError> {
        let asked = (self.ask_free)();
        self.free_bytes = asked.map_err(|e| StoreError::io("ask for the free space of", &self.path, e))?;
        self.promised_bytes = unflushed_bytes;
        Ok(())
    }

    /// Promises room for a commit of `bytes`, which may be larger than the reserve.
    ///
    /// Errors: `DiskFull` when less than the reserve would be left; nothing is promised then.
    pub(super) fn promise(&mut self, bytes: u64, grows: bool) -> Result<(), StoreError> {
        let divisor = if grows { 1 } else { RESERVE_FOR_DELETES_DIVISOR };
        let (free_bytes, reserve_bytes) = (self.free_bytes, self.reserve_bytes / divisor);
        let promised_bytes = self.promised_bytes.saturating_add(bytes.saturating_mul(COPIES));
        if free_bytes < reserve_bytes.saturating_add(promised_bytes) {
            return Err(StoreError::DiskFull { directory: self.path.clone(), free_bytes, reserve_bytes });
        }
        self.promised_bytes = promised_bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn space(free_bytes: u64) -> Space {
        Space::new(Path::new("/data"), 64 * MIB, Box::new(move || Ok(free_bytes)))
    }

    #[test]
    fn a_commit_needs_the_reserve_and_room_for_itself_twice() {
        for (free, is_room) in [(319, false), (320, true)] {
            let mut space = space(free * MIB);
            space.look(0).unwrap();
            let promised = space.promise(128 * MIB, true);
            assert_eq!(promised.is_ok(), is_room, "{free} MiB free: {promised:?}");
            assert_eq!(space.promise(MIB, true).is_ok(), !is_room, "only what was promised counts");
        }
    }

    #[test]
    fn what_is_in_no_table_yet_counts_until_it_is() {
        let mut space = space(100 * MIB);
        space.look(30 * MIB).unwrap();
        assert!(matches!(space.promise(4 * MIB, true), Err(StoreError::DiskFull { .. })));
        space.promise(3 * MIB, true).unwrap();
        space.look(0).unwrap();
        space.promise(18 * MIB, true).unwrap();
    }

    #[test]
    fn deletes_may_use_most_of_the_reserve() {
        let mut space = space(18 * MIB);
        space.look(0).unwrap();
        assert!(matches!(space.promise(1, true), Err(StoreError::DiskFull { .. })));
        space.promise(MIB, false).unwrap();
        assert!(matches!(space.promise(1, false), Err(StoreError::DiskFull { .. })));
    }
}
