//! Any object store as a place for blobs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use lambent_base::BoxFuture;
use lambent_blobs::place::{Piece, Stored, Upload, Wanted};
use lambent_blobs::{BlobError, BlobId, MARK_NAME, Place};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload,
};

use crate::errors::{failure, is_no_bucket};

/// Blobs below a prefix of an object store.
#[derive(Clone, Debug)]
pub struct Objects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    name: String,
    prefix: Path,
    /// How long a call may take, its repetitions included.
    patience: Duration,
}

/// An upload that its store knows.
struct Parts {
    objects: Objects,
    upload: Box<dyn MultipartUpload>,
}

impl Objects {
    /// `name` is what operators call it; `patience` bounds each call, its repetitions by the store included.
    pub fn new(store: Arc<dyn ObjectStore>, name: String, prefix: &str, patience: Duration) -> Self {
        Self(Arc::new(Inner { store, name, prefix: Path::from(prefix), patience }))
    }

    fn path(&self, id: BlobId) -> Path {
        self.directory(id.directory()).join(id.to_string())
    }

    fn directory(&self, number: u8) -> Path {
        self.0.prefix.clone().join(format!("{number:02x}"))
    }

    fn mark_path(&self) -> Path {
        self.0.prefix.clone().join(MARK_NAME)
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, BlobError> {
        tokio::time::timeout(self.0.patience, call).await.map_err(|_| BlobError::Unreachable {
            place: self.0.name.clone(),
            why: format!("no answer within {} ms", self.0.patience.as_millis()),
        })
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, BlobError> {
        self.in_time(call).await?.map_err(|e| failure(&self.0.name, &e))
    }

    async fn get(&self, path: &Path, range: Option<GetRange>) -> Result<(Bytes, ObjectMeta), Error> {
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.0.store.get_opts(path, options).await?;
        let meta = found.meta.clone();
        Ok((found.bytes().await?, meta))
    }

    async fn read_piece(&self, id: BlobId, wanted: Wanted) -> Result<Piece, BlobError> {
        let range = match wanted {
            Wanted::Bytes(range) => GetRange::Bounded(range),
            Wanted::Tail(bytes) => GetRange::Suffix(bytes),
        };
        match self.in_time(self.get(&self.path(id), Some(range))).await? {
            Ok((bytes, meta)) => Ok(Piece { bytes, file_bytes: meta.size }),
            Err(Error::NotFound { .. }) => Err(BlobError::NotFound(id)),
            Err(error) => Err(self.unreadable(id, &error).await),
        }
    }

    /// A range that a file doesn't have is refused in as many ways as there are stores, so the file is asked for its size.
    async fn unreadable(&self, id: BlobId, error: &Error) -> BlobError {
        match self.in_time(self.0.store.head(&self.path(id))).await {
            Ok(Ok(meta)) if meta.size == 0 => BlobError::Damaged { id, what: "the file is empty".to_owned() },
            _ => failure(&self.0.name, error),
        }
    }

    async fn list_directory(&self, number: u8) -> Result<Vec<Stored>, BlobError> {
        let mut found = Vec::new();
        let mut objects = self.0.store.list(Some(&self.directory(number)));
        // Of many pages perhaps, each of which has to come in time.
        while let Some(object) = self.call(objects.try_next()).await? {
            match object.location.filename().and_then(|name| name.parse().ok()) {
                Some(id) => found.push(Stored {
                    id,
                    file_bytes: object.size,
                    modified_ms: object.last_modified.timestamp_millis(),
                }),
                None => tracing::warn!(object = %object.location, "not a blob: left alone"),
            }
        }
        Ok(found)
    }
}

impl Place for Objects {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn put(&self, id: BlobId, pieces: Vec<Bytes>) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let payload = PutPayload::from_iter(pieces);
            self.call(self.0.store.put(&self.path(id), payload)).await.map(drop)
        })
    }

    fn begin(&self, id: BlobId) -> BoxFuture<'_, Result<Box<dyn Upload>, BlobError>> {
        Box::pin(async move {
            let upload = self.call(self.0.store.put_multipart(&self.path(id))).await?;
            Ok(Box::new(Parts { objects: self.clone(), upload }) as Box<dyn Upload>)
        })
    }

    fn read(&self, id: BlobId, wanted: Wanted) -> BoxFuture<'_, Result<Piece, BlobError>> {
        Box::pin(self.read_piece(id, wanted))
    }

    fn remove(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            match self.in_time(self.0.store.delete(&self.path(id))).await? {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(failure(&self.0.name, &error)),
            }
        })
    }

    fn list(&self, directory: u8) -> BoxFuture<'_, Result<Vec<Stored>, BlobError>> {
        Box::pin(self.list_directory(directory))
    }

    fn mark(&self) -> BoxFuture<'_, Result<Option<String>, BlobError>> {
        Box::pin(async move {
            match self.in_time(self.get(&self.mark_path(), None)).await? {
                Ok((mark, _)) => Ok(Some(String::from_utf8_lossy(&mark).trim_end().to_owned())),
                Err(error @ Error::NotFound { .. }) if !is_no_bucket(&error) => Ok(None),
                Err(error) => Err(failure(&self.0.name, &error)),
            }
        })
    }

    fn set_mark(&self, mark: String) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(async move {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from(format!("{mark}\n"));
            match self.in_time(self.0.store.put_opts(&self.mark_path(), payload, options)).await? {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(failure(&self.0.name, &error)),
            }
        })
    }
}

impl Upload for Parts {
    fn part(&mut self, pieces: Vec<Bytes>) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let part = self.upload.put_part(PutPayload::from_iter(pieces));
            self.objects.call(part).await
        })
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move { self.objects.call(self.upload.complete()).await.map(drop) })
    }

    fn abort(&mut self) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move { self.objects.call(self.upload.abort()).await })
    }
}
