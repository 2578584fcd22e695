//! The way out: a network device whose other end is the daemon.
//!
//! Whatever the function sends beyond its loopback arrives, packet by packet, at the descriptor that this makes. What
//! becomes of it is `compute/egress`'s to say, which knows the same addresses.
#![expect(unsafe_code, reason = "network devices are made and set up with ioctl")]

use std::ffi::CStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use super::Step;

/// As functions know it from AWS.
const NAME: &CStr = c"eth0";
/// The daemon's address, where names are resolved, too.
pub(in crate::forge) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
/// What functions have as their own address, at the other end of the network.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);
const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 252);
const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd6c, 0x616d, 0x6265, 0, 0, 0, 0, 2);
const PREFIX_V6: u8 = 126;
/// The most that a packet can be: nothing needs to be cut, and a copy of the data costs few of them.
const MTU: i32 = 65_535;
/// `RTF_UP`: the route is in use.
const ROUTE_UP: u16 = 1;
/// Source: linux/rtnetlink.h, linux/netlink.h and linux/if_addr.h.
mod kernel {
    pub(super) const RTM_NEWADDR: u16 = 20;
    /// NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL and NLM_F_CREATE.
    pub(super) const NEW_WITH_ANSWER: u16 = 0x605;
    pub(super) const IFA_ADDRESS: u16 = 1;
    /// Nobody else can have the address: it is usable at once.
    pub(super) const IFA_F_NODAD: u8 = 2;
    /// Where an answer has its error, negative; zero when there is none.
    pub(super) const ERROR: std::ops::Range<usize> = 16..20;
}

/// What the kernel reads for `SIOCADDRT` on a socket of version 4.
#[repr(C)]
struct RouteV4 {
    unused_1: libc::c_ulong,
    destination: libc::sockaddr,
    gateway: libc::sockaddr,
    mask: libc::sockaddr,
    flags: u16,
    unused_2: i16,
    unused_3: libc::c_ulong,
    unused_4: *const u8,
    metric: i16,
    device: *const libc::c_char,
    mtu: libc::c_ulong,
    window: libc::c_ulong,
    round_trip: u16,
}

/// What the kernel reads for `SIOCADDRT` on a socket of version 6.
#[repr(C)]
struct RouteV6 {
    destination: [u8; 16],
    source: [u8; 16],
    gateway: [u8; 16],
    kind: u32,
    destination_prefix: u16,
    source_prefix: u16,
    metric: u32,
    info: libc::c_ulong,
    flags: u32,
    index: i32,
}

/// The file by which devices are made, found before the root is changed.
pub(in crate::forge) fn find() -> Step<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    open("/dev/net/tun", flags, Mode::empty())
        .map_err(|error| format!("find /dev/net/tun (module tun): {error}"))
}

/// Makes the device in this process's network namespace, with its addresses and the route to everywhere. Needs its
/// `/proc`. Without version 6 in the kernel the device has version 4 only.
pub(in crate::forge) fn open_tun(found: &OwnedFd) -> Step<OwnedFd> {
    // Each device is an opened file of its own.
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let device =
        open(path.as_str(), flags, Mode::empty()).map_err(|error| format!("open /dev/net/tun: {error}"))?;
    attach(&device).map_err(|error| format!("make its network device: {error}"))?;
    quiet_v6();
    set_up_v4().map_err(|error| format!("set up its network device: {error}"))?;
    set_up_v6().map_err(|error| format!("set up version 6 on its network device: {error}"))?;
    Ok(device)
}

/// Makes a device without link layer and without headers of the driver's own.
fn attach(device: &OwnedFd) -> io::Result<()> {
    let mut request = request();
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
    // 0x9001 has the sixteenth bit set; the kernel reads these bits without a sign.
    request.ifr_ifru.ifru_flags = u16::try_from(flags).expect("sixteen bits").cast_signed();
    change(device.as_raw_fd(), libc::TUNSETIFF, &mut request)
}

fn set_up_v4() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let fd = socket.as_raw_fd();
    let mut one = request();
    one.ifr_ifru.ifru_addr = address(ADDRESS);
    change(fd, libc::SIOCSIFADDR, &mut one)?;
    one.ifr_ifru.ifru_netmask = address(MASK);
    change(fd, libc::SIOCSIFNETMASK, &mut one)?;
    one.ifr_ifru.ifru_mtu = MTU;
    change(fd, libc::SIOCSIFMTU, &mut one)?;
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    one.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).expect("both bits are below 2^15");
    change(fd, libc::SIOCSIFFLAGS, &mut one)?;
    let everywhere = address(Ipv4Addr::UNSPECIFIED);
    let mut route = RouteV4 {
        unused_1: 0,
        destination: everywhere,
        gateway: everywhere,
        mask: everywhere,
        flags: ROUTE_UP,
        unused_2: 0,
        unused_3: 0,
        unused_4: std::ptr::null(),
        metric: 0,
        device: NAME.as_ptr(),
        mtu: 0,
        window: 0,
        round_trip: 0,
    };
    change(fd, libc::SIOCADDRT, &mut route)
}

fn set_up_v6() -> io::Result<()> {
    let Ok(v6) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) else { return Ok(()) };
    let fd = v6.as_raw_fd();
    let mut one = request();
    change(fd, libc::SIOCGIFINDEX, &mut one)?;
    // SAFETY: SIOCGIFINDEX has just written this member.
    let index = unsafe { one.ifr_ifru.ifru_ifindex };
    match add_address_v6(index) {
        Ok(()) => {}
        // Sockets of version 6 are there, but the device may not use it (disable_ipv6).
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => return Ok(()),
        Err(error) => return Err(error),
    }
    let everywhere = Ipv6Addr::UNSPECIFIED.octets();
    let mut route = RouteV6 {
        destination: everywhere,
        source: everywhere,
        gateway: everywhere,
        kind: 0,
        destination_prefix: 0,
        source_prefix: 0,
        metric: 1,
        info: 0,
        flags: u32::from(ROUTE_UP),
        index,
    };
    change(fd, libc::SIOCADDRT, &mut route)
}

/// By netlink, as ioctl knows no flags: without this one the address is of no use until the kernel found time to ask the
/// network for others that have it.
fn add_address_v6(index: i32) -> io::Result<()> {
    let address = ADDRESS_V6.octets();
    let mut message = Vec::with_capacity(44);
    message.extend(44_u32.to_ne_bytes());
    message.extend(kernel::RTM_NEWADDR.to_ne_bytes());
    message.extend(kernel::NEW_WITH_ANSWER.to_ne_bytes());
    message.extend([0; 8]);
    message.push(u8::try_from(libc::AF_INET6).expect("a small number"));
    message.extend([PREFIX_V6, kernel::IFA_F_NODAD, 0]);
    message.extend(index.to_ne_bytes());
    message.extend(20_u16.to_ne_bytes());
    message.extend(kernel::IFA_ADDRESS.to_ne_bytes());
    message.extend(address);
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(socket.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 128];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let error = answer[..length].get(kernel::ERROR).and_then(|bytes| bytes.try_into().ok());
    match error.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Has the kernel not look for routers, and not make an address for talking to them: each environment would wake the
/// daemon for that several times. Where it cannot be told, it does no harm either.
fn quiet_v6() {
    for (name, value) in [("addr_gen_mode", "1"), ("router_solicitations", "0")] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/eth0/{name}"), value);
    }
}

/// A request that names the device.
fn request() -> libc::ifreq {
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME.to_bytes()) {
        *to = libc::c_char::try_from(*from).expect("ASCII fits");
    }
    request
}

fn address(of: Ipv4Addr) -> libc::sockaddr {
    let mut address = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
    address.sa_family = libc::sa_family_t::try_from(libc::AF_INET).expect("a small number");
    // A sockaddr_in has two bytes of port before the address.
    for (to, from) in address.sa_data[2..6].iter_mut().zip(of.octets()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    address
}

/// One ioctl with what the kernel reads or writes for it: an ifreq, a route or an address as declared above.
fn change<T>(fd: i32, what: libc::Ioctl, with: &mut T) -> io::Result<()> {
    // SAFETY: every caller passes the type that belongs to the request, and it is borrowed across the call; the name that
    // a route points to is a constant.
    let result = unsafe { libc::ioctl(fd, what, std::ptr::from_mut(with)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
