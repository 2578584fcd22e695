//! Operations against the Service Authorization Reference: "Actions, resources, and condition keys for Amazon S3".

use lambent_api::testing::{Action, Reference};
use lambent_base::Place;

use super::{ACCOUNT, Fixture};
use crate::service::service;

const BUCKET: &[&str] = &["arn:aws:s3:::*"];
const OBJECT: &[&str] = &["arn:aws:s3:::*/**"];

const ACTIONS: &[Action<'_>] = &[
    ("s3:AbortMultipartUpload", OBJECT),
    ("s3:CreateBucket", BUCKET),
    ("s3:DeleteBucket", BUCKET),
    ("s3:DeleteBucketPolicy", BUCKET),
    ("s3:DeleteObject", OBJECT),
    ("s3:DeleteObjectVersion", OBJECT),
    ("s3:GetBucketLocation", BUCKET),
    ("s3:GetBucketNotification", BUCKET),
    ("s3:GetBucketPolicy", BUCKET),
    ("s3:GetBucketPolicyStatus", BUCKET),
    ("s3:GetBucketPublicAccessBlock", BUCKET),
    ("s3:GetObject", OBJECT),
    ("s3:GetObjectVersion", OBJECT),
    // It takes no resource; S3 asks for all buckets, and policies say `*`.
    ("s3:ListAllMyBuckets", &["arn:aws:s3:::*"]),
    ("s3:ListBucket", BUCKET),
    ("s3:ListBucketMultipartUploads", BUCKET),
    ("s3:ListMultipartUploadParts", OBJECT),
    ("s3:PutBucketNotification", BUCKET),
    ("s3:PutBucketPolicy", BUCKET),
    ("s3:PutBucketPublicAccessBlock", BUCKET),
    ("s3:PutObject", OBJECT),
];

/// Source: Amazon S3 User Guide, "Required permissions for Amazon S3 API operations".
const RENAMED: &[(&str, &[&str])] = &[
    ("CompleteMultipartUpload", &["PutObject"]),
    ("CopyObject", &["PutObject"]),
    ("CreateMultipartUpload", &["PutObject"]),
    ("DeletePublicAccessBlock", &["PutBucketPublicAccessBlock"]),
    ("GetBucketNotificationConfiguration", &["GetBucketNotification"]),
    ("GetPublicAccessBlock", &["GetBucketPublicAccessBlock"]),
    ("HeadBucket", &["ListBucket"]),
    ("HeadObject", &["GetObject"]),
    ("ListBuckets", &["ListAllMyBuckets"]),
    ("ListMultipartUploads", &["ListBucketMultipartUploads"]),
    ("ListObjects", &["ListBucket"]),
    ("ListObjectsV2", &["ListBucket"]),
    ("ListParts", &["ListMultipartUploadParts"]),
    ("PutBucketNotificationConfiguration", &["PutBucketNotification"]),
    ("PutPublicAccessBlock", &["PutBucketPublicAccessBlock"]),
    ("UploadPart", &["PutObject"]),
    ("UploadPartCopy", &["PutObject"]),
];

#[tokio::test]
async fn operations_want_what_the_reference_says() {
    let fixture = Fixture::new();
    let reference = Reference {
        service: &service(fixture.parts.clone()),
        identity: fixture.identity.clone(),
        place: Place { account: ACCOUNT.to_owned(), region: "us-east-1".to_owned() },
        samples: &[("Bucket", "photos"), ("Key", "a/b.jpg")],
        query: "uploadId=u&partNumber=1",
        body: "",
        // Each of its objects is decided on, and its body must be vouched for.
        apart: &["DeleteObjects"],
        renamed: RENAMED,
        actions: ACTIONS,
    };
    assert_eq!(reference.findings().await, Vec::<String>::new());
}
