//! Writing a blob's file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{Disk, sync_directory};
use crate::error::{BlobError, blocking};
use crate::format::BlockSums;
use crate::id::BlobId;
use crate::limits::WRITE_BYTES;
use crate::writer::{Blob, Gathered, Turns, Wished};

/// A blob that is being written into a directory.
pub(crate) struct DiskWriter {
    disk: Arc<Disk>,
    wished: Option<Wished>,
    gathered: Gathered,
    draft: Turns<Box<Draft>>,
}

/// A temporary file, removed unless it becomes a blob.
struct Draft {
    file: File,
    path: PathBuf,
    sums: BlockSums,
    kept: bool,
}

impl DiskWriter {
    pub(crate) fn new(disk: Arc<Disk>, wished: Option<Wished>) -> Self {
        Self { disk, wished, gathered: Gathered::default(), draft: Turns::default() }
    }

    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.gathered.push(bytes);
        if self.gathered.bytes() >= WRITE_BYTES {
            let draft = self.draft.settle().await?;
            let (disk, pieces) = (self.disk.clone(), self.gathered.take_all());
            self.draft.begin(tokio::task::spawn_blocking(move || append(&disk, draft, &pieces)));
        }
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<Blob, BlobError> {
        let draft = self.draft.settle().await?;
        let (disk, pieces) = (self.disk, self.gathered.take_all());
        let wished = self.wished;
        blocking(move || publish(&disk, append(&disk, draft, &pieces)?, wished)).await
    }
}

fn append(disk: &Disk, draft: Option<Box<Draft>>, pieces: &[Bytes]) -> Result<Box<Draft>, BlobError> {
    disk.check_space()?;
    let mut draft = match draft {
        Some(draft) => draft,
        None => Box::new(Draft::create(disk)?),
    };
    for piece in pieces {
        draft.file.write_all(piece).map_err(|e| BlobError::io("write", &draft.path, e))?;
        draft.sums.update(piece);
    }
    Ok(draft)
}

fn publish(disk: &Disk, mut draft: Box<Draft>, wished: Option<Wished>) -> Result<Blob, BlobError> {
    let sums = std::mem::replace(&mut draft.sums, BlockSums::new());
    let length = sums.length();
    let trailer = sums.into_trailer();
    wished.as_ref().map_or(Ok(()), |wished| wished.check(&trailer))?;
    draft.file.write_all(&trailer).map_err(|e| BlobError::io("write", &draft.path, e))?;
    draft.file.sync_data().map_err(|e| BlobError::io("sync", &draft.path, e))?;
    // Named now, so that the id's time is when the wait for its transaction begins.
    let id: BlobId = wished.map_or_else(|| disk.names.new_id(), |wished| wished.id);
    let directory = disk.ensure_directory(id.directory())?;
    let path = disk.path(id);
    std::fs::rename(&draft.path, &path).map_err(|e| BlobError::io("rename", &draft.path, e))?;
    draft.kept = true;
    sync_directory(&directory)?;
    Ok(Blob { id, length })
}

impl Draft {
    fn create(disk: &Disk) -> Result<Self, BlobError> {
        let path = disk.temporary_path();
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
