//! Writing a blob.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::{BlobError, blocking};
use crate::format::BlockSums;
use crate::id::BlobId;
use crate::limits::{MAX_BLOB_BYTES, WRITE_BYTES};
use crate::store::{Inner, sync_directory};

/// A finished, durable blob that no row names yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    pub id: BlobId,
    /// In bytes.
    pub length: u64,
}

/// A blob in the making. Dropping it before [`BlobWriter::finish`] leaves nothing behind.
pub struct BlobWriter {
    store: Arc<Inner>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    length: u64,
    disk: Disk,
}

/// Where the file is.
enum Disk {
    Idle(Option<Box<Draft>>),
    Busy(JoinHandle<Result<Box<Draft>, BlobError>>),
    Failed,
}

/// A temporary file, removed unless it becomes a blob.
struct Draft {
    file: File,
    path: PathBuf,
    sums: BlockSums,
    kept: bool,
}

impl BlobWriter {
    pub(crate) fn new(store: Arc<Inner>) -> Self {
        Self { store, gathered: Vec::new(), gathered_bytes: 0, length: 0, disk: Disk::Idle(None) }
    }

    /// Adds bytes. Waits for the disk when more than [`WRITE_BYTES`] are gathered while it is busy.
    ///
    /// Errors: `TooLarge`, `DiskFull`, `Io`; the writer is of no use after one.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.length += bytes.len() as u64;
        if self.length > MAX_BLOB_BYTES {
            return Err(BlobError::TooLarge);
        }
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= WRITE_BYTES {
            let draft = self.settle().await?;
            let pieces = self.take_gathered();
            let store = self.store.clone();
            self.disk = Disk::Busy(tokio::task::spawn_blocking(move || append(&store, draft, &pieces)));
        }
        Ok(())
    }

    /// How many bytes were written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Makes the blob durable under its final name.
    pub async fn finish(mut self) -> Result<Blob, BlobError> {
        let draft = self.settle().await?;
        let pieces = self.take_gathered();
        let store = self.store.clone();
        blocking(move || publish(&store, append(&store, draft, &pieces)?)).await
    }

    /// Waits for the write under way.
    async fn settle(&mut self) -> Result<Option<Box<Draft>>, BlobError> {
        match &mut self.disk {
            Disk::Idle(draft) => Ok(draft.take()),
            Disk::Busy(job) => {
                let draft = job.await.unwrap_or(Err(BlobError::CutOff));
                self.disk = if draft.is_ok() { Disk::Idle(None) } else { Disk::Failed };
                draft.map(Some)
            }
            Disk::Failed => Err(BlobError::CutOff),
        }
    }

    fn take_gathered(&mut self) -> Vec<Bytes> {
        self.gathered_bytes = 0;
        std::mem::take(&mut self.gathered)
    }
}

fn append(store: &Inner, draft: Option<Box<Draft>>, pieces: &[Bytes]) -> Result<Box<Draft>, BlobError> {
    store.check_space()?;
    let mut draft = match draft {
        Some(draft) => draft,
        None => Box::new(Draft::create(store)?),
    };
    for piece in pieces {
        draft.file.write_all(piece).map_err(|e| BlobError::io("write", &draft.path, e))?;
        draft.sums.update(piece);
    }
    Ok(draft)
}

fn publish(store: &Inner, mut draft: Box<Draft>) -> Result<Blob, BlobError> {
    let sums = std::mem::replace(&mut draft.sums, BlockSums::new());
    let length = sums.length();
    draft.file.write_all(&sums.into_trailer()).map_err(|e| BlobError::io("write", &draft.path, e))?;
    draft.file.sync_data().map_err(|e| BlobError::io("sync", &draft.path, e))?;
    // Named now, so that the id's time is when the wait for its transaction begins.
    let id = store.new_id();
    let directory = store.ensure_directory(id.directory())?;
    let path = store.path(id);
    std::fs::rename(&draft.path, &path).map_err(|e| BlobError::io("rename", &draft.path, e))?;
    draft.kept = true;
    sync_directory(&directory)?;
    Ok(Blob { id, length })
}

impl Draft {
    fn create(store: &Inner) -> Result<Self, BlobError> {
        let path = store.temporary_path();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| BlobError::io("create", &path, e))?;
        Ok(Self { file, path, sums: BlockSums::new(), kept: false })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a temporary file stays until the next start");
        }
    }
}
