//! One pair of UDP endpoints: on the outside a socket that talks to the one peer and hears nobody else.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::net::SendFlags;
use tokio::net::UdpSocket;
use tokio::sync::OwnedSemaphorePermit;

use crate::flow::{Flow, FlowWaker};
use crate::limits::{DATAGRAM_IDLE, DATAGRAMS_A_TURN, QUERY_IDLE};
use crate::link::Link;
use crate::network::Target;
use crate::packet::{self, Undelivered};

pub(crate) struct DatagramFlow {
    waker: Arc<FlowWaker>,
    task: Waker,
    socket: UdpSocket,
    pub(crate) target: Target,
    /// Whether the peer has ever said anything.
    pub(crate) answered: bool,
    /// Whether nobody listens there.
    pub(crate) refused: bool,
    pub(crate) active_at: Duration,
    _permit: OwnedSemaphorePermit,
}

impl DatagramFlow {
    pub(crate) fn new(
        target: Target,
        waker: Arc<FlowWaker>,
        now: Duration,
        permit: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let any = match target.address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(target.address)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        // So that the first look at it has the runtime watch it.
        waker.queue();
        let task = Waker::from(waker.clone());
        Ok(Self {
            waker,
            task,
            socket,
            target,
            answered: false,
            refused: false,
            active_at: now,
            _permit: permit,
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
            match self.socket.poll_recv_ready(&mut context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
            match self.socket.try_recv(&mut link.outbound[begin..]) {
                Ok(length) => {
                    self.answered = true;
                    self.active_at = link.now;
                    link.send_datagram(flow, length);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.note_refusal(flow, link);
                }
                // Nothing there, or an error that the next datagram may not meet.
                Err(_) => {}
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
