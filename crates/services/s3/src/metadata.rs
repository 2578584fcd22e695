//! What objects carry besides their bytes, and which of the many headers around it this service has.

use lambent_api::ApiError;
use lambent_model_s3::{ObjectCannedACL, StorageClass};

use crate::rows::Metadata;
use crate::{errors, limits};

/// What S3 says of objects that were given no type.
pub(crate) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The storage classes that a general purpose bucket takes, but for STANDARD.
const STORAGE_CLASSES: [&str; 7] = [
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
];

/// Checks sizes and values, and drops what says nothing.
///
/// Errors: `MetadataTooLarge`, `InvalidStorageClass`.
pub(crate) fn checked(mut metadata: Metadata) -> Result<Metadata, ApiError> {
    let user_bytes: usize = metadata.user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if user_bytes > limits::USER_METADATA_MAX_BYTES {
        return Err(errors::metadata_too_large(user_bytes, limits::USER_METADATA_MAX_BYTES));
    }
    metadata.content_encoding = metadata.content_encoding.as_deref().and_then(without_aws_chunked);
    metadata.storage_class = metadata.storage_class.filter(|class| class != "STANDARD");
    if let Some(class) = metadata.storage_class.as_deref()
        && !STORAGE_CLASSES.contains(&class)
    {
        return Err(errors::invalid_storage_class(class));
    }
    let headers = [
        &metadata.content_type,
        &metadata.cache_control,
        &metadata.content_disposition,
        &metadata.content_encoding,
        &metadata.content_language,
        &metadata.expires,
        &metadata.website_redirect_location,
    ];
    let header_bytes: usize = headers.into_iter().flatten().map(String::len).sum();
    if header_bytes > limits::CONTENT_HEADERS_MAX_BYTES {
        return Err(errors::metadata_too_large(header_bytes, limits::CONTENT_HEADERS_MAX_BYTES));
    }
    Ok(metadata)
}

/// A storage class as answers show it: STANDARD is not.
pub(crate) fn shown_class(metadata: &Metadata) -> Option<StorageClass> {
    metadata.storage_class.as_deref().map(StorageClass::from)
}

/// `aws-chunked` is how a body travelled, not what it is.
fn without_aws_chunked(encoding: &str) -> Option<String> {
    let kept: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|one| !one.is_empty() && *one != "aws-chunked").collect();
    if kept.is_empty() { None } else { Some(kept.join(",")) }
}

/// The ACL of a new object: its bucket has ACLs disabled, as AWS's new buckets have.
///
/// Errors: `AccessControlListNotSupported` unless the owner keeps full control.
pub(crate) fn check_acl(acl: Option<&ObjectCannedACL>, grants: bool) -> Result<(), ApiError> {
    match acl {
        None | Some(ObjectCannedACL::Private | ObjectCannedACL::BucketOwnerFullControl) if !grants => Ok(()),
        _ => Err(ApiError::client("AccessControlListNotSupported", "The bucket does not allow ACLs")),
    }
}

/// Refuses by name the headers of an upload that stand for features not built yet.
pub(crate) fn refuse(headers: &[(&'static str, bool)]) -> Result<(), ApiError> {
    match headers.iter().find(|(_, given)| *given) {
        Some((header, _)) => Err(errors::header_not_implemented(header)),
        None => Ok(()),
    }
}

/// The metadata of PutObject, CopyObject and CreateMultipartUpload, checked; and their refusals.
macro_rules! described {
    ($input:expr) => {{
        let input = &$input;
        let grants = input.grant_full_control.is_some()
            || input.grant_read.is_some()
            || input.grant_read_acp.is_some()
            || input.grant_write_acp.is_some();
        $crate::metadata::check_acl(input.acl.as_ref(), grants)?;
        $crate::metadata::refuse(&[
            ("x-amz-tagging", input.tagging.as_ref().is_some_and(|tags| !tags.is_empty())),
            ("x-amz-server-side-encryption", input.server_side_encryption.is_some()),
            ("x-amz-server-side-encryption-aws-kms-key-id", input.ssekms_key_id.is_some()),
            ("x-amz-server-side-encryption-customer-algorithm", input.sse_customer_algorithm.is_some()),
            ("x-amz-server-side-encryption-customer-key", input.sse_customer_key.is_some()),
            ("x-amz-object-lock-mode", input.object_lock_mode.is_some()),
            ("x-amz-object-lock-retain-until-date", input.object_lock_retain_until_date.is_some()),
            ("x-amz-object-lock-legal-hold", input.object_lock_legal_hold_status.is_some()),
            ("x-amz-object-lock-event-hold", input.object_lock_event_hold.is_some()),
        ])?;
        $crate::metadata::checked($crate::rows::Metadata {
            content_type: input.content_type.clone(),
            cache_control: input.cache_control.clone(),
            content_disposition: input.content_disposition.clone(),
            content_encoding: input.content_encoding.clone(),
            content_language: input.content_language.clone(),
            expires: input.expires.clone(),
            website_redirect_location: input.website_redirect_location.clone(),
            storage_class: input.storage_class.as_ref().map(|class| class.as_str().to_owned()),
            user: input.metadata.clone().unwrap_or_default(),
        })
    }};
}

/// Refuses by name the customer-key headers of requests on stored data.
macro_rules! refuse_customer_key {
    ($input:expr) => {
        $crate::metadata::refuse(&[
            ("x-amz-server-side-encryption-customer-algorithm", $input.sse_customer_algorithm.is_some()),
            ("x-amz-server-side-encryption-customer-key", $input.sse_customer_key.is_some()),
        ])
    };
}

pub(crate) use {described, refuse_customer_key};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_is_no_encoding() {
        let kept = |encoding: &str| without_aws_chunked(encoding);
        assert_eq!(kept("aws-chunked"), None);
        assert_eq!(kept("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(kept("gzip, aws-chunked , br").as_deref(), Some("gzip,br"));
    }

    #[test]
    fn user_metadata_is_bounded() {
        let sized = |bytes: usize| Metadata {
            user: [("k".to_owned(), "v".repeat(bytes - 1))].into(),
            ..Metadata::default()
        };
        assert!(checked(sized(limits::USER_METADATA_MAX_BYTES)).is_ok());
        assert_eq!(checked(sized(limits::USER_METADATA_MAX_BYTES + 1)).unwrap_err().code, "MetadataTooLarge");
    }

    #[test]
    fn storage_classes() {
        let classed =
            |class: &str| checked(Metadata { storage_class: Some(class.to_owned()), ..Metadata::default() });
        assert_eq!(classed("STANDARD").unwrap().storage_class, None);
        assert_eq!(classed("STANDARD_IA").unwrap().storage_class.as_deref(), Some("STANDARD_IA"));
        let error = classed("OUTPOSTS").unwrap_err();
        assert_eq!(error.members, [("StorageClassRequested", "OUTPOSTS".to_owned())]);
    }
}
