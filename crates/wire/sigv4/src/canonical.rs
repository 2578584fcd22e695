//! The canonical request: the one form of a request that both sides hash.

use crate::encode::{encode, recode_path, recode_query};
use crate::query::pairs;
use crate::{ALGORITHM, AmzDate, AuthError, ServiceRules, sha256};
use http::request::Parts;
use lambent_base::text::hex;

/// What of a request enters the signature.
pub(crate) struct Canonical<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) rules: ServiceRules,
    /// Names with `;` between.
    pub(crate) signed_headers: &'a str,
    pub(crate) payload_hash: &'a str,
    /// Whether `X-Amz-Security-Token` in the query is left out (it was added after signing).
    pub(crate) omit_query_token: bool,
}

/// Room for the canonical request of a usual call, so that it is built in one allocation.
const USUAL_BYTES: usize = 1024;

impl Canonical<'_> {
    /// Writes the canonical request.
    pub(crate) fn request(&self) -> Result<Vec<u8>, AuthError> {
        let mut out = Vec::with_capacity(USUAL_BYTES);
        out.extend_from_slice(self.parts.method.as_str().as_bytes());
        out.push(b'\n');
        self.path(&mut out);
        out.push(b'\n');
        self.query(&mut out);
        out.push(b'\n');
        for name in self.signed_headers.split(';') {
            self.header(name, &mut out)?;
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.payload_hash.as_bytes());
        Ok(out)
    }

    fn path(&self, out: &mut Vec<u8>) {
        let path = self.parts.uri.path();
        let normal;
        let path = if self.rules.normalise_path && (path.contains("/.") || path.contains("//")) {
            normal = normalise(path);
            &normal
        } else {
            path
        };
        if path.is_empty() {
            out.push(b'/');
        } else if self.rules.double_encode_path {
            encode(path.as_bytes(), true, out);
        } else {
            recode_path(path.as_bytes(), out);
        }
    }

    fn query(&self, out: &mut Vec<u8>) {
        let Some(query) = self.parts.uri.query().filter(|query| !query.is_empty()) else { return };
        let mut encoded = Vec::with_capacity(query.len() + 32);
        let mut places = Vec::with_capacity(8);
        for (name, value) in pairs(query) {
            if name == "X-Amz-Signature" || (self.omit_query_token && name == "X-Amz-Security-Token") {
                continue;
            }
            let start = encoded.len();
            recode_query(name.as_bytes(), &mut encoded);
            let middle = encoded.len();
            recode_query(value.as_bytes(), &mut encoded);
            places.push((start, middle, encoded.len()));
        }
        places.sort_by_key(|&(start, middle, end)| (&encoded[start..middle], &encoded[middle..end]));
        for (index, &(start, middle, end)) in places.iter().enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            out.extend_from_slice(&encoded[start..middle]);
            out.push(b'=');
            out.extend_from_slice(&encoded[middle..end]);
        }
    }

    fn header(&self, name: &str, out: &mut Vec<u8>) -> Result<(), AuthError> {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let mut count = 0;
        for value in self.parts.headers.get_all(name) {
            if count > 0 {
                out.push(b',');
            }
            trimmed(value.as_bytes(), out);
            count += 1;
        }
        if count == 0 {
            // HTTP/2 carries the host in the request line alone.
            match self.parts.uri.authority().filter(|_| name == "host") {
                Some(authority) => out.extend_from_slice(authority.as_str().as_bytes()),
                None => return Err(AuthError::SignedHeaderMissing { name: name.into() }),
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

/// The text whose HMAC is the signature of a request.
pub(crate) fn string_to_sign(at: &AmzDate, scope: &str, canonical_request: &[u8]) -> String {
    let mut text = String::with_capacity(160);
    for line in [ALGORITHM, at.as_str(), scope] {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&hex(&sha256(canonical_request)));
    text
}

/// Removes `.` and empty segments and resolves `..`, keeping a slash at the end.
fn normalise(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let is_folder = path.ends_with('/') && !kept.is_empty();
    format!("/{}{}", kept.join("/"), if is_folder { "/" } else { "" })
}

/// Appends a header value without space around it, and with single spaces within.
fn trimmed(value: &[u8], out: &mut Vec<u8>) {
    let value = value.trim_ascii();
    if !value.contains(&b'\t') && !value.windows(2).any(|two| two == b"  ") {
        out.extend_from_slice(value);
        return;
    }
    let mut after_space = false;
    for &byte in value {
        let is_space = byte == b' ' || byte == b'\t';
        if !is_space {
            out.push(byte);
        } else if !after_space {
            out.push(b' ');
        }
        after_space = is_space;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (path, expected) in
            [("//", "/"), ("/a/./b/../c", "/a/c"), ("/../a//", "/a/"), ("/a/..", "/"), ("/./", "/")]
        {
            assert_eq!(normalise(path), expected);
        }
    }
}
