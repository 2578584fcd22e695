//! Reading a blob out of a place.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::cursor::{Cursor, first_piece};
use crate::error::BlobError;
use crate::format::{FOOTER_BYTES, Footer, Trailer};
use crate::id::BlobId;
use crate::limits::{FAR_READ_BYTES, TAIL_BYTES};
use crate::place::{Piece, Place, Wanted};

/// A file of a place and what is still to be read of it.
pub(crate) struct FarSource {
    place: Arc<dyn Place>,
    pub(crate) cursor: Cursor,
    /// The piece that came with the trailer.
    first: Option<Bytes>,
}

impl FarSource {
    /// Asks for the trailer and, where that will not bring it along, for the first piece at once.
    pub(crate) async fn open(
        place: Arc<dyn Place>,
        id: BlobId,
        wanted: Option<Range<u64>>,
    ) -> Result<Self, BlobError> {
        let early = wanted.as_ref().filter(|wanted| wanted.end > TAIL_BYTES - FOOTER_BYTES as u64);
        let early = early.and_then(|wanted| first_piece(wanted, FAR_READ_BYTES as u64));
        let early = async {
            match early {
                Some(range) => Some(place.read(id, Wanted::Bytes(range)).await),
                None => None,
            }
        };
        let (tail, early) = tokio::join!(place.read(id, Wanted::Tail(TAIL_BYTES)), early);
        let tail = tail?;
        let trailer = trailer(&*place, id, &tail).await?;
        let cursor = Cursor::new(id, trailer, wanted, FAR_READ_BYTES)?;
        let first = match (early, cursor.next()) {
            (_, None) => None,
            // What was read early may go on into the trailer.
            (Some(early), Some(next)) => Some(cut(early?.bytes, next.end - next.start)),
            (None, Some(next)) => within(&tail, next),
        };
        Ok(Self { place, cursor, first })
    }

    pub(crate) async fn read(mut self) -> Result<(Bytes, Option<Self>), BlobError> {
        let Some(next) = self.cursor.next() else { return Ok((Bytes::new(), None)) };
        let piece = match self.first.take() {
            Some(piece) => piece,
            None => self.place.read(self.cursor.id, Wanted::Bytes(next)).await?.bytes,
        };
        let piece = self.cursor.accept(&piece)?;
        let more = self.cursor.next().is_some();
        Ok((piece, more.then_some(self)))
    }
}

/// The trailer, of which the tail holds the end at least.
async fn trailer(place: &dyn Place, id: BlobId, tail: &Piece) -> Result<Trailer, BlobError> {
    let damaged = |what| BlobError::Damaged { id, what };
    let footer = Footer::parse(&tail.bytes, tail.file_bytes).map_err(damaged)?;
    let table = footer.table();
    let sums = match within(tail, table.clone()) {
        Some(sums) => sums,
        None => place.read(id, Wanted::Bytes(table)).await?.bytes,
    };
    footer.complete(&sums).map_err(damaged)
}

/// These bytes of the file, if the tail holds them.
fn within(tail: &Piece, range: Range<u64>) -> Option<Bytes> {
    let tail_at = tail.file_bytes.checked_sub(tail.bytes.len() as u64)?;
    let offset = |position: u64| usize::try_from(position.checked_sub(tail_at)?).ok();
    let (start, end) = (offset(range.start)?, offset(range.end)?);
    (start <= end && end <= tail.bytes.len()).then(|| tail.bytes.slice(start..end))
}

fn cut(bytes: Bytes, length: u64) -> Bytes {
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(..length)
}
