//! Bucket policies, and who is let in by them.

use lambent_api::ApiError;
use lambent_model_s3::{
    DeleteBucketPolicyRequest, DeletePublicAccessBlockRequest, GetBucketPolicyRequest,
    GetBucketPolicyStatusRequest, GetPublicAccessBlockRequest, ListObjectsV2Request,
    PublicAccessBlockConfiguration, PutBucketPolicyRequest, PutPublicAccessBlockRequest,
};
use serde_json::{Value, json};

use super::{ACCOUNT, BUCKET, Fixture};
use crate::wanted;

async fn put_policy(fixture: &Fixture, text: &str) -> Result<(), ApiError> {
    let input = PutBucketPolicyRequest {
        bucket: BUCKET.to_owned(),
        policy: text.to_owned(),
        ..PutBucketPolicyRequest::default()
    };
    Ok(fixture.s3.put_bucket_policy(&fixture.call().await, input).await.map(drop)?)
}

fn policy(statement: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
}

fn reading(principal: &Value) -> String {
    policy(&json!({
        "Effect": "Allow",
        "Principal": principal,
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::photos/*",
    }))
}

async fn unblock(fixture: &Fixture) {
    let input =
        DeletePublicAccessBlockRequest { bucket: BUCKET.to_owned(), ..DeletePublicAccessBlockRequest::default() };
    fixture.s3.delete_public_access_block(&fixture.call().await, input).await.unwrap();
}


#[tokio::test]
async fn policies_are_kept_as_they_were_given() {
    let fixture = Fixture::with_bucket().await;
    let call = fixture.call().await;
    let get = || GetBucketPolicyRequest { bucket: BUCKET.to_owned(), ..GetBucketPolicyRequest::default() };
    let missing = ApiError::from(fixture.s3.get_bucket_policy(&call, get()).await.unwrap_err());
    assert_eq!((missing.code.as_ref(), missing.status), ("NoSuchBucketPolicy", 404));
    let text = reading(&json!({ "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }));
    put_policy(&fixture, &text).await.unwrap();
    assert_eq!(fixture.s3.get_bucket_policy(&call, get()).await.unwrap().policy, Some(text));
    let delete =
        DeleteBucketPolicyRequest { bucket: BUCKET.to_owned(), ..DeleteBucketPolicyRequest::default() };
    fixture.s3.delete_bucket_policy(&call, delete).await.unwrap();
    assert!(fixture.s3.get_bucket_policy(&call, get()).await.is_err());
}

#[tokio::test]
async fn policies_of_other_things_are_refused() {
    let fixture = Fixture::with_bucket().await;
    let statement = |key: &str, value: Value| {
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": { "AWS": ACCOUNT },
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::photos/*",
        });
        statement[key] = value;
        policy(&statement)
    };
    for (text, message) in [
        ("{".to_owned(), "Policies must be valid JSON and the first byte must be '{'"),
        (statement("Resource", json!("arn:aws:s3:::other/*")), "Policy has invalid resource"),
        (statement("Resource", json!("*")), "Policy has invalid resource"),
        (statement("Action", json!("lambda:InvokeFunction")), "Policy has invalid action"),
        (
            statement("Principal", json!({ "AWS": format!("arn:aws:iam::{ACCOUNT}:role/none") })),
            "Invalid principal in policy",
        ),
        (statement("Sid", json!("x".repeat(21 * 1024))), "Policy exceeds the maximum allowed document size."),
    ] {
        let error = put_policy(&fixture, &text).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("MalformedPolicy", 400), "{text}");
        assert_eq!(error.message, message, "{text}");
    }
}

#[tokio::test]
async fn a_new_bucket_takes_no_public_policy() {
    let fixture = Fixture::with_bucket().await;
    let call = fixture.call().await;
    let status = || GetBucketPolicyStatusRequest {
        bucket: BUCKET.to_owned(),
        ..GetBucketPolicyStatusRequest::default()
    };
    let refused = put_policy(&fixture, &reading(&json!("*"))).await.unwrap_err();
    assert_eq!(refused.status, 403);
    assert!(refused.message.contains("BlockPublicPolicy"), "{}", refused.message);
    unblock(&fixture).await;
    put_policy(&fixture, &reading(&json!("*"))).await.unwrap();
    let found = fixture.s3.get_bucket_policy_status(&call, status()).await.unwrap();
    assert_eq!(found.policy_status.unwrap().is_public, Some(true));
    let get =
        GetPublicAccessBlockRequest { bucket: BUCKET.to_owned(), ..GetPublicAccessBlockRequest::default() };
    let missing = ApiError::from(fixture.s3.get_public_access_block(&call, get.clone()).await.unwrap_err());
    assert_eq!(missing.code, "NoSuchPublicAccessBlockConfiguration");
    let put = PutPublicAccessBlockRequest {
        bucket: BUCKET.to_owned(),
        public_access_block_configuration: PublicAccessBlockConfiguration {
            restrict_public_buckets: Some(true),
            ..PublicAccessBlockConfiguration::default()
        },
        ..PutPublicAccessBlockRequest::default()
    };
    fixture.s3.put_public_access_block(&call, put).await.unwrap();
    let found = fixture.s3.get_public_access_block(&call, get).await.unwrap();
    let found = found.public_access_block_configuration.unwrap();
    assert_eq!((found.restrict_public_buckets, found.block_public_policy), (Some(true), Some(false)));
    let found = fixture.s3.get_bucket_policy_status(&call, status()).await.unwrap();
    assert_eq!(found.policy_status.unwrap().is_public, Some(false));
}

#[test]
fn listings_tell_policies_what_they_list() {
    let place = lambent_base::Place { account: ACCOUNT.to_owned(), region: "us-east-1".to_owned() };
    let input = ListObjectsV2Request {
        bucket: BUCKET.to_owned(),
        prefix: Some("a/".to_owned()),
        max_keys: Some(7),
        ..ListObjectsV2Request::default()
    };
    let wanted = wanted::list_objects_v2(&input, &place);
    assert_eq!((wanted.action, wanted.resource.as_str()), ("s3:ListBucket", "arn:aws:s3:::photos"));
    assert_eq!(wanted.keys.get("s3:prefix"), Some(&["a/".to_owned()][..]));
    assert_eq!(wanted.keys.get("s3:max-keys"), Some(&["7".to_owned()][..]));
    assert_eq!(wanted.keys.get("s3:delimiter"), None);
}
