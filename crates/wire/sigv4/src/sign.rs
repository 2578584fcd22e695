//! Making signatures, for our own client and for tests.

use crate::canonical::{Canonical, string_to_sign};
use crate::encode::encode;
use crate::{
    ALGORITHM, AmzDate, AuthError, MAX_PRESIGNED_LIFE_S, PayloadKind, ServiceRules, SigningKey, Verified,
};
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use lambent_base::text::hex;

/// Headers that intermediaries change or that clients add after signing.
const UNSIGNED_HEADERS: [&str; 12] = [
    "authorization",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// Who signs, for which service, and when.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// Names the secret.
    pub access_key_id: &'a str,
    /// The secret access key.
    pub secret: &'a str,
    /// Of temporary credentials.
    pub session_token: Option<&'a str>,
    /// As in `us-east-1`.
    pub region: &'a str,
    /// The signing name, as in `s3`.
    pub service: &'a str,
    /// How that service signs.
    pub rules: ServiceRules,
    /// Seconds since 1970.
    pub now_unix_s: i64,
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Neither a `Host` header nor a host in the URI.
    #[error("the request names no host; set the Host header")]
    NoHost,
    /// Outside of the years 0 to 9999.
    #[error("the time {unix_s} (Unix seconds) cannot be written as a date")]
    Date {
        /// As given.
        unix_s: i64,
    },
    /// Key id, token or region hold characters that a header cannot.
    #[error("the header {name} would hold characters that a header cannot; check the credentials")]
    Header {
        /// In lower case.
        name: &'static str,
    },
    /// The URI with the signature is too long.
    #[error("the URI with its signature is not valid; it may be too long")]
    Uri,
    /// More than a week.
    #[error("a presigned request can live for 0 to {MAX_PRESIGNED_LIFE_S} s, not {life_s}")]
    Life {
        /// As given.
        life_s: i64,
    },
    /// The payload's hash or the headers are not acceptable.
    #[error(transparent)]
    Canonical(#[from] AuthError),
}

impl std::fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}, {}, {})", self.access_key_id, self.region, self.service)
    }
}

impl Signer<'_> {
    /// Signs in the `Authorization` header, over all headers that are there. `payload_hash` is the body's SHA-256
    /// in hexadecimal or one of the words of `x-amz-content-sha256`. Gives what [`crate::ChunkSigner`] continues.
    pub fn sign(&self, parts: &mut Parts, payload_hash: &str) -> Result<Verified, SignError> {
        let payload = PayloadKind::parse(payload_hash)?;
        let at = self.date()?;
        set_host(parts)?;
        set(parts, "x-amz-date", at.as_str())?;
        if let Some(token) = self.session_token {
            set(parts, "x-amz-security-token", token)?;
        }
        if self.rules.declared_payload {
            set(parts, "x-amz-content-sha256", payload_hash)?;
        }
        let signed_headers = signed_headers(parts);
        let scope = self.scope(&at);
        let key = SigningKey::for_date(self.secret, &at, self.region, self.service);
        let signature = self.signature(parts, &at, &key, &signed_headers, payload_hash)?;
        let id = self.access_key_id;
        let value = format!(
            "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
        );
        set(parts, AUTHORIZATION.as_str(), &value)?;
        Ok(Verified { payload, seed_signature: signature, signing_key: key, scope, signed_at: at })
    }

    /// Signs in the query string: whoever has the URI may send this request for `life_s` seconds, with the
    /// headers that `parts` hold.
    pub fn presign(&self, parts: &mut Parts, life_s: i64, payload_hash: &str) -> Result<(), SignError> {
        if !(0..=MAX_PRESIGNED_LIFE_S).contains(&life_s) {
            return Err(SignError::Life { life_s });
        }
        let at = self.date()?;
        set_host(parts)?;
        let signed_headers = signed_headers(parts);
        let credential = format!("{}/{}", self.access_key_id, self.scope(&at));
        let life = life_s.to_string();
        let mut pieces = vec![
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", at.as_str()),
            ("X-Amz-Expires", &life),
            ("X-Amz-SignedHeaders", &signed_headers),
        ];
        if let Some(token) = self.session_token {
            pieces.push(("X-Amz-Security-Token", token));
        }
        extend_query(parts, &pieces)?;
        let key = SigningKey::for_date(self.secret, &at, self.region, self.service);
        let signature = self.signature(parts, &at, &key, &signed_headers, payload_hash)?;
        extend_query(parts, &[("X-Amz-Signature", &signature)])
    }

    fn signature(
        &self,
        parts: &Parts,
        at: &AmzDate,
        key: &SigningKey,
        signed_headers: &str,
        payload_hash: &str,
    ) -> Result<String, SignError> {
        let rules = self.rules;
        let canonical = Canonical { parts, rules, signed_headers, payload_hash, omit_query_token: false };
        let text = string_to_sign(at, &self.scope(at), &canonical.request()?);
        Ok(hex(&key.hmac(text.as_bytes())))
    }

    fn scope(&self, at: &AmzDate) -> String {
        format!("{}/{}/{}/{}", at.day(), self.region, self.service, crate::scope::TERMINATOR)
    }

    fn date(&self) -> Result<AmzDate, SignError> {
        AmzDate::from_unix_s(self.now_unix_s).ok_or(SignError::Date { unix_s: self.now_unix_s })
    }
}

fn signed_headers(parts: &Parts) -> String {
    let mut names: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
    names.retain(|name| !UNSIGNED_HEADERS.contains(name));
    names.sort_unstable();
    names.join(";")
}

fn set_host(parts: &mut Parts) -> Result<(), SignError> {
    if parts.headers.contains_key(HOST) {
        return Ok(());
    }
    let host = parts.uri.authority().ok_or(SignError::NoHost)?.as_str().to_owned();
    set(parts, HOST.as_str(), &host)
}

fn set(parts: &mut Parts, name: &'static str, value: &str) -> Result<(), SignError> {
    let value = HeaderValue::from_str(value).map_err(|_| SignError::Header { name })?;
    parts.headers.insert(name, value);
    Ok(())
}

fn extend_query(parts: &mut Parts, pieces: &[(&str, &str)]) -> Result<(), SignError> {
    let mut text = parts.uri.path().as_bytes().to_vec();
    text.push(b'?');
    if let Some(query) = parts.uri.query().filter(|query| !query.is_empty()) {
        text.extend_from_slice(query.as_bytes());
        text.push(b'&');
    }
    for (index, (name, value)) in pieces.iter().enumerate() {
        if index > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        encode(value.as_bytes(), false, &mut text);
    }
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(PathAndQuery::try_from(text.as_slice()).map_err(|_| SignError::Uri)?);
    parts.uri = Uri::from_parts(uri).map_err(|_| SignError::Uri)?;
    Ok(())
}
