//! Room on the disk. fjall stops for good when a write fails half-way, so writes are refused before that.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Deletes, and what leads to them, are accepted down to this part of the reserve: they are how room is made.
const RESERVE_FOR_DELETES_DIVISOR: u64 = 4;

/// The file system of a directory.
#[derive(Debug)]
pub(super) struct Space {
    directory: File,
    path: PathBuf,
    reserve_bytes: u64,
    free_bytes: u64,
}

impl Space {
    pub(super) fn open(path: &Path, reserve_bytes: u64) -> Result<Self, StoreError> {
        let directory = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
        Ok(Self { directory, path: path.to_owned(), reserve_bytes, free_bytes: 0 })
    }

    /// Asks how much is free: once for each batch, whose size is far below any sensible reserve.
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        let status = rustix::fs::fstatvfs(&self.directory);
        let status = status.map_err(|e| StoreError::io("ask for the free space of", &self.path, e.into()))?;
        self.free_bytes = status.f_bavail.saturating_mul(status.f_frsize);
        Ok(())
    }

    /// Errors: `DiskFull` when less than the reserve was free at the last look.
    pub(super) fn check(&self, grows: bool) -> Result<(), StoreError> {
        let divisor = if grows { 1 } else { RESERVE_FOR_DELETES_DIVISOR };
        let (free_bytes, reserve_bytes) = (self.free_bytes, self.reserve_bytes / divisor);
        if free_bytes < reserve_bytes {
            return Err(StoreError::DiskFull { directory: self.path.clone(), free_bytes, reserve_bytes });
        }
        Ok(())
    }
}
