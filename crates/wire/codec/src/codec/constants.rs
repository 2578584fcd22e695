//! Names and bounds that several codecs share.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// Base64 as AWS takes it: with or without padding. It is always written with padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 for what we write.
pub(super) const BASE64_OUT: GeneralPurpose = general_purpose::STANDARD;

/// How many elements an XML body may have: `CompleteMultipartUpload` with 10,000 parts and all checksums has 90,000.
pub(super) const XML_ELEMENTS_MAX: usize = 200_000;
/// How many attributes an element may have; the services know of one.
pub(super) const XML_ATTRIBUTES_MAX: usize = 32;
/// How many names the parameters of a form may have between their dots, each counted once.
pub(super) const QUERY_NODES_MAX: usize = 50_000;
/// How many parameters a query string or form may have.
pub(super) const PARAMS_MAX: usize = 10_000;

pub(super) const S3_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
