//! SHA-256, in one piece and in many.

use ring::digest::{Context, SHA256, digest};

/// SHA-256 of bytes that are in memory, as [`crate::VerifyOptions::body_sha256`] wants it.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(digest(&SHA256, bytes).as_ref())
}

/// The SHA-256 of bytes that come piece by piece. Boxed, since the state is large and bodies mostly do without.
#[derive(Clone)]
pub struct Sha256(Box<Context>);

impl Sha256 {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self(Box::new(Context::new(&SHA256)))
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes.
    pub fn finish(self) -> [u8; 32] {
        array(self.0.finish().as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256(..)")
    }
}

/// Of a digest or tag of SHA-256.
pub(crate) fn array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 gives 32 bytes")
}
