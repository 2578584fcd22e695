//! Networks of IP addresses, as `10.0.0.0/24`.

use std::net::IpAddr;

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Errors: a sentence on what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [address, bits] = parts[..] else { return Err("Malformed CIDR, one '/' required".to_owned()) };
        let address: IpAddr =
            address.parse().map_err(|_| format!("Malformed CIDR, invalid IP address: {address}"))?;
        let bits: u8 = bits.parse().map_err(|_| "Malformed CIDR, mask bits must be an integer".to_owned())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most {
            return Err("Malformed CIDR, invalid mask bits".to_owned());
        }
        Ok(Self { address, bits })
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else { return false };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let unlike = own.to_bits() ^ other.to_bits();
                unlike.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let unlike = own.to_bits() ^ other.to_bits();
                unlike.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}
