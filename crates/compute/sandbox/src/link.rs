//! Messages between the daemon and its helper processes: one packet each, file descriptors beside.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

/// Bound of one packet; the largest holds a function's variables.
pub(crate) const MAX_PACKET: usize = 64 * 1024;
/// Bound of the descriptors beside one.
const MAX_FDS: usize = 16;

/// Bound of a report; the longest names a failed step.
pub const MAX_REPORT: usize = 4 * 1024;

/// What process 1 of an environment, its runtime's stand-in or its zygote tells the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The environment stands; its descriptors come beside this packet.
    Ready { tun: bool, fence: bool },
    /// The program may be executed as soon as there is a function.
    Waiting,
    /// A step failed; nothing runs.
    Failed { detail: String },
    /// The runtime program could not be executed: the errno of `execve`.
    NotExecuted { errno: i32 },
    /// The folder in which it should start could not be entered: the errno of `chdir`.
    NotEntered { errno: i32 },
    /// The runtime program ended.
    Exited(ExitStatus),
    /// The companion of this number is about to become the program of this name.
    Companion { index: usize, name: String },
    /// The companion of this number could not: the errno of `execve`.
    CompanionNotExecuted { index: usize, errno: i32 },
    /// The companion of this number ended.
    CompanionExited { index: usize, status: ExitStatus },
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

/// What forge, templates and zygotes answer: nothing, or the step that failed in words that complete "could not ...".
pub(crate) type Reply = Result<(), String>;

pub(crate) fn send(socket: BorrowedFd<'_>, packet: &[u8], fds: &[i32]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let beside: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(packet)], beside, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

pub(crate) fn send_json(socket: BorrowedFd<'_>, message: &impl Serialize, fds: &[i32]) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    if packet.len() > MAX_PACKET {
        let text = format!("expected a message of at most {MAX_PACKET} bytes, got {}", packet.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    send(socket, &packet, fds)
}

/// One packet and the descriptors beside it; an empty packet means that the other side is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>, max_bytes: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut packet = vec![0; max_bytes];
    let (length, fds) = receive_into(socket, &mut packet)?;
    packet.truncate(length);
    Ok((packet, fds))
}

/// The same into memory that is there already.
pub(crate) fn receive_into(socket: BorrowedFd<'_>, packet: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([i32; MAX_FDS]);
    let mut slices = [IoSliceMut::new(packet)];
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(nix::errno::Errno::EINTR) => {}
            other => break other?,
        }
    };
    if message.flags.intersects(MsgFlags::MSG_CTRUNC | MsgFlags::MSG_TRUNC) {
        let text =
            "expected a whole message, got a part: it was too long, or no more descriptors may be open";
        return Err(io::Error::other(text));
    }
    let mut fds = Vec::new();
    for beside in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = beside {
            // SAFETY: the kernel has just installed these descriptors for us; nobody else knows their numbers.
            #[expect(unsafe_code, reason = "received descriptors have no safe interface")]
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

/// A helper process's control socket, for one asker at a time.
pub(crate) struct Channel {
    socket: Mutex<OwnedFd>,
    /// After an answer that did not come in time the next one would be taken for another's.
    broken: AtomicBool,
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket: Mutex::new(socket), broken: AtomicBool::new(false) }
    }

    /// Sends a request and waits for its [`Reply`]. Once this has failed it fails for ever, as "broken pipe".
    pub(crate) fn ask(&self, message: &impl Serialize, fds: &[i32]) -> io::Result<Reply> {
        self.ask_for_fds(message, fds).map(|(reply, _)| reply)
    }

    /// The same where descriptors may come beside the reply.
    pub(crate) fn ask_for_fds(&self, message: &impl Serialize, fds: &[i32]) -> io::Result<Answer> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let reply = ask(socket.as_fd(), message, fds);
        self.broken.store(reply.is_err(), Ordering::SeqCst);
        reply
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }
}

/// A reply and the descriptors beside it.
type Answer = (Reply, Vec<OwnedFd>);

fn ask(socket: BorrowedFd<'_>, message: &impl Serialize, fds: &[i32]) -> io::Result<Answer> {
    send_json(socket, message, fds)?;
    let (packet, beside) = receive(socket, MAX_REPORT)?;
    if packet.is_empty() {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok((serde_json::from_slice(&packet)?, beside))
}

/// Takes descriptors that came beside a packet one after the other.
pub(crate) struct Fds(std::vec::IntoIter<OwnedFd>);

impl Fds {
    pub(crate) fn new(fds: Vec<OwnedFd>) -> Self {
        Self(fds.into_iter())
    }

    pub(crate) fn numbers(&self) -> Vec<i32> {
        self.0.as_slice().iter().map(AsRawFd::as_raw_fd).collect()
    }

    pub(crate) fn next(&mut self) -> Result<OwnedFd, String> {
        self.0.next().ok_or_else(|| "find all descriptors beside its orders".to_owned())
    }

    pub(crate) fn next_if(&mut self, wanted: bool) -> Result<Option<OwnedFd>, String> {
        wanted.then(|| self.next()).transpose()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<Vec<OwnedFd>, String> {
        (0..count).map(|_| self.next()).collect()
    }
}
