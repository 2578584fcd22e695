//! Reading a blob.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::{BlobError, blocking};
use crate::format::Trailer;
use crate::id::BlobId;
use crate::limits::{BLOCK_BYTES, READ_BYTES};
use crate::store::Inner;

/// The bytes of a range, in pieces of at most [`READ_BYTES`]; every one checked before it is handed out.
pub struct BlobReader {
    length: u64,
    ready: Option<Bytes>,
    next: Option<JoinHandle<Result<Read1, BlobError>>>,
}

/// The piece that was read, and what is left.
type Read1 = (Bytes, Option<Source>);

/// An open file and what is still to be read of it.
struct Source {
    file: File,
    path: PathBuf,
    id: BlobId,
    trailer: Trailer,
    /// Where the file stands: a block's start.
    at: u64,
    wanted: Range<u64>,
}

impl BlobReader {
    pub(crate) async fn open(store: Arc<Inner>, id: BlobId, range: Range<u64>) -> Result<Self, BlobError> {
        // Opening and the first piece in one go: small blobs cross threads once.
        let (length, first) = blocking(move || {
            let source = Source::open(store.path(id), id, range)?;
            Ok((source.trailer.length, source.read()?))
        })
        .await?;
        let mut reader = Self { length, ready: None, next: None };
        reader.accept(first);
        Ok(reader)
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
        self.next = rest.map(|source| tokio::task::spawn_blocking(move || source.read()));
    }
}

impl Source {
    fn open(path: PathBuf, id: BlobId, wanted: Range<u64>) -> Result<Self, BlobError> {
        let mut file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => BlobError::NotFound(id),
            _ => BlobError::io("open", &path, e),
        })?;
        let trailer = Trailer::read(&file).map_err(|e| BlobError::io("read", &path, e))?;
        let trailer = trailer.map_err(|what| BlobError::Damaged { id, what })?;
        let Range { start, end } = wanted;
        if start > end || end > trailer.length {
            return Err(BlobError::RangeOutOfBounds { id, length: trailer.length, start, end });
        }
        let at = start - start % BLOCK_BYTES as u64;
        file.seek(SeekFrom::Start(at)).map_err(|e| BlobError::io("seek in", &path, e))?;
        Ok(Self { file, path, id, trailer, at, wanted })
    }

    fn read(mut self) -> Result<Read1, BlobError> {
        if self.wanted.is_empty() {
            return Ok((Bytes::new(), None));
        }
        let end = self.end_of_piece();
        let bytes = usize::try_from(end - self.at).expect("a piece is at most READ_BYTES");
        let mut piece = Vec::with_capacity(bytes);
        let read = (&mut self.file).take(end - self.at).read_to_end(&mut piece);
        read.map_err(|e| BlobError::io("read", &self.path, e))?;
        if piece.len() != bytes {
            return Err(self.damaged(format!("the file ends within the block at byte {}", self.at)));
        }
        if let Err(block) = self.trailer.check(self.at / BLOCK_BYTES as u64, &piece) {
            return Err(self.damaged(format!("the checksum of block {block} is wrong")));
        }
        let piece = Bytes::from(piece);
        let offset = |position: u64| usize::try_from(position - self.at).expect("within the piece");
        let taken = offset(self.wanted.start)..offset(self.wanted.end.min(end));
        let piece = piece.slice(taken);
        self.at = end;
        self.wanted.start = end;
        let more = self.wanted.start < self.wanted.end;
        Ok((piece, more.then_some(self)))
    }

    /// Where the next piece ends: on a block's end, at most [`READ_BYTES`] on, not beyond the last block needed.
    fn end_of_piece(&self) -> u64 {
        let needed = self.wanted.end.next_multiple_of(BLOCK_BYTES as u64).min(self.trailer.length);
        needed.min(self.at + READ_BYTES as u64)
    }

    fn damaged(&self, what: String) -> BlobError {
        BlobError::Damaged { id: self.id, what }
    }
}
