//! How far commits were acknowledged, kept beside the engine's own files.
//!
//! fjall's journal ends, for fjall, at the first record whose header does not parse; a damaged header in the
//! middle would therefore silently drop every later commit. This file says which version must be found at least.
//! It is written after the journal is synced and before anybody is answered, so it never promises too much. The write
//! reaches the page cache at once (which outlives the process) and the disk at latest [`SYNC_EVERY`] later; so after
//! a power cut the damage of the last second alone could go unnoticed.
//!
//! Layout: two slots, written in turn so that a torn write leaves the other: at 0 and 512, each
//! `magic (8) | version u64 LE | CRC-32C u32 LE over the 16 bytes before`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crc_fast::CrcAlgorithm;

use crate::directory::sync_directory;
use crate::error::StoreError;

/// The longest time that the newest mark may live in the page cache alone.
pub(super) const SYNC_EVERY: Duration = Duration::from_secs(1);
const FILE_NAME: &str = "high-water";
/// Ends with the format of the whole data directory.
const MAGIC: &[u8; 8] = b"LMBNTS01";
const SLOT_BYTES: usize = 20;
const SLOT_OFFSETS: [u64; 2] = [0, 512];

/// The open file.
#[derive(Debug)]
pub(super) struct HighWater {
    file: File,
    path: PathBuf,
    next_slot: usize,
    /// When the oldest mark that is not on disk was written; `None` when all are.
    dirty_since: Option<Duration>,
}

impl HighWater {
    /// Opens the file and gives the version that it promises; makes it when the directory is new.
    ///
    /// Errors: `Corrupt` when no slot can be read, or the file is missing beside data.
    pub(super) fn open(directory: &Path, has_data: bool) -> Result<(Self, u64), StoreError> {
        let path = directory.join(FILE_NAME);
        let exists = path.try_exists().map_err(|e| StoreError::io("look for", &path, e))?;
        if !exists && has_data {
            return Err(StoreError::Corrupt(format!("{} is missing", path.display())));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|e| StoreError::io("open", &path, e))?;
        let mut high_water = Self { file, path, next_slot: 0, dirty_since: None };
        if !exists {
            high_water.mark(0, Duration::ZERO)?;
            high_water.sync()?;
            sync_directory(directory)?;
            return Ok((high_water, 0));
        }
        let slots = [high_water.read(SLOT_OFFSETS[0])?, high_water.read(SLOT_OFFSETS[1])?];
        high_water.next_slot = usize::from(slots[0] >= slots[1]);
        let promised = slots.into_iter().flatten().max();
        let promised = promised.ok_or_else(|| {
            // A crash while the very first mark was written leaves an empty file and no data.
            StoreError::Corrupt(format!("{} holds no whole mark", high_water.path.display()))
        });
        match promised {
            Err(_) if !has_data => high_water.mark(0, Duration::ZERO).map(|()| (high_water, 0)),
            other => other.map(|version| (high_water, version)),
        }
    }

    /// Notes that everything up to `version` is acknowledged; `now` is the monotonic time.
    pub(super) fn mark(&mut self, version: u64, now: Duration) -> Result<(), StoreError> {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..16].copy_from_slice(&version.to_le_bytes());
        let sum = checksum(&slot[..16]);
        slot[16..].copy_from_slice(&sum);
        let written = self.file.write_all_at(&slot, SLOT_OFFSETS[self.next_slot]);
        written.map_err(|e| StoreError::io("write", &self.path, e))?;
        self.next_slot = 1 - self.next_slot;
        self.dirty_since.get_or_insert(now);
        Ok(())
    }

    /// When [`HighWater::sync`] is due, in monotonic time; `None` when everything is on disk.
    pub(super) fn sync_due(&self) -> Option<Duration> {
        self.dirty_since.map(|since| since + SYNC_EVERY)
    }

    /// Brings the newest mark to disk.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if self.dirty_since.take().is_some() {
            self.file.sync_data().map_err(|e| StoreError::io("sync", &self.path, e))?;
        }
        Ok(())
    }

    fn read(&self, offset: u64) -> Result<Option<u64>, StoreError> {
        let mut slot = [0; SLOT_BYTES];
        match self.file.read_exact_at(&mut slot, offset) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(|e| StoreError::io("read", &self.path, e))?,
        }
        if &slot[..8] != MAGIC || slot[16..] != checksum(&slot[..16]) {
            return Ok(None);
        }
        Ok(slot[8..16].try_into().ok().map(u64::from_le_bytes))
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let sum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(sum).expect("a CRC-32C has 32 bits").to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_mark_survives_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let (mut marks, promised) = HighWater::open(directory.path(), false).unwrap();
        assert_eq!(promised, 0);
        for version in [3, 8, 9] {
            marks.mark(version, Duration::ZERO).unwrap();
            assert_eq!(HighWater::open(directory.path(), true).unwrap().1, version);
        }
        assert_eq!(marks.sync_due(), Some(SYNC_EVERY));
        marks.sync().unwrap();
        assert_eq!(marks.sync_due(), None);
        let (mut again, promised) = HighWater::open(directory.path(), true).unwrap();
        assert_eq!(promised, 9);
        again.mark(10, Duration::ZERO).unwrap();
        assert_eq!(HighWater::open(directory.path(), true).unwrap().1, 10);
    }

    #[test]
    fn a_torn_mark_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let (mut marks, _) = HighWater::open(directory.path(), false).unwrap();
        marks.mark(1, Duration::ZERO).unwrap();
        marks.mark(2, Duration::ZERO).unwrap();
        // Version 2 went to the first slot, as version 0 did.
        marks.file.write_all_at(b"x", SLOT_OFFSETS[0] + 9).unwrap();
        assert_eq!(HighWater::open(directory.path(), true).unwrap().1, 1);
        marks.file.write_all_at(b"x", SLOT_OFFSETS[1] + 9).unwrap();
        assert!(matches!(HighWater::open(directory.path(), true), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_missing_file_beside_data_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(HighWater::open(directory.path(), true), Err(StoreError::Corrupt(_))));
    }
}
