//! Sockets and pipes between the daemon and what it starts.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::sys::time::TimeVal;

/// How long an environment may take to stand before it is given up.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// (ours, which waits for so long and no longer; theirs)
pub(crate) fn control_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    let timeout = TimeVal::new(i64::try_from(START_TIMEOUT.as_secs()).expect("a few seconds"), 0);
    setsockopt(&ours, sockopt::ReceiveTimeout, &timeout)?;
    Ok((ours, theirs))
}

/// (ours, theirs), of which theirs waits for as long as it takes.
pub(crate) fn orders_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// TCP sockets of this process's network that are connected to nothing yet.
pub(crate) fn unconnected(count: usize) -> io::Result<Vec<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let make = |_| nix::sys::socket::socket(AddressFamily::Inet, SockType::Stream, flags, None);
    Ok((0..count).map(make).collect::<Result<_, _>>()?)
}

/// (read end, non-blocking; write end, blocking)
pub(crate) fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((read, write))
}
