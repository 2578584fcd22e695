//! Which names and addresses the cloud answers to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reached by this name whatever the operator's domain is (RFC 6761, section 6.3).
pub(crate) const LOCALHOST: &str = "localhost";
/// What stands before a domain in the host names of services: one more label comes before each.
const BELOW: [&str; 2] = ["s3", "execute-api"];
/// Addresses that are nobody's on the Internet, with the bits that tell (RFC 1918, 3927, 4193, 4291, 6890).
pub(crate) const PRIVATE: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

/// Whether an address is in one of [`PRIVATE`].
pub(crate) fn is_private(address: IpAddr) -> bool {
    PRIVATE.iter().any(|(range, bits)| match (range, address) {
        (IpAddr::V4(range), IpAddr::V4(address)) => {
            (range.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(*bits)
        }
        (IpAddr::V6(range), IpAddr::V6(address)) => {
            (range.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(*bits)
        }
        _ => false,
    })
}

/// The names of every leaf: each domain, and one label below it or below a service of it.
pub(crate) fn patterns(domain: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    for domain in [LOCALHOST, domain] {
        let services = BELOW.iter().map(|service| format!("*.{service}.{domain}"));
        // Some clients refuse a certificate in which a star stands for half of all names, as `*.localhost`.
        let below = domain.contains('.').then(|| format!("*.{domain}"));
        let all = [domain.to_owned()].into_iter().chain(below).chain(services);
        patterns.extend(all.filter(|name| !patterns.contains(name)).collect::<Vec<_>>());
    }
    patterns
}

/// Whether a name is the domain, or below it.
pub(crate) fn is_within(name: &str, domain: &str) -> bool {
    let below = name.strip_suffix(domain);
    below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

/// Whether a certificate for these patterns is one for the name.
pub(crate) fn is_covered(name: &str, patterns: &[String]) -> bool {
    let below = name.split_once('.').map(|(_, below)| below);
    patterns.iter().any(|pattern| match pattern.strip_prefix("*.") {
        Some(parent) => below == Some(parent),
        None => pattern == name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("10.255.0.1", true),
            ("172.31.255.255", true),
            ("172.32.0.1", false),
            ("192.168.7.7", true),
            ("8.8.8.8", false),
            ("::1", true),
            ("::2", false),
            ("fd12::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn names_below_a_service_are_covered_and_what_no_pattern_may_stand_for_is_not() {
        let patterns = patterns("example.org");
        for (name, expected) in [
            ("localhost", true),
            ("photos.s3.localhost", true),
            ("photos.localhost", false),
            ("my.photos.s3.localhost", false),
            ("example.org", true),
            ("photos.example.org", true),
            ("api.execute-api.example.org", true),
            ("id.lambda-url.us-east-1.localhost", false),
            ("example.com", false),
        ] {
            assert_eq!(is_covered(name, &patterns), expected, "{name}");
        }
        assert!(is_within("id.lambda-url.us-east-1.localhost", LOCALHOST));
        assert!(!is_within("notlocalhost", LOCALHOST));
    }
}
