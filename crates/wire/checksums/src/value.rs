//! A checksum's value.

use crate::{Algorithm, ChecksumError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambent_base::text::hex;

/// Bytes of the longest value.
const MAX_LENGTH: usize = 32;

/// The value of a checksum, with its algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: Algorithm,
    /// Zeros behind the algorithm's length.
    bytes: [u8; MAX_LENGTH],
}

impl Checksum {
    /// `None` when there are not as many bytes as the algorithm gives.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.length()).then(|| Self::of(algorithm, bytes))
    }

    /// From the text of a header, trailer or document.
    pub fn from_base64(algorithm: Algorithm, text: &str) -> Result<Self, ChecksumError> {
        let decoded = STANDARD.decode(text).ok();
        decoded
            .and_then(|bytes| Self::from_bytes(algorithm, &bytes))
            .ok_or_else(|| ChecksumError::Malformed { algorithm, found: text.into() })
    }

    /// What it was computed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// As many bytes as the algorithm gives; those of a CRC with the highest first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// As headers and documents write it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.as_bytes())
    }

    /// Lower-case hexadecimal, as entity tags write an MD5.
    pub fn to_hex(&self) -> String {
        hex(self.as_bytes())
    }

    /// Whether the announced checksum `self` is that of the bytes.
    pub fn check(&self, computed: &Self) -> Result<(), ChecksumError> {
        if self == computed {
            return Ok(());
        }
        Err(ChecksumError::Mismatch { announced: *self, computed: *computed })
    }

    /// `bytes` must be of the algorithm's length.
    pub(crate) fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut all = [0; MAX_LENGTH];
        all[..algorithm.length()].copy_from_slice(bytes);
        Self { algorithm, bytes: all }
    }

    /// A CRC from its number.
    pub(crate) fn of_crc(algorithm: Algorithm, value: u64) -> Self {
        let bytes = value.to_be_bytes();
        Self::of(algorithm, &bytes[bytes.len() - algorithm.length()..])
    }

    /// The number of a CRC.
    pub(crate) fn crc_value(&self) -> u64 {
        self.as_bytes().iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.algorithm.name(), self.to_base64())
    }
}
