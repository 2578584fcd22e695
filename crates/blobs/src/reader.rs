//! Reading a blob.

use std::ops::Range;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::disk::DiskSource;
use crate::error::{BlobError, blocking};
use crate::far::FarSource;
use crate::id::BlobId;
use crate::store::Kind;

/// The bytes of a range, in pieces of at most [`crate::limits::READ_BYTES`] from disk and
/// [`crate::limits::FAR_READ_BYTES`] from elsewhere; every one checked before it is handed out.
pub struct BlobReader {
    length: u64,
    ready: Option<Bytes>,
    next: Option<JoinHandle<Result<Read1, BlobError>>>,
}

/// The piece that was read, and what is left.
type Read1 = (Bytes, Option<Source>);

enum Source {
    Disk(DiskSource),
    Far(Box<FarSource>),
}

impl BlobReader {
    pub(crate) async fn open(kind: &Kind, id: BlobId, wanted: Range<u64>) -> Result<Self, BlobError> {
        Ok(Self::open_with(kind, id, Some(wanted), false).await?.0)
    }

    /// Opens all of a blob; and the trailer of its file.
    pub(crate) async fn open_whole(kind: &Kind, id: BlobId) -> Result<(Self, Bytes), BlobError> {
        Self::open_with(kind, id, None, true).await
    }

    /// The trailer of a blob's file.
    pub(crate) async fn open_trailer(kind: &Kind, id: BlobId) -> Result<Bytes, BlobError> {
        Ok(Self::open_with(kind, id, Some(0..0), true).await?.1)
    }

    async fn open_with(
        kind: &Kind,
        id: BlobId,
        wanted: Option<Range<u64>>,
        with_trailer: bool,
    ) -> Result<(Self, Bytes), BlobError> {
        let encode = move |trailer: &crate::format::Trailer| match with_trailer {
            true => trailer.to_bytes(),
            false => Bytes::new(),
        };
        let (length, trailer, first) = match kind {
            // Opening and the first piece in one go: small blobs cross threads once.
            Kind::Disk(disk) => {
                let disk = disk.clone();
                blocking(move || {
                    let source = DiskSource::open(&disk, id, wanted)?;
                    let (length, trailer) = (source.cursor.trailer.length, encode(&source.cursor.trailer));
                    Ok((length, trailer, read_disk(source)?))
                })
                .await?
            }
            Kind::Far(far) => {
                let source = FarSource::open(far.place.clone(), id, wanted).await?;
                let (length, trailer) = (source.cursor.trailer.length, encode(&source.cursor.trailer));
                (length, trailer, read_far(source).await?)
            }
        };
        let mut reader = Self { length, ready: None, next: None };
        reader.accept(first);
        Ok((reader, trailer))
    }

    /// The length of the whole blob, in bytes.
    pub fn blob_length(&self) -> u64 {
        self.length
    }

    /// The next piece, never empty; `None` at the end. After an error there is nothing more.
    ///
    /// Errors: `Damaged` when a block's checksum is wrong; no byte of that piece is handed out.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if let Some(piece) = self.ready.take() {
            return Ok(Some(piece));
        }
        let Some(job) = &mut self.next else { return Ok(None) };
        let read = job.await.unwrap_or(Err(BlobError::CutOff));
        self.next = None;
        self.accept(read?);
        Ok(self.ready.take())
    }

    /// All bytes of the range: for ranges that the caller knows to be small.
    pub async fn read_to_end(mut self) -> Result<Bytes, BlobError> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut all = [first, second].concat();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }

    /// Keeps a piece and starts to read the one after it.
    fn accept(&mut self, (piece, rest): Read1) {
        self.ready = Some(piece).filter(|piece| !piece.is_empty());
        self.next = rest.map(|source| match source {
            Source::Disk(source) => tokio::task::spawn_blocking(move || read_disk(source)),
            Source::Far(source) => tokio::spawn(read_far(*source)),
        });
    }
}

impl Drop for BlobReader {
    fn drop(&mut self) {
        if let Some(job) = &self.next {
            job.abort();
        }
    }
}

fn read_disk(source: DiskSource) -> Result<Read1, BlobError> {
    let (piece, rest) = source.read()?;
    Ok((piece, rest.map(Source::Disk)))
}

async fn read_far(source: FarSource) -> Result<Read1, BlobError> {
    let (piece, rest) = source.read().await?;
    Ok((piece, rest.map(|source| Source::Far(Box::new(source)))))
}
