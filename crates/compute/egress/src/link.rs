//! The device on one side, the TCP of the stack on the other.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use crate::flow::Flow;
use crate::limits::MTU;
use crate::packet::{self, Undelivered};

/// One environment's side of the stack that all its connections share.
pub(crate) fn interface(seed: u64, now: Duration) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut Shape, instant(now));
    // Packets are for whomever the function means; the one address is only there because there has to be one.
    interface.set_any_ip(true);
    interface.update_ip_addrs(|addresses| {
        let own = IpCidr::new(IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1)).into(), 30);
        addresses.push(own).expect("there is room for the first");
    });
    interface
}

/// The way of packets during one turn of the task.
pub(crate) struct Link<'a> {
    pub(crate) tun: &'a OwnedFd,
    pub(crate) interface: &'a mut Interface,
    /// Where packets to the function are made.
    pub(crate) outbound: &'a mut [u8],
    pub(crate) now: Duration,
}

impl Link<'_> {
    /// Gives a connection a packet of the function's.
    pub(crate) fn feed(&mut self, packet: &[u8], sockets: &mut SocketSet<'static>) {
        let mut wire = Wire { tun: self.tun, inbound: Some(packet), outbound: self.outbound };
        self.interface.poll_ingress_single(instant(self.now), &mut wire, sockets);
    }

    /// Sends what a connection has to send.
    pub(crate) fn flush(&mut self, sockets: &mut SocketSet<'static>) {
        let mut wire = Wire { tun: self.tun, inbound: None, outbound: self.outbound };
        self.interface.poll(instant(self.now), &mut wire, sockets);
    }

    /// Answers a segment that belongs to no connection as such are answered: with a reset.
    pub(crate) fn reset(&mut self, segment: &[u8]) {
        self.feed(segment, &mut SocketSet::new(Vec::new()));
    }

    /// When a connection has something to do by itself.
    pub(crate) fn due(&mut self, sockets: &SocketSet<'static>) -> Option<Duration> {
        let at = self.interface.poll_at(instant(self.now), sockets)?;
        Some(Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)))
    }

    /// Sends the function a datagram whose payload is in `outbound` where it belongs.
    pub(crate) fn send_datagram(&mut self, flow: &Flow, payload_len: usize) {
        let length = packet::write_datagram(self.outbound, flow, payload_len);
        send(self.tun, &self.outbound[..length]);
    }

    pub(crate) fn send_undelivered(&mut self, flow: &Flow, why: Undelivered) {
        let length = packet::write_undelivered(self.outbound, flow, why);
        send(self.tun, &self.outbound[..length]);
    }
}

fn instant(now: Duration) -> Instant {
    Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// A packet that the kernel does not take is lost, as any packet may be.
fn send(tun: &OwnedFd, packet: &[u8]) {
    let _ = rustix::io::write(tun, packet);
}

fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ip;
    capabilities.max_transmission_unit = MTU;
    // What comes in was made by this host's kernel a moment ago, and crossed no wire.
    capabilities.checksum = ChecksumCapabilities::ignored();
    capabilities.checksum.ipv4 = Checksum::Tx;
    capabilities.checksum.tcp = Checksum::Tx;
    capabilities
}

/// The device for the moment of a call, with at most one packet to be read.
struct Wire<'a> {
    tun: &'a OwnedFd,
    inbound: Option<&'a [u8]>,
    outbound: &'a mut [u8],
}

struct Inbound<'a>(&'a [u8]);

struct Outbound<'a> {
    tun: &'a OwnedFd,
    room: &'a mut [u8],
}

impl Device for Wire<'_> {
    type RxToken<'b>
        = Inbound<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Outbound<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Inbound<'_>, Outbound<'_>)> {
        let packet = self.inbound.take()?;
        Some((Inbound(packet), Outbound { tun: self.tun, room: self.outbound }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outbound<'_>> {
        Some(Outbound { tun: self.tun, room: self.outbound })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

impl RxToken for Inbound<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let packet = &mut self.room[..len];
        let result = write(packet);
        send(self.tun, packet);
        result
    }
}

/// A device that only says what it is like, for making an interface.
struct Shape;

impl Device for Shape {
    type RxToken<'b> = Inbound<'b>;
    type TxToken<'b> = Outbound<'b>;

    fn receive(&mut self, _: Instant) -> Option<(Inbound<'_>, Outbound<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Outbound<'_>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}
