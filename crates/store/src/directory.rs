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

/// Whether there is something under that name.
pub(crate) fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|e| StoreError::io("look for", path, e))
}

/// Makes a directory that only its owner may look into, if there is none.
pub(crate) fn create_directory(directory: &Path) -> Result<(), StoreError> {
    if !exists(directory)? {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(|e| StoreError::io("create", directory, e))?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
    }
    Ok(())
}
