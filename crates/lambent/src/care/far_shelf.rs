//! Dumps in a bucket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lambent_base::BoxFuture;
use lambent_blobs_objects::S3Address;
use lambent_blobs_objects::object_store::path::Path as Key;
use lambent_blobs_objects::object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use lambent_care::{CareError, Shelf, Slot};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::CommandError;
use super::far_slot::FarSlot;
use crate::blobs;

/// Bytes of a dump that are read or written at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// Parts of a dump that are under way at once.
const PARTS_AT_ONCE: usize = 4;
/// The object that says who changes the place.
const LOCK: &str = "lock";

/// Files below a prefix of a bucket; what is read or written passes through a temporary folder of this host.
pub(super) struct FarShelf {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    name: String,
    scratch: TempDir,
}

impl FarShelf {
    pub(super) fn open(address: &S3Address) -> Result<Self, CommandError> {
        let store = blobs::object_store(address)?;
        let scratch = TempDir::new().map_err(CommandError::Scratch)?;
        Ok(Self { store, prefix: Key::from(address.prefix.as_str()), name: address.to_string(), scratch })
    }

    fn key(&self, name: &str) -> Key {
        name.split('/').fold(self.prefix.clone(), |key, part| key.join(part))
    }

    fn failed(&self, action: &'static str) -> impl Fn(Error) -> CareError {
        let path = PathBuf::from(&self.name);
        move |error| CareError::Io { action, path: path.clone(), source: std::io::Error::other(error) }
    }

    async fn upload(&self, name: &str, file: &Path) -> Result<(), CareError> {
        let local = |action| move |source| CareError::Io { action, path: file.to_owned(), source };
        let failed = self.failed("write to");
        let mut source = tokio::fs::File::open(file).await.map_err(local("open"))?;
        let length = source.metadata().await.map_err(local("look at"))?.len();
        let key = self.key(name);
        if length <= PIECE_BYTES as u64 {
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes).await.map_err(local("read"))?;
            self.store.put(&key, PutPayload::from(bytes)).await.map_err(failed)?;
        } else {
            let mut upload = WriteMultipart::new(self.store.put_multipart(&key).await.map_err(&failed)?);
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let count = source.read(&mut piece).await.map_err(local("read"))?;
                if count == 0 {
                    break;
                }
                upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(&failed)?;
                upload.write(&piece[..count]);
            }
            upload.finish().await.map_err(failed)?;
        }
        tokio::fs::remove_file(file).await.map_err(local("remove"))
    }

    async fn download(&self, name: &str) -> Result<Option<PathBuf>, CareError> {
        let failed = self.failed("read from");
        let found = match self.store.get(&self.key(name)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(&failed)?,
        };
        let path = self.scratch.path().join(name.replace('/', "-"));
        let local = |action| {
            let path = path.clone();
            move |source| CareError::Io { action, path, source }
        };
        let mut file = tokio::fs::File::create(&path).await.map_err(local("create"))?;
        let length = found.meta.size;
        let mut at = 0;
        while at < length {
            let end = length.min(at + 8 * PIECE_BYTES as u64);
            let piece = self.store.get_range(&self.key(name), at..end).await.map_err(&failed)?;
            file.write_all(&piece).await.map_err(local("write"))?;
            at = end;
        }
        file.flush().await.map_err(local("write"))?;
        Ok(Some(path))
    }
}

impl Shelf for FarShelf {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn scratch(&self) -> Result<PathBuf, CareError> {
        Ok(self.scratch.path().to_owned())
    }

    fn put<'a>(&'a self, name: &'a str, file: &'a Path) -> BoxFuture<'a, Result<(), CareError>> {
        Box::pin(self.upload(name, file))
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>, CareError>> {
        Box::pin(self.download(name))
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), CareError>> {
        Box::pin(async move {
            match self.store.delete(&self.key(name)).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failed("remove from")(error)),
            }
        })
    }

    fn slot(&self) -> Option<Arc<dyn Slot>> {
        Some(Arc::new(FarSlot::new(self.store.clone(), self.key(LOCK), self.name.clone())))
    }
}
