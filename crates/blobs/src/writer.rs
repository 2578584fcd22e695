//! Writing a blob.

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::disk::DiskWriter;
use crate::error::BlobError;
use crate::far::FarWriter;
use crate::id::BlobId;
use crate::limits::MAX_BLOB_BYTES;
use crate::store::Kind;

/// A finished, durable blob that no row names yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    pub id: BlobId,
    /// In bytes.
    pub length: u64,
}

/// A blob in the making. Dropping it before [`BlobWriter::finish`] leaves nothing behind.
pub struct BlobWriter {
    length: u64,
    sink: Sink,
}

enum Sink {
    Disk(DiskWriter),
    Far(FarWriter),
}

/// What a file is to become that has a name and checksums already.
pub(crate) struct Wished {
    pub(crate) id: BlobId,
    pub(crate) trailer: Bytes,
}

/// Pieces that wait until there are enough.
#[derive(Default)]
pub(crate) struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
}

/// A draft that is with us, or with the one job that adds to it.
pub(crate) enum Turns<D> {
    Idle(Option<D>),
    Busy(JoinHandle<Result<D, BlobError>>),
    Failed,
}

impl BlobWriter {
    pub(crate) fn new(kind: &Kind, wished: Option<Wished>) -> Self {
        let sink = match kind {
            Kind::Disk(disk) => Sink::Disk(DiskWriter::new(disk.clone(), wished)),
            Kind::Far(far) => Sink::Far(FarWriter::new(far.clone(), wished)),
        };
        Self { length: 0, sink }
    }

    /// Adds bytes. Waits for the place when more than [`crate::limits::WRITE_BYTES`] (elsewhere than on disk
    /// [`crate::limits::PART_BYTES`]) are gathered while it is busy.
    ///
    /// Errors: `TooLarge`, `DiskFull`, `Io`, `Full`, `Unreachable`, `Refused`; the writer is of no use after one.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.length += bytes.len() as u64;
        if self.length > MAX_BLOB_BYTES {
            return Err(BlobError::TooLarge);
        }
        match &mut self.sink {
            Sink::Disk(writer) => writer.write(bytes).await,
            Sink::Far(writer) => writer.write(bytes).await,
        }
    }

    /// How many bytes were written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Makes the blob durable under its final name.
    pub async fn finish(self) -> Result<Blob, BlobError> {
        match self.sink {
            Sink::Disk(writer) => writer.finish().await,
            Sink::Far(writer) => writer.finish().await,
        }
    }
}

impl Wished {
    /// Errors: `Damaged` when what was written is not what was wished for.
    pub(crate) fn check(&self, trailer: &[u8]) -> Result<(), BlobError> {
        if self.trailer == trailer {
            return Ok(());
        }
        let what = "the copy's checksums are not those of the file".to_owned();
        Err(BlobError::Damaged { id: self.id, what })
    }
}

impl Gathered {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push(piece);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn take_all(&mut self) -> Vec<Bytes> {
        self.bytes = 0;
        std::mem::take(&mut self.pieces)
    }

    /// The first `length` bytes, which must be there.
    pub(crate) fn take(&mut self, length: usize) -> Vec<Bytes> {
        let (mut taken, mut missing) = (Vec::new(), length);
        let mut pieces = self.take_all().into_iter();
        for mut piece in pieces.by_ref() {
            if piece.len() > missing {
                taken.push(piece.split_to(missing));
                self.push(piece);
                break;
            }
            missing -= piece.len();
            taken.push(piece);
        }
        pieces.for_each(|piece| self.push(piece));
        taken
    }
}

impl<D> Default for Turns<D> {
    fn default() -> Self {
        Self::Idle(None)
    }
}

impl<D> Turns<D> {
    /// Waits for the job under way. No draft: nothing was written yet.
    pub(crate) async fn settle(&mut self) -> Result<Option<D>, BlobError> {
        match self {
            Self::Idle(draft) => Ok(draft.take()),
            Self::Busy(job) => {
                let draft = job.await.unwrap_or(Err(BlobError::CutOff));
                *self = if draft.is_ok() { Self::Idle(None) } else { Self::Failed };
                draft.map(Some)
            }
            Self::Failed => Err(BlobError::CutOff),
        }
    }

    pub(crate) fn begin(&mut self, job: JoinHandle<Result<D, BlobError>>) {
        *self = Self::Busy(job);
    }
}
