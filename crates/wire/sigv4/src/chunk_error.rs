//! Why a body is not what its request announced.

/// Why a body is refused. [`ChunkError::aws_error`] gives what the client sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// `x-amz-decoded-content-length` is not there or no number.
    #[error("x-amz-decoded-content-length is {found:?}; a chunked body needs its length in bytes there")]
    DecodedLength {
        /// As the request has it.
        found: Option<String>,
    },
    /// A line longer than any that is meaningful.
    #[error("a line of the chunked body has more than {limit} bytes; expected a chunk's size or a trailer")]
    LineTooLong {
        /// In bytes.
        limit: usize,
    },
    /// A chunk's first line is malformed.
    #[error("a chunk begins with {found:?}; expected its size in hexadecimal{}", if *.signed { " and ;chunk-signature=" } else { "" })]
    HeaderMalformed {
        /// The line.
        found: String,
        /// Whether a signature must follow the size.
        signed: bool,
    },
    /// A chunk is larger than the largest object part.
    #[error("a chunk announces {found} bytes; at most {limit} are accepted")]
    ChunkTooLarge {
        /// In bytes.
        found: u64,
        /// In bytes.
        limit: u64,
    },
    /// A small chunk that is not the last.
    #[error("chunk {index} has {found} bytes; only the last may have fewer than {limit}")]
    ChunkTooSmall {
        /// Counted from 1.
        index: u64,
        /// In bytes.
        found: u64,
        /// In bytes.
        limit: u64,
    },
    /// No line end behind a chunk's data.
    #[error("chunk {index} is not followed by a line end; its size does not fit its data")]
    NoLineEnd {
        /// Counted from 1.
        index: u64,
    },
    /// A chunk's signature is wrong.
    #[error("the signature of chunk {index} does not match")]
    ChunkSignature {
        /// Counted from 1.
        index: u64,
    },
    /// The trailers' signature is wrong or not there.
    #[error("the signature of the trailers does not match or is missing")]
    TrailerSignature,
    /// A trailer is malformed.
    #[error("a trailer is {found:?}; expected name:value")]
    TrailerMalformed {
        /// The line.
        found: String,
    },
    /// A trailer that `x-amz-trailer` does not announce, or one given twice.
    #[error("the trailer {name:?} was not announced in x-amz-trailer, or came twice")]
    TrailerUnexpected {
        /// In lower case.
        name: String,
    },
    /// A trailer that `x-amz-trailer` announces did not come.
    #[error("the trailer {name:?} was announced in x-amz-trailer but did not come")]
    TrailerMissing {
        /// In lower case.
        name: String,
    },
    /// More trailers than a request can have.
    #[error("there are more than {limit} trailers")]
    TooManyTrailers {
        /// How many are accepted.
        limit: usize,
    },
    /// The body ends too early.
    #[error("the chunked body ends after {found} of {expected} bytes, or before its last line")]
    Incomplete {
        /// Data bytes.
        found: u64,
        /// Data bytes, as announced.
        expected: u64,
    },
    /// The chunks hold more than announced.
    #[error("the chunks hold more than the {expected} bytes of x-amz-decoded-content-length")]
    TooLong {
        /// Data bytes, as announced.
        expected: u64,
    },
    /// Something follows the last line.
    #[error("bytes follow the end of the chunked body")]
    BytesAfterEnd,
    /// The body has another SHA-256 than `x-amz-content-sha256` says.
    #[error("the body's SHA-256 is not the one in x-amz-content-sha256")]
    BodyHashMismatch {
        /// From the header.
        declared: [u8; 32],
        /// Of the body.
        computed: [u8; 32],
    },
    /// Used again after an error or the end.
    #[error("the body was already refused")]
    AlreadyRefused,
}
