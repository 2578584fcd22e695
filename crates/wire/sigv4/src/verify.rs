//! The second step: deciding whether a claimed signature is true.

use crate::canonical::{Canonical, string_to_sign};
use crate::scope::TERMINATOR;
use crate::{
    AmzDate, AuthError, MAX_CLOCK_SKEW_S, Mismatch, PayloadKind, Place, SignedRequest, SigningKey,
    UNSIGNED_PAYLOAD,
};
use http::request::Parts;
use lambent_base::text::{equal_in_constant_time, hex};
use std::borrow::Cow;

const SECURITY_TOKEN: &str = "x-amz-security-token";

/// Where services differ in what they sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRules {
    /// Whether `.`, `..` and empty segments leave the path before it is signed.
    pub normalise_path: bool,
    /// Whether the path as sent is encoded once more.
    pub double_encode_path: bool,
    /// Whether `x-amz-content-sha256` speaks for the body (S3), or the body itself is hashed (all others).
    pub declared_payload: bool,
    /// Whether the session token may have been added after signing.
    pub unsigned_token: bool,
}

impl ServiceRules {
    /// Amazon S3.
    pub const S3: Self = Self {
        normalise_path: false,
        double_encode_path: false,
        declared_payload: true,
        unsigned_token: false,
    };
    /// Every other service.
    pub const OTHER: Self = Self {
        normalise_path: true,
        double_encode_path: true,
        declared_payload: false,
        unsigned_token: true,
    };

    /// By signing name.
    pub fn of(service: &str) -> Self {
        match service {
            "s3" | "s3-object-lambda" | "s3-outposts" => Self::S3,
            _ => Self::OTHER,
        }
    }
}

/// What the answering side demands.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions<'a> {
    /// How the service signs.
    pub rules: ServiceRules,
    /// The signing name that the scope must have.
    pub service: &'a str,
    /// The region that the scope must have; `None` accepts each.
    pub region: Option<&'a str>,
    /// SHA-256 of the whole body, see [`crate::sha256`]. Needed unless the rules are S3's.
    pub body_sha256: Option<[u8; 32]>,
}

/// A signature that is true, with what is needed to verify the body.
#[derive(Clone, Debug)]
pub struct Verified {
    /// How the body is covered. For S3, hand this to [`crate::PayloadReader`]; for others the body is verified.
    pub payload: PayloadKind,
    /// The signature of the request in hexadecimal, which the first chunk's signature continues.
    pub seed_signature: String,
    /// The key that signs chunks as well.
    pub signing_key: SigningKey,
    /// `20150830/us-east-1/s3/aws4_request`.
    pub scope: String,
    /// The date of the request.
    pub signed_at: AmzDate,
}

impl SignedRequest<'_> {
    /// Everything but the signature itself: scope, time, coverage of headers. Costs next to nothing, and needs neither key
    /// nor body.
    pub fn check(
        &self,
        parts: &Parts,
        now_unix_s: i64,
        options: &VerifyOptions<'_>,
    ) -> Result<(), AuthError> {
        self.check_scope(options)?;
        self.check_time(now_unix_s)?;
        self.check_signed_headers(parts, options.rules)
    }

    /// Verifies with the signing key of this request's scope ([`SigningKey::of`]); `parts` are those
    /// that were parsed. Checks scope, time, coverage of headers, then the signature, in constant time.
    pub fn verify(
        &self,
        parts: &Parts,
        key: &SigningKey,
        now_unix_s: i64,
        options: &VerifyOptions<'_>,
    ) -> Result<Verified, AuthError> {
        self.check(parts, now_unix_s, options)?;
        let (payload_hash, payload) = self.payload_hash(options)?;
        self.check_signature(parts, key, options.rules, &payload_hash)?;
        Ok(Verified {
            payload,
            seed_signature: self.signature.clone().into_owned(),
            signing_key: key.clone(),
            scope: self.scope().into(),
            signed_at: self.at,
        })
    }

    fn check_scope(&self, options: &VerifyOptions<'_>) -> Result<(), AuthError> {
        let (place, credential) = (self.place, &self.credential);
        if credential.terminator() != TERMINATOR {
            return Err(AuthError::ScopeTerminator { place, found: credential.terminator().into() });
        }
        if credential.date() != self.at.day() {
            let date = self.at.as_str().into();
            return Err(AuthError::ScopeDate { place, found: credential.date().into(), date });
        }
        if let Some(expected) = options.region.filter(|expected| *expected != credential.region()) {
            let found = credential.region().into();
            return Err(AuthError::ScopeRegion { place, found, expected: expected.into() });
        }
        if credential.service() != options.service {
            let found = credential.service().into();
            return Err(AuthError::ScopeService { place, found, expected: options.service.into() });
        }
        Ok(())
    }

    fn check_time(&self, now_s: i64) -> Result<(), AuthError> {
        let date_s = self.at.unix_s();
        match self.life_s {
            Some(life_s) if now_s > date_s + life_s => {
                Err(AuthError::Expired { expires_s: date_s + life_s, life_s, now_s })
            }
            Some(_) if date_s > now_s + MAX_CLOCK_SKEW_S => Err(AuthError::NotYetValid { date_s, now_s }),
            None if (now_s - date_s).abs() > MAX_CLOCK_SKEW_S => Err(AuthError::Skewed { date_s, now_s }),
            _ => Ok(()),
        }
    }

    fn check_signed_headers(&self, parts: &Parts, rules: ServiceRules) -> Result<(), AuthError> {
        let signed = || self.signed_headers.as_bytes().split(|byte| *byte == b';');
        let is_signed = |name: &str| signed().any(|signed| signed == name.as_bytes());
        if !is_signed("host") {
            return Err(AuthError::HostNotSigned);
        }
        let may_be_unsigned = |name: &str| rules.unsigned_token && name == SECURITY_TOKEN;
        let names = parts.headers.keys().map(http::HeaderName::as_str);
        let mut names: Vec<String> = names
            .filter(|name| name.starts_with("x-amz-") && !may_be_unsigned(name) && !is_signed(name))
            .map(Into::into)
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        names.sort();
        Err(AuthError::HeadersNotSigned { names })
    }

    /// The last line of the canonical request, and what it means for the body.
    fn payload_hash(&self, options: &VerifyOptions<'_>) -> Result<(Cow<'_, str>, PayloadKind), AuthError> {
        if !options.rules.declared_payload {
            let digest = options.body_sha256.ok_or(AuthError::BodyHashNotGiven)?;
            return Ok((hex(&digest).into(), PayloadKind::Sha256(digest)));
        }
        match (&self.payload, self.place) {
            (Some((text, kind)), _) => Ok((text.as_ref().into(), *kind)),
            (None, Place::Query) => Ok((UNSIGNED_PAYLOAD.into(), PayloadKind::Unsigned)),
            (None, Place::Header) => Err(AuthError::PayloadHashMissing),
        }
    }

    fn check_signature(
        &self,
        parts: &Parts,
        key: &SigningKey,
        rules: ServiceRules,
        payload_hash: &str,
    ) -> Result<(), AuthError> {
        let signed_headers = &self.signed_headers;
        let mut canonical = Canonical { parts, rules, signed_headers, payload_hash, omit_query_token: false };
        let request = canonical.request()?;
        let text = string_to_sign(&self.at, self.scope(), &request);
        if self.is_signature_of(key, &text) {
            return Ok(());
        }
        if rules.unsigned_token && self.is_presigned() && self.session_token.is_some() {
            canonical.omit_query_token = true;
            if self.is_signature_of(key, &string_to_sign(&self.at, self.scope(), &canonical.request()?)) {
                return Ok(());
            }
        }
        Err(AuthError::SignatureMismatch(Box::new(Mismatch {
            access_key_id: self.access_key_id().into(),
            signature_provided: self.signature.clone().into_owned(),
            string_to_sign: text,
            canonical_request: String::from_utf8_lossy(&request).into_owned(),
        })))
    }

    fn is_signature_of(&self, key: &SigningKey, string_to_sign: &str) -> bool {
        let computed = hex(&key.hmac(string_to_sign.as_bytes()));
        equal_in_constant_time(computed.as_bytes(), self.signature.as_bytes())
    }
}
