//! Response bodies: from the handler to the connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use lambent_api::{ApiError, Body};

/// A response body for hyper.
pub(crate) struct Outgoing {
    body: Body,
    left: Option<u64>,
}

impl From<Body> for Outgoing {
    fn from(body: Body) -> Self {
        Self { left: body.length(), body }
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
        self.body.poll_next(cx).map(|next| {
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
