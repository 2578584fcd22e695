//! What operations want: action, resource, and the condition keys that policies may ask.
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".

use lambent_api::CallContext;
use lambent_base::Place;
use lambent_identity::Wanted;
use lambent_model_s3::{
    CopyObjectRequest, CreateBucketRequest, CreateMultipartUploadRequest, ListObjectsRequest,
    ListObjectsV2Request, PutObjectRequest, UploadPartCopyRequest,
};

use crate::names::{bucket_arn, object_arn};
use crate::objects::CopySource;

/// Adds the keys that every request has.
pub(crate) fn signed(context: &CallContext, mut wanted: Wanted) -> Wanted {
    let Some(signature) = &context.client.signature else { return wanted };
    wanted = wanted
        .with("s3:authtype", if signature.is_presigned { "REST-QUERY-STRING" } else { "REST-HEADER" })
        .with("s3:signatureversion", signature.version);
    if let Some(signed_ms) = signature.signed_ms.filter(|_| signature.is_presigned) {
        wanted = wanted.with("s3:signatureage", context.time_ms.saturating_sub(signed_ms).max(0).to_string());
    }
    if let Some(hash) = &signature.content_sha256 {
        wanted = wanted.with("s3:x-amz-content-sha256", hash.as_str());
    }
    wanted
}

/// What CreateBucket wants. The name may be another account's: then there is nothing to decide on but whether the caller
/// may make buckets.
pub(crate) fn create_bucket(input: &CreateBucketRequest, _place: &Place) -> Wanted {
    let configuration = input.create_bucket_configuration.as_ref();
    let constraint = configuration.and_then(|configuration| configuration.location_constraint.as_ref());
    let wanted = Wanted::new("s3:CreateBucket", bucket_arn(&input.bucket)).of_a_new_thing();
    let wanted = with(wanted, "s3:locationconstraint", constraint.map(|one| one.as_str()));
    let wanted = with(wanted, "s3:x-amz-acl", input.acl.as_ref().map(|one| one.as_str()));
    with(wanted, "s3:x-amz-object-ownership", input.object_ownership.as_ref().map(|one| one.as_str()))
}

/// What ListObjects wants.
pub(crate) fn list_objects(input: &ListObjectsRequest, _place: &Place) -> Wanted {
    listing(&input.bucket, input.prefix.as_deref(), input.delimiter.as_deref(), input.max_keys)
}

/// What ListObjectsV2 wants.
pub(crate) fn list_objects_v2(input: &ListObjectsV2Request, _place: &Place) -> Wanted {
    listing(&input.bucket, input.prefix.as_deref(), input.delimiter.as_deref(), input.max_keys)
}

fn listing(bucket: &str, prefix: Option<&str>, delimiter: Option<&str>, max: Option<i32>) -> Wanted {
    let wanted = Wanted::new("s3:ListBucket", bucket_arn(bucket));
    let wanted = with(with(wanted, "s3:prefix", prefix), "s3:delimiter", delimiter);
    max.map_or(wanted.clone(), |max| wanted.with("s3:max-keys", max.to_string()))
}

/// The keys of what writes an object with headers of its own.
macro_rules! writing {
    ($input:expr) => {{
        let input = $input;
        let wanted = Wanted::new("s3:PutObject", object_arn(&input.bucket, &input.key));
        [
            ("s3:x-amz-acl", input.acl.as_ref().map(|one| one.as_str())),
            ("s3:x-amz-storage-class", input.storage_class.as_ref().map(|one| one.as_str())),
            (
                "s3:x-amz-server-side-encryption",
                input.server_side_encryption.as_ref().map(|one| one.as_str()),
            ),
            ("s3:x-amz-server-side-encryption-aws-kms-key-id", input.ssekms_key_id.as_deref()),
            ("s3:x-amz-website-redirect-location", input.website_redirect_location.as_deref()),
            ("s3:x-amz-grant-full-control", input.grant_full_control.as_deref()),
            ("s3:x-amz-grant-read", input.grant_read.as_deref()),
            ("s3:x-amz-grant-read-acp", input.grant_read_acp.as_deref()),
            ("s3:x-amz-grant-write-acp", input.grant_write_acp.as_deref()),
        ]
        .into_iter()
        .fold(wanted, |wanted, (key, value)| with(wanted, key, value))
    }};
}

/// What PutObject wants.
pub(crate) fn put_object(input: &PutObjectRequest, _place: &Place) -> Wanted {
    let wanted = writing!(input);
    with(
        with(wanted, "s3:if-match", input.if_match.as_deref()),
        "s3:if-none-match",
        input.if_none_match.as_deref(),
    )
}

/// What CreateMultipartUpload wants.
pub(crate) fn create_multipart_upload(input: &CreateMultipartUploadRequest, _place: &Place) -> Wanted {
    writing!(input)
}

/// What CopyObject wants; that the source may be read is decided on apart.
pub(crate) fn copy_object(input: &CopyObjectRequest, _place: &Place) -> Wanted {
    let wanted = copying(writing!(input), &input.copy_source);
    let directive = input.metadata_directive.as_ref().map(|one| one.as_str());
    with(wanted, "s3:x-amz-metadata-directive", directive)
}

/// What UploadPartCopy wants, likewise.
pub(crate) fn upload_part_copy(input: &UploadPartCopyRequest, _place: &Place) -> Wanted {
    copying(Wanted::new("s3:PutObject", object_arn(&input.bucket, &input.key)), &input.copy_source)
}

/// With the source as the handler reads it, however the header spells it. The handler refuses one that cannot be read.
fn copying(wanted: Wanted, header: &str) -> Wanted {
    match CopySource::parse(header) {
        Ok(CopySource { bucket, key, .. }) => wanted.with("s3:x-amz-copy-source", format!("{bucket}/{key}")),
        Err(_) => wanted,
    }
}

/// With a key that the request may lack.
pub(crate) fn with(wanted: Wanted, key: &'static str, value: Option<&str>) -> Wanted {
    match value {
        Some(value) => wanted.with(key, value),
        None => wanted,
    }
}
