//! Request and response bodies that stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use lambent_wire::ApiError;
use parking_lot::Mutex;

/// A source of body bytes. An error ends it.
pub trait ByteStream: Send {
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>>;
}

/// Headers that came after a chunked body (lower-case names); complete once the body has ended.
pub type Trailers = Arc<Mutex<Vec<(String, String)>>>;

/// A body: known bytes, or a stream of them.
pub struct Body {
    source: Source,
    length: Option<u64>,
    trailers: Trailers,
}

enum Source {
    Bytes(Bytes),
    Stream(Pin<Box<dyn ByteStream>>),
}

impl Body {
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// A streamed body; `length` in bytes where it is known before.
    pub fn stream(stream: impl ByteStream + 'static, length: Option<u64>) -> Self {
        Self { source: Source::Stream(Box::pin(stream)), length, trailers: Trailers::default() }
    }

    /// Shares the list that the stream fills with trailing headers.
    #[must_use]
    pub fn with_trailers(mut self, trailers: Trailers) -> Self {
        self.trailers = trailers;
        self
    }

    /// The length in bytes, where it is known before the end.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// A trailing header by its lower-case name; only to be asked after the body's end.
    pub fn trailer(&self, name: &str) -> Option<String> {
        let trailers = self.trailers.lock();
        trailers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, ApiError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Like [`Body::next`], for those who poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        match &mut self.source {
            Source::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Source::Stream(stream) => stream.as_mut().poll_next(cx),
        }
    }

    /// All bytes at once; `too_large` is the error when there are more than `limit` of them.
    pub async fn collect(
        &mut self,
        limit: usize,
        too_large: impl FnOnce() -> ApiError,
    ) -> Result<Bytes, ApiError> {
        let mut all = BytesMut::new();
        let mut first = Bytes::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if all.len() + first.len() + piece.len() > limit {
                return Err(too_large());
            }
            if first.is_empty() && all.is_empty() {
                // Most bodies come in one piece, which then need not be copied.
                first = piece;
            } else {
                all.extend_from_slice(&std::mem::take(&mut first));
                all.extend_from_slice(&piece);
            }
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    /// The bytes that are there already; none of a streamed body's are.
    pub fn known(&self) -> &[u8] {
        match &self.source {
            Source::Bytes(bytes) => bytes,
            Source::Stream(_) => &[],
        }
    }

    /// The trailing headers, shared with the stream that fills them.
    pub fn trailers(&self) -> Trailers {
        Arc::clone(&self.trailers)
    }

    /// Whether the body is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        matches!(&self.source, Source::Bytes(bytes) if bytes.is_empty())
    }

    /// The bytes, when they are all there already.
    pub fn into_bytes(self) -> Result<Bytes, Self> {
        match self.source {
            Source::Bytes(bytes) => Ok(bytes),
            Source::Stream(_) => Err(self),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let length = Some(bytes.len() as u64);
        Self { source: Source::Bytes(bytes), length, trailers: Trailers::default() }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("length", &self.length).finish_non_exhaustive()
    }
}
