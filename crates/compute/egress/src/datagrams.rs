//! One pair of UDP endpoints: on the outside a socket that talks to the one peer and hears nobody else.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lambent_base::BoxFuture;
use rustix::net::SendFlags;
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;

use crate::flow::{Flow, FlowWaker};
use crate::limits::{DATAGRAM_IDLE, DATAGRAMS_A_TURN, QUERY_IDLE};
use crate::link::Link;
use crate::network::Target;
use crate::packet::{self, Undelivered};
use crate::shares::Share;

pub(crate) struct DatagramFlow {
    waker: Arc<FlowWaker>,
    task: Waker,
    socket: Arc<UdpSocket>,
    /// Comes when there is something to read, or an error: readiness to read alone does not tell of errors.
    readiness: BoxFuture<'static, io::Result<Ready>>,
    pub(crate) target: Target,
    /// Whether the peer has ever said anything.
    pub(crate) answered: bool,
    /// Whether nobody listens there.
    pub(crate) refused: bool,
    pub(crate) active_at: Duration,
    _place: Share,
}

impl DatagramFlow {
    pub(crate) fn new(
        target: Target,
        waker: Arc<FlowWaker>,
        now: Duration,
        place: Share,
    ) -> io::Result<Self> {
        let any = match target.address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(target.address)?;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let readiness = readiness(&socket);
        // So that the first look at it has the runtime watch it.
        waker.queue();
        let task = Waker::from(waker.clone());
        Ok(Self {
            waker,
            task,
            socket,
            readiness,
            target,
            answered: false,
            refused: false,
            active_at: now,
            _place: place,
        })
    }

    /// Passes a datagram on, or loses it where the host is too busy to take it.
    pub(crate) fn send(&mut self, flow: &Flow, payload: &[u8], link: &mut Link<'_>) {
        self.active_at = link.now;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&self.socket, payload, flags) {
            // What is reported here was the fate of an earlier one.
            Err(rustix::io::Errno::CONNREFUSED) => self.note_refusal(flow, link),
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                link.send_undelivered(flow, Undelivered::Prohibited);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Takes to the function what has come for it.
    pub(crate) fn advance(&mut self, flow: &Flow, link: &mut Link<'_>) {
        self.waker.taken();
        let task = self.task.clone();
        let mut context = Context::from_waker(&task);
        let begin = packet::datagram_header_len(flow);
        for _ in 0..DATAGRAMS_A_TURN {
            let Poll::Ready(ready) = self.readiness.as_mut().poll(&mut context) else { return };
            self.readiness = readiness(&self.socket);
            let Ok(ready) = ready else { return };
            if ready.is_error() {
                // The answer to a call that would block is that the readiness is used up.
                let _ =
                    self.socket.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
                let error = self.socket.take_error().ok().flatten();
                if error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                    self.note_refusal(flow, link);
                }
            }
            // Other errors are those of single datagrams, which may be lost.
            if let Ok(length) = self.socket.try_recv(&mut link.outbound[begin..]) {
                self.answered = true;
                self.active_at = link.now;
                link.send_datagram(flow, length);
            }
        }
        self.task.wake_by_ref();
    }

    fn note_refusal(&mut self, flow: &Flow, link: &mut Link<'_>) {
        self.refused = true;
        link.send_undelivered(flow, Undelivered::PortClosed);
    }

    /// When it is to be forgotten.
    pub(crate) fn due(&self) -> Duration {
        self.active_at + if self.target.is_resolver { QUERY_IDLE } else { DATAGRAM_IDLE }
    }
}

fn readiness(socket: &Arc<UdpSocket>) -> BoxFuture<'static, io::Result<Ready>> {
    let socket = socket.clone();
    Box::pin(async move { socket.ready(Interest::READABLE | Interest::ERROR).await })
}
