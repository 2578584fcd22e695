//! How refusals look to clients: S3's codes and wordings, as recorded from AWS.

use crate::{Algorithm, ChecksumError};

impl ChecksumError {
    /// S3's code and message; the status is 400 for each.
    pub fn aws_error(&self) -> (&'static str, String) {
        match self {
            Self::Malformed { algorithm: Algorithm::Md5, .. } => {
                ("InvalidDigest", "The Content-MD5 you specified was invalid.".into())
            }
            Self::Malformed { algorithm, .. } => {
                ("InvalidRequest", format!("Value for {} header is invalid.", algorithm.header()))
            }
            Self::Mismatch { announced, .. } if announced.algorithm() == Algorithm::Md5 => {
                ("BadDigest", "The Content-MD5 you specified did not match what we received.".into())
            }
            Self::Mismatch { announced, .. } => (
                "BadDigest",
                format!(
                    "The {} you specified did not match the calculated checksum.",
                    announced.algorithm().name()
                ),
            ),
            Self::Mixed { expected, found } => (
                "InvalidRequest",
                format!(
                    "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                    expected.name().to_ascii_lowercase(),
                    found.name().to_ascii_lowercase()
                ),
            ),
            Self::Type { algorithm, checksum_type } => (
                "InvalidRequest",
                format!(
                    "The {} checksum type cannot be used with the {} checksum algorithm.",
                    checksum_type.name(),
                    algorithm.name().to_ascii_lowercase()
                ),
            ),
            Self::Parts { .. } => (
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema"
                    .into(),
            ),
        }
    }
}
