//! What a function prints, on its way to the log: gathered while it runs, taken along whenever it rests.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use lambent_pool::Journal;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::limits::OUTPUT_BYTES_MAX;

/// Standard output and standard error of an instance, which are one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Gathered>>);

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Who waits for room.
    waiting: Vec<Waker>,
}

impl Output {
    /// Moves what was printed into the log.
    pub(crate) fn drain(&self, journal: &mut Journal) {
        let mut gathered = self.0.lock();
        if !gathered.bytes.is_empty() {
            journal.print(&gathered.bytes);
            gathered.bytes.clear();
        }
        gathered.waiting.drain(..).for_each(Waker::wake);
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<usize> {
        let mut gathered = self.0.lock();
        match OUTPUT_BYTES_MAX.saturating_sub(gathered.bytes.len()) {
            0 => {
                gathered.waiting.push(context.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(room),
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        std::future::poll_fn(|context| self.poll_room(context)).await;
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut gathered = self.0.lock();
        // A component can hand over more than it was told there is room for.
        if bytes.len() > OUTPUT_BYTES_MAX.saturating_sub(gathered.bytes.len()) {
            return Err(StreamError::trap("expected a write of at most the permitted length"));
        }
        gathered.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_BYTES_MAX.saturating_sub(self.0.lock().bytes.len()))
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let room = std::task::ready!(self.poll_room(context)).min(bytes.len());
        self.0.lock().bytes.extend_from_slice(&bytes[..room]);
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_room_for() {
        let mut output = Output::default();
        let much = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
        assert!(matches!(output.write(much(OUTPUT_BYTES_MAX + 1)), Err(StreamError::Trap(_))));
        output.write(much(OUTPUT_BYTES_MAX - 1)).unwrap();
        assert!(matches!(output.write(much(2)), Err(StreamError::Trap(_))));
        output.write(much(1)).unwrap();
        assert_eq!(output.check_write().unwrap(), 0);
        assert_eq!(output.0.lock().bytes.len(), OUTPUT_BYTES_MAX);
    }
}
