//! Randomness, handed to whoever needs it, so that tests can repeat it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that a thread asks the operating system for at once, for identifiers: a call for each costs more than the rest of
/// making one.
const STOCK_BYTES: usize = 512;
/// Where a UUID's text has hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK_BYTES], left: 0 }) };
}

/// Random bytes that nobody has had.
struct Stock {
    bytes: [u8; STOCK_BYTES],
    left: usize,
}

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

    /// A uniform 64-bit number, for what need not be secret.
    pub fn u64(&self) -> u64 {
        u64::from_le_bytes(self.identifier())
    }

    /// A random (version 4) UUID in its usual text form, 36 characters.
    pub fn uuid(&self) -> String {
        let mut raw: [u8; 16] = self.identifier();
        raw[6] = (raw[6] & 0x0f) | 0x40;
        raw[8] = (raw[8] & 0x3f) | 0x80;
        let digits = crate::text::hex(&raw);
        let mut text = String::with_capacity(digits.len() + HYPHENS.len());
        let mut rest = digits.as_str();
        for at in HYPHENS {
            let (part, others) = rest.split_at(at - text.len());
            text.push_str(part);
            text.push('-');
            rest = others;
        }
        text.push_str(rest);
        text
    }

    /// `N` random bytes for what need not be secret, and is wanted often.
    pub fn identifier<const N: usize>(&self) -> [u8; N] {
        match self.0 {
            Source::System => STOCK.with_borrow_mut(|stock| stock.take(self)),
            Source::Seeded(_) => self.bytes(),
        }
    }

    /// `length` characters drawn from `alphabet` (at most 256 bytes, ASCII).
    pub fn string(&self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.index(alphabet.len())])).collect()
    }

    fn index(&self, below: usize) -> usize {
        // The bias of 64 bits modulo at most 256 is below 2^-56.
        // Not of the stock: keys are made of such characters.
        usize::try_from(u64::from_le_bytes(self.bytes()) % below as u64)
            .expect("smaller than `below`, which is a usize")
    }
}

impl Stock {
    fn take<const N: usize>(&mut self, random: &Random) -> [u8; N] {
        const { assert!(N <= STOCK_BYTES) };
        if self.left < N {
            random.fill(&mut self.bytes);
            self.left = STOCK_BYTES;
        }
        self.left -= N;
        let taken = &mut self.bytes[self.left..self.left + N];
        let mut bytes = [0; N];
        bytes.swap_with_slice(taken);
        bytes
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
        assert_eq!(HYPHENS.map(|at| &uuid[at..=at]), ["-"; 4]);
    }

    #[test]
    fn nobody_is_given_the_same_twice() {
        let random = Random::system();
        let all: std::collections::HashSet<u64> = (0..1_000).map(|_| random.u64()).collect();
        assert_eq!(all.len(), 1_000);
    }
}
