//! How an operator names a bucket.

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;
use percent_encoding::percent_decode_str;

const SCHEME: &str = "s3://";
/// Bucket names have 3 to 63 characters. Source: Amazon S3 User Guide, "General purpose bucket naming rules".
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 3..=63;

/// A bucket, or what lies below a prefix in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Address {
    pub bucket: String,
    /// Without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
    /// Where the bucket is when it isn't at AWS: a URL without path.
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

/// Why a text names no bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected s3://BUCKET[/PREFIX][?endpoint=http://HOST:PORT&region=REGION], but {0}")]
pub struct AddressError(String);

impl FromStr for S3Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Err(AddressError(format!("`{text}` begins otherwise")));
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.contains(['@', ':']) {
            return Err(with_secrets());
        }
        let is_bucket = BUCKET_CHARS.contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-');
        if !is_bucket {
            return Err(AddressError(format!("`{bucket}` is not the name of a bucket")));
        }
        let prefix = prefix.trim_matches('/').to_owned();
        if let Err(error) = Path::parse(&prefix) {
            return Err(AddressError(format!("`{prefix}` is not a prefix of keys: {error}")));
        }
        let mut address = Self { bucket: bucket.to_owned(), prefix, endpoint: None, region: None };
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            address.set(setting)?;
        }
        Ok(address)
    }
}

impl S3Address {
    fn set(&mut self, setting: &str) -> Result<(), AddressError> {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "endpoint" => {
                // The address is shown in messages, so it must hold no password.
                if value.contains('@') {
                    return Err(with_secrets());
                }
                let parsed = value.parse::<http::Uri>().ok();
                let is_url = parsed.is_some_and(|url| {
                    matches!(url.scheme_str(), Some("http" | "https"))
                        && url.host().is_some_and(|host| !host.is_empty())
                        && matches!(url.path(), "" | "/")
                        && url.query().is_none()
                });
                if !is_url {
                    let what = format!("the endpoint `{value}` is not http:// or https:// and a host");
                    return Err(AddressError(what));
                }
                self.endpoint = Some(value.trim_end_matches('/').to_owned());
            }
            "region" if !value.is_empty() => self.region = Some(value),
            "region" => return Err(AddressError("the region is empty".to_owned())),
            other => return Err(AddressError(format!("`{other}` is neither endpoint nor region"))),
        }
        Ok(())
    }
}

/// Says nothing of what was found: that may be a password.
fn with_secrets() -> AddressError {
    let what = "it has a user or a password in it; give these as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    AddressError(what.to_owned())
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        match &self.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> S3Address {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read() {
        let plain = parsed("s3://photos");
        assert_eq!((plain.bucket.as_str(), plain.prefix.as_str()), ("photos", ""));
        assert_eq!((plain.endpoint, plain.region), (None, None));
        let full = parsed("s3://photos/a/b/?endpoint=http://127.0.0.1:9000/&region=eu-west-1");
        assert_eq!(full.prefix, "a/b");
        assert_eq!(full.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(full.region.as_deref(), Some("eu-west-1"));
        assert_eq!(full.to_string(), "s3://photos/a/b at http://127.0.0.1:9000");
        let encoded = parsed("s3://photos?endpoint=https%3A%2F%2Fstore.example%3A9000");
        assert_eq!(encoded.endpoint.as_deref(), Some("https://store.example:9000"));
    }

    #[test]
    fn passwords_are_refused_and_not_repeated() {
        for text in [
            "s3://photos?endpoint=http://user:secret@host",
            "s3://photos?endpoint=http%3A%2F%2Fuser%3Asecret%40host%3A9000",
            "s3://photos?endpoint=ftp://user:secret@host",
            "s3://photos?endpoint=http://secret@host/",
            "s3://user:secret@photos/a",
            "s3://user:secret/more@photos",
        ] {
            let error = text.parse::<S3Address>().unwrap_err().to_string();
            assert!(
                error.contains("a user or a password") && error.contains("AWS_SECRET_ACCESS_KEY"),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(parsed("s3://photos/a@b").prefix, "a@b");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("gs://photos", "`gs://photos` begins otherwise"),
            ("s3://", "`` is not the name of a bucket"),
            ("s3://Photos", "`Photos` is not the name"),
            ("s3://photos/a//b", "`a//b` is not a prefix"),
            ("s3://photos?endpoint=127.0.0.1:9000", "`127.0.0.1:9000` is not http"),
            ("s3://photos?endpoint=ftp://host", "`ftp://host` is not http"),
            ("s3://photos?endpoint=http://host/path", "`http://host/path` is not http"),
            ("s3://photos?region=", "the region is empty"),
            ("s3://photos?acl=public", "`acl` is neither"),
        ] {
            let error = text.parse::<S3Address>().unwrap_err().to_string();
            assert!(error.starts_with("expected s3://BUCKET"), "{error}");
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
