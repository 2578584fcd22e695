//! Where that code is, as it is there.

#[path = "../../../../sandbox/src/forge/init/tun.rs"]
mod tun;

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

type Step<T> = Result<T, String>;

/// Where functions are told that names are resolved.
pub(crate) const RESOLVER: Ipv4Addr = tun::RESOLVER;

/// Makes the device in this thread's namespace.
pub(crate) fn open_tun() -> Step<OwnedFd> {
    tun::open_tun(&tun::find()?)
}
