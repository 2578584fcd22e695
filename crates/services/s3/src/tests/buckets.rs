use lambent_api::ApiError;
use lambent_model_s3::{
    BucketLocationConstraint, CreateBucketConfiguration, CreateBucketOutput, CreateBucketRequest,
    DeleteBucketRequest, GetBucketLocationRequest, HeadBucketRequest, ListBucketsRequest,
};

use super::{BUCKET, Fixture, code, member};

async fn create_in(
    fixture: &Fixture,
    region: &str,
    name: &str,
    constraint: Option<&str>,
) -> Result<CreateBucketOutput, ApiError> {
    let configuration = constraint.map(|constraint| CreateBucketConfiguration {
        location_constraint: Some(BucketLocationConstraint::from(constraint)),
        ..CreateBucketConfiguration::default()
    });
    let input = CreateBucketRequest {
        bucket: name.to_owned(),
        create_bucket_configuration: configuration,
        ..CreateBucketRequest::default()
    };
    Ok(fixture.s3.create_bucket(&fixture.call_in(region).await, input).await?)
}

async fn delete(fixture: &Fixture, name: &str) -> Result<(), ApiError> {
    let input = DeleteBucketRequest { bucket: name.to_owned(), expected_bucket_owner: None };
    fixture.s3.delete_bucket(&fixture.call().await, input).await?;
    Ok(())
}

#[tokio::test]
async fn locations_follow_the_region_of_the_call() {
    let fixture = Fixture::new();
    let made = create_in(&fixture, "us-east-1", "one", None).await.unwrap();
    assert_eq!(made.location.as_deref(), Some("/one"));
    assert_eq!(made.bucket_arn.as_deref(), Some("arn:aws:s3:::one"));
    create_in(&fixture, "eu-west-1", "two", Some("EU")).await.unwrap();
    create_in(&fixture, "eu-central-1", "three", Some("eu-central-1")).await.unwrap();
    for (region, constraint, expected) in [
        ("us-east-1", Some("us-east-1"), "InvalidLocationConstraint"),
        ("us-east-1", Some("foo"), "InvalidLocationConstraint"),
        ("eu-west-1", Some("bar"), "IllegalLocationConstraintException"),
        ("eu-west-1", Some("us-west-1"), "IllegalLocationConstraintException"),
        ("eu-west-1", None, "IllegalLocationConstraintException"),
    ] {
        let error = create_in(&fixture, region, "four", constraint).await.unwrap_err();
        assert_eq!(code(&error), expected, "{region} {constraint:?}");
    }
    for (name, constraint, region) in [
        ("one", None, "us-east-1"),
        ("two", Some("EU"), "eu-west-1"),
        ("three", Some("eu-central-1"), "eu-central-1"),
    ] {
        let call = fixture.call().await;
        let location = GetBucketLocationRequest { bucket: name.to_owned(), expected_bucket_owner: None };
        let location = fixture.s3.get_bucket_location(&call, location).await.unwrap();
        assert_eq!(location.location_constraint.as_ref().map(BucketLocationConstraint::as_str), constraint);
        let head = HeadBucketRequest { bucket: name.to_owned(), expected_bucket_owner: None };
        let head = fixture.s3.head_bucket(&call, head).await.unwrap();
        assert_eq!(head.bucket_region.as_deref(), Some(region));
    }
}

#[tokio::test]
async fn creating_again_succeeds_only_in_us_east_1() {
    let fixture = Fixture::new();
    create_in(&fixture, "us-east-1", "mine", None).await.unwrap();
    create_in(&fixture, "us-east-1", "mine", None).await.unwrap();
    let error = create_in(&fixture, "us-west-1", "mine", Some("us-west-1")).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "BucketName")), ("BucketAlreadyOwnedByYou", Some("mine")));
}

#[tokio::test]
async fn a_bucket_goes_when_it_is_empty() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a", b"1").await;
    assert_eq!(code(&delete(&fixture, BUCKET).await.unwrap_err()), "BucketNotEmpty");
    let doomed = lambent_model_s3::DeleteObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "a".to_owned(),
        ..lambent_model_s3::DeleteObjectRequest::default()
    };
    fixture.s3.delete_object(&fixture.call().await, doomed).await.unwrap();
    delete(&fixture, BUCKET).await.unwrap();
    let error = delete(&fixture, BUCKET).await.unwrap_err();
    assert_eq!((code(&error), error.status), ("NoSuchBucket", 404));
}

#[tokio::test]
async fn another_accounts_bucket_is_not_expected() {
    let fixture = Fixture::with_bucket().await;
    let head = |owner: &str| HeadBucketRequest {
        bucket: BUCKET.to_owned(),
        expected_bucket_owner: Some(owner.to_owned()),
    };
    let call = fixture.call().await;
    assert!(fixture.s3.head_bucket(&call, head("000000000000")).await.is_ok());
    let error: ApiError = fixture.s3.head_bucket(&call, head("111111111111")).await.unwrap_err().into();
    assert_eq!((code(&error), error.status), ("AccessDenied", 403));
    let error: ApiError = fixture.s3.head_bucket(&call, head("0000")).await.unwrap_err().into();
    assert_eq!(code(&error), "InvalidBucketOwnerAWSAccountID");
}

#[tokio::test]
async fn buckets_are_listed_in_pages() {
    let fixture = Fixture::new();
    for name in ["pic-c", "pic-a", "doc-a", "pic-b"] {
        fixture.create_bucket(name).await.unwrap();
    }
    let call = fixture.call().await;
    let all = fixture.s3.list_buckets(&call, ListBucketsRequest::default()).await.unwrap();
    let names = |buckets: Option<Vec<lambent_model_s3::Bucket>>| -> Vec<String> {
        buckets.unwrap().into_iter().filter_map(|bucket| bucket.name).collect()
    };
    assert_eq!(names(all.buckets), ["doc-a", "pic-a", "pic-b", "pic-c"]);
    assert_eq!(all.continuation_token, None);
    assert_eq!(all.owner.unwrap().id.unwrap().len(), 64);
    let mut token = None;
    let mut seen = Vec::new();
    loop {
        let input = ListBucketsRequest {
            prefix: Some("pic-".to_owned()),
            max_buckets: Some(2),
            continuation_token: token.take(),
            ..ListBucketsRequest::default()
        };
        let page = fixture.s3.list_buckets(&call, input).await.unwrap();
        seen.push(names(page.buckets));
        token = page.continuation_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, [vec!["pic-a", "pic-b"], vec!["pic-c"]]);
    let wrong =
        ListBucketsRequest { bucket_region: Some("eu-east-1".to_owned()), ..ListBucketsRequest::default() };
    let error: ApiError = fixture.s3.list_buckets(&call, wrong).await.unwrap_err().into();
    assert_eq!(member(&error, "ArgumentName"), Some("bucket-region"));
}
