//! Where the kernel would send a packet: the only one who knows all of the host's own addresses.
//!
//! Asked by netlink for each connection (some microseconds), since a list of interfaces misses ranges that are routed
//! to the host as a whole, and is out of date as soon as it is made.

use std::io;
use std::net::IpAddr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Source: linux/rtnetlink.h and linux/netlink.h.
mod kernel {
    pub(super) const RTM_NEWROUTE: u16 = 24;
    pub(super) const RTM_GETROUTE: u16 = 26;
    pub(super) const NLM_F_REQUEST: u16 = 1;
    pub(super) const RTA_DST: u16 = 1;
    pub(super) const RTN_UNICAST: u8 = 1;
    pub(super) const RTN_LOCAL: u8 = 2;
    pub(super) const MESSAGE_HEADER: usize = 16;
    pub(super) const ROUTE_HEADER: usize = 12;
    /// Where a route's type is in an answer.
    pub(super) const ROUTE_TYPE: usize = MESSAGE_HEADER + 7;
}

/// Where packets to an address go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To one other host.
    Away,
    /// To this host itself.
    Here,
    /// To several (broadcast, anycast), or to nobody.
    Nowhere,
}

/// Asks the kernel; blocks for the few microseconds that it computes.
pub(crate) fn to(address: IpAddr) -> io::Result<Route> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::sendto(&socket, &question(address), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    // Netlink answers before the question's call returns.
    let mut answer = [0; 4096];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    Ok(read(&answer[..length]))
}

fn question(address: IpAddr) -> Vec<u8> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let attribute = 4 + octets.len();
    let length = kernel::MESSAGE_HEADER + kernel::ROUTE_HEADER + attribute;
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).expect("some 50 bytes").to_ne_bytes());
    message.extend(kernel::RTM_GETROUTE.to_ne_bytes());
    message.extend(kernel::NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.push(u8::try_from(family.as_raw()).expect("both families are small numbers"));
    message.push(u8::try_from(octets.len() * 8).expect("32 or 128"));
    message.extend([0; kernel::ROUTE_HEADER - 2]);
    message.extend(u16::try_from(attribute).expect("8 or 20").to_ne_bytes());
    message.extend(kernel::RTA_DST.to_ne_bytes());
    message.extend(octets);
    message
}

/// An error in place of a route means that there is none.
fn read(answer: &[u8]) -> Route {
    let Some(kind) = answer.get(4..6) else { return Route::Nowhere };
    if kind != kernel::RTM_NEWROUTE.to_ne_bytes() {
        return Route::Nowhere;
    }
    match answer.get(kernel::ROUTE_TYPE) {
        Some(&kernel::RTN_UNICAST) => Route::Away,
        Some(&kernel::RTN_LOCAL) => Route::Here,
        _ => Route::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_here() {
        assert_eq!(to("127.0.0.1".parse().unwrap()).unwrap(), Route::Here);
        assert_eq!(to("127.77.0.9".parse().unwrap()).unwrap(), Route::Here, "no interface has this address");
    }

    #[test]
    fn answers_that_make_no_sense_lead_nowhere() {
        assert_eq!(read(&[]), Route::Nowhere);
        assert_eq!(read(&[0; 64]), Route::Nowhere);
        let mut cut = vec![0; 16];
        cut[4..6].copy_from_slice(&kernel::RTM_NEWROUTE.to_ne_bytes());
        assert_eq!(read(&cut), Route::Nowhere);
    }
}
