//! Clients that do not read what they asked for.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lambent_base::{Alarm, Until};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that fails when its other side takes nothing for too long. Time in which there is nothing to send does not
/// count.
pub(crate) struct Paced<S> {
    stream: S,
    /// Of the one task that reads and writes.
    alarm: Alarm,
    patience: Duration,
    /// Until when something must have been taken; `None` when nothing waits.
    stalled: Option<Until>,
}

impl<S: Unpin> Paced<S> {
    pub(crate) fn new(stream: S, alarm: Alarm, patience: Duration) -> Self {
        Self { stream, alarm, patience, stalled: None }
    }

    fn hold<T>(&mut self, context: &mut Context<'_>, sent: Poll<Result<T>>) -> Poll<Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let stalled = self.stalled.get_or_insert_with(|| self.alarm.after(self.patience));
        ready!(stalled.poll_passed(context));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not read what is sent to it")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.hold(context, sent)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.hold(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn who_reads_nothing_is_let_go() {
        let (ours, theirs) = duplex(8);
        let mut ours = Paced::new(ours, Alarm::default(), Duration::from_millis(20));
        let error = ours.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(theirs);
    }

    #[tokio::test]
    async fn who_reads_slowly_is_waited_for() {
        const PIECES: usize = 8;
        let pause = Duration::from_millis(300);
        let (ours, mut theirs) = duplex(8);
        let mut ours = Paced::new(ours, Alarm::default(), 4 * pause);
        let reading = async {
            let mut piece = [0; 8];
            for _ in 0..PIECES {
                tokio::time::sleep(pause).await;
                theirs.read_exact(&mut piece).await.unwrap();
            }
        };
        // Much longer than the patience, over all.
        let (written, ()) = tokio::join!(ours.write_all(&[0; 8 * PIECES]), reading);
        written.unwrap();
    }
}
