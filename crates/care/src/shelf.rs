//! Where the files of backups lie: dumps and the manifest. (Blobs lie beside them, in a [`lambent_blobs::BlobStore`].)

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lambent_base::BoxFuture;

use crate::CareError;
use crate::files::{NewFile, make_directory, sync_parent};
use crate::turn::Slot;

/// What a backup that was cut off may have left in a directory, which is somebody's and may hold other files.
const LEFTOVERS: [&str; 3] = ["new-rows.part", "new-key.part", "new.part"];

/// A directory, or what does the same elsewhere. Names may hold slashes.
pub trait Shelf: Send + Sync {
    /// What operators call it.
    fn name(&self) -> String;

    /// Where a dump is written before it is put here: beside its place where that is a directory.
    fn scratch(&self) -> Result<PathBuf, CareError>;

    /// Puts a whole file here, durably, and takes it from where it was; a file of that name is replaced.
    fn put<'a>(&'a self, name: &'a str, file: &'a Path) -> BoxFuture<'a, Result<(), CareError>>;

    /// Gives a path under which the file can be read; `None` when there is none of that name.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>, CareError>>;

    /// Removes a file; no harm when there is none.
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), CareError>>;

    /// What keeps two commands from changing the place at once, where no lock of a directory does.
    fn slot(&self) -> Option<Arc<dyn Slot>> {
        None
    }
}

/// Files below a directory of this host.
pub struct DirectoryShelf(PathBuf);

impl DirectoryShelf {
    /// A directory that may not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    fn put_file(&self, name: &str, file: &Path) -> Result<(), CareError> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        fs::rename(file, &path).map_err(CareError::io("rename", file))?;
        sync_parent(&path)
    }

    fn remove_file(&self, name: &str) -> Result<(), CareError> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(CareError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

impl Shelf for DirectoryShelf {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn scratch(&self) -> Result<PathBuf, CareError> {
        make_directory(&self.0)?;
        LEFTOVERS.iter().try_for_each(|name| self.remove_file(name))?;
        Ok(self.0.clone())
    }

    fn put<'a>(&'a self, name: &'a str, file: &'a Path) -> BoxFuture<'a, Result<(), CareError>> {
        Box::pin(std::future::ready(self.put_file(name, file)))
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>, CareError>> {
        let path = self.0.join(name);
        Box::pin(std::future::ready(Ok(path.is_file().then_some(path))))
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), CareError>> {
        Box::pin(std::future::ready(self.remove_file(name)))
    }
}

/// Puts some bytes under a name.
pub(crate) async fn put_bytes(shelf: &dyn Shelf, name: &str, bytes: &[u8]) -> Result<(), CareError> {
    let path = shelf.scratch()?.join("new");
    let mut file = NewFile::create(&path)?;
    file.file().write_all(bytes).map_err(CareError::io("write", &path))?;
    file.finish()?;
    shelf.put(name, &path).await
}
