//! Authenticated encryption under the installation's master key.

use aes_gcm::aead::{Aead, KeyInit, Nonce, Payload};
use aes_gcm::{Aes256Gcm, Key};
use lambent_base::Random;
use ring::hmac;
use zeroize::Zeroizing;

/// Bytes of a nonce of AES-256-GCM; each sealed text starts with its own, drawn at random.
const NONCE_BYTES: usize = 12;

/// The key under which secrets and session tokens are sealed. Never printed.
#[derive(Clone)]
pub struct MasterKey {
    cipher: Aes256Gcm,
    deriver: hmac::Key,
}

impl MasterKey {
    pub fn new(key: [u8; 32]) -> Self {
        let key = Zeroizing::new(key);
        Self {
            cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)),
            deriver: hmac::Key::new(hmac::HMAC_SHA256, &*key),
        }
    }

    /// A key of its own for a purpose, that says nothing of this one: the same at each start.
    pub(crate) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let derived = hmac::sign(&self.deriver, purpose.as_bytes());
        Zeroizing::new(derived.as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes"))
    }

    /// Encrypts `plain`; `purpose` must be the same when it is opened.
    pub fn seal(&self, random: &Random, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random.bytes();
        let payload = Payload { msg: plain, aad: purpose };
        let sealed = self.cipher.encrypt(&Nonce::<Aes256Gcm>::from(nonce), payload);
        let sealed = sealed.expect("AES-GCM takes any text below 64 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// Decrypts what [`MasterKey::seal`] gave; `None` when it was changed, or sealed for something else.
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.cipher.decrypt(&Nonce::<Aes256Gcm>::from(*nonce), Payload { msg: sealed, aad: purpose }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_for_the_same_purpose_opens() {
        let key = MasterKey::new([7; 32]);
        let sealed = key.seal(&Random::seeded(1), b"session", b"secret");
        assert_eq!(key.open(b"session", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(key.open(b"other", &sealed), None);
        assert_eq!(MasterKey::new([8; 32]).open(b"session", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(b"session", &changed), None, "byte {at}");
        }
    }

    #[test]
    fn derived_keys_are_of_their_purpose_and_of_the_key() {
        let (key, other) = (MasterKey::new([7; 32]), MasterKey::new([8; 32]));
        assert_eq!(key.derive("a"), MasterKey::new([7; 32]).derive("a"));
        assert_ne!(key.derive("a"), key.derive("b"));
        assert_ne!(key.derive("a"), other.derive("a"));
    }
}
