//! Computing a checksum while a body streams.

use crate::{Algorithm, Checksum};
use ring::digest::{Context, SHA256};
use sha1::Digest;

/// The running checksum of the bytes so far.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

#[derive(Clone)]
enum State {
    Crc(Box<crc_fast::Digest>),
    Sha1(sha1::Sha1),
    Sha256(Context),
    Md5(md5::Md5),
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match (algorithm.crc(), algorithm) {
            (Some(crc), _) => State::Crc(Box::new(crc_fast::Digest::new(crc))),
            (None, Algorithm::Sha1) => State::Sha1(sha1::Sha1::new()),
            (None, Algorithm::Sha256) => State::Sha256(Context::new(&SHA256)),
            (None, _) => State::Md5(md5::Md5::new()),
        };
        Self { algorithm, state }
    }

    /// What it computes.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
            State::Md5(digest) => digest.update(bytes),
        }
    }

    /// The checksum of all bytes.
    pub fn finish(self) -> Checksum {
        let algorithm = self.algorithm;
        match self.state {
            State::Crc(digest) => Checksum::of_crc(algorithm, digest.finalize()),
            State::Sha1(digest) => Checksum::of(algorithm, &digest.finalize()),
            State::Sha256(digest) => Checksum::of(algorithm, digest.finish().as_ref()),
            State::Md5(digest) => Checksum::of(algorithm, &digest.finalize()),
        }
    }

    /// The checksum of bytes that are in memory.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = Self::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
