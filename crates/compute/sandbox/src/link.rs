//! Messages between the daemon and process 1 of an environment: one packet each, file descriptors beside.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

/// Bound of one packet; the largest is the orders, with 4 KiB of the function's variables and the filter.
pub(crate) const MAX_PACKET: usize = 128 * 1024;

/// Bound of a report; the longest names a failed step.
pub const MAX_REPORT: usize = 4 * 1024;

/// What process 1 tells the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The environment stands; the two listeners come beside this packet.
    Ready,
    /// A step failed; nothing runs.
    Failed { detail: String },
    /// The runtime program could not be executed: the errno of `execve`.
    NotExecuted { errno: i32 },
    /// The runtime program ended.
    Exited(ExitStatus),
}

impl Report {
    /// A report from a packet of at most [`MAX_REPORT`] bytes. A first process that vanished, or that does not make
    /// sense, counts as a runtime that was killed.
    pub fn read(packet: &[u8]) -> Self {
        serde_json::from_slice(packet).unwrap_or(Self::Exited(ExitStatus::Signal(libc::SIGKILL)))
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
}

pub(crate) fn send(socket: BorrowedFd<'_>, packet: &[u8], fds: &[i32]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let beside: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(packet)], beside, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

pub(crate) fn send_json(socket: BorrowedFd<'_>, message: &impl Serialize, fds: &[i32]) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    if packet.len() > MAX_PACKET {
        let text = format!("expected at most {MAX_PACKET} bytes of orders, got {}", packet.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    send(socket, &packet, fds)
}

/// One packet and the descriptors beside it; an empty packet means that the other side is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>, max_bytes: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut packet = vec![0; max_bytes];
    let mut space = nix::cmsg_space!([i32; 2]);
    let mut slices = [IoSliceMut::new(&mut packet)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for beside in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = beside {
            // SAFETY: the kernel has just installed these descriptors for us; nobody else knows their numbers.
            #[expect(unsafe_code, reason = "received descriptors have no safe interface")]
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let length = message.bytes;
    packet.truncate(length);
    Ok((packet, fds))
}

/// The two listeners that come beside [`Report::Ready`].
pub(crate) fn listeners(fds: Vec<OwnedFd>) -> Option<(TcpListener, TcpListener)> {
    let [first, second]: [OwnedFd; 2] = fds.try_into().ok()?;
    Some((TcpListener::from(first), TcpListener::from(second)))
}
