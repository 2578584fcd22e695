//! The bytes of stored objects, streamed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use lambent_api::{ApiError, Body, BoxFuture, ByteStream, Proof};
use lambent_blobs::{BlobId, BlobReader, BlobStore};
use lambent_store::{Db, ScanOptions};

use crate::errors::S3Error;
use crate::keys;
use crate::ranges::Span;
use crate::readers::{Held, Hold};
use crate::rows::{self, Data, SpanRow};
use crate::service::S3;

/// How many parts of an object are looked up at once while it streams; few in tests, whose objects have few.
const SPANS_A_PAGE: usize = if cfg!(test) { 2 } else { 64 };

impl S3 {
    /// Bytes of an object, as they stand now; what happens to the object later does not change them, nor end them
    /// before the body is read or dropped.
    pub(crate) async fn read(&self, proof: &impl Proof, found: &Held, span: Span) -> Result<Body, S3Error> {
        read(self.db(proof), self.blobs(proof), found, span).await
    }
}

/// See [`S3::read`].
pub(crate) async fn read(db: &Db, blobs: &BlobStore, found: &Held, span: Span) -> Result<Body, S3Error> {
    let object = &found.row;
    let length = Some(span.length());
    match &object.data {
        _ if span.length() == 0 => Ok(Body::empty()),
        Data::Inline => {
            let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(object.inline.len());
            Ok(Body::from(object.inline.slice(bound(span.start)..bound(span.end))))
        }
        Data::Blob(blob) => {
            let reader = blobs.open_range(blob.parse()?, span.start..span.end).await?;
            let source = Source::Blob(reader, found.hold.clone());
            Ok(Body::stream(Pieces::of(source), length))
        }
        Data::Spans { upload, .. } => {
            let parts = Parts {
                db: db.clone(),
                blobs: blobs.clone(),
                upload: upload.clone(),
                _hold: found.hold.clone(),
            };
            let reader = SpanReader::open(parts, span).await?;
            Ok(Body::stream(Pieces::of(Source::Spans(Box::new(reader))), length))
        }
    }
}

/// Where the parts of an object are.
struct Parts {
    db: Db,
    blobs: BlobStore,
    upload: String,
    /// Dropped with the reader: the sweeper may have them then.
    _hold: Option<Hold>,
}

/// Reads the parts of an object one after the other.
struct SpanReader {
    parts: Parts,
    /// Parts that are looked up: blob and the bytes wanted of it, the next one last.
    ahead: Vec<(BlobId, Span)>,
    /// What is not looked up yet: bytes of the object.
    left: Span,
    current: Option<BlobReader>,
}

impl SpanReader {
    async fn open(parts: Parts, span: Span) -> Result<Self, S3Error> {
        let mut reader = Self { parts, ahead: Vec::new(), left: span, current: None };
        reader.look_ahead().await?;
        // The first blob is opened before the answer begins, so that its failure can still be one.
        reader.open_next().await?;
        Ok(reader)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            if let Some(current) = &mut self.current
                && let Some(piece) = current.next().await?
            {
                return Ok(Some(piece));
            }
            self.current = None;
            if self.ahead.is_empty() {
                if self.left.length() == 0 {
                    return Ok(None);
                }
                self.look_ahead().await?;
            }
            self.open_next().await?;
        }
    }

    async fn open_next(&mut self) -> Result<(), S3Error> {
        if let Some((blob, span)) = self.ahead.pop() {
            self.current = Some(self.parts.blobs.open_range(blob, span.start..span.end).await?);
        }
        Ok(())
    }

    /// Finds the parts that hold the next bytes.
    async fn look_ahead(&mut self) -> Result<(), S3Error> {
        let (db, upload, left) = (&self.parts.db, self.parts.upload.as_str(), self.left);
        let (rows, end) = db.read(|txn| async move { spans_from(&txn, upload, left).await }).await?;
        if rows.is_empty() {
            return Err(S3Error::DataMissing { missing: left.length() });
        }
        for (offset, row) in rows.into_iter().rev() {
            let start = left.start.max(offset) - offset;
            let end = left.end.min(offset + row.size) - offset;
            if start < end {
                self.ahead.push((row.blob.parse()?, Span { start, end }));
            }
        }
        self.left.start = end.min(left.end);
        Ok(())
    }
}

/// Some parts from the one that holds the first byte on, each with its offset; and where the last of them ends.
async fn spans_from(
    txn: &lambent_store::Txn,
    upload: &str,
    left: Span,
) -> Result<(Vec<(u64, SpanRow)>, u64), S3Error> {
    let all = keys::spans(upload).range();
    // The part that holds a byte is the last one that begins at or before it.
    let before = all.clone().before(&keys::span(upload, left.start.saturating_add(1)));
    let first = txn.scan_snapshot(&before, ScanOptions::rows(1).reverse()).await?;
    let Some((first_key, _)) = first.rows.first() else { return Ok((Vec::new(), left.start)) };
    let range = all.starting_at(first_key).before(&keys::span(upload, left.end));
    let page = txn.scan_snapshot(&range, ScanOptions::rows(SPANS_A_PAGE)).await?;
    let mut spans = Vec::with_capacity(page.rows.len());
    let mut end = left.start;
    for (key, row) in &page.rows {
        let row: SpanRow = rows::decode(key, row)?;
        let offset = keys::offset_of_span(key)?;
        end = offset + row.size;
        spans.push((offset, row));
    }
    // No progress would be a loop: a part is missing.
    if end <= left.start {
        return Err(S3Error::DataMissing { missing: left.length() });
    }
    Ok((spans, end))
}

enum Source {
    /// Held as long as it is read.
    Blob(BlobReader, #[expect(dead_code, reason = "held until it is dropped")] Option<Hold>),
    Spans(Box<SpanReader>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        match self {
            Self::Blob(reader, _) => Ok(reader.next().await?),
            Self::Spans(reader) => reader.next().await,
        }
    }
}

/// A source as a stream of pieces.
struct Pieces {
    state: State,
}

enum State {
    Idle(Source),
    Reading(BoxFuture<'static, (Source, Result<Option<Bytes>, S3Error>)>),
    Ended,
}

impl Pieces {
    fn of(source: Source) -> Self {
        Self { state: State::Idle(source) }
    }
}

impl ByteStream for Pieces {
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(mut source) => {
                    this.state = State::Reading(Box::pin(async move {
                        let piece = source.next().await;
                        (source, piece)
                    }));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready((source, piece)) = reading.as_mut().poll(cx) else {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    return Poll::Ready(match piece {
                        Ok(Some(piece)) => {
                            this.state = State::Idle(source);
                            Some(Ok(piece))
                        }
                        Ok(None) => None,
                        Err(error) => Some(Err(error.into())),
                    });
                }
            }
        }
    }
}
