//! Which addresses are what.
//!
//! Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries; the metadata services' addresses from their clouds'
//! documentation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cidr::Cidr;

/// A range and what it is for.
pub(crate) struct Named {
    pub(crate) range: Cidr,
    pub(crate) name: &'static str,
}

const fn v4(address: [u8; 4], prefix: u8, name: &'static str) -> Named {
    let [a, b, c, d] = address;
    Named { range: Cidr::v4(a, b, c, d, prefix), name }
}

const fn v6(segments: [u16; 8], prefix: u8, name: &'static str) -> Named {
    Named { range: Cidr::v6(segments, prefix), name }
}

/// The network between a function and the daemon, as the sandbox sets it up.
pub(crate) const OWN_NETWORKS: [Named; 2] = [
    v4([10, 200, 0, 0], 30, "the environment's own network"),
    v6([0xfd6c, 0x616d, 0x6265, 0, 0, 0, 0, 0], 126, "the environment's own network"),
];
/// Where functions find a resolver, on port 53.
pub(crate) const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1));

/// Never reached, whatever the policy says.
const NEVER: [Named; 21] = [
    v4([0, 0, 0, 0], 8, "this network"),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4([169, 254, 0, 0], 16, "link-local and metadata"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([255, 255, 255, 255], 32, "broadcast"),
    v4([100, 100, 100, 200], 32, "metadata (Alibaba Cloud)"),
    v4([168, 63, 129, 16], 32, "metadata (Azure)"),
    v4([192, 0, 0, 192], 32, "metadata (Oracle Cloud)"),
    // Unspecified, loopback, and version 4 addresses written as version 6.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "loopback, unspecified, IPv4-compatible"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "IPv4-translated"),
    // A translator or relay would make a version 4 address of these, and nobody had judged that.
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local-use IPv4 translation"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32, "metadata (AWS)"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, "metadata (Google Cloud)"),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, "metadata (Oracle Cloud)"),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128, "metadata (Scaleway)"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
];

/// What of version 4 is not globally reachable, beyond what is never reached.
const NOT_PUBLIC_V4: [Named; 11] = [
    v4([10, 0, 0, 0], 8, "private use"),
    v4([100, 64, 0, 0], 10, "shared address space"),
    v4([172, 16, 0, 0], 12, "private use"),
    v4([192, 0, 0, 0], 24, "IETF protocol assignments"),
    v4([192, 0, 2, 0], 24, "documentation (TEST-NET-1)"),
    v4([192, 88, 99, 0], 24, "6to4 relay anycast"),
    v4([192, 168, 0, 0], 16, "private use"),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([198, 51, 100, 0], 24, "documentation (TEST-NET-2)"),
    v4([203, 0, 113, 0], 24, "documentation (TEST-NET-3)"),
    v4([240, 0, 0, 0], 4, "reserved"),
];

/// All that is assigned as global unicast of version 6; the rest is private, or nobody's yet.
const GLOBAL_V6: Cidr = Cidr::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// What of it is not globally reachable.
const NOT_PUBLIC_V6: [Named; 3] = [
    // Anycast services, ORCHID and drone identifiers among them are reachable, but no function wants them.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "IETF protocol assignments"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
];

/// Here a translator makes a version 4 address of the last 32 bits (RFC 6052).
const TRANSLATED: Cidr = Cidr::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// What the address is when it is never reached.
pub(crate) fn never(address: IpAddr) -> Option<&'static str> {
    NEVER.iter().chain(&OWN_NETWORKS).find(|one| one.range.contains(address)).map(|one| one.name)
}

/// What a range is when none of its addresses is ever reached.
pub(crate) fn never_any(range: &Cidr) -> Option<&'static str> {
    NEVER.iter().chain(&OWN_NETWORKS).find(|one| one.range.covers(range)).map(|one| one.name)
}

/// What the address is when it is not globally reachable.
pub(crate) fn not_public(address: IpAddr) -> Option<&'static str> {
    let special: &[Named] = if address.is_ipv4() { &NOT_PUBLIC_V4 } else { &NOT_PUBLIC_V6 };
    let name = special.iter().find(|one| one.range.contains(address)).map(|one| one.name);
    if name.is_none() && address.is_ipv6() && !GLOBAL_V6.contains(address) {
        return Some("not global unicast");
    }
    name.or_else(|| never(address))
}

/// The version 4 address that is reached by way of this one, if a translator is there.
pub(crate) fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    TRANSLATED.contains(address).then(|| last_32_bits(v6))
}

fn last_32_bits(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}
