//! Bytes that a seed stands for, so that the ledger need not keep them.

use lambent_base::{Random, text};
use md5::{Digest, Md5};

/// What an object, or a part of one, holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// One piece for a plain object, one for each part of a multipart upload.
    pieces: Vec<Piece>,
    /// Without quotes. Unknown for a copy whose answer did not come.
    pub(crate) etag: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    seed: u64,
    bytes: usize,
}

impl Piece {
    fn fill(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.bytes, 0);
        Random::seeded(self.seed).fill(&mut out[start..]);
    }
}

impl Content {
    /// A plain object and its bytes.
    pub(crate) fn plain(seed: u64, bytes: usize) -> (Self, Vec<u8>) {
        let piece = Piece { seed, bytes };
        let mut body = Vec::new();
        piece.fill(&mut body);
        let etag = text::hex(&Md5::digest(&body));
        (Self { pieces: vec![piece], etag: Some(etag) }, body)
    }

    /// The object that these parts become.
    pub(crate) fn of_parts<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let (mut pieces, mut digests) = (Vec::new(), Vec::new());
        for part in parts {
            pieces.extend_from_slice(&part.pieces);
            digests.extend(part.etag.as_deref().and_then(text::unhex).unwrap_or_default());
        }
        let etag = format!("{}-{}", text::hex(&Md5::digest(&digests)), pieces.len());
        Self { pieces, etag: Some(etag) }
    }

    /// The same bytes under another key; the server says what their ETag is.
    pub(crate) fn copied(&self) -> Self {
        Self { pieces: self.pieces.clone(), etag: None }
    }

    pub(crate) fn length(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// All of its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length());
        for piece in &self.pieces {
            piece.fill(&mut out);
        }
        out
    }

    /// Whether an object with these bytes and this ETag (without quotes) is this one.
    pub(crate) fn is(&self, bytes: &[u8], etag: &str) -> bool {
        self.etag.as_ref().is_none_or(|own| own == etag)
            && bytes.len() == self.length()
            && bytes == self.bytes()
    }
}

/// A number below `bound`, which is above 0.
pub(crate) fn below(random: &Random, bound: usize) -> usize {
    usize::try_from(random.u64() % bound as u64).expect("smaller than a usize")
}

/// A random size: mostly small enough to lie in a row, often a file, now and then some MiB.
pub(crate) fn size(random: &Random) -> usize {
    match below(random, 20) {
        0 => 1 + below(random, 16),
        1..=9 => 1 + below(random, 32 * 1024),
        10..=11 => 32 * 1024 - 2 + below(random, 5),
        12..=18 => 33_000 + below(random, 400_000),
        _ => 1_000_000 + below(random, 3_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_knows_its_own_bytes_and_no_others() {
        let (content, body) = Content::plain(7, 1000);
        let etag = content.etag.clone().unwrap();
        assert!(content.is(&body, &etag));
        assert!(!content.is(&body[..999], &etag));
        assert!(!content.is(&body, "another"));
        assert!(!content.is(&[0; 1000], &etag));
        let mut damaged = body;
        damaged[500] ^= 1;
        assert!(!content.is(&damaged, &etag));
    }

    #[test]
    fn parts_follow_one_another() {
        let (first, one) = Content::plain(1, 10);
        let (second, two) = Content::plain(2, 20);
        let whole = Content::of_parts([&first, &second].into_iter());
        assert_eq!(whole.bytes(), [one, two].concat());
        assert!(whole.etag.unwrap().ends_with("-2"));
    }
}
