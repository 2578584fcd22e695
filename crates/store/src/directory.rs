//! Directories whose names survive a power cut.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::error::StoreError;

/// Makes names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    let opened = File::open(directory).map_err(|e| StoreError::io("open", directory, e))?;
    opened.sync_all().map_err(|e| StoreError::io("sync", directory, e))
}

/// Makes the names in `directory`, and in all directories below it, durable.
pub(crate) fn sync_directories(directory: &Path) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(directory).map_err(|e| StoreError::io("list", directory, e))? {
        let entry = entry.map_err(|e| StoreError::io("list", directory, e))?;
        let kind = entry.file_type().map_err(|e| StoreError::io("look at", directory, e))?;
        if kind.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    sync_directory(directory)
}

/// Whether there is something under that name.
pub(crate) fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|e| StoreError::io("look for", path, e))
}

/// Makes a directory that only its owner may look into, if there is none, and those above it; all names durable.
pub(crate) fn create_directory(directory: &Path) -> Result<(), StoreError> {
    if exists(directory)? {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_directory(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        // Somebody else was faster.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
    .map_err(|e| StoreError::io("create", directory, e))?;
    sync_directory(parent.unwrap_or(Path::new(".")))
}
