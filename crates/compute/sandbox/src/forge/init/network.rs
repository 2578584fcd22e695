//! The environment's own loopback, and the platform's two listeners on it.
#![expect(unsafe_code, reason = "interface flags are set with ioctl")]

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;

use super::Step;

/// Brings `lo` up; a new network namespace has it down and nothing else.
pub(in crate::forge) fn raise_loopback() -> Step<()> {
    let wrong = |error: std::io::Error| format!("bring up its loopback: {error}");
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(wrong)?;
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::try_from(*from).expect("ASCII fits");
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).expect("both bits are below 2^15");
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(wrong(std::io::Error::last_os_error())) }
}

/// A listener on the environment's loopback.
pub(in crate::forge) fn listen(port: u16) -> Step<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| format!("listen on its port {port}: {error}"))
}
