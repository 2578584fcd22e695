//! Where blobs live on local disk.
//!
//! `tmp/ID` while a blob is written, then `xx/ID`, xx being the last byte of the id in hex. Files have mode 0600,
//! directories 0700.

use std::fs::{DirBuilder, File};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lambent_base::{Clock, Random};

use crate::error::{BlobError, blocking};
use crate::id::BlobId;
use crate::reader::BlobReader;
use crate::writer::BlobWriter;

const TEMPORARY_DIRECTORY: &str = "tmp";

/// What an operator may tune.
#[derive(Clone, Copy, Debug)]
pub struct BlobOptions {
    /// Writes are refused while the disk has less than this, so that the store beside can still commit.
    pub reserve_bytes: u64,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self { reserve_bytes: 128 * 1024 * 1024 }
    }
}

/// Blobs in one directory, which belongs to one process (the store's lock sees to that); clone it freely.
#[derive(Clone, Debug)]
pub struct BlobStore(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    root: PathBuf,
    root_handle: File,
    options: BlobOptions,
    pub(crate) clock: Clock,
    random: Random,
    /// Directories that are known to be there, durably.
    made: [AtomicBool; 256],
}

impl BlobStore {
    /// Opens or makes the directory and removes what interrupted writers left; blocks while it does.
    pub fn open(root: &Path, options: BlobOptions, clock: Clock, random: Random) -> Result<Self, BlobError> {
        make_directory(root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        let root_handle = File::open(root).map_err(|e| BlobError::io("open", root, e))?;
        let made = [const { AtomicBool::new(false) }; 256];
        let root = root.to_owned();
        let inner = Inner { root, root_handle, options, clock, random, made };
        inner.empty_temporary_directory()?;
        Ok(Self(Arc::new(inner)))
    }

    /// Starts a blob. Nothing is on disk before the first bytes are.
    pub fn create(&self) -> BlobWriter {
        BlobWriter::new(self.0.clone())
    }

    /// Opens a part of a blob for reading: `range` in bytes, the end exclusive, both within its length.
    ///
    /// Errors: `NotFound`, `RangeOutOfBounds`, `Damaged`.
    pub async fn open_range(&self, id: BlobId, range: Range<u64>) -> Result<BlobReader, BlobError> {
        BlobReader::open(self.0.clone(), id, range).await
    }

    /// Removes a blob that no row names any more; no harm when it is gone already. Whoever reads it can finish.
    pub async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        let inner = self.0.clone();
        blocking(move || inner.remove(id).map(drop)).await
    }
}

impl Inner {
    pub(crate) fn new_id(&self) -> BlobId {
        BlobId::new(&self.clock, &self.random)
    }

    pub(crate) fn temporary_path(&self) -> PathBuf {
        self.root.join(TEMPORARY_DIRECTORY).join(self.new_id().to_string())
    }

    pub(crate) fn path(&self, id: BlobId) -> PathBuf {
        self.directory(id.directory()).join(id.to_string())
    }

    pub(crate) fn directory(&self, number: u8) -> PathBuf {
        self.root.join(format!("{number:02x}"))
    }

    /// Makes the directory of a blob, durably, if it is not there.
    pub(crate) fn ensure_directory(&self, number: u8) -> Result<PathBuf, BlobError> {
        let path = self.directory(number);
        let made = &self.made[usize::from(number)];
        if !made.load(Ordering::Acquire) {
            make_directory(&path)?;
            // Also when it was there: the process that made it may have ended before this line.
            self.root_handle.sync_all().map_err(|e| BlobError::io("sync", &self.root, e))?;
            made.store(true, Ordering::Release);
        }
        Ok(path)
    }

    /// Errors: `DiskFull` when less than the reserve is free.
    pub(crate) fn check_space(&self) -> Result<(), BlobError> {
        let status = rustix::fs::fstatvfs(&self.root_handle);
        let status = status.map_err(|e| BlobError::io("ask for free space of", &self.root, e.into()))?;
        if status.f_bavail.saturating_mul(status.f_frsize) < self.options.reserve_bytes {
            return Err(BlobError::DiskFull { path: self.root.clone() });
        }
        Ok(())
    }

    /// Removes a blob and says how many bytes its file had; 0 when it was gone.
    pub(crate) fn remove(&self, id: BlobId) -> Result<u64, BlobError> {
        let path = self.path(id);
        let bytes = std::fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or(0);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
            other => other.map(|()| bytes).map_err(|e| BlobError::io("remove", &path, e)),
        }
    }

    fn empty_temporary_directory(&self) -> Result<(), BlobError> {
        let path = self.root.join(TEMPORARY_DIRECTORY);
        make_directory(&path)?;
        for entry in std::fs::read_dir(&path).map_err(|e| BlobError::io("list", &path, e))? {
            let left_over = entry.map_err(|e| BlobError::io("list", &path, e))?.path();
            std::fs::remove_file(&left_over).map_err(|e| BlobError::io("remove", &left_over, e))?;
        }
        Ok(())
    }
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), BlobError> {
    let directory = File::open(path).map_err(|e| BlobError::io("open", path, e))?;
    directory.sync_all().map_err(|e| BlobError::io("sync", path, e))
}

fn make_directory(path: &Path) -> Result<(), BlobError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|e| BlobError::io("make", path, e))
}
