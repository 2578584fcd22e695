//! Results that are given on while they are made, at the pace of whoever takes them.
//!
//! Between the runtime's connection and the taker lie [`PIECES_MAX`] pieces and no more: when they are there, the connection
//! is not read, the runtime's writes wait, and the function with them, until its time is over.

use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::caller::Running;
use crate::error::InvokeError;
use crate::invocation::Invocation;

/// Pieces that wait for the taker; each has at most what a connection reads at once.
const PIECES_MAX: usize = 4;

/// How a call answers that may stream its result.
pub enum Answer {
    /// The call is over: its runtime does not stream, or the function failed before it began.
    Whole(Box<Invocation>),
    /// The result begins to come.
    Streamed(ResultStream),
}

/// A result on its way. Dropping it lets the call run on, as on AWS; what the function still sends is thrown away.
pub struct ResultStream {
    /// As the runtime named it.
    pub content_type: Option<String>,
    pieces: mpsc::Receiver<Bytes>,
    running: Running,
}

impl ResultStream {
    /// The next piece, of at least one byte; `None` when there are no more, and [`ResultStream::end`] tells why.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }

    /// Like [`ResultStream::next`], for those who poll.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.pieces.poll_recv(context)
    }

    /// How the call ended, once there are no more pieces. An outcome without error has no payload: it was streamed.
    pub async fn end(self) -> Result<Invocation, InvokeError> {
        // Nobody may be taking the rest.
        drop(self.pieces);
        self.running.told().await
    }
}

/// What a taker waits for before there is a stream.
pub(crate) struct Begin {
    begun: oneshot::Receiver<Option<String>>,
    pieces: mpsc::Receiver<Bytes>,
}

/// Where the call that makes the result leaves it.
pub(crate) struct Sink {
    begun: Option<oneshot::Sender<Option<String>>>,
    pieces: mpsc::Sender<Bytes>,
    /// What there was no room for.
    held: Option<Bytes>,
    /// Bytes that were given on.
    pub(crate) bytes: u64,
}

/// The two ends of a result that may stream.
pub(crate) fn pair() -> (Sink, Begin) {
    let (begin, begun) = oneshot::channel();
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let sink = Sink { begun: Some(begin), pieces: sender, held: None, bytes: 0 };
    (sink, Begin { begun, pieces })
}

impl Begin {
    /// Waits until the result begins to stream, or the call that runs is over.
    pub(crate) async fn answer(self, running: Running) -> Result<Answer, InvokeError> {
        let Self { begun, pieces } = self;
        match begun.await {
            Ok(content_type) => Ok(Answer::Streamed(ResultStream { content_type, pieces, running })),
            Err(_) => running.told().await.map(|invocation| Answer::Whole(Box::new(invocation))),
        }
    }
}

impl Sink {
    /// Tells that the result begins.
    pub(crate) fn begin(&mut self, content_type: Option<String>) {
        if let Some(begun) = self.begun.take() {
            // Whoever waited may have gone; the call runs on.
            let _ = begun.send(content_type);
        }
    }

    /// Takes a piece; true when no more may come before [`Sink::room`].
    pub(crate) fn give(&mut self, piece: Bytes) -> bool {
        self.bytes += piece.len() as u64;
        match self.pieces.try_send(piece) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(piece)) => {
                self.held = Some(piece);
                true
            }
        }
    }

    /// Returns when the piece that was held has been given on; never while none is held.
    pub(crate) async fn room(&mut self) {
        if self.held.is_none() {
            return std::future::pending().await;
        }
        let permit = self.pieces.reserve().await;
        if let (Ok(permit), Some(piece)) = (permit, self.held.take()) {
            permit.send(piece);
        }
        self.held = None;
    }
}

/// [`Sink::room`] of a sink, if there is one.
pub(crate) async fn room(sink: &mut Option<Sink>) {
    match sink {
        Some(sink) => sink.room().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_takes_slowly_holds_up_who_gives() {
        let (mut sink, mut begin) = pair();
        for number in 0..PIECES_MAX {
            assert!(!sink.give(Bytes::from(vec![b'x'; number + 1])));
        }
        assert!(sink.give(Bytes::from_static(b"held")));
        let waits = tokio::time::timeout(std::time::Duration::ZERO, sink.room()).await;
        assert!(waits.is_err(), "nothing was taken yet");
        assert_eq!(begin.pieces.recv().await.unwrap(), "x");
        sink.room().await;
        drop(sink);
        let mut last = Bytes::new();
        while let Some(piece) = begin.pieces.recv().await {
            last = piece;
        }
        assert_eq!(last, "held");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_taker_that_is_gone() {
        let (mut sink, begin) = pair();
        for _ in 0..PIECES_MAX {
            sink.give(Bytes::from_static(b"x"));
        }
        assert!(sink.give(Bytes::from_static(b"held")));
        drop(begin);
        sink.room().await;
        sink.begin(None);
        assert!(!sink.give(Bytes::from_static(b"more")));
    }
}
