//! The service: its parts, its state, and the table of its operations.

use std::sync::Arc;

use lambent_api::{Guarded, Proof, Service, operations};
use lambent_base::{Clock, Random};
use lambent_blobs::BlobStore;
use lambent_bus::Outbox;
use lambent_bus::ports::MayInvoke;
use lambent_identity::Identity;
use lambent_model_s3::ops;
use lambent_store::Db;

use crate::names::{any_bucket, bucket_arn, object_arn};
use crate::objects::{wanted_deletion, wanted_deletions, wanted_get, wanted_head};
use crate::readers::OpenReaders;
use crate::{checksums, wanted};

/// What the service is given when the platform is put together.
#[derive(Clone)]
pub struct S3Parts {
    pub rows: Guarded<Db>,
    pub blobs: Guarded<BlobStore>,
    pub outbox: Outbox,
    /// The same for everybody who reads objects.
    pub readers: OpenReaders,
    /// Knows the principals that policies name.
    pub identity: Arc<Identity>,
    /// Asked before a notification rule is taken.
    pub functions: Arc<dyn MayInvoke>,
    pub clock: Clock,
    pub random: Random,
}

/// The state behind every operation.
pub(crate) struct S3(S3Parts);

/// Amazon S3, for the gateway.
pub fn service(parts: S3Parts) -> Service {
    let state = Arc::new(S3::new(parts));
    // S3 answers broken constraints in its own ways, so its handlers check them.
    let mut service = Service::new(&ops::SERVICE, None);
    service.check_bodies(checksums::check_document);
    service.tell_each(wanted::signed);
    operations!(service, state, {
        plain ops::CreateBucket => create_bucket, wanted::create_bucket;
        plain ops::HeadBucket => head_bucket, "s3:ListBucket", |input, _| bucket_arn(&input.bucket);
        plain ops::DeleteBucket => delete_bucket, "s3:DeleteBucket", |input, _| bucket_arn(&input.bucket);
        plain ops::ListBuckets => list_buckets, "s3:ListAllMyBuckets", |_, place| any_bucket(place);
        plain ops::GetBucketLocation => get_bucket_location, "s3:GetBucketLocation",
            |input, _| bucket_arn(&input.bucket);
        plain ops::PutBucketNotificationConfiguration => put_bucket_notification_configuration,
            "s3:PutBucketNotification", |input, _| bucket_arn(&input.bucket);
        plain ops::GetBucketNotificationConfiguration => get_bucket_notification_configuration,
            "s3:GetBucketNotification", |input, _| bucket_arn(&input.bucket);
        upload ops::PutObject => put_object, wanted::put_object;
        download ops::GetObject => get_object, wanted_get;
        plain ops::HeadObject => head_object, wanted_head;
        plain ops::DeleteObject => delete_object, wanted_deletion;
        each ops::DeleteObjects => delete_objects, wanted_deletions;
        plain ops::CopyObject => copy_object, wanted::copy_object;
        plain ops::CreateMultipartUpload => create_multipart_upload, wanted::create_multipart_upload;
        upload ops::UploadPart => upload_part, "s3:PutObject", |input, _| object_arn(&input.bucket, &input.key);
        plain ops::UploadPartCopy => upload_part_copy, wanted::upload_part_copy;
        plain ops::CompleteMultipartUpload => complete_multipart_upload, "s3:PutObject",
            |input, _| object_arn(&input.bucket, &input.key);
        plain ops::AbortMultipartUpload => abort_multipart_upload, "s3:AbortMultipartUpload",
            |input, _| object_arn(&input.bucket, &input.key);
        plain ops::ListParts => list_parts, "s3:ListMultipartUploadParts",
            |input, _| object_arn(&input.bucket, &input.key);
        plain ops::ListMultipartUploads => list_multipart_uploads, "s3:ListBucketMultipartUploads",
            |input, _| bucket_arn(&input.bucket);
        plain ops::ListObjects => list_objects, wanted::list_objects;
        plain ops::ListObjectsV2 => list_objects_v2, wanted::list_objects_v2;
        plain ops::PutBucketPolicy => put_bucket_policy, "s3:PutBucketPolicy", |input, _| bucket_arn(&input.bucket);
        plain ops::GetBucketPolicy => get_bucket_policy, "s3:GetBucketPolicy", |input, _| bucket_arn(&input.bucket);
        plain ops::DeleteBucketPolicy => delete_bucket_policy, "s3:DeleteBucketPolicy",
            |input, _| bucket_arn(&input.bucket);
        plain ops::GetBucketPolicyStatus => get_bucket_policy_status, "s3:GetBucketPolicyStatus",
            |input, _| bucket_arn(&input.bucket);
        plain ops::PutPublicAccessBlock => put_public_access_block, "s3:PutBucketPublicAccessBlock",
            |input, _| bucket_arn(&input.bucket);
        plain ops::GetPublicAccessBlock => get_public_access_block, "s3:GetBucketPublicAccessBlock",
            |input, _| bucket_arn(&input.bucket);
        plain ops::DeletePublicAccessBlock => delete_public_access_block, "s3:PutBucketPublicAccessBlock",
            |input, _| bucket_arn(&input.bucket);
    });
    service
}

impl S3 {
    pub(crate) fn new(parts: S3Parts) -> Self {
        Self(parts)
    }

    /// The rows, for who may touch them.
    pub(crate) fn db(&self, proof: &impl Proof) -> &Db {
        self.0.rows.of(proof)
    }

    /// The bytes of objects, for who may touch them.
    pub(crate) fn blobs(&self, proof: &impl Proof) -> &BlobStore {
        self.0.blobs.of(proof)
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn readers(&self) -> &OpenReaders {
        &self.0.readers
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn functions(&self) -> &dyn MayInvoke {
        &*self.0.functions
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }
}
