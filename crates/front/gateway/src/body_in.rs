//! Request bodies: from the connection to the handler, held to what the signature says of them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use lambent_api::{ApiError, Body, ByteStream, Trailers};
use lambent_base::{Alarm, Until};
use lambent_sigv4::{ChunkError, PayloadReader};
use tokio::time::Instant;

use crate::door::Arrival;
use crate::errors;
use crate::limits::Patience;

/// A request's body on its way in, with the timer of the task that reads it.
pub(crate) struct Arriving {
    pub(crate) incoming: Incoming,
    pub(crate) alarm: Alarm,
    pub(crate) arrival: Arrival,
}

/// A body that streams to its handler, verified on the way (S3), and held to the pace that `patience` asks for.
pub(crate) fn verified(
    Arriving { incoming, alarm, .. }: Arriving,
    reader: PayloadReader,
    headers: &HeaderMap,
    patience: Patience,
) -> Result<Body, ApiError> {
    let length = if reader.is_chunked() {
        header_number(headers, "x-amz-decoded-content-length")
    } else {
        incoming.size_hint().exact()
    };
    if length == Some(0) && incoming.is_end_stream() {
        // Nothing will come, so the end is checked at once.
        reader.finish().map_err(|error| chunk_error(&error))?;
        return Ok(Body::empty());
    }
    let trailers = Trailers::default();
    let stream = VerifiedStream {
        incoming,
        reader: Some(reader),
        ready: Vec::new().into_iter(),
        trailers: trailers.clone(),
        idle: alarm.after(patience.idle),
        waited_bytes: None,
        patience,
    };
    Ok(Body::stream(stream, length).with_trailers(trailers))
}

/// A whole body in memory, at most `max` bytes, and held to `patience` with its pauses.
pub(crate) async fn buffered(
    Arriving { mut incoming, alarm, .. }: Arriving,
    max: usize,
    too_large: ApiError,
    patience: Duration,
) -> Result<Bytes, ApiError> {
    if incoming.size_hint().lower() > max as u64 {
        return Err(too_large);
    }
    let mut first = Bytes::new();
    let mut all = bytes::BytesMut::new();
    while let Some(frame) = next_frame(&mut incoming, &alarm, patience).await? {
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + first.len() + data.len() > max {
            return Err(too_large);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

async fn next_frame(
    incoming: &mut Incoming,
    alarm: &Alarm,
    patience: Duration,
) -> Result<Option<hyper::body::Frame<Bytes>>, ApiError> {
    match alarm.within(patience, incoming.frame()).await {
        Ok(Some(Ok(frame))) => Ok(Some(frame)),
        Ok(None) => Ok(None),
        Ok(Some(Err(error))) => Err(broken(&error)),
        Err(_) => Err(errors::too_slow()),
    }
}

struct VerifiedStream {
    incoming: Incoming,
    /// Taken at the end, which is checked once.
    reader: Option<PayloadReader>,
    ready: std::vec::IntoIter<Bytes>,
    trailers: Trailers,
    idle: Until,
    /// Bytes that came since `idle` began to run; `None` when it does not.
    waited_bytes: Option<u64>,
    patience: Patience,
}

impl ByteStream for VerifiedStream {
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let this = &mut *self;
        loop {
            if let Some(data) = this.ready.next() {
                return Poll::Ready(Some(Ok(data)));
            }
            if this.reader.is_none() {
                return Poll::Ready(None);
            }
            let frame = match Pin::new(&mut this.incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    // The time that the handler takes is not the client's.
                    if this.waited_bytes.is_none() {
                        this.idle.reset(Instant::now() + this.patience.idle);
                        this.waited_bytes = Some(0);
                    }
                    ready!(this.idle.poll_passed(cx));
                    this.reader = None;
                    return Poll::Ready(Some(Err(errors::too_slow())));
                }
            };
            this.note(frame.as_ref());
            if let Err(error) = this.take(frame) {
                this.reader = None;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl VerifiedStream {
    /// A byte now and then does not make a pause shorter: only enough of them end it.
    fn note(&mut self, frame: Option<&Result<hyper::body::Frame<Bytes>, hyper::Error>>) {
        let Some(waited) = self.waited_bytes else { return };
        let data = frame.and_then(|frame| frame.as_ref().ok()).and_then(hyper::body::Frame::data_ref);
        let bytes = waited + data.map_or(0, |data| data.len() as u64);
        self.waited_bytes = (bytes < self.patience.pace_bytes).then_some(bytes);
    }

    fn take(
        &mut self,
        frame: Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>,
    ) -> Result<(), ApiError> {
        let Some(frame) = frame else {
            let reader = self.reader.take().expect("poll_next stops once the reader is gone");
            *self.trailers.lock() = reader.finish().map_err(|error| chunk_error(&error))?;
            return Ok(());
        };
        let frame = frame.map_err(|error| broken(&error))?;
        if let Ok(data) = frame.into_data() {
            let reader = self.reader.as_mut().expect("poll_next stops once the reader is gone");
            self.ready = reader.feed(data).map_err(|error| chunk_error(&error))?.into_iter();
        }
        Ok(())
    }
}

pub(crate) fn chunk_error(error: &ChunkError) -> ApiError {
    errors::from_aws(error.aws_error())
}

/// The client closed the connection, or sent something that is not HTTP.
fn broken(error: &hyper::Error) -> ApiError {
    tracing::debug!(%error, "a request body ended early");
    ApiError::client(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )
}

fn header_number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
