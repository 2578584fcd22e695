//! Bucket policies, and who is let in by them.

use lambent_api::{ApiError, Call, Guarded, PlatformWork};
use lambent_identity::{Caller, ResourcePolicies, Wanted};
use lambent_model_s3::{
    CopyObjectRequest, DeleteBucketPolicyRequest, DeleteBucketRequest, DeletePublicAccessBlockRequest,
    GetBucketPolicyRequest, GetBucketPolicyStatusRequest, GetPublicAccessBlockRequest, ListObjectsV2Request,
    PublicAccessBlockConfiguration, PutBucketPolicyRequest, PutPublicAccessBlockRequest,
    UploadPartCopyRequest,
};
use serde_json::{Value, json};

use super::{ACCOUNT, BUCKET, Fixture, get_request};
use crate::policies::BucketPolicies;
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
    let input = DeletePublicAccessBlockRequest {
        bucket: BUCKET.to_owned(),
        ..DeletePublicAccessBlockRequest::default()
    };
    fixture.s3.delete_public_access_block(&fixture.call().await, input).await.unwrap();
}

/// What a caller is told that reads an object: its length, or the code of the error.
async fn read(fixture: &Fixture, caller: &Caller) -> Result<i64, String> {
    let call: Result<Call, ApiError> =
        fixture.call_of(caller, "s3:GetObject", "arn:aws:s3:::photos/a.jpg").await;
    let call = call.map_err(|error| error.code.into_owned())?;
    let got = fixture.s3.get_object(&call, get_request("a.jpg")).await;
    got.map(|(output, _)| output.content_length.unwrap())
        .map_err(|error| ApiError::from(error).code.into_owned())
}

const DENIED: &str = "AccessDenied";

#[tokio::test]
async fn another_account_is_let_in_by_the_bucket() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a.jpg", b"12345").await;
    let other = Caller::root("111111111111", "AKIAOTHER");
    assert_eq!(read(&fixture, &other).await.unwrap_err(), DENIED);
    put_policy(&fixture, &reading(&json!({ "AWS": "111111111111" }))).await.unwrap();
    assert_eq!(read(&fixture, &other).await, Ok(5));
    let third = Caller::root("222222222222", "AKIATHIRD");
    assert_eq!(read(&fixture, &third).await.unwrap_err(), DENIED);
    let writes = fixture.call_of(&other, "s3:PutObject", "arn:aws:s3:::photos/a.jpg").await;
    assert_eq!(writes.unwrap_err().code, DENIED);
    let delete =
        DeleteBucketPolicyRequest { bucket: BUCKET.to_owned(), ..DeleteBucketPolicyRequest::default() };
    fixture.s3.delete_bucket_policy(&fixture.call().await, delete).await.unwrap();
    assert_eq!(read(&fixture, &other).await.unwrap_err(), DENIED, "a policy that is gone lets nobody in");
}

#[tokio::test]
async fn a_policy_denies_its_own_account() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a.jpg", b"12345").await;
    let root = Caller::root(ACCOUNT, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(read(&fixture, &root).await, Ok(5));
    let deny = policy(&json!({
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::photos/*",
    }));
    put_policy(&fixture, &deny).await.unwrap();
    assert_eq!(read(&fixture, &root).await.unwrap_err(), DENIED);
}

#[tokio::test]
async fn strangers_read_what_is_public() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a.jpg", b"12345").await;
    let nobody = Caller::anonymous();
    assert_eq!(read(&fixture, &nobody).await.unwrap_err(), DENIED);
    unblock(&fixture).await;
    put_policy(&fixture, &reading(&json!("*"))).await.unwrap();
    assert_eq!(read(&fixture, &nobody).await, Ok(5));
    let told = fixture.call_of(&nobody, "s3:PutObject", "arn:aws:s3:::photos/a.jpg").await.unwrap_err();
    assert_eq!(told.message, "Access Denied");
    let put = PutPublicAccessBlockRequest {
        bucket: BUCKET.to_owned(),
        public_access_block_configuration: PublicAccessBlockConfiguration {
            restrict_public_buckets: Some(true),
            ..PublicAccessBlockConfiguration::default()
        },
        ..PutPublicAccessBlockRequest::default()
    };
    fixture.s3.put_public_access_block(&fixture.call().await, put).await.unwrap();
    assert_eq!(read(&fixture, &nobody).await.unwrap_err(), DENIED);
}

#[tokio::test]
async fn a_name_that_changes_hands_lets_nobody_in_by_the_old_owner() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a.jpg", b"12345").await;
    let other = Caller::root("111111111111", "AKIAOTHER");
    let wanted = wanted::create_bucket(
        &lambent_model_s3::CreateBucketRequest { bucket: BUCKET.to_owned(), ..Default::default() },
        &lambent_base::Place { account: other.account.clone(), region: "us-east-1".to_owned() },
    );
    assert!(wanted.is_new, "whether a name is taken is the handler's to tell");
    let root = Caller::root(ACCOUNT, "AKIAIOSFODNN7EXAMPLE");
    let root = fixture.call_of(&root, "s3:GetObject", "arn:aws:s3:::photos/a").await.unwrap();
    assert_eq!(root.owner(), ACCOUNT);
    let nowhere = fixture.call_of(&other, "s3:GetObject", "arn:aws:s3:::nowhere/a").await.unwrap();
    assert_eq!(nowhere.owner(), "111111111111", "a bucket that is not there is the caller's own");
    let error = fixture.s3.get_object(&nowhere, get_request("a.jpg")).await.unwrap_err();
    assert_eq!(ApiError::from(error).code, DENIED, "what was decided is not what is read");
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

#[tokio::test]
async fn only_the_owners_account_says_who_may_use_a_bucket() {
    let fixture = Fixture::with_bucket().await;
    unblock(&fixture).await;
    let all = policy(&json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::photos",
    }));
    put_policy(&fixture, &all).await.unwrap();
    let bucket = || BUCKET.to_owned();
    for caller in [Caller::anonymous(), Caller::root("111111111111", "AKIAOTHER")] {
        // The policy lets them in, and yet.
        let call = fixture.call_of(&caller, "s3:PutBucketPolicy", "arn:aws:s3:::photos").await.unwrap();
        let call = &call;
        let s3 = &fixture.s3;
        let put = PutBucketPolicyRequest {
            bucket: bucket(),
            policy: all.clone(),
            ..PutBucketPolicyRequest::default()
        };
        let get = GetBucketPolicyRequest { bucket: bucket(), ..GetBucketPolicyRequest::default() };
        let delete = DeleteBucketPolicyRequest { bucket: bucket(), ..DeleteBucketPolicyRequest::default() };
        for refused in [
            s3.put_bucket_policy(call, put).await.err(),
            s3.get_bucket_policy(call, get).await.err(),
            s3.delete_bucket_policy(call, delete).await.err(),
        ] {
            let refused = ApiError::from(refused.unwrap());
            assert_eq!((refused.code.as_ref(), refused.status), ("MethodNotAllowed", 405));
        }
        let put = PutPublicAccessBlockRequest { bucket: bucket(), ..PutPublicAccessBlockRequest::default() };
        let get = GetPublicAccessBlockRequest { bucket: bucket(), ..GetPublicAccessBlockRequest::default() };
        let delete =
            DeletePublicAccessBlockRequest { bucket: bucket(), ..DeletePublicAccessBlockRequest::default() };
        for refused in [
            s3.put_public_access_block(call, put).await.err(),
            s3.get_public_access_block(call, get).await.err(),
            s3.delete_public_access_block(call, delete).await.err(),
        ] {
            let refused = ApiError::from(refused.unwrap());
            assert_eq!((refused.code.as_ref(), refused.status), (DENIED, 403));
        }
    }
    let get = GetBucketPolicyRequest { bucket: bucket(), ..GetBucketPolicyRequest::default() };
    let kept = fixture.s3.get_bucket_policy(&fixture.call().await, get).await.unwrap();
    assert_eq!(kept.policy, Some(all));
}

#[tokio::test]
async fn strangers_do_not_learn_which_policy_refused_them() {
    const PLAIN: &str = "Access Denied";
    let fixture = Fixture::with_bucket().await;
    unblock(&fixture).await;
    put_policy(&fixture, &reading(&json!("*"))).await.unwrap();
    let stranger = Caller::anonymous();
    let (may, may_not) = ("arn:aws:s3:::photos/a", "arn:aws:s3:::other/a");
    let wanted = || Wanted::new("s3:GetObject", may_not);
    let call = fixture.call_of(&stranger, "s3:GetObject", may).await.unwrap();
    assert_eq!(call.authorize(wanted()).await.unwrap_err().message, PLAIN);
    assert_eq!(fixture.call_of(&stranger, "s3:GetObject", may_not).await.unwrap_err().message, PLAIN);
    let (asked, decisions) = fixture.call_for_each(&stranger, vec![wanted()]).await.unwrap();
    assert_eq!(decisions[0].as_ref().unwrap_err().message, PLAIN);
    assert_eq!(asked.authorize(wanted()).await.unwrap_err().message, PLAIN);
    let known = Caller::root("111111111111", "AKIAOTHER");
    let (asked, _) = fixture.call_for_each(&known, vec![wanted()]).await.unwrap();
    let told = asked.authorize(Wanted::new("s3:PutObject", may)).await.unwrap_err().message;
    assert!(told.contains("no resource-based policy allows"), "{told}");
}

#[test]
fn copies_tell_policies_their_source_however_it_is_spelled() {
    let place = lambent_base::Place { account: ACCOUNT.to_owned(), region: "us-east-1".to_owned() };
    let source = |header: &str| {
        let copy = CopyObjectRequest { copy_source: header.to_owned(), ..CopyObjectRequest::default() };
        let part =
            UploadPartCopyRequest { copy_source: header.to_owned(), ..UploadPartCopyRequest::default() };
        let wanted = [wanted::copy_object(&copy, &place), wanted::upload_part_copy(&part, &place)];
        wanted.map(|wanted| wanted.keys.get("s3:x-amz-copy-source").map(<[String]>::to_vec))
    };
    for header in ["in/secret/a b", "/in/secret/a%20b", "in%2Fs%65cret%2Fa%20b?versionId=null"] {
        let expected = Some(vec!["in/secret/a b".to_owned()]);
        assert_eq!(source(header), [expected.clone(), expected], "{header}");
    }
    assert_eq!(source("in/%zz"), [None, None]);
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

#[tokio::test]
async fn a_user_made_anew_is_not_the_one_that_a_bucket_lets_in() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a.jpg", b"12345").await;
    let leave = lambent_api::testing::root(&fixture.identity).await;
    let principals = fixture.identity.principals(&leave);
    let make = async || {
        let user = lambent_identity::User {
            account: ACCOUNT.to_owned(),
            name: "anna".to_owned(),
            path: "/".to_owned(),
            ..lambent_identity::User::default()
        };
        principals.create_user(user).await.unwrap();
        let key = principals.create_access_key("anna").await.unwrap().key.id;
        fixture.identity.credential(&key, None).await.unwrap().caller
    };
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/anna");
    let text = reading(&json!({ "AWS": arn }));
    let unknown = put_policy(&fixture, &text).await.unwrap_err();
    assert_eq!((&*unknown.code, &*unknown.message), ("MalformedPolicy", "Invalid principal in policy"));
    let old = make().await;
    put_policy(&fixture, &text).await.unwrap();
    assert_eq!(read(&fixture, &old).await, Ok(5));
    let get = async || {
        let input = GetBucketPolicyRequest { bucket: BUCKET.to_owned(), ..GetBucketPolicyRequest::default() };
        fixture.s3.get_bucket_policy(&fixture.call().await, input).await.unwrap().policy.unwrap()
    };
    assert_eq!(get().await, text, "as it was given, while she is there");
    principals.delete_access_key("anna", &old.access_key_id).await.unwrap();
    principals.delete_user("anna").await.unwrap();
    let new = make().await;
    assert_eq!(read(&fixture, &new).await.unwrap_err(), DENIED);
    let shown: Value = serde_json::from_str(&get().await).unwrap();
    assert_eq!(shown["Statement"]["Principal"]["AWS"], old.user_id);
}

#[tokio::test]
async fn another_node_decides_by_a_change_at_once() {
    let fixture = Fixture::with_bucket().await;
    let other = BucketPolicies::new(Guarded::new(fixture.db.clone()), PlatformWork::for_the("tests"));
    let facts = async || other.of("arn:aws:s3:::photos/a.jpg").await.unwrap();
    assert!(facts().await.policy.is_none());
    let text = reading(&json!({ "AWS": "111111111111" }));
    put_policy(&fixture, &text).await.unwrap();
    assert_eq!(facts().await.policy.unwrap().text(), text);
    let call = fixture.call().await;
    let gone =
        DeleteBucketPolicyRequest { bucket: BUCKET.to_owned(), ..DeleteBucketPolicyRequest::default() };
    fixture.s3.delete_bucket_policy(&call, gone).await.unwrap();
    assert!(facts().await.policy.is_none());
    let gone = DeleteBucketRequest { bucket: BUCKET.to_owned(), ..DeleteBucketRequest::default() };
    fixture.s3.delete_bucket(&call, gone).await.unwrap();
    assert_eq!(facts().await.owner, None);
}
