//! Writing a blob into a place.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::Far;
use crate::error::BlobError;
use crate::format::BlockSums;
use crate::id::BlobId;
use crate::limits::PART_BYTES;
use crate::place::Upload;
use crate::writer::{Blob, Gathered, Turns, Wished};

/// A blob that is being written into a place: in one go when it is small, in parts else. While one part is on its way
/// the next is gathered.
pub(crate) struct FarWriter {
    far: Arc<Far>,
    wished: Option<Wished>,
    gathered: Gathered,
    draft: Turns<Box<Draft>>,
}

/// A file in the making, removed unless it becomes a blob.
struct Draft {
    id: BlobId,
    sums: BlockSums,
    /// Of files of many parts, from the first on.
    upload: Option<Box<dyn Upload>>,
}

impl FarWriter {
    pub(crate) fn new(far: Arc<Far>, wished: Option<Wished>) -> Self {
        Self { far, wished, gathered: Gathered::default(), draft: Turns::default() }
    }

    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.gathered.push(bytes);
        // Some object stores want parts of the same size.
        while self.gathered.bytes() >= PART_BYTES {
            let draft = self.settle().await?;
            let (far, pieces) = (self.far.clone(), self.gathered.take(PART_BYTES));
            // On a task of its own: whoever writes may go away, and then somebody must still remove the upload.
            self.draft.begin(tokio::spawn(append(far, draft, pieces)));
        }
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<Blob, BlobError> {
        let draft = self.settle().await?;
        let (far, pieces) = (self.far, self.gathered.take_all());
        let published = tokio::spawn(publish(far, draft, pieces, self.wished));
        published.await.unwrap_or(Err(BlobError::CutOff))
    }

    async fn settle(&mut self) -> Result<Box<Draft>, BlobError> {
        let draft = self.draft.settle().await?;
        Ok(draft.unwrap_or_else(|| {
            let wished = self.wished.as_ref().map(|wished| wished.id);
            let id = wished.unwrap_or_else(|| self.far.names.new_id());
            Box::new(Draft { id, sums: BlockSums::new(), upload: None })
        }))
    }
}

async fn append(far: Arc<Far>, mut draft: Box<Draft>, pieces: Vec<Bytes>) -> Result<Box<Draft>, BlobError> {
    for piece in &pieces {
        draft.sums.update(piece);
    }
    if draft.upload.is_none() {
        draft.upload = Some(far.place.begin(draft.id).await?);
    }
    if let Some(upload) = &mut draft.upload {
        upload.part(pieces).await?;
    }
    Ok(draft)
}

async fn publish(
    far: Arc<Far>,
    mut draft: Box<Draft>,
    mut pieces: Vec<Bytes>,
    wished: Option<Wished>,
) -> Result<Blob, BlobError> {
    for piece in &pieces {
        draft.sums.update(piece);
    }
    let sums = std::mem::replace(&mut draft.sums, BlockSums::new());
    let length = sums.length();
    let trailer = sums.into_trailer();
    wished.map_or(Ok(()), |wished| wished.check(&trailer))?;
    pieces.push(trailer.into());
    match &mut draft.upload {
        None => far.place.put(draft.id, pieces).await?,
        Some(upload) => {
            upload.part(pieces).await?;
            upload.complete().await?;
        }
    }
    draft.upload = None;
    Ok(Blob { id: draft.id, length })
}

impl Drop for Draft {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        let id = self.id;
        // Without a runtime the process is stopping.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(failure) = upload.abort().await {
                tracing::warn!(%failure, %id, "the parts of an abandoned upload stay until the store expires them");
            }
        });
    }
}
