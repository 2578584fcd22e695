//! Randomness, handed to whoever needs it, so that tests can repeat it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A cheap, cloneable source of random bytes and identifiers.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded(Arc<AtomicU64>),
}

impl Random {
    /// The operating system's generator: fit for keys and tokens.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A repeatable sequence (SplitMix64): for tests only, never for secrets.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(AtomicU64::new(seed))))
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::System => getrandom::fill(bytes).expect("Linux always gives random bytes after boot"),
            Source::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    let word = split_mix(state.fetch_add(GOLDEN_GAMMA, Ordering::SeqCst)).to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
            }
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A uniform 64-bit number.
    pub fn u64(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A random (version 4) UUID in its usual text form, 36 characters.
    pub fn uuid(&self) -> String {
        let mut raw: [u8; 16] = self.bytes();
        raw[6] = (raw[6] & 0x0f) | 0x40;
        raw[8] = (raw[8] & 0x3f) | 0x80;
        let hex = crate::text::hex(&raw);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// `length` characters drawn from `alphabet` (at most 256 bytes, ASCII).
    pub fn string(&self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.index(alphabet.len())])).collect()
    }

    fn index(&self, below: usize) -> usize {
        // The bias of 64 bits modulo at most 256 is below 2^-56.
        usize::try_from(self.u64() % below as u64).expect("smaller than `below`, which is a usize")
    }
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN_GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_sequences_repeat() {
        assert_eq!(Random::seeded(7).bytes::<24>(), Random::seeded(7).bytes::<24>());
        assert_ne!(Random::seeded(7).u64(), Random::seeded(8).u64());
    }

    #[test]
    fn uuids_have_version_and_variant() {
        let uuid = Random::system().uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
    }
}
