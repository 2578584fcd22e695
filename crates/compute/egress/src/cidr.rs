//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, as `10.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: IpAddr,
    /// Bits that all of its addresses have in common.
    prefix: u8,
}

/// Why a text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("`{0}` is no address; expected one like 10.1.2.3 or 10.1.0.0/16")]
    Address(String),
    #[error("`{text}` has a wrong prefix length; expected a number up to {most}")]
    Prefix { text: String, most: u8 },
    #[error("`{text}` has bits set beyond its prefix; write `{meant}` for the whole range")]
    HostBits { text: String, meant: Cidr },
}

impl Cidr {
    pub(crate) const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    pub(crate) const fn v6(s: [u16; 8], prefix: u8) -> Self {
        let first = Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]);
        Self { first: IpAddr::V6(first), prefix }
    }

    /// Whether the address lies in the range. A version 4 address lies in no range of version 6, whatever its form.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                masked_v4(address.to_bits(), self.prefix) == first.to_bits()
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                masked_v6(address.to_bits(), self.prefix) == first.to_bits()
            }
            _ => false,
        }
    }

    /// Whether all of `other` lies in this range.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }

    /// Whether it is one address alone.
    pub fn is_single(&self) -> bool {
        self.prefix == most(self.first)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address(text.to_owned()))?;
        let most = most(address);
        let prefix = match prefix.map(str::parse::<u8>) {
            None => most,
            Some(Ok(prefix)) if prefix <= most => prefix,
            Some(_) => return Err(CidrError::Prefix { text: text.to_owned(), most }),
        };
        let first = match address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(masked_v4(address.to_bits(), prefix))),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(masked_v6(address.to_bits(), prefix))),
        };
        let range = Self { first, prefix };
        if first == address {
            Ok(range)
        } else {
            Err(CidrError::HostBits { text: text.to_owned(), meant: range })
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

fn most(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked_v4(bits: u32, prefix: u8) -> u32 {
    bits & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn masked_v6(bits: u128, prefix: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_become_ranges() {
        assert_eq!("10.1.0.0/16".parse(), Ok(Cidr::v4(10, 1, 0, 0, 16)));
        assert_eq!("0.0.0.0/0".parse(), Ok(Cidr::v4(0, 0, 0, 0, 0)));
        assert_eq!("fd00::/8".parse(), Ok(Cidr::v6([0xfd00, 0, 0, 0, 0, 0, 0, 0], 8)));
        assert!("10.1.2.3".parse::<Cidr>().unwrap().is_single());
        assert!(!"10.1.2.2/31".parse::<Cidr>().unwrap().is_single());
    }

    #[test]
    fn wrong_texts_are_explained() {
        let error = |text: &str| text.parse::<Cidr>().unwrap_err().to_string();
        assert!(error("example.com").contains("is no address"));
        assert!(error("10.0.0.0/33").contains("up to 32"));
        assert!(error("::/x").contains("up to 128"));
        assert!(error("10.1.2.3/16").contains("10.1.0.0/16"));
    }

    proptest! {
        #[test]
        fn a_range_holds_what_begins_like_it(bits: u32, other: u32, prefix in 0u8..=32) {
            let first = Ipv4Addr::from_bits(masked_v4(bits, prefix));
            let range: Cidr = format!("{first}/{prefix}").parse().unwrap();
            prop_assert!(range.contains(IpAddr::V4(Ipv4Addr::from_bits(bits))));
            let same = prefix == 0 || bits >> (32 - prefix) == other >> (32 - prefix);
            prop_assert_eq!(range.contains(IpAddr::V4(Ipv4Addr::from_bits(other))), same);
        }

        #[test]
        fn texts_come_back(bits: u128, prefix in 0u8..=128) {
            let first = Ipv6Addr::from_bits(masked_v6(bits, prefix));
            let range = Cidr { first: IpAddr::V6(first), prefix };
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }
    }
}
