//! Blobs in an object store: S3, or whatever speaks its protocol.
//!
//! `PREFIX/xx/ID` for a blob, xx being the last byte of its id in hex, as on disk; `PREFIX/cloud-id` says whose the place
//! is. Uploads of many parts that a crash cut off stay until a lifecycle rule of the bucket expires them: only the
//! process that began one knows of it.
#![forbid(unsafe_code)]

mod address;
mod errors;
mod objects;
mod s3;

pub use address::{AddressError, S3Address};
pub use objects::Objects;
pub use s3::{S3Credentials, s3, s3_bucket};

/// The stores that [`Objects`] are made of.
pub use object_store;
