//! Derived signing keys, and a bounded cache of them.

use crate::hash::array;
use crate::scope::TERMINATOR;
use crate::{AmzDate, MAX_CACHED_KEYS, SignedRequest};
use lambent_base::text::equal_in_constant_time;
use ring::hmac;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A secret key narrowed to one day, region and service. Holds the keyed HMAC state, so that each signature
/// costs only the hashing of its text.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Four HMACs. `date` is `YYYYMMDD`.
    pub fn derive(secret: &str, date: &str, region: &str, service: &str) -> Self {
        let mut first = Vec::with_capacity(4 + secret.len());
        first.extend_from_slice(b"AWS4");
        first.extend_from_slice(secret.as_bytes());
        let day = keyed(&first).hmac(date.as_bytes());
        let place = keyed(&day).hmac(region.as_bytes());
        let service = keyed(&place).hmac(service.as_bytes());
        keyed(&keyed(&service).hmac(TERMINATOR.as_bytes()))
    }

    /// The key for the day of `date`.
    pub fn for_date(secret: &str, date: &AmzDate, region: &str, service: &str) -> Self {
        Self::derive(secret, date.day(), region, service)
    }

    /// The key of a request's own scope.
    pub fn of(request: &SignedRequest<'_>, secret: &str) -> Self {
        Self::derive(secret, request.date(), request.region(), request.service())
    }

    /// The signature of a string to sign, as 32 bytes.
    pub fn hmac(&self, message: &[u8]) -> [u8; 32] {
        array(hmac::sign(&self.0, message).as_ref())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

fn keyed(key: &[u8]) -> SigningKey {
    SigningKey(hmac::Key::new(hmac::HMAC_SHA256, key))
}

/// Remembers derived keys by credential. Holds at most [`MAX_CACHED_KEYS`]: when the younger half is full,
/// it becomes the older half and what was older is forgotten.
#[derive(Default)]
pub struct SigningKeyCache(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    young: HashMap<Box<str>, Entry>,
    old: HashMap<Box<str>, Entry>,
}

/// The secret is kept so that a key which was replaced under the same id is derived anew.
struct Entry {
    secret: Box<str>,
    key: SigningKey,
}

impl SigningKeyCache {
    /// The signing key of a request's scope for `secret`, if it is known.
    pub fn find(&self, request: &SignedRequest<'_>, secret: &str) -> Option<SigningKey> {
        let credential = request.credential().as_str();
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = halves.young.get(credential) {
            return entry.is_of(secret).then(|| entry.key.clone());
        }
        let entry = halves.old.remove(credential).filter(|entry| entry.is_of(secret))?;
        let key = entry.key.clone();
        halves.insert(credential, entry);
        Some(key)
    }

    /// Remembers the key of a request whose signature was true. For others nothing may be remembered: a scope is
    /// whatever its sender writes, and would drive out those that are used.
    pub fn remember(&self, request: &SignedRequest<'_>, secret: &str, key: &SigningKey) {
        let entry = Entry { secret: secret.into(), key: key.clone() };
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.insert(request.credential().as_str(), entry);
    }

    /// How many keys are remembered now.
    pub fn len(&self) -> usize {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.young.len() + halves.old.len()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Halves {
    fn insert(&mut self, credential: &str, entry: Entry) {
        if self.young.len() >= MAX_CACHED_KEYS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(credential.into(), entry);
    }
}

impl Entry {
    fn is_of(&self, secret: &str) -> bool {
        equal_in_constant_time(self.secret.as_bytes(), secret.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambent_base::text::hex;

    fn request(access_key_id: usize) -> http::request::Parts {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AK{access_key_id}/20150830/us-east-1/iam/aws4_request,SignedHeaders=host,Signature=00"
        );
        let request = http::Request::builder()
            .header("authorization", authorization)
            .header("x-amz-date", "20150830T123600Z")
            .body(())
            .unwrap();
        request.into_parts().0
    }

    #[test]
    fn derivation_gives_the_published_signature() {
        let key =
            SigningKey::derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam");
        let text = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                    f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        // Source: AWS IAM user guide, the ListUsers example of signing.
        assert_eq!(
            hex(&key.hmac(text.as_bytes())),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn the_cache_is_bounded_and_follows_a_changed_secret() {
        let cache = SigningKeyCache::default();
        let parts = request(0);
        let signed = crate::parse(&parts).unwrap().unwrap();
        assert!(cache.find(&signed, "one").is_none());
        let key = SigningKey::of(&signed, "one");
        cache.remember(&signed, "one", &key);
        assert_eq!(cache.find(&signed, "one").unwrap().hmac(b"x"), key.hmac(b"x"));
        assert!(cache.find(&signed, "two").is_none());
        let other = SigningKey::of(&signed, "two");
        cache.remember(&signed, "two", &other);
        assert_eq!(cache.find(&signed, "two").unwrap().hmac(b"x"), other.hmac(b"x"));
        assert_eq!(cache.len(), 1);
        for id in 0..MAX_CACHED_KEYS * 3 {
            let parts = request(id);
            let signed = crate::parse(&parts).unwrap().unwrap();
            cache.remember(&signed, "one", &SigningKey::of(&signed, "one"));
        }
        assert!(cache.len() <= MAX_CACHED_KEYS);
    }
}
