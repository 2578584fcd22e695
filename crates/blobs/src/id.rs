//! Names of blobs.

use std::fmt;
use std::str::FromStr;

use lambent_base::{Clock, Random, text};

use crate::error::BlobError;

/// Names a blob: 6 bytes of time (milliseconds since 1970, big-endian), then 10 random ones. Text: 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 16]);

/// Makes ids.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    clock: Clock,
    random: Random,
}

impl Names {
    pub(crate) fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn new_id(&self) -> BlobId {
        BlobId::new(&self.clock, &self.random)
    }
}

impl BlobId {
    fn new(clock: &Clock, random: &Random) -> Self {
        let mut bytes: [u8; 16] = random.bytes();
        bytes[..6].copy_from_slice(&clock.unix_ms().to_be_bytes()[2..]);
        Self(bytes)
    }

    /// The id with these bytes, as [`BlobId::to_bytes`] gave them.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's bytes, for rows that name it.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// When the blob was finished, in milliseconds since 1970; of one that went elsewhere than to disk in many parts, when
    /// it was begun.
    pub fn created_ms(self) -> i64 {
        self.0[..6].iter().fold(0, |ms, &byte| (ms << 8) | i64::from(byte))
    }

    /// Which of the 256 directories of a place it lies in: its last byte.
    pub fn directory(self) -> u8 {
        self.0[15]
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}

impl FromStr for BlobId {
    type Err = BlobError;

    fn from_str(name: &str) -> Result<Self, BlobError> {
        let bytes = text::unhex(name).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| BlobError::BadId(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_their_time_and_round_trip() {
        let (clock, _) = Clock::manual(1_790_000_000_123);
        let id = BlobId::new(&clock, &Random::seeded(4));
        assert_eq!(id.created_ms(), 1_790_000_000_123);
        assert_eq!(id.to_string().parse::<BlobId>().unwrap(), id);
        assert_eq!(BlobId::from_bytes(id.to_bytes()), id);
        assert!("../../etc/passwd".parse::<BlobId>().is_err());
    }
}
