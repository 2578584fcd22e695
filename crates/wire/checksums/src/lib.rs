//! The checksums of S3: of whole bodies while they stream, of objects from their parts, and entity tags.
//! Source: Amazon S3 user guide, "Checking object integrity".
#![forbid(unsafe_code)]

mod algorithm;
mod aws;
mod combine;
mod hasher;
mod multipart;
mod value;

pub use algorithm::{Algorithm, ChecksumType};
pub use hasher::Hasher;
pub use multipart::{MAX_PARTS, Part, composite, full_object, multipart_etag};
pub use value::Checksum;

/// Why a checksum is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// Not base64, or not of the algorithm's length.
    #[error("the {} is {found:?}; expected base64 of {} bytes", algorithm.name(), algorithm.length())]
    Malformed {
        /// What it should be.
        algorithm: Algorithm,
        /// As it came.
        found: String,
    },
    /// The bytes are not those that were announced.
    #[error("the {} is {}, but {} was announced; send the bytes again", computed.algorithm().name(), computed.to_base64(), announced.to_base64())]
    Mismatch {
        /// From the request.
        announced: Checksum,
        /// Of the bytes.
        computed: Checksum,
    },
    /// The checksum of one algorithm where another is needed.
    #[error("found a {} where a {} is needed", found.name(), expected.name())]
    Mixed {
        /// Of the upload.
        expected: Algorithm,
        /// Of the part.
        found: Algorithm,
    },
    /// The algorithm has no checksum of this type.
    #[error("the {} checksum type cannot be used with {}", checksum_type.name(), algorithm.name())]
    Type {
        /// Of the upload.
        algorithm: Algorithm,
        /// Of the upload.
        checksum_type: ChecksumType,
    },
    /// No object has this many parts.
    #[error("an object has 1 to {MAX_PARTS} parts, not {found}")]
    Parts {
        /// How many.
        found: usize,
    },
}
