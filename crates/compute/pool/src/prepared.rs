//! An environment that has no function yet.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use lambent_sandbox::{Assignment, Boot, SandboxError, Shell, Started};
use tokio::net::TcpListener;
use tokio::net::unix::pipe::Receiver;

use crate::api::{Call, RuntimeApi};
use crate::enclosure::{Enclosure, Reports};

/// What a bootstrap printed while it waited is thrown away in pieces of this size.
const DISCARD_BYTES: usize = 4 * 1024;
/// So much of it at most: a bootstrap of ours that prints more is broken.
const MAX_DISCARDED_BYTES: usize = 256 * 1024;

/// See the module. Dropping it kills what is in it, which blocks for some milliseconds.
pub(crate) struct Prepared {
    pub(crate) shell: Arc<Shell>,
    pub(crate) api: RuntimeApi,
    pub(crate) output: Receiver,
    pub(crate) reports: Reports,
    pub(crate) enclosure: Enclosure,
    pub(crate) endpoint: std::net::TcpListener,
    pub(crate) tun: Option<OwnedFd>,
    /// What its extensions print.
    pub(crate) extensions_output: Option<Receiver>,
    /// The runtime's function, until its extensions have registered.
    pub(crate) held: Option<Held>,
}

/// What a runtime is given when its extensions have registered.
pub(crate) struct Held {
    pub(crate) assignment: Assignment,
    /// For one that asks for its function.
    pub(crate) variables: Option<Bytes>,
}

impl Prepared {
    /// Takes a sandbox into the pool's care. Must run within the tokio runtime.
    pub(crate) fn adopt(started: Started, shell: Arc<Shell>) -> io::Result<Self> {
        started.runtime_api.set_nonblocking(true)?;
        started.endpoint.set_nonblocking(true)?;
        Ok(Self {
            shell,
            api: RuntimeApi::new(TcpListener::from_std(started.runtime_api)?),
            output: Receiver::from_owned_fd(started.output)?,
            reports: Reports::new(started.reports)?,
            enclosure: Enclosure::new(started.environment),
            endpoint: started.endpoint,
            tun: started.tun,
            extensions_output: started.companions_output.map(Receiver::from_owned_fd).transpose()?,
            held: None,
        })
    }

    /// Returns when nothing is left to do before it has a function; an error says what came instead.
    pub(crate) async fn wait_until_ready(&mut self) -> Result<(), String> {
        let later = matches!(self.shell.boot, Boot::Later { .. });
        std::future::poll_fn(|context| {
            if let Poll::Ready((_, call)) = self.api.poll_call(context) {
                return Poll::Ready(match call {
                    Call::Function => Ok(()),
                    other => Err(format!("its bootstrap said {other:?} before it had a function")),
                });
            }
            match self.reports.poll_end(context) {
                Poll::Ready(end) => Poll::Ready(Err(format!("it ended: {end:?}"))),
                Poll::Pending if later && self.reports.is_waiting() => Poll::Ready(Ok(())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Gives it its function: `variables` are the whole environment of the runtime. Where there are extensions these are
    /// started, and the rest is held back. Blocks for a fraction of a millisecond.
    pub(crate) fn assign(
        &mut self,
        assignment: &Assignment,
        variables: Option<Bytes>,
    ) -> Result<(), SandboxError> {
        self.discard_output();
        self.enclosure.sandbox.assign(assignment)?;
        if !assignment.companions.is_empty() {
            self.held = Some(Held { assignment: assignment.clone(), variables });
            return Ok(());
        }
        match variables {
            Some(variables) => self.api.give_function(variables),
            None => self.api.end_handover(),
        }
        Ok(())
    }

    /// What was printed before there was a function is nobody's.
    fn discard_output(&mut self) {
        let mut piece = [std::mem::MaybeUninit::uninit(); DISCARD_BYTES];
        for _ in 0..MAX_DISCARDED_BYTES / DISCARD_BYTES {
            match rustix::io::read(&self.output, &mut piece) {
                Ok((taken, _)) if !taken.is_empty() => {}
                _ => return,
            }
        }
    }
}
