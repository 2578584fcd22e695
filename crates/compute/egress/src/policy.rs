//! What the operator allows functions to reach.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::cidr::{Cidr, CidrError};
use crate::limits::MAX_POLICY_ENTRIES;
use crate::ranges;

/// What functions may reach: nothing, what is globally reachable, ranges of addresses.
///
/// As text: `none`, or a list with commas of `public` and ranges, as `public,10.1.0.0/16`. Whatever it says, loopback,
/// link-local, multicast and broadcast addresses, metadata services, and version 4 addresses in the clothes of version
/// 6 are never reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    public: bool,
    ranges: Vec<Cidr>,
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("expected `none`, `public`, or ranges like 10.1.0.0/16 with commas between")]
    Empty,
    #[error("`none` stands alone; leave it out, or everything else")]
    NoneAmongOthers,
    #[error(transparent)]
    Range(#[from] CidrError),
    #[error("`{range}` is never reached ({what}); leave it out")]
    Never { range: Cidr, what: &'static str },
    #[error("more than {MAX_POLICY_ENTRIES} ranges; join some of them")]
    TooMany,
}

/// Why an address is not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Whatever the policy says; what the address is.
    Never(&'static str),
    /// Not globally reachable (what it is instead), and in no range of the policy.
    NotPublic(&'static str),
    /// In no range of the policy.
    NotListed,
    /// The host's own.
    Host,
    /// The kernel has no way there, or it is not one host's.
    NoRoute,
    /// There are as many connections as there may be.
    Full,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never(what) => write!(f, "never reached: {what}"),
            Self::NotPublic(what) => write!(f, "not public ({what}), and in no range of --egress"),
            Self::NotListed => f.write_str("in no range of --egress"),
            Self::Host => f.write_str("an address of this host"),
            Self::NoRoute => f.write_str("no route to it"),
            Self::Full => f.write_str("too many connections"),
        }
    }
}

impl Policy {
    /// Whether nothing at all is allowed, so that environments need no network device.
    pub fn is_none(&self) -> bool {
        !self.public && self.ranges.is_empty()
    }

    /// Whether the address may be reached, for all that can be known from the address alone.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refusal> {
        if let Some(what) = ranges::never(address) {
            return Err(Refusal::Never(what));
        }
        if let Some(inner) = ranges::translated(address) {
            return self.judge(IpAddr::V4(inner));
        }
        if self.ranges.iter().any(|range| range.contains(address)) {
            return Ok(());
        }
        match ranges::not_public(address) {
            _ if !self.public => Err(Refusal::NotListed),
            Some(what) => Err(Refusal::NotPublic(what)),
            None => Ok(()),
        }
    }

    /// Whether the address stands in the list by itself, not only within a range.
    pub fn names(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.is_single() && range.contains(address))
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self::default();
        if text.trim() == "none" {
            return Ok(policy);
        }
        for entry in text.split(',').map(str::trim) {
            match entry {
                "" => return Err(PolicyError::Empty),
                "none" => return Err(PolicyError::NoneAmongOthers),
                "public" => policy.public = true,
                _ => policy.ranges.push(range(entry)?),
            }
        }
        if policy.ranges.len() > MAX_POLICY_ENTRIES { Err(PolicyError::TooMany) } else { Ok(policy) }
    }
}

fn range(text: &str) -> Result<Cidr, PolicyError> {
    let range: Cidr = text.parse()?;
    match ranges::never_any(&range) {
        Some(what) => Err(PolicyError::Never { range, what }),
        None => Ok(range),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn policy(text: &str) -> Policy {
        text.parse().unwrap()
    }

    fn allows(text: &str, address: &str) -> bool {
        policy(text).judge(address.parse().unwrap()).is_ok()
    }

    const EVERYTHING: &str = "public,0.0.0.0/0,::/0";

    /// Whatever the operator says.
    const NEVER: [&str; 30] = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "10.200.0.1",
        "10.200.0.2",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd6c:616d:6265::1",
    ];

    #[test]
    fn some_addresses_are_never_reached() {
        for address in NEVER {
            for text in ["none", "public", EVERYTHING] {
                assert!(!allows(text, address), "{address} under {text}");
            }
        }
    }

    #[test]
    fn public_is_what_is_globally_reachable() {
        for address in
            ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00::1", "64:ff9b::8.8.8.8"]
        {
            assert!(allows("public", address), "{address}");
        }
        let others = [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "240.0.0.1",
            "fd00::1",
            "fc00::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "100::1",
            "4000::1",
            "64:ff9b::10.0.0.1",
        ];
        for address in others {
            assert!(!allows("public", address), "{address}");
            assert!(allows(EVERYTHING, address), "{address} when it is in a range");
        }
        assert!(allows("public", "172.32.0.1"), "the first beyond the private ones");
        assert!(allows("public", "100.128.0.1"));
    }

    #[test]
    fn ranges_allow_what_is_in_them() {
        assert!(allows("10.1.0.0/16", "10.1.255.255"));
        assert!(!allows("10.1.0.0/16", "10.2.0.0"));
        assert!(!allows("10.1.0.0/16", "8.8.8.8"));
        assert!(allows("public, 10.1.0.0/16", "8.8.8.8"));
        assert!(!allows("none", "8.8.8.8"));
        assert_eq!(
            policy("public").judge("10.0.0.1".parse().unwrap()),
            Err(Refusal::NotPublic("private use"))
        );
    }

    #[test]
    fn an_address_is_named_only_by_itself() {
        let policy = policy("10.1.2.3,10.2.0.0/16");
        assert!(policy.names("10.1.2.3".parse().unwrap()));
        assert!(!policy.names("10.2.0.1".parse().unwrap()));
    }

    #[test]
    fn wrong_texts_are_explained() {
        let error = |text: &str| text.parse::<Policy>().unwrap_err();
        assert_eq!(error(""), PolicyError::Empty);
        assert_eq!(error("public,"), PolicyError::Empty);
        assert_eq!(error("none,public"), PolicyError::NoneAmongOthers);
        assert!(error("127.0.0.0/8").to_string().contains("never reached (loopback)"));
        assert!(error("169.254.169.254").to_string().contains("metadata"));
        assert!(error("internet").to_string().contains("is no address"));
        assert_eq!(error(&vec!["10.0.0.0/8"; MAX_POLICY_ENTRIES + 1].join(",")), PolicyError::TooMany);
    }

    proptest! {
        #[test]
        fn nothing_special_is_ever_allowed_by_public(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_broadcast() || address.is_documentation() || address.is_multicast()
                || address.is_unspecified() || bits >> 28 == 0xf || bits >> 22 == 0b01_1001_0001;
            if special {
                prop_assert!(policy("public").judge(IpAddr::V4(address)).is_err());
            }
            // Whatever may be reached in plain form may not be reached in disguise, except by a translator.
            prop_assert!(policy(EVERYTHING).judge(IpAddr::V6(address.to_ipv6_mapped())).is_err());
            let translated = Ipv6Addr::from_bits(0x0064_ff9b_u128 << 96 | u128::from(bits));
            prop_assert_eq!(
                policy(EVERYTHING).judge(IpAddr::V6(translated)).is_ok(),
                policy(EVERYTHING).judge(IpAddr::V4(address)).is_ok()
            );
        }

        #[test]
        fn lists_only_add(bits: u128) {
            let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
            if policy("public").judge(address).is_ok() {
                prop_assert!(policy(EVERYTHING).judge(address).is_ok());
            }
            prop_assert!(policy("none").judge(address).is_err());
        }
    }
}
