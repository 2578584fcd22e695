//! Response bodies: from the handler to the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use lambent_api::{ApiError, Body};

use crate::limits;
use crate::streams::{Stream, Streams};

/// A response body for hyper.
pub(crate) struct Outgoing {
    body: Body,
    left: Option<u64>,
    watched: Option<Watched>,
}

/// A body of HTTP/2 is given away in small pieces: hyper holds each until the client opens its window.
struct Watched {
    stream: Arc<Stream>,
    /// What is left of the last piece.
    rest: Bytes,
}

impl Outgoing {
    /// The same, for a client that may open its window or not.
    pub(crate) fn watched(self, streams: &Streams) -> Self {
        Self { watched: Some(Watched { stream: streams.add(), rest: Bytes::new() }), ..self }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let Some(watched) = &mut self.watched else { return self.body.poll_next(cx) };
        if watched.rest.is_empty() {
            match self.body.poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => watched.rest = piece,
                other => {
                    watched.stream.wait();
                    return other;
                }
            }
        }
        watched.stream.offer();
        let bytes = watched.rest.len().min(limits::HTTP_2_PIECE_BYTES);
        Poll::Ready(Some(Ok(watched.rest.split_to(bytes))))
    }
}

impl From<Body> for Outgoing {
    fn from(body: Body) -> Self {
        Self { left: body.length(), body, watched: None }
    }
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Body::from(bytes).into()
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    /// An error here ends the connection, which is how a client learns that a body is not whole.
    type Error = ApiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ApiError>>> {
        self.poll_piece(cx).map(|next| {
            next.map(|piece| {
                let piece = piece?;
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Ok(Frame::data(piece))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
