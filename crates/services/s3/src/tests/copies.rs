use lambent_api::{ApiError, Body, Incoming, Signature};
use lambent_checksums::{Algorithm, Hasher};
use lambent_model_s3::{
    ChecksumAlgorithm, CopyObjectOutput, CopyObjectRequest, MetadataDirective, PutObjectRequest, StorageClass,
};
use lambent_wire::{Routed, Router};
use serde_json::json;

use super::{BUCKET, Fixture, code, get_request, member, pattern, put_request};
use crate::service::service;

fn request(from: &str, to: &str) -> CopyObjectRequest {
    CopyObjectRequest {
        bucket: BUCKET.to_owned(),
        key: to.to_owned(),
        copy_source: from.to_owned(),
        ..CopyObjectRequest::default()
    }
}

async fn copy(fixture: &Fixture, input: CopyObjectRequest) -> Result<CopyObjectOutput, ApiError> {
    Ok(fixture.s3.copy_object(&fixture.call().await, input).await?)
}

#[tokio::test]
async fn copies_share_their_bytes_until_the_last_is_gone() {
    let fixture = Fixture::with_bucket().await;
    let bytes = pattern(100_000);
    let tag = fixture.put("a b", &bytes).await.e_tag;
    let copied = copy(&fixture, request("photos/a%20b", "c")).await.unwrap().copy_object_result.unwrap();
    assert_eq!(copied.e_tag, tag);
    assert!(copied.checksum_crc64_nvme.is_some());
    assert_eq!(fixture.blob_files(), 1);
    fixture.put("a b", b"replaced").await;
    fixture.sweep().await;
    assert!(fixture.get("c").await == bytes);
    fixture.put("c", b"replaced").await;
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn another_algorithm_is_computed_anew() {
    let fixture = Fixture::with_bucket().await;
    for length in [10, 100_000] {
        let bytes = pattern(length);
        fixture.put("a", &bytes).await;
        let input = CopyObjectRequest {
            checksum_algorithm: Some(ChecksumAlgorithm::Sha256),
            ..request("photos/a", "b")
        };
        let copied = copy(&fixture, input).await.unwrap().copy_object_result.unwrap();
        assert_eq!(copied.checksum_sha256, Some(Hasher::of(Algorithm::Sha256, &bytes).to_base64()));
        assert_eq!(copied.checksum_crc64_nvme, None);
        assert!(fixture.get("b").await == bytes);
        // The copy of the copy keeps its algorithm.
        let again = copy(&fixture, request("photos/b", "c")).await.unwrap().copy_object_result.unwrap();
        assert_eq!(again.checksum_sha256, copied.checksum_sha256);
    }
}

#[tokio::test]
async fn metadata_is_copied_or_replaced() {
    let fixture = Fixture::with_bucket().await;
    let original = PutObjectRequest {
        content_type: Some("application/json".to_owned()),
        metadata: Some([("key".to_owned(), "value".to_owned())].into()),
        storage_class: Some(StorageClass::StandardIa),
        ..put_request("a")
    };
    fixture.put_as(original, b"{}").await.unwrap();
    let renamed = |directive: Option<MetadataDirective>| CopyObjectRequest {
        content_type: Some("image/jpg".to_owned()),
        metadata: Some([("another".to_owned(), "value".to_owned())].into()),
        metadata_directive: directive,
        ..request("photos/a", "b")
    };
    copy(&fixture, renamed(Some(MetadataDirective::Replace))).await.unwrap();
    let (got, _) = fixture.get_as(get_request("b")).await.unwrap();
    assert_eq!((got.content_type.as_deref(), got.metadata.unwrap().len()), (Some("image/jpg"), 1));
    copy(&fixture, renamed(None)).await.unwrap();
    let (got, _) = fixture.get_as(get_request("b")).await.unwrap();
    assert_eq!(got.content_type.as_deref(), Some("application/json"));
    assert_eq!(got.metadata.unwrap()["key"], "value");
    assert_eq!(got.storage_class, None);
}

#[tokio::test]
async fn a_copy_onto_itself_must_change_something() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a", &pattern(50_000)).await;
    let error = copy(&fixture, request("photos/a", "a")).await.unwrap_err();
    assert!(error.message.starts_with("This copy request is illegal"));
    let input = CopyObjectRequest { storage_class: Some(StorageClass::Standard), ..request("photos/a", "a") };
    copy(&fixture, input).await.unwrap();
    fixture.sweep().await;
    assert!(fixture.get("a").await == pattern(50_000));
    assert_eq!(fixture.blob_files(), 1);
}

#[tokio::test]
async fn conditions_hold_for_source_and_target() {
    let fixture = Fixture::with_bucket().await;
    let tag = fixture.put("a", b"data").await.e_tag.unwrap();
    fixture.put("b", b"there").await;
    let input =
        CopyObjectRequest { copy_source_if_none_match: Some(tag.clone()), ..request("photos/a", "c") };
    let error = copy(&fixture, input).await.unwrap_err();
    assert_eq!(member(&error, "Condition"), Some("x-amz-copy-source-If-None-Match"));
    let input = CopyObjectRequest { if_none_match: Some("*".to_owned()), ..request("photos/a", "b") };
    assert_eq!(code(&copy(&fixture, input).await.unwrap_err()), "PreconditionFailed");
    let input = CopyObjectRequest { copy_source_if_match: Some(tag), ..request("photos/a", "c") };
    copy(&fixture, input).await.unwrap();
    assert_eq!(fixture.get("c").await, "data");
    let error = copy(&fixture, request("photos/none", "c")).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "Key")), ("NoSuchKey", Some("none")));
    assert_eq!(code(&copy(&fixture, request("nowhere/a", "c")).await.unwrap_err()), "NoSuchBucket");
    assert_eq!(code(&copy(&fixture, request("no-slash", "c")).await.unwrap_err()), "InvalidArgument");
}

#[tokio::test]
async fn a_policy_on_how_requests_are_signed_holds_for_the_source_too() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a", b"data").await;
    let statements = |denied: &str| {
        json!([
            { "Effect": "Allow", "Action": "s3:*", "Resource": "*" },
            { "Effect": "Deny", "Action": denied, "Resource": "*",
                "Condition": { "StringEquals": { "s3:authType": "REST-QUERY-STRING" } } },
        ])
    };
    let service = service(fixture.parts.clone());
    let router = Router::new(service.info);
    for (denied, is_allowed) in [("s3:ListBucket", true), ("s3:GetObject", false), ("s3:PutObject", false)] {
        let caller = fixture.role(statements(denied)).await;
        let mut context = fixture.call().await.context;
        context.client.signature = Some(Signature {
            version: "AWS4-HMAC-SHA256",
            is_presigned: true,
            signed_ms: None,
            content_sha256: None,
        });
        let request =
            http::Request::put("/photos/b").header("x-amz-copy-source", "photos/a").body(()).unwrap();
        let (parts, ()) = request.into_parts();
        let Routed::Operation(operation, labels) =
            router.route(&parts.method, parts.uri.path(), "", &parts.headers)
        else {
            panic!("it is an operation")
        };
        assert_eq!(operation.name, "CopyObject");
        let incoming = Incoming {
            protocol: lambent_wire::choose(service.info, &parts.headers),
            service: service.info,
            parts,
            labels,
            body: Body::empty(),
            context,
            caller,
            identity: fixture.parts.identity.clone(),
        };
        let copied = service.route("CopyObject").unwrap().run(incoming).await;
        assert_eq!(copied.is_ok(), is_allowed, "{denied}: {:?}", copied.err());
    }
}
