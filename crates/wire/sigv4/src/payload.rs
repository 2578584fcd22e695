//! What a request says about its body, and the reader that holds the body to it.

use crate::chunked::{ChunkedDecoder, Trailers};
use crate::{AuthError, ChunkError, Sha256, UNSIGNED_PAYLOAD, Verified};
use bytes::Bytes;
use http::HeaderMap;
use lambent_base::text::{equal_in_constant_time, unhex};

pub(crate) const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
pub(crate) const STREAMING_SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
pub(crate) const STREAMING_SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
/// What `Content-Encoding` calls a body in chunks.
const AWS_CHUNKED: &str = "aws-chunked";
const STREAMING_V4A: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
const STREAMING_V4A_TRAILER: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER";

/// The forms of `x-amz-content-sha256` that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// The whole body has this SHA-256.
    Sha256([u8; 32]),
    /// The signature does not cover the body.
    Unsigned,
    /// `aws-chunked` without signatures, followed by trailers.
    StreamingUnsignedTrailer,
    /// `aws-chunked`, each chunk signed.
    StreamingSigned,
    /// `aws-chunked`, each chunk and the trailers signed.
    StreamingSignedTrailer,
}

impl PayloadKind {
    /// Reads the value of `x-amz-content-sha256`.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        match text {
            UNSIGNED_PAYLOAD => Ok(Self::Unsigned),
            STREAMING_UNSIGNED_TRAILER => Ok(Self::StreamingUnsignedTrailer),
            STREAMING_SIGNED => Ok(Self::StreamingSigned),
            STREAMING_SIGNED_TRAILER => Ok(Self::StreamingSignedTrailer),
            STREAMING_V4A | STREAMING_V4A_TRAILER => Err(AuthError::PayloadSigV4a { found: text.into() }),
            digest => match unhex(digest).and_then(|bytes| bytes.try_into().ok()) {
                Some(bytes) => Ok(Self::Sha256(bytes)),
                None => Err(AuthError::PayloadHashInvalid { found: text.into() }),
            },
        }
    }

    /// Whether the body arrives in the `aws-chunked` encoding.
    pub fn is_chunked(self) -> bool {
        matches!(self, Self::StreamingUnsignedTrailer | Self::StreamingSigned | Self::StreamingSignedTrailer)
    }

    /// Whether every chunk carries a signature.
    pub(crate) fn signs_chunks(self) -> bool {
        matches!(self, Self::StreamingSigned | Self::StreamingSignedTrailer)
    }

    /// Whether trailers may follow the last chunk.
    pub(crate) fn has_trailers(self) -> bool {
        matches!(self, Self::StreamingUnsignedTrailer | Self::StreamingSignedTrailer)
    }
}

/// Reads a body piece by piece in whichever of the five forms it comes, and gives out what it stands for.
/// Data is given out before the signature over its end was seen: publish nothing before [`Self::finish`] was Ok.
#[derive(Debug)]
pub struct PayloadReader(Form);

#[derive(Debug)]
enum Form {
    Plain,
    Hashed { hasher: Sha256, expected: [u8; 32] },
    Chunked(Box<ChunkedDecoder>),
}

impl PayloadReader {
    /// For a verified request. A chunked one needs `x-amz-decoded-content-length`; the trailers that it
    /// announces in `x-amz-trailer` must all come, and no others.
    pub fn new(verified: &Verified, headers: &HeaderMap) -> Result<Self, ChunkError> {
        Ok(Self(match verified.payload {
            PayloadKind::Unsigned => Form::Plain,
            PayloadKind::Sha256(expected) => Form::Hashed { hasher: Sha256::new(), expected },
            _ => Form::Chunked(Box::new(ChunkedDecoder::from_headers(verified, headers)?)),
        }))
    }

    /// For a request whose signature does not speak of its body, or that has none: the body comes as it is, or in
    /// chunks without signatures if its headers say so. Chunks with signatures are refused, as nothing proves them.
    pub fn unsigned(headers: &HeaderMap) -> Result<Self, ChunkError> {
        let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut encodings = values("content-encoding").flat_map(|value| value.split(','));
        let mut kinds = values("x-amz-content-sha256").filter_map(|text| PayloadKind::parse(text).ok());
        let is_chunked = encodings.any(|encoding| encoding.trim().eq_ignore_ascii_case(AWS_CHUNKED))
            || kinds.any(PayloadKind::is_chunked);
        if !is_chunked {
            return Ok(Self(Form::Plain));
        }
        Ok(Self(Form::Chunked(Box::new(ChunkedDecoder::unsigned(headers)?))))
    }

    /// Whether the body comes in chunks, so that it is shorter than what is sent.
    pub fn is_chunked(&self) -> bool {
        matches!(self.0, Form::Chunked(_))
    }

    /// Takes the next piece of the body as it came and gives the data in it, as slices of the input.
    pub fn feed(&mut self, input: Bytes) -> Result<Vec<Bytes>, ChunkError> {
        match &mut self.0 {
            Form::Chunked(decoder) => return decoder.feed(input),
            Form::Hashed { hasher, .. } => hasher.update(&input),
            Form::Plain => {}
        }
        Ok(if input.is_empty() { Vec::new() } else { vec![input] })
    }

    /// To be called at the end of the body: checks hash or completeness and gives the trailers.
    pub fn finish(self) -> Result<Trailers, ChunkError> {
        match self.0 {
            Form::Plain => Ok(Vec::new()),
            Form::Hashed { hasher, expected } => {
                let found = hasher.finish();
                if !equal_in_constant_time(&found, &expected) {
                    return Err(ChunkError::BodyHashMismatch { declared: expected, computed: found });
                }
                Ok(Vec::new())
            }
            Form::Chunked(decoder) => decoder.finish(),
        }
    }
}
