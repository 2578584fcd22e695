//! Packets of the function's, read; and the few that are not TCP's, written.

use std::net::{IpAddr, SocketAddr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, Icmpv6DstUnreachable, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, TcpPacket, UDP_HEADER_LEN, UdpPacket, UdpRepr,
};

use crate::flow::{Flow, Protocol};

const HOP_LIMIT: u8 = 64;

/// A packet that the function sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Part of a TCP connection; whether it wants to open one.
    Segment {
        flow: Flow,
        opens: bool,
    },
    Datagram {
        flow: Flow,
        payload: &'a [u8],
    },
}

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// It may not.
    Prohibited,
    /// Nobody listens there.
    PortClosed,
}

/// Understands a packet; `None` for what is neither TCP nor UDP, is in pieces, or is damaged. The device takes the
/// largest packets that there are, so nobody sends pieces except to annoy.
pub(crate) fn read(bytes: &[u8]) -> Option<Packet<'_>> {
    let (from, to, protocol, payload) = match bytes.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(bytes).ok()?;
            if packet.more_frags() || packet.frag_offset() != 0 {
                return None;
            }
            let (from, to) = (IpAddr::V4(packet.src_addr()), IpAddr::V4(packet.dst_addr()));
            (from, to, packet.next_header(), packet.payload())
        }
        6 => {
            let packet = Ipv6Packet::new_checked(bytes).ok()?;
            let (from, to) = (IpAddr::V6(packet.src_addr()), IpAddr::V6(packet.dst_addr()));
            (from, to, packet.next_header(), packet.payload())
        }
        _ => return None,
    };
    let flow = |protocol, from_port, to_port| Flow {
        protocol,
        inside: SocketAddr::new(from, from_port),
        outside: SocketAddr::new(to, to_port),
    };
    match protocol {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(payload).ok()?;
            let flow = flow(Protocol::Tcp, segment.src_port(), segment.dst_port());
            Some(Packet::Segment { flow, opens: segment.syn() && !segment.ack() && !segment.rst() })
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(payload).ok()?;
            let flow = flow(Protocol::Udp, datagram.src_port(), datagram.dst_port());
            Some(Packet::Datagram { flow, payload: datagram.payload() })
        }
        _ => None,
    }
}

/// Where a datagram's payload begins in a packet of the flow.
pub(crate) fn datagram_header_len(flow: &Flow) -> usize {
    let address_header = if flow.inside.is_ipv4() { 20 } else { 40 };
    address_header + UDP_HEADER_LEN
}

/// Writes the headers of a datagram to the function before `payload_len` bytes that are there already; gives the
/// packet's length.
pub(crate) fn write_datagram(packet: &mut [u8], flow: &Flow, payload_len: usize) -> usize {
    let (from, to) = (flow.outside, flow.inside);
    let outer = outer(flow, IpProtocol::Udp, UDP_HEADER_LEN + payload_len);
    let caps = ChecksumCapabilities::default();
    outer.emit(&mut *packet, &caps);
    let inner = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let mut datagram = UdpPacket::new_unchecked(&mut packet[outer.header_len()..]);
    inner.emit(&mut datagram, &from.ip().into(), &to.ip().into(), payload_len, |_| {}, &caps);
    outer.buffer_len()
}

/// Writes what tells the function that its datagram did not arrive; gives the packet's length.
pub(crate) fn write_undelivered(packet: &mut [u8], flow: &Flow, why: Undelivered) -> usize {
    // What the kernel wants to see again to know which socket it is for: headers with both addresses and ports.
    let mut quoted = [0; UDP_HEADER_LEN];
    let mut datagram = UdpPacket::new_unchecked(&mut quoted[..]);
    datagram.set_src_port(flow.inside.port());
    datagram.set_dst_port(flow.outside.port());
    datagram.set_len(8);
    let header = IpRepr::new(
        flow.inside.ip().into(),
        flow.outside.ip().into(),
        IpProtocol::Udp,
        UDP_HEADER_LEN,
        HOP_LIMIT,
    );
    let caps = ChecksumCapabilities::default();
    match header {
        IpRepr::Ipv4(header) => {
            let reason = match why {
                Undelivered::Prohibited => Icmpv4DstUnreachable::CommProhibited,
                Undelivered::PortClosed => Icmpv4DstUnreachable::PortUnreachable,
            };
            let message = Icmpv4Repr::DstUnreachable { reason, header, data: &quoted };
            let outer = outer(flow, IpProtocol::Icmp, message.buffer_len());
            outer.emit(&mut *packet, &caps);
            let room = &mut packet[outer.header_len()..outer.buffer_len()];
            message.emit(&mut Icmpv4Packet::new_unchecked(room), &caps);
            outer.buffer_len()
        }
        IpRepr::Ipv6(header) => {
            let reason = match why {
                Undelivered::Prohibited => Icmpv6DstUnreachable::AdminProhibit,
                Undelivered::PortClosed => Icmpv6DstUnreachable::PortUnreachable,
            };
            let message = Icmpv6Repr::DstUnreachable { reason, header, data: &quoted };
            let outer = outer(flow, IpProtocol::Icmpv6, message.buffer_len());
            outer.emit(&mut *packet, &caps);
            let room = &mut packet[outer.header_len()..outer.buffer_len()];
            let (from, to) = (header.dst_addr, header.src_addr);
            message.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(room), &caps);
            outer.buffer_len()
        }
    }
}

/// The header of a packet to the function.
fn outer(flow: &Flow, protocol: IpProtocol, payload_len: usize) -> IpRepr {
    IpRepr::new(flow.outside.ip().into(), flow.inside.ip().into(), protocol, payload_len, HOP_LIMIT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flow(inside: &str, outside: &str) -> Flow {
        Flow { protocol: Protocol::Udp, inside: inside.parse().unwrap(), outside: outside.parse().unwrap() }
    }

    #[test]
    fn datagrams_are_read_as_they_were_written() {
        for (inside, outside) in
            [("10.200.0.2:4000", "8.8.8.8:53"), ("[fd6c:616d:6265::2]:4000", "[2606:4700::1]:53")]
        {
            let flow = flow(inside, outside);
            let mut packet = vec![0; 2_000];
            let begin = datagram_header_len(&flow);
            packet[begin..begin + 5].copy_from_slice(b"hello");
            let length = write_datagram(&mut packet, &flow, 5);
            let turned = Flow { inside: flow.outside, outside: flow.inside, ..flow };
            assert_eq!(read(&packet[..length]), Some(Packet::Datagram { flow: turned, payload: b"hello" }));
            assert_eq!(read(&packet[..length - 1]), None, "cut short");
        }
    }

    #[test]
    fn pieces_are_not_taken() {
        let flow = flow("10.200.0.2:4000", "8.8.8.8:53");
        let mut packet = vec![0; 100];
        let length = write_datagram(&mut packet, &flow, 30);
        packet[6] |= 0x20;
        assert_eq!(read(&packet[..length]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_reason_to_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), six: bool) {
            let _ = read(&bytes);
            if bytes.len() > 20 {
                bytes[0] = if six { 0x60 } else { 0x45 };
                let length = bytes.len();
                let total = u16::try_from(if six { length.saturating_sub(40) } else { length }).unwrap();
                let at = if six { 4 } else { 2 };
                bytes[at..at + 2].copy_from_slice(&total.to_be_bytes());
                bytes[if six { 6 } else { 9 }] = if length.is_multiple_of(2) { 6 } else { 17 };
                let _ = read(&bytes);
            }
        }
    }
}
