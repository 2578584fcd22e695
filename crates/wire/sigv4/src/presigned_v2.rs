//! Presigned S3 URLs of Signature Version 2, which the AWS CLI's `s3 presign` and boto3 still make by default.
//!
//! Nothing else of version 2 is accepted: no header signatures, and no other service.
//! Source: Amazon S3 user guide, "Authenticating requests using the REST API", query string authentication.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::request::Parts;
use lambent_base::text::equal_in_constant_time;
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

use crate::encode::decode_query;
use crate::query::pairs;
use crate::{AuthError, MAX_PRESIGNED_LIFE_S, Mismatch, Piece, Place};

/// Query parameters that are part of the signed resource.
const SUBRESOURCES: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// A presigned URL of version 2, read but not verified.
#[derive(Clone, Debug)]
pub struct PresignedV2<'a> {
    access_key_id: Cow<'a, str>,
    signature: Cow<'a, str>,
    session_token: Option<Cow<'a, str>>,
    expires: Cow<'a, str>,
    expires_s: i64,
}

impl<'a> PresignedV2<'a> {
    /// Reads the signature from a request's query; `None` when it has none of this kind.
    pub fn parse(parts: &'a Parts) -> Result<Option<Self>, AuthError> {
        let query = parts.uri.query().unwrap_or_default();
        let Some(access_key_id) = parameter(query, "AWSAccessKeyId") else { return Ok(None) };
        let missing = |piece| AuthError::Missing { place: Place::Query, piece };
        let expires = parameter(query, "Expires").ok_or(missing(Piece::Expires))?;
        let malformed = || AuthError::ExpiresNotANumber { found: expires.clone().into_owned() };
        Ok(Some(Self {
            access_key_id,
            signature: parameter(query, "Signature").ok_or(missing(Piece::Signature))?,
            session_token: parameter(query, "x-amz-security-token"),
            expires_s: expires.parse().map_err(|_| malformed())?,
            expires,
        }))
    }

    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Decides whether the URL is valid now. `bucket` is the one that the host names, if it does.
    pub fn verify(
        &self,
        parts: &Parts,
        bucket: Option<&str>,
        secret: &str,
        now_s: i64,
    ) -> Result<(), AuthError> {
        if now_s > self.expires_s {
            // Version 2 says when a URL ends, not how long it lives.
            return Err(AuthError::Expired {
                expires_s: self.expires_s,
                life_s: MAX_PRESIGNED_LIFE_S,
                now_s,
            });
        }
        let string_to_sign = self.string_to_sign(parts, bucket);
        let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let expected = BASE64.encode(sign(&key, string_to_sign.as_bytes()));
        if equal_in_constant_time(expected.as_bytes(), self.signature.as_bytes()) {
            return Ok(());
        }
        Err(AuthError::SignatureMismatch(Box::new(Mismatch {
            access_key_id: self.access_key_id.clone().into_owned(),
            signature_provided: self.signature.clone().into_owned(),
            string_to_sign,
            canonical_request: String::new(),
        })))
    }

    fn string_to_sign(&self, parts: &Parts, bucket: Option<&str>) -> String {
        let query = parts.uri.query().unwrap_or_default();
        // Clients repeat in the query what they signed; what was really sent decides.
        let header = |name: &str| {
            let sent = parts.headers.get(name).and_then(|value| value.to_str().ok()).map(Cow::Borrowed);
            sent.or_else(|| parameter(query, name)).unwrap_or_default()
        };
        let mut text = format!(
            "{}\n{}\n{}\n{}\n",
            parts.method,
            header("content-md5"),
            header("content-type"),
            self.expires
        );
        for (name, value) in amz_headers(parts, query) {
            text.push_str(&format!("{name}:{value}\n"));
        }
        if let Some(bucket) = bucket {
            text.push('/');
            text.push_str(bucket);
        }
        text.push_str(parts.uri.path());
        // A bucket alone is signed with a slash behind it, whether or not the URL has one.
        if bucket.is_none() && parts.uri.path().rfind('/') == Some(0) && parts.uri.path() != "/" {
            text.push('/');
        }
        let mut separator = '?';
        for (name, value) in subresources(query) {
            text.push(separator);
            text.push_str(name);
            if let Some(value) = value {
                text.push('=');
                text.push_str(&value);
            }
            separator = '&';
        }
        text
    }
}

/// The value of a parameter, by its name without regard to case.
fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .and_then(|(_, value)| decode_query(value))
}

fn amz_headers<'a>(parts: &'a Parts, query: &'a str) -> Vec<(String, Cow<'a, str>)> {
    let sent = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), Cow::Borrowed(value.to_str().ok()?))));
    let in_query =
        pairs(query).filter_map(|(name, value)| Some((name.to_ascii_lowercase(), decode_query(value)?)));
    let mut all: Vec<_> = sent.chain(in_query).filter(|(name, _)| name.starts_with("x-amz-")).collect();
    all.sort();
    all.dedup_by(|next, kept| next.0 == kept.0);
    all
}

fn subresources(query: &str) -> Vec<(&str, Option<Cow<'_, str>>)> {
    let mut found: Vec<_> = query
        .split('&')
        .filter_map(|piece| {
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (name, decode_query(value)),
                None => (piece, None),
            };
            SUBRESOURCES.contains(&name).then_some((name, value))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, uri: &str) -> Parts {
        http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    /// Made by botocore 1.43 for access key `a` with secret `b`.
    const FROM_BOTOCORE: &str =
        "/b/k?AWSAccessKeyId=a&Signature=zofoIeF0F9%2FfG3Vx63FcakGcUXM%3D&Expires=1795283366";

    #[test]
    fn a_url_of_a_real_client_verifies() {
        let parts = parts("GET", FROM_BOTOCORE);
        let claim = PresignedV2::parse(&parts).unwrap().unwrap();
        assert_eq!(claim.access_key_id(), "a");
        assert_eq!(claim.verify(&parts, None, "b", 1_795_283_366), Ok(()));
        assert!(matches!(claim.verify(&parts, None, "b", 1_795_283_367), Err(AuthError::Expired { .. })));
        assert!(matches!(claim.verify(&parts, None, "c", 0), Err(AuthError::SignatureMismatch(_))));
    }

    #[test]
    fn a_bucket_alone_is_signed_with_a_slash() {
        let parts = parts(
            "GET",
            "/b?list-type=2&encoding-type=url&AWSAccessKeyId=a&Signature=jAJbIdG%2Fap8yksJnr3VNwu47d40%3D&Expires=1795283366",
        );
        let claim = PresignedV2::parse(&parts).unwrap().unwrap();
        assert_eq!(claim.verify(&parts, None, "b", 1_795_283_366), Ok(()));
    }

    #[test]
    fn another_method_or_path_does_not_verify() {
        for (method, uri) in [("PUT", FROM_BOTOCORE.to_owned()), ("GET", FROM_BOTOCORE.replace("/k?", "/x?"))]
        {
            let parts = parts(method, &uri);
            let claim = PresignedV2::parse(&parts).unwrap().unwrap();
            assert!(claim.verify(&parts, None, "b", 0).is_err(), "{method} {uri}");
        }
    }

    #[test]
    fn the_content_type_that_is_sent_decides() {
        let mut parts = parts("GET", &format!("{FROM_BOTOCORE}&content-type="));
        parts.headers.insert("content-type", http::HeaderValue::from_static("text/html"));
        let claim = PresignedV2::parse(&parts).unwrap().unwrap();
        assert!(claim.verify(&parts, None, "b", 0).is_err());
    }

    #[test]
    fn other_requests_are_not_meant() {
        assert!(
            PresignedV2::parse(&parts("GET", "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256")).unwrap().is_none()
        );
        assert!(PresignedV2::parse(&parts("GET", "/b/k?AWSAccessKeyId=a")).is_err());
    }
}
