//! Blobs in a directory, of this host or one that several hosts mount.
//!
//! `tmp/ID` while a blob is written, then `xx/ID`, xx being the last byte of the id in hex; `cloud-id` says whose the
//! directory is. Files have mode 0600, directories 0700.

mod draft;
mod mark;
mod source;

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

pub(crate) use draft::DiskWriter;
pub(crate) use source::DiskSource;

use crate::error::BlobError;
use crate::id::{BlobId, Names};
use crate::limits::ORPHAN_AGE;
use crate::store::BlobOptions;

const TEMPORARY_DIRECTORY: &str = "tmp";

/// Who writes into a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// This process (the store's lock sees to that).
    One,
    /// Several processes, perhaps of several hosts.
    Many,
}

#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    root_handle: File,
    options: BlobOptions,
    writers: Writers,
    pub(crate) names: Names,
    /// Directories that are known to be there, durably.
    made: [AtomicBool; 256],
}

impl Disk {
    pub(crate) fn open(
        root: &Path,
        options: BlobOptions,
        names: Names,
        writers: Writers,
    ) -> Result<Self, BlobError> {
        make_directory(root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        let root_handle = File::open(root).map_err(|e| BlobError::io("open", root, e))?;
        let made = [const { AtomicBool::new(false) }; 256];
        let disk = Self { root: root.to_owned(), root_handle, options, writers, names, made };
        make_directory(&disk.root.join(TEMPORARY_DIRECTORY))?;
        match writers {
            Writers::One => disk.remove_drafts(|_| true)?,
            Writers::Many => disk.remove_old_drafts(ORPHAN_AGE)?,
        }
        Ok(disk)
    }

    /// Removes what other processes left that died while they wrote. One that writes touches its file now and then.
    pub(crate) fn remove_old_drafts(&self, older_than: Duration) -> Result<(), BlobError> {
        if self.writers == Writers::One {
            return Ok(());
        }
        let now = Duration::from_millis(self.names.clock().unix_ms().unsigned_abs());
        self.remove_drafts(|path| {
            let modified = path.metadata().and_then(|metadata| metadata.modified()).ok();
            let written = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            written.is_some_and(|written| now.saturating_sub(written) > older_than)
        })
    }

    /// The ids of the blobs in one of the 256 directories.
    pub(crate) fn ids(&self, directory: u8) -> Result<Vec<BlobId>, BlobError> {
        let path = self.directory(directory);
        let entries = match std::fs::read_dir(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| BlobError::io("list", &path, e))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| BlobError::io("list", &path, e))?.file_name();
            match name.to_str().and_then(|name| name.parse().ok()) {
                Some(id) => ids.push(id),
                None => tracing::warn!(?name, directory = %path.display(), "not a blob: left alone"),
            }
        }
        Ok(ids)
    }

    /// Removes a blob and says how many bytes its file had; 0 when it was gone.
    pub(crate) fn remove(&self, id: BlobId) -> Result<u64, BlobError> {
        let path = self.path(id);
        let bytes = std::fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or(0);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
            other => other.map(|()| bytes).map_err(|e| BlobError::io("remove", &path, e)),
        }
    }

    fn temporary_path(&self) -> PathBuf {
        self.root.join(TEMPORARY_DIRECTORY).join(self.names.new_id().to_string())
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.directory(id.directory()).join(id.to_string())
    }

    fn directory(&self, number: u8) -> PathBuf {
        self.root.join(format!("{number:02x}"))
    }

    /// Makes the directory of a blob, durably, if it is not there.
    fn ensure_directory(&self, number: u8) -> Result<PathBuf, BlobError> {
        let path = self.directory(number);
        let made = &self.made[usize::from(number)];
        if !made.load(Ordering::Acquire) {
            make_directory(&path)?;
            // Also when it was there: the process that made it may have ended before this line.
            self.sync_root()?;
            made.store(true, Ordering::Release);
        }
        Ok(path)
    }

    fn sync_root(&self) -> Result<(), BlobError> {
        self.root_handle.sync_all().map_err(|e| BlobError::io("sync", &self.root, e))
    }

    /// Errors: `DiskFull` when less than the reserve is free.
    fn check_space(&self) -> Result<(), BlobError> {
        let status = rustix::fs::fstatvfs(&self.root_handle);
        let status = status.map_err(|e| BlobError::io("ask for free space of", &self.root, e.into()))?;
        if status.f_bavail.saturating_mul(status.f_frsize) < self.options.reserve_bytes {
            return Err(BlobError::DiskFull { path: self.root.clone() });
        }
        Ok(())
    }

    fn remove_drafts(&self, is_left_over: impl Fn(&Path) -> bool) -> Result<(), BlobError> {
        let path = self.root.join(TEMPORARY_DIRECTORY);
        for entry in std::fs::read_dir(&path).map_err(|e| BlobError::io("list", &path, e))? {
            let left_over = entry.map_err(|e| BlobError::io("list", &path, e))?.path();
            if !is_left_over(&left_over) {
                continue;
            }
            match std::fs::remove_file(&left_over) {
                // Another process had the same thought.
                Err(e) if e.kind() == ErrorKind::NotFound && self.writers == Writers::Many => {}
                other => other.map_err(|e| BlobError::io("remove", &left_over, e))?,
            }
        }
        Ok(())
    }
}

/// Makes names in a directory durable.
fn sync_directory(path: &Path) -> Result<(), BlobError> {
    let directory = File::open(path).map_err(|e| BlobError::io("open", path, e))?;
    directory.sync_all().map_err(|e| BlobError::io("sync", path, e))
}

fn make_directory(path: &Path) -> Result<(), BlobError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|e| BlobError::io("make", path, e))
}
