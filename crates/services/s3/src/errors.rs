//! What can go wrong, and how AWS words it.
//!
//! Codes, messages, statuses and members are AWS's as recorded from the service itself.
//! Source: Amazon S3 API Reference, "Error responses".

use lambent_api::ApiError;
use lambent_blobs::BlobError;
use lambent_bus::BusError;
use lambent_bus::ports::PortError;
use lambent_store::{KeyError, StoreError};

use crate::limits;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum S3Error {
    /// The answer for the client.
    #[error("{0}")]
    Api(Box<ApiError>),
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    #[error("the object's data failed: {0}")]
    Blob(#[from] BlobError),
    #[error("expected a row of version {expected} under `{key}`, got {got}; restore it from a backup")]
    RowVersion { key: String, expected: u8, got: u8 },
    #[error("the row under `{key}` does not read back: {source}; restore it from a backup")]
    Row { key: String, source: serde_json::Error },
    #[error("a key does not have the layout of its table: {0}")]
    Key(#[from] KeyError),
    #[error("an event could not be recorded: {0}")]
    Bus(#[from] BusError),
    #[error("another service could not be asked: {0}")]
    Port(#[from] PortError),
    #[error("a stored checksum cannot be used: {0}")]
    Checksum(#[from] lambent_checksums::ChecksumError),
    #[error("part {place} of the completed upload {upload} is missing")]
    PartMissing { upload: String, place: u32 },
    #[error("the part with the ETag {etag} of the upload {upload} has no MD5 for its ETag")]
    PartEtag { upload: String, etag: String },
    #[error("the data of an object ended {missing} bytes early")]
    DataMissing { missing: u64 },
}

impl From<ApiError> for S3Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl From<S3Error> for ApiError {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::Api(error) => *error,
            S3Error::Store(StoreError::Contended { .. }) => slow_down(),
            S3Error::Store(failure @ (StoreError::DiskFull { .. } | StoreError::Unavailable(_))) => {
                tracing::error!(%failure, "the store takes no request");
                unavailable()
            }
            S3Error::Blob(failure) if failure.is_unavailable() => {
                tracing::error!(%failure, "the blob store takes no request");
                unavailable()
            }
            other => Self::internal(&other),
        }
    }
}

fn unavailable() -> ApiError {
    ApiError::new("ServiceUnavailable", 503, "Service is unable to handle request.")
}

/// Too many requests change the same thing at once.
pub(crate) fn slow_down() -> ApiError {
    ApiError::new("SlowDown", 503, "Please reduce your request rate.")
}

pub(crate) fn no_such_bucket(bucket: &str) -> ApiError {
    ApiError::new("NoSuchBucket", 404, "The specified bucket does not exist").with("BucketName", bucket)
}

pub(crate) fn no_such_key(key: &str) -> ApiError {
    ApiError::new("NoSuchKey", 404, "The specified key does not exist.").with("Key", key)
}

pub(crate) fn no_such_upload(id: &str) -> ApiError {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                   aborted or completed.";
    ApiError::new("NoSuchUpload", 404, message).with("UploadId", id)
}

pub(crate) fn access_denied() -> ApiError {
    ApiError::new("AccessDenied", 403, "Access Denied")
}

pub(crate) fn bucket_not_empty(bucket: &str) -> ApiError {
    ApiError::new("BucketNotEmpty", 409, "The bucket you tried to delete is not empty")
        .with("BucketName", bucket)
}

pub(crate) fn bucket_already_owned_by_you(bucket: &str) -> ApiError {
    let message = "Your previous request to create the named bucket succeeded and you already own it.";
    ApiError::new("BucketAlreadyOwnedByYou", 409, message).with("BucketName", bucket)
}

pub(crate) fn bucket_already_exists(bucket: &str) -> ApiError {
    let message = "The requested bucket name is not available. The bucket namespace is shared by all users of the \
                   system. Please select a different name and try again.";
    ApiError::new("BucketAlreadyExists", 409, message).with("BucketName", bucket)
}

pub(crate) fn invalid_bucket_name(bucket: &str) -> ApiError {
    ApiError::client("InvalidBucketName", "The specified bucket is not valid.").with("BucketName", bucket)
}

pub(crate) fn too_many_buckets() -> ApiError {
    ApiError::client("TooManyBuckets", "You have attempted to create more buckets than allowed")
}

pub(crate) fn key_too_long(length: usize) -> ApiError {
    ApiError::client("KeyTooLongError", "Your key is too long")
        .with("Size", length.to_string())
        .with("MaxSizeAllowed", limits::KEY_MAX_BYTES.to_string())
}

pub(crate) fn metadata_too_large(size: usize, allowed: usize) -> ApiError {
    ApiError::client("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
        .with("Size", size.to_string())
        .with("MaxSizeAllowed", allowed.to_string())
}

pub(crate) fn invalid_argument(
    message: impl Into<String>,
    name: &'static str,
    value: impl Into<String>,
) -> ApiError {
    ApiError::client("InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
}

pub(crate) fn invalid_request(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidRequest", message)
}

pub(crate) fn malformed_xml() -> ApiError {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    ApiError::client("MalformedXML", message)
}

/// A header that AWS knows and this service refuses, by its name.
pub(crate) fn header_not_implemented(header: &str) -> ApiError {
    let message = "A header you provided implies functionality that is not implemented";
    ApiError::new("NotImplemented", 501, message).with("Header", header)
}

pub(crate) fn precondition_failed(condition: &str) -> ApiError {
    let message = "At least one of the pre-conditions you specified did not hold";
    ApiError::new("PreconditionFailed", 412, message).with("Condition", condition)
}

pub(crate) fn conditional_request_conflict(condition: &str, key: &str) -> ApiError {
    let message =
        "The conditional request cannot succeed due to a conflicting operation against this resource.";
    ApiError::new("ConditionalRequestConflict", 409, message).with("Condition", condition).with("Key", key)
}

pub(crate) fn not_modified() -> ApiError {
    ApiError::new("NotModified", 304, "Not Modified")
}

pub(crate) fn invalid_range(requested: &str, size: u64) -> ApiError {
    ApiError::new("InvalidRange", 416, "The requested range is not satisfiable")
        .with("RangeRequested", requested)
        .with("ActualObjectSize", size.to_string())
        .with_header("content-range", format!("bytes */{size}"))
}

pub(crate) fn invalid_part_number(requested: i32, count: u32) -> ApiError {
    ApiError::new("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
        .with("PartNumberRequested", requested.to_string())
        .with("ActualPartCount", count.to_string())
}

pub(crate) fn part_number_out_of_bounds(number: i32) -> ApiError {
    let message =
        format!("Part number must be an integer between 1 and {}, inclusive", limits::PART_NUMBER_MAX);
    invalid_argument(message, "partNumber", number.to_string())
}

pub(crate) fn invalid_part(upload: &str, number: i32, etag: &str) -> ApiError {
    let message = "One or more of the specified parts could not be found.  The part may not have been uploaded, or \
                   the specified entity tag may not match the part's entity tag.";
    ApiError::client("InvalidPart", message)
        .with("UploadId", upload)
        .with("PartNumber", number.to_string())
        .with("ETag", etag)
}

pub(crate) fn invalid_part_order(upload: &str) -> ApiError {
    let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
    ApiError::client("InvalidPartOrder", message).with("UploadId", upload)
}

pub(crate) fn part_too_small(number: i32, size: u64, etag: &str) -> ApiError {
    ApiError::client("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
        .with("ProposedSize", size.to_string())
        .with("MinSizeAllowed", limits::PART_MIN_BYTES.to_string())
        .with("PartNumber", number.to_string())
        .with("ETag", etag)
}

pub(crate) fn entity_too_large(size: u64, allowed: u64) -> ApiError {
    ApiError::client("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        .with("ProposedSize", size.to_string())
        .with("MaxSizeAllowed", allowed.to_string())
}

pub(crate) fn missing_content_length() -> ApiError {
    ApiError::new("MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
}

pub(crate) fn incomplete_body() -> ApiError {
    let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
    ApiError::client("IncompleteBody", message)
}

pub(crate) fn invalid_digest(given: &str) -> ApiError {
    ApiError::client("InvalidDigest", "The Content-MD5 you specified was invalid.").with("Content-MD5", given)
}

pub(crate) fn bad_content_md5(expected: String, calculated: String) -> ApiError {
    ApiError::client("BadDigest", "The Content-MD5 you specified did not match what we received.")
        .with("ExpectedDigest", expected)
        .with("CalculatedDigest", calculated)
}

/// `named` as the operation writes it: `SHA1` on uploads, `sha1` on completion.
pub(crate) fn bad_checksum(named: &str) -> ApiError {
    let message = format!("The {named} you specified did not match the calculated checksum.");
    ApiError::client("BadDigest", message)
}

pub(crate) fn invalid_version_id(id: &str) -> ApiError {
    invalid_argument("Invalid version id specified", "versionId", id)
}

pub(crate) fn invalid_storage_class(class: &str) -> ApiError {
    ApiError::client("InvalidStorageClass", "The storage class you specified is not valid")
        .with("StorageClassRequested", class)
}
