use lambent_api::ApiError;
use lambent_model_s3::{
    Delete, DeleteObjectRequest, DeleteObjectsOutput, DeleteObjectsRequest, ObjectIdentifier,
};

use super::{BUCKET, Fixture, code, get_request, member, pattern};

fn one(key: &str) -> DeleteObjectRequest {
    DeleteObjectRequest { bucket: BUCKET.to_owned(), key: key.to_owned(), ..DeleteObjectRequest::default() }
}

fn identifier(key: &str) -> ObjectIdentifier {
    ObjectIdentifier { key: key.to_owned(), ..ObjectIdentifier::default() }
}

async fn delete(fixture: &Fixture, input: DeleteObjectRequest) -> Result<(), ApiError> {
    fixture.s3.delete_object(&fixture.call().await, input).await?;
    Ok(())
}

async fn delete_all(
    fixture: &Fixture,
    objects: Vec<ObjectIdentifier>,
    quiet: bool,
) -> Result<DeleteObjectsOutput, ApiError> {
    let input = DeleteObjectsRequest {
        bucket: BUCKET.to_owned(),
        delete: Delete { objects, quiet: Some(quiet) },
        ..DeleteObjectsRequest::default()
    };
    let (call, decisions) = fixture.call_to_delete(&input).await?;
    Ok(fixture.s3.delete_objects(&call, input, decisions).await?)
}

#[tokio::test]
async fn deletion_is_idempotent_and_frees_the_data() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a", &pattern(100_000)).await;
    delete(&fixture, one("a")).await.unwrap();
    delete(&fixture, one("a")).await.unwrap();
    assert_eq!(code(&fixture.get_as(get_request("a")).await.unwrap_err()), "NoSuchKey");
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn deletion_can_have_a_condition() {
    let fixture = Fixture::with_bucket().await;
    let tag = fixture.put("a", b"1").await.e_tag.unwrap();
    let with = |tag: &str| DeleteObjectRequest { if_match: Some(tag.to_owned()), ..one("a") };
    let error = delete(&fixture, with("\"other\"")).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "Condition")), ("PreconditionFailed", Some("If-Match")));
    delete(&fixture, with(&tag)).await.unwrap();
    assert_eq!(delete(&fixture, with("*")).await.unwrap_err().status, 412);
    let by_size = DeleteObjectRequest { if_match_size: Some(1), ..one("a") };
    assert_eq!(member(&delete(&fixture, by_size).await.unwrap_err(), "Header"), Some("x-amz-if-match-size"));
    let bypass = DeleteObjectRequest { bypass_governance_retention: Some(true), ..one("a") };
    assert_eq!(code(&delete(&fixture, bypass).await.unwrap_err()), "InvalidArgument");
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let fixture = Fixture::with_bucket().await;
    let keys: Vec<String> = (0..120).map(|number| format!("k{number}")).collect();
    for key in &keys {
        fixture.put(key, b"1").await;
    }
    let mut objects: Vec<_> = keys.iter().map(|key| identifier(key)).collect();
    objects.push(identifier("never-there"));
    objects.push(ObjectIdentifier { version_id: Some("abc".to_owned()), ..identifier("versioned") });
    objects.push(ObjectIdentifier { e_tag: Some("other".to_owned()), ..identifier("guarded") });
    fixture.put("guarded", b"1").await;
    let output = delete_all(&fixture, objects, false).await.unwrap();
    assert_eq!(output.deleted.unwrap().len(), 121);
    let mut errors: Vec<_> =
        output.errors.unwrap().into_iter().map(|error| (error.key.unwrap(), error.code.unwrap())).collect();
    errors.sort();
    let expected = [("guarded", "PreconditionFailed"), ("versioned", "NoSuchVersion")];
    assert_eq!(errors, expected.map(|(key, code)| (key.to_owned(), code.to_owned())));
    for key in &keys {
        assert!(fixture.get_as(get_request(key)).await.is_err(), "{key}");
    }
    let quiet = delete_all(&fixture, vec![identifier("guarded")], true).await.unwrap();
    assert_eq!(quiet, DeleteObjectsOutput::default());
}

#[tokio::test]
async fn lists_of_keys_are_bounded() {
    let fixture = Fixture::with_bucket().await;
    let many = (0..1001).map(|number| identifier(&format!("k{number}"))).collect();
    assert_eq!(code(&delete_all(&fixture, many, false).await.unwrap_err()), "MalformedXML");
    assert_eq!(code(&delete_all(&fixture, Vec::new(), false).await.unwrap_err()), "MalformedXML");
    let nowhere = Fixture::new();
    assert_eq!(code(&delete_all(&nowhere, vec![identifier("k")], false).await.unwrap_err()), "NoSuchBucket");
}
