//! AWS Signature Version 4: verifying and making signatures of requests, and decoding signed `aws-chunked` bodies.
//!
//! Verification takes two steps, so that the caller can look the secret up in between:
//! [`parse`] says who claims to have signed, [`SignedRequest::verify`] decides whether that is true.
//! A body that is announced by hash or in chunks is then checked while it streams by [`PayloadReader`].
//! Source: AWS IAM user guide "Create a signed AWS API request", Amazon S3 API reference
//! "Signature calculations: transferring a payload in multiple chunks".
#![forbid(unsafe_code)]

mod aws;
mod canonical;
mod chunk_error;
mod chunked;
mod date;
mod encode;
mod error;
mod hash;
mod key;
mod parse;
mod payload;
mod presigned_v2;
mod query;
mod scope;
mod sign;
mod verify;

pub use aws::{AwsError, ErrorStyle};
pub use chunk_error::ChunkError;
pub use chunked::{ChunkSigner, ChunkedDecoder, Trailers};
pub use date::AmzDate;
pub use error::{AuthError, Mismatch, Piece, Place};
pub use hash::{Sha256, sha256};
pub use key::{SigningKey, SigningKeyCache};
pub use parse::{SignedRequest, parse};
pub use payload::{PayloadKind, PayloadReader};
pub use presigned_v2::PresignedV2;
pub use sign::{SignError, Signer};
pub use verify::{ServiceRules, Verified, VerifyOptions};

/// The one algorithm that is accepted.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The asymmetric algorithm, refused by name.
pub const ALGORITHM_V4A: &str = "AWS4-ECDSA-P256-SHA256";
/// What a presigned URL or an unsigned body puts in the place of the body's hash.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// How far the clocks of client and server may differ, in seconds.
pub const MAX_CLOCK_SKEW_S: i64 = 15 * 60;
/// The longest life of a presigned URL, in seconds (seven days).
pub const MAX_PRESIGNED_LIFE_S: i64 = 604_800;
/// Bytes of a credential: names of keys, regions and services are far shorter.
pub const MAX_CREDENTIAL_BYTES: usize = 512;
/// Bytes of the list of signed headers.
pub const MAX_SIGNED_HEADERS_BYTES: usize = 8192;
/// How many derived signing keys a [`SigningKeyCache`] keeps at most.
pub const MAX_CACHED_KEYS: usize = 2048;
