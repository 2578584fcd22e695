//! How a read goes through the blocks of a file, wherever that lies.

use std::ops::Range;

use bytes::Bytes;

use crate::error::BlobError;
use crate::format::Trailer;
use crate::id::BlobId;
use crate::limits::BLOCK_BYTES;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// What is still to be read of a blob, and what it must be.
pub(crate) struct Cursor {
    pub(crate) id: BlobId,
    pub(crate) trailer: Trailer,
    wanted: Range<u64>,
    /// The most that is read at once: whole blocks.
    piece_bytes: u64,
}

impl Cursor {
    /// `wanted` in bytes of the blob; without it, all of them. Errors: `RangeOutOfBounds`.
    pub(crate) fn new(
        id: BlobId,
        trailer: Trailer,
        wanted: Option<Range<u64>>,
        piece_bytes: usize,
    ) -> Result<Self, BlobError> {
        let length = trailer.length;
        let wanted = wanted.unwrap_or(0..length);
        let Range { start, end } = wanted;
        if start > end || end > length {
            return Err(BlobError::RangeOutOfBounds { id, length, start, end });
        }
        Ok(Self { id, trailer, wanted, piece_bytes: piece_bytes as u64 })
    }

    /// Which bytes of the file come next, whole blocks; `None` at the end.
    pub(crate) fn next(&self) -> Option<Range<u64>> {
        let next = first_piece(&self.wanted, self.piece_bytes)?;
        Some(next.start..next.end.min(self.trailer.length))
    }

    /// Checks the bytes that [`Cursor::next`] named, goes on, and gives those that are wanted.
    pub(crate) fn accept(&mut self, piece: &Bytes) -> Result<Bytes, BlobError> {
        let Some(Range { start, end }) = self.next() else { return Ok(Bytes::new()) };
        if piece.len() as u64 != end - start {
            return Err(self.damaged(format!("the file ends within the block at byte {start}")));
        }
        if let Err(block) = self.trailer.check(start / BLOCK, piece) {
            return Err(self.damaged(format!("the checksum of block {block} is wrong")));
        }
        let offset = |position: u64| usize::try_from(position - start).expect("within the piece");
        let taken = offset(self.wanted.start)..offset(self.wanted.end.min(end));
        self.wanted.start = end.min(self.wanted.end);
        Ok(piece.slice(taken))
    }

    fn damaged(&self, what: String) -> BlobError {
        BlobError::Damaged { id: self.id, what }
    }
}

/// The whole blocks that a read of `wanted` begins with; they may go on behind the end of the blob.
pub(crate) fn first_piece(wanted: &Range<u64>, piece_bytes: u64) -> Option<Range<u64>> {
    let start = wanted.start - wanted.start % BLOCK;
    let needed = wanted.end.checked_next_multiple_of(BLOCK)?;
    (wanted.start < wanted.end).then(|| start..needed.min(start + piece_bytes))
}
