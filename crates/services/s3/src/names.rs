//! The names of buckets and objects, and of their owners.
//! Source: Amazon S3 User Guide, "General purpose bucket naming rules", "Naming Amazon S3 objects".

use lambent_api::ApiError;
use lambent_base::{Place, text};
use sha2::{Digest, Sha256};

use crate::{errors, limits};

const BUCKET_MIN_BYTES: usize = 3;
const BUCKET_MAX_BYTES: usize = 63;
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Errors: `InvalidBucketName`.
pub(crate) fn check_new_bucket(name: &str) -> Result<(), ApiError> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    let ends =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    let valid = (BUCKET_MIN_BYTES..=BUCKET_MAX_BYTES).contains(&bytes.len())
        && bytes.iter().all(|&byte| allowed(byte))
        && ends(bytes.first())
        && ends(bytes.last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    if valid { Ok(()) } else { Err(errors::invalid_bucket_name(name)) }
}

/// For names of buckets that may be there; keeps endless ones away from the store.
///
/// Errors: `InvalidBucketName`.
pub(crate) fn check_bucket(name: &str) -> Result<(), ApiError> {
    if name.len() > BUCKET_MAX_BYTES { Err(errors::invalid_bucket_name(name)) } else { Ok(()) }
}

/// Errors: `KeyTooLongError`.
pub(crate) fn check_key(key: &str) -> Result<(), ApiError> {
    if key.len() > limits::KEY_MAX_BYTES { Err(errors::key_too_long(key.len())) } else { Ok(()) }
}

/// The bucket's ARN.
pub(crate) fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// The object's ARN.
pub(crate) fn object_arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// The bucket of an ARN, its own or an object's.
pub(crate) fn bucket_of_arn(arn: &str) -> Option<&str> {
    let path = arn.strip_prefix("arn:aws:s3:::")?;
    Some(path.split_once('/').map_or(path, |(bucket, _)| bucket))
}

/// For actions on no bucket in particular.
pub(crate) fn any_bucket(_place: &Place) -> String {
    "arn:aws:s3:::*".to_owned()
}

/// The canonical user id of an account, as owners are shown: always the same 64 hexadecimal digits.
pub(crate) fn canonical_id(account: &str) -> String {
    text::hex(&Sha256::digest(account.as_bytes()))
}

/// A name as `encoding-type=url` and event records write it: form-encoded, slashes left as they are.
pub(crate) fn url_encoded(name: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(name.len() + 16);
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'*' | b'_' => {
                encoded.push(byte.into());
            }
            b' ' => encoded.push('+'),
            _ => {
                encoded.push('%');
                encoded.push(HEX[usize::from(byte >> 4)].into());
                encoded.push(HEX[usize::from(byte & 15)].into());
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names() {
        for name in ["abc", "my-bucket", "my.bucket.1", "0a0", &"a".repeat(63), "192.168.5", "a-.b"] {
            assert!(check_new_bucket(name).is_ok(), "{name}");
        }
        let long = "a".repeat(64);
        for name in [
            "",
            "ab",
            &long,
            "Upper",
            "under_score",
            "-start",
            "end-",
            ".start",
            "end.",
            "two..dots",
            "192.168.5.4",
            "xn--a",
            "sthree-a",
            "amzn-s3-demo-a",
            "a-s3alias",
            "a--ol-s3",
            "a.mrap",
            "a--x-s3",
            "a--table-s3",
            "émile",
        ] {
            assert_eq!(check_new_bucket(name).unwrap_err().code, "InvalidBucketName", "{name}");
        }
    }

    #[test]
    fn keys_have_at_most_1024_bytes() {
        assert!(check_key(&"a".repeat(1024)).is_ok());
        let error = check_key(&"é".repeat(513)).unwrap_err();
        assert_eq!(error.code, "KeyTooLongError");
        assert!(error.members.contains(&("Size", "1026".to_owned())));
    }

    #[test]
    fn names_in_answers() {
        assert_eq!(url_encoded("a b/c@d+é~"), "a+b/c%40d%2B%C3%A9%7E");
        assert_eq!(canonical_id("000000000000").len(), 64);
    }
}
