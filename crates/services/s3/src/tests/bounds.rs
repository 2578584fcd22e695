//! Every limit from both sides, as far as a test can get there.

use bytes::Bytes;
use lambent_api::ApiError;
use lambent_checksums::{Algorithm, Hasher};
use lambent_model_s3::{
    ChecksumAlgorithm, CompletedPart, CopyObjectRequest, CreateBucketRequest, CreateMultipartUploadRequest,
    Delete, DeleteObjectsRequest, LambdaFunctionConfiguration, ListBucketsRequest,
    ListMultipartUploadsRequest, ListObjectsRequest, ListObjectsV2Request, ListPartsRequest,
    ObjectIdentifier, PutObjectRequest, UploadPartCopyRequest,
};
use lambent_store::StoreError;

use super::multipart::{begin, create, create_as, finish, listed};
use super::notifications::{rule, rules, set};
use super::{ACCOUNT, BUCKET, Fixture, code, member, pattern, put_request};
use crate::checksums::StoredChecksum;
use crate::rows::{self, BucketRow, Data, ObjectRow, PartRow};
use crate::{keys, limits};

/// Writes rows past the service.
async fn store(fixture: &Fixture, rows: Vec<(Bytes, Vec<u8>)>) {
    let rows = &rows;
    let put = fixture.db.run(|txn| async move {
        rows.iter().for_each(|(key, row)| txn.put(key, row));
        Ok::<_, StoreError>(())
    });
    put.await.unwrap();
}

#[tokio::test]
async fn the_largest_row_fits_the_store() {
    let fixture = Fixture::with_bucket().await;
    // Quotes take two bytes each in the row.
    let filled = |bytes: usize| Some("\"".repeat(bytes));
    let input = |headers: usize| PutObjectRequest {
        content_disposition: filled(headers),
        metadata: Some([("k".to_owned(), "\"".repeat(limits::USER_METADATA_MAX_BYTES - 1))].into()),
        ..put_request(&"k".repeat(limits::KEY_MAX_BYTES))
    };
    let body = pattern(usize::try_from(limits::INLINE_MAX_BYTES).unwrap());
    fixture.put_as(input(limits::CONTENT_HEADERS_MAX_BYTES), &body).await.unwrap();
    assert_eq!(fixture.blob_files(), 0);
    let error = fixture.put_as(input(limits::CONTENT_HEADERS_MAX_BYTES + 1), &body).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "MaxSizeAllowed")), ("MetadataTooLarge", Some("8192")));
}

#[tokio::test]
async fn an_account_has_ten_thousand_buckets() {
    let fixture = Fixture::new();
    let row = BucketRow {
        owner: ACCOUNT.to_owned(),
        region: "us-east-1".to_owned(),
        location_constraint: None,
        created_unix_ms: 0,
        notifies: false,
    };
    let row = rows::encode(&row).unwrap();
    let name = |number: usize| format!("bucket-{number}");
    let owned = |number: usize| (keys::owned_bucket(ACCOUNT, &name(number)).into_bytes(), row.clone());
    store(&fixture, (1..limits::BUCKETS_MAX).map(owned).collect()).await;
    fixture.create_bucket("the-last").await.unwrap();
    let one_more = CreateBucketRequest { bucket: "one-more".to_owned(), ..CreateBucketRequest::default() };
    let error: ApiError = fixture.s3.create_bucket(&fixture.call().await, one_more).await.unwrap_err().into();
    assert_eq!(code(&error), "TooManyBuckets");
    fixture.create_bucket("the-last").await.unwrap();
}

#[tokio::test]
async fn a_copy_moves_five_gibibytes_at_most() {
    let fixture = Fixture::with_bucket().await;
    let object = |size: u64| ObjectRow {
        owner: ACCOUNT.to_owned(),
        size,
        etag: "8d777f385d3dfec8815d20f7496026dc".to_owned(),
        modified_unix_s: 0,
        sequencer: 1,
        checksum: Some(StoredChecksum::full(&Hasher::of(Algorithm::Crc64Nvme, b""))),
        metadata: rows::Metadata::default(),
        data: Data::Blob("00".repeat(16)),
        inline: Bytes::new(),
    };
    let huge = object(limits::SINGLE_PUT_MAX_BYTES + 1).encode().unwrap();
    let just = object(limits::SINGLE_PUT_MAX_BYTES).encode().unwrap();
    let key = |name: &str| keys::object(BUCKET, name).into_bytes();
    store(&fixture, vec![(key("huge"), huge), (key("just"), just)]).await;
    let copy = |source: &str| CopyObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "copy".to_owned(),
        copy_source: format!("{BUCKET}/{source}"),
        ..CopyObjectRequest::default()
    };
    let call = &fixture.call().await;
    // Such a copy shares the source's blob, which need not be there to see that its size is allowed.
    fixture.s3.copy_object(call, copy("just")).await.unwrap();
    let error: ApiError = fixture.s3.copy_object(call, copy("huge")).await.unwrap_err().into();
    let message =
        "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120";
    assert_eq!((code(&error), error.message.as_str()), ("InvalidRequest", message));
    let part = UploadPartCopyRequest {
        bucket: BUCKET.to_owned(),
        key: "parts".to_owned(),
        upload_id: create(&fixture, "parts").await,
        part_number: 1,
        copy_source: format!("{BUCKET}/huge"),
        ..UploadPartCopyRequest::default()
    };
    let error: ApiError = fixture.s3.upload_part_copy(call, part).await.unwrap_err().into();
    assert_eq!((code(&error), error.message.as_str()), ("InvalidRequest", message));
}

#[tokio::test]
async fn an_object_has_fifty_terabytes_at_most() {
    let fixture = Fixture::with_bucket().await;
    // Hashes of parts are hashed in no time; it is the sizes that count here.
    let planned =
        CreateMultipartUploadRequest { checksum_algorithm: Some(ChecksumAlgorithm::Sha1), ..begin("vast") };
    let id = create_as(&fixture, planned).await.unwrap();
    let sum = Hasher::of(Algorithm::Sha1, b"part");
    let tag = "8d777f385d3dfec8815d20f7496026dc";
    let part = |number: i32| {
        let row = PartRow {
            size: limits::SINGLE_PUT_MAX_BYTES,
            etag: tag.to_owned(),
            modified_unix_s: 0,
            checksum: StoredChecksum::full(&sum),
            blob: "00".repeat(16),
        };
        (keys::part(&id, number).into_bytes(), rows::encode(&row).unwrap())
    };
    let too_many = i32::try_from(limits::OBJECT_MAX_BYTES / limits::SINGLE_PUT_MAX_BYTES).unwrap() + 1;
    store(&fixture, (1..=too_many).map(part).collect()).await;
    let complete = |count: i32| {
        let with_sum = |number| CompletedPart { checksum_sha1: Some(sum.to_base64()), ..listed(number, tag) };
        let parts = (1..=count).map(with_sum).collect();
        let input = finish("vast", &id, parts);
        async {
            fixture.s3.complete_multipart_upload(&fixture.call().await, input).await.map_err(ApiError::from)
        }
    };
    assert_eq!(code(&complete(too_many).await.unwrap_err()), "EntityTooLarge");
    assert_eq!(code(&complete(limits::PART_NUMBER_MAX + 1).await.unwrap_err()), "MalformedXML");
    complete(too_many - 1).await.unwrap();
}

#[tokio::test]
async fn pages_have_a_size_that_makes_sense() {
    let fixture = Fixture::with_bucket().await;
    let (s3, call, bucket) = (&fixture.s3, &fixture.call().await, BUCKET.to_owned());
    let v1 =
        ListObjectsRequest { bucket: bucket.clone(), max_keys: Some(-1), ..ListObjectsRequest::default() };
    let v2 = ListObjectsV2Request {
        bucket: bucket.clone(),
        max_keys: Some(-1),
        ..ListObjectsV2Request::default()
    };
    let uploads = ListMultipartUploadsRequest {
        bucket: bucket.clone(),
        max_uploads: Some(-1),
        ..ListMultipartUploadsRequest::default()
    };
    let parts = ListPartsRequest {
        bucket,
        key: "k".to_owned(),
        upload_id: create(&fixture, "k").await,
        max_parts: Some(-1),
        ..ListPartsRequest::default()
    };
    let buckets = |max| ListBucketsRequest { max_buckets: Some(max), ..ListBucketsRequest::default() };
    let errors = [
        (s3.list_objects(call, v1).await.map(drop), "max-keys"),
        (s3.list_objects_v2(call, v2).await.map(drop), "max-keys"),
        (s3.list_multipart_uploads(call, uploads).await.map(drop), "max-uploads"),
        (s3.list_parts(call, parts).await.map(drop), "max-parts"),
        (s3.list_buckets(call, buckets(0)).await.map(drop), "max-buckets"),
        (s3.list_buckets(call, buckets(10_001)).await.map(drop), "max-buckets"),
    ];
    for (result, argument) in errors {
        let error: ApiError = result.unwrap_err().into();
        assert_eq!((code(&error), member(&error, "ArgumentName")), ("InvalidArgument", Some(argument)));
    }
    s3.list_buckets(call, buckets(10_000)).await.unwrap();
}

#[tokio::test]
async fn notifications_have_a_hundred_rules() {
    let fixture = Fixture::with_bucket().await;
    let many = |count: usize| -> Vec<LambdaFunctionConfiguration> {
        let one = |number| {
            rule(&format!("rule-{number}"), &["s3:ObjectCreated:*"], Some(&format!("prefix-{number}/")))
        };
        (0..count).map(one).collect()
    };
    set(&fixture, rules(many(limits::NOTIFICATION_RULES_MAX)), true).await.unwrap();
    let error = set(&fixture, rules(many(limits::NOTIFICATION_RULES_MAX + 1)), true).await.unwrap_err();
    assert_eq!(code(&error), "MalformedXML");
    let named = |chars: usize| rules(vec![rule(&"é".repeat(chars), &["s3:ObjectCreated:*"], None)]);
    set(&fixture, named(limits::NOTIFICATION_ID_MAX_CHARS), true).await.unwrap();
    let error = set(&fixture, named(limits::NOTIFICATION_ID_MAX_CHARS + 1), true).await.unwrap_err();
    assert_eq!(code(&error), "MalformedXML");
}

#[tokio::test]
async fn a_list_of_deletions_names_keys() {
    let fixture = Fixture::with_bucket().await;
    let objects = ["", &"k".repeat(limits::KEY_MAX_BYTES + 1), "fine"]
        .map(|key| ObjectIdentifier { key: key.to_owned(), ..ObjectIdentifier::default() });
    let input = DeleteObjectsRequest {
        bucket: BUCKET.to_owned(),
        delete: Delete { objects: objects.to_vec(), quiet: None },
        ..DeleteObjectsRequest::default()
    };
    let (call, decisions) = fixture.call_to_delete(&input).await.unwrap();
    let output = fixture.s3.delete_objects(&call, input, decisions).await.unwrap();
    let codes: Vec<_> = output.errors.into_iter().flatten().map(|error| error.code.unwrap()).collect();
    assert_eq!(codes, ["UserKeyMustBeSpecified", "KeyTooLongError"]);
    assert_eq!(output.deleted.unwrap()[0].key.as_deref(), Some("fine"));
}
