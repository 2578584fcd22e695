use lambent_api::ApiError;
use lambent_checksums::{Algorithm, Hasher};
use lambent_model_s3::{
    AbortMultipartUploadRequest, ChecksumAlgorithm, ChecksumMode, ChecksumType,
    CompleteMultipartUploadOutput, CompleteMultipartUploadRequest, CompletedMultipartUpload, CompletedPart,
    CreateMultipartUploadRequest, GetObjectRequest, ListMultipartUploadsOutput, ListMultipartUploadsRequest,
    ListPartsRequest, UploadPartCopyRequest, UploadPartOutput, UploadPartRequest,
};

use super::{BUCKET, Fixture, code, get_request, member, pattern, pieces};

pub(super) const PART: usize = 5 * 1024 * 1024;

pub(super) async fn create(fixture: &Fixture, key: &str) -> String {
    create_as(fixture, begin(key)).await.unwrap()
}

pub(super) fn begin(key: &str) -> CreateMultipartUploadRequest {
    CreateMultipartUploadRequest {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        ..CreateMultipartUploadRequest::default()
    }
}

pub(super) async fn create_as(
    fixture: &Fixture,
    input: CreateMultipartUploadRequest,
) -> Result<String, ApiError> {
    let output = fixture.s3.create_multipart_upload(&fixture.call().await, input).await?;
    Ok(output.upload_id.unwrap())
}

fn part(key: &str, id: &str, number: i32) -> UploadPartRequest {
    UploadPartRequest {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        upload_id: id.to_owned(),
        part_number: number,
        ..UploadPartRequest::default()
    }
}

async fn upload(
    fixture: &Fixture,
    input: UploadPartRequest,
    bytes: &[u8],
) -> Result<UploadPartOutput, ApiError> {
    Ok(fixture.s3.upload_part(&fixture.call().await, input, pieces(bytes)).await?)
}

pub(super) fn listed(number: i32, tag: &str) -> CompletedPart {
    CompletedPart { part_number: Some(number), e_tag: Some(tag.to_owned()), ..CompletedPart::default() }
}

pub(super) fn finish(key: &str, id: &str, parts: Vec<CompletedPart>) -> CompleteMultipartUploadRequest {
    CompleteMultipartUploadRequest {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        upload_id: id.to_owned(),
        multipart_upload: Some(CompletedMultipartUpload { parts: Some(parts) }),
        ..CompleteMultipartUploadRequest::default()
    }
}

async fn complete(
    fixture: &Fixture,
    input: CompleteMultipartUploadRequest,
) -> Result<CompleteMultipartUploadOutput, ApiError> {
    Ok(fixture.s3.complete_multipart_upload(&fixture.call().await, input).await?)
}

/// An object of parts with these sizes; the bytes, and the ETags of the parts.
pub(super) async fn object_of(
    fixture: &Fixture,
    key: &str,
    sizes: &[usize],
) -> (Vec<u8>, Vec<CompletedPart>) {
    let bytes = pattern(sizes.iter().sum());
    let id = create(fixture, key).await;
    let mut parts = Vec::new();
    let mut at = 0;
    for (number, size) in (1..).zip(sizes) {
        let output = upload(fixture, part(key, &id, number), &bytes[at..at + size]).await.unwrap();
        parts.push(listed(number, &output.e_tag.unwrap()));
        at += size;
    }
    complete(fixture, finish(key, &id, parts.clone())).await.unwrap();
    (bytes, parts)
}

#[tokio::test]
async fn parts_become_one_object() {
    let fixture = Fixture::with_bucket().await;
    let (bytes, _) = object_of(&fixture, "big", &[PART, PART + 7, 16]).await;
    let whole = GetObjectRequest { checksum_mode: Some(ChecksumMode::Enabled), ..get_request("big") };
    let (got, read) = fixture.get_as(whole).await.unwrap();
    assert!(read == bytes);
    assert!(got.e_tag.unwrap().ends_with("-3\""));
    assert_eq!(got.checksum_crc64_nvme, Some(Hasher::of(Algorithm::Crc64Nvme, &bytes).to_base64()));
    assert_eq!(got.checksum_type, Some(ChecksumType::FullObject));
    let length = bytes.len();
    for (range, expected) in [
        ("bytes=0-9".to_owned(), 0..10),
        (format!("bytes={}-{}", PART - 5, PART + 4), PART - 5..PART + 5),
        (format!("bytes={}-{}", PART, PART), PART..PART + 1),
        (format!("bytes={}-", 2 * PART + 6), 2 * PART + 6..length),
        ("bytes=-17".to_owned(), length - 17..length),
        (format!("bytes=3-{}", length - 2), 3..length - 1),
    ] {
        let input = GetObjectRequest { range: Some(range.clone()), ..get_request("big") };
        assert!(fixture.get_as(input).await.unwrap().1 == bytes[expected], "{range}");
    }
    for (number, expected) in [(1, 0..PART), (2, PART..2 * PART + 7), (3, 2 * PART + 7..length)] {
        let input = GetObjectRequest { part_number: Some(number), ..get_request("big") };
        let (got, read) = fixture.get_as(input).await.unwrap();
        assert!(read == bytes[expected], "{number}");
        assert_eq!(got.parts_count, Some(3));
    }
    let input = GetObjectRequest { part_number: Some(4), ..get_request("big") };
    assert_eq!(member(&fixture.get_as(input).await.unwrap_err(), "ActualPartCount"), Some("3"));
}

#[tokio::test]
async fn readers_finish_what_is_replaced_and_then_it_is_swept() {
    let fixture = Fixture::with_bucket().await;
    let (bytes, _) = object_of(&fixture, "big", &[PART, PART, 1]).await;
    let (_, mut reading) = fixture.s3.get_object(&fixture.call().await, get_request("big")).await.unwrap();
    fixture.put("big", b"small").await;
    assert!(reading.collect(usize::MAX, || unreachable!()).await.unwrap() == bytes);
    assert_eq!(fixture.blob_files(), 3);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn parts_that_completion_leaves_out_are_swept() {
    let fixture = Fixture::with_bucket().await;
    let id = create(&fixture, "many").await;
    let tag = upload(&fixture, part("many", &id, 1), &pattern(PART)).await.unwrap().e_tag.unwrap();
    let mut parts = vec![listed(1, &tag)];
    for number in 2..=150 {
        let copied = UploadPartCopyRequest {
            bucket: BUCKET.to_owned(),
            key: "many".to_owned(),
            upload_id: id.clone(),
            part_number: number,
            copy_source: "photos/tiny".to_owned(),
            ..UploadPartCopyRequest::default()
        };
        if number == 2 {
            fixture.put("tiny", &[9; 3]).await;
        }
        let output = fixture.s3.upload_part_copy(&fixture.call().await, copied).await.unwrap();
        parts.push(listed(number, &output.copy_part_result.unwrap().e_tag.unwrap()));
    }
    let error = complete(&fixture, finish("many", &id, parts.clone())).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "PartNumber")), ("EntityTooSmall", Some("2")));
    assert_eq!(member(&error, "MinSizeAllowed"), Some("5242880"));
    // Two parts are enough for an object; the others are left out and swept.
    let two = vec![parts[0].clone(), parts[149].clone()];
    complete(&fixture, finish("many", &id, two)).await.unwrap();
    let mut expected = pattern(PART);
    expected.extend([9; 3]);
    assert!(fixture.get("many").await == expected);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 2);
    assert!(fixture.get("many").await == expected);
}

#[tokio::test]
async fn an_object_can_have_ten_thousand_parts() {
    let fixture = Fixture::with_bucket().await;
    // The longest checksums make the longest rows.
    let planned =
        CreateMultipartUploadRequest { checksum_algorithm: Some(ChecksumAlgorithm::Sha256), ..begin("k") };
    let id = create_as(&fixture, planned).await.unwrap();
    let one = upload(&fixture, part("k", &id, 1), b"part").await.unwrap();
    let tag = one.e_tag.clone().unwrap();
    // Their bytes would fill the disk, so the rows of the parts are written without any.
    let row = &crate::rows::PartRow {
        size: PART as u64,
        etag: tag.trim_matches('"').to_owned(),
        modified_unix_s: 0,
        checksum: crate::checksums::StoredChecksum::full(&Hasher::of(Algorithm::Sha256, b"part")),
        blob: "0".repeat(32),
    };
    let id_of = id.as_str();
    for first in (1..=10_000).step_by(1000) {
        fixture
            .db
            .run(|txn| async move {
                for number in first..first + 1000 {
                    txn.put(&crate::keys::part(id_of, number), &crate::rows::encode(row)?);
                }
                Ok::<_, crate::errors::S3Error>(())
            })
            .await
            .unwrap();
    }
    let with_checksum =
        |number| CompletedPart { checksum_sha256: one.checksum_sha256.clone(), ..listed(number, &tag) };
    let parts = (1..=10_000).map(with_checksum).collect();
    let done = complete(&fixture, finish("k", &id, parts)).await.unwrap();
    assert!(done.e_tag.unwrap().ends_with("-10000\""));
    let size = 10_000 * PART as u64;
    let head = lambent_model_s3::HeadObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        part_number: Some(10_000),
        ..lambent_model_s3::HeadObjectRequest::default()
    };
    let head = fixture.s3.head_object(&fixture.call().await, head).await.unwrap();
    let expected = format!("bytes {}-{}/{size}", size - PART as u64, size - 1);
    assert_eq!((head.content_range, head.parts_count), (Some(expected), Some(10_000)));
    fixture.put("k", b"small").await;
    fixture.sweep().await;
    let left = crate::keys::spans(id_of).range();
    let left = &left;
    let options = lambent_store::ScanOptions::rows(1);
    let page = fixture.db.read(|txn| async move { txn.scan(left, options).await }).await;
    assert_eq!(page.map_err(|error: lambent_store::StoreError| error.to_string()).unwrap().rows.len(), 0);
}

#[tokio::test]
async fn completion_checks_the_list() {
    let fixture = Fixture::with_bucket().await;
    let id = create(&fixture, "k").await;
    let tag = upload(&fixture, part("k", &id, 1), b"part").await.unwrap().e_tag.unwrap();
    let fail =
        async |parts: Vec<CompletedPart>| complete(&fixture, finish("k", &id, parts)).await.unwrap_err();
    assert_eq!(fail(vec![]).await.message, "You must specify at least one part");
    let error = fail(vec![listed(2, &tag)]).await;
    assert_eq!((code(&error), member(&error, "PartNumber")), ("InvalidPart", Some("2")));
    assert_eq!(member(&error, "ETag"), Some(tag.trim_matches('"')));
    assert_eq!(code(&fail(vec![listed(1, "\"d41d8cd98f00b204e9800998ecf8427e\"")]).await), "InvalidPart");
    let error = fail(vec![listed(2, &tag), listed(1, &tag)]).await;
    assert_eq!((code(&error), member(&error, "UploadId")), ("InvalidPartOrder", Some(id.as_str())));
    assert_eq!(code(&fail(vec![listed(1, &tag), listed(1, &tag)]).await), "InvalidPartOrder");
    assert_eq!(code(&fail(vec![CompletedPart::default()]).await), "MalformedXML");
    let sized = CompleteMultipartUploadRequest {
        mpu_object_size: Some(5),
        ..finish("k", &id, vec![listed(1, &tag)])
    };
    let error = complete(&fixture, sized).await.unwrap_err();
    assert_eq!(
        error.message,
        "The provided 'x-amz-mp-object-size' header value 5 does not match what was computed: 4"
    );
    let done = complete(&fixture, finish("k", &id, vec![listed(1, tag.trim_matches('"'))])).await.unwrap();
    assert_eq!(done.location.as_deref(), Some("http://127.0.0.1:4566/photos/k"));
    // A client that lost the answer asks again; one that asks for something else is told the truth.
    let again = complete(&fixture, finish("k", &id, vec![listed(1, &tag)])).await.unwrap();
    assert_eq!(again, done);
    let other = vec![listed(1, "\"d41d8cd98f00b204e9800998ecf8427e\"")];
    assert_eq!(code(&complete(&fixture, finish("k", &id, other)).await.unwrap_err()), "NoSuchUpload");
    assert_eq!(fixture.get("k").await, "part");
}

#[tokio::test]
async fn uploads_that_are_not_there() {
    let fixture = Fixture::with_bucket().await;
    let id = create(&fixture, "k").await;
    for (key, id) in [("k", "fakeid"), ("other", id.as_str()), ("k", &"x".repeat(5000))] {
        let error = upload(&fixture, part(key, id, 1), b"1").await.unwrap_err();
        assert_eq!((code(&error), error.status), ("NoSuchUpload", 404));
    }
    let nowhere = UploadPartRequest { bucket: "nowhere".to_owned(), ..part("k", &id, 1) };
    assert_eq!(code(&upload(&fixture, nowhere, b"1").await.unwrap_err()), "NoSuchBucket");
    for number in [-1, 0, 10_001] {
        let error = upload(&fixture, part("k", &id, number), b"1").await.unwrap_err();
        assert_eq!(member(&error, "ArgumentValue"), Some(number.to_string().as_str()));
    }
}

#[tokio::test]
async fn aborted_uploads_leave_nothing() {
    let fixture = Fixture::with_bucket().await;
    let id = create(&fixture, "k").await;
    upload(&fixture, part("k", &id, 1), b"one").await.unwrap();
    upload(&fixture, part("k", &id, 1), b"other").await.unwrap();
    upload(&fixture, part("k", &id, 2), b"two").await.unwrap();
    let abort = || AbortMultipartUploadRequest {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        upload_id: id.clone(),
        ..AbortMultipartUploadRequest::default()
    };
    let call = fixture.call().await;
    fixture.s3.abort_multipart_upload(&call, abort()).await.unwrap();
    let error: ApiError = fixture.s3.abort_multipart_upload(&call, abort()).await.unwrap_err().into();
    assert_eq!(code(&error), "NoSuchUpload");
    assert_eq!(fixture.blob_files(), 3);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn checksum_plans() {
    let fixture = Fixture::with_bucket().await;
    let planned = |algorithm: Option<&str>, kind: Option<&str>| CreateMultipartUploadRequest {
        checksum_algorithm: algorithm.map(ChecksumAlgorithm::from),
        checksum_type: kind.map(ChecksumType::from),
        ..begin("k")
    };
    for (algorithm, kind, expected) in [
        (Some("CRC32"), None, Ok(Some("COMPOSITE"))),
        (Some("CRC64NVME"), None, Ok(Some("FULL_OBJECT"))),
        (Some("SHA256"), Some("COMPOSITE"), Ok(Some("COMPOSITE"))),
        (Some("CRC32C"), Some("FULL_OBJECT"), Ok(Some("FULL_OBJECT"))),
        (None, None, Ok(None)),
        (None, Some("COMPOSITE"), Err("The x-amz-checksum-type header can only be used")),
        (
            Some("CRC64NVME"),
            Some("COMPOSITE"),
            Err("The COMPOSITE checksum type cannot be used with the crc64nvme"),
        ),
        (
            Some("SHA1"),
            Some("FULL_OBJECT"),
            Err("The FULL_OBJECT checksum type cannot be used with the sha1"),
        ),
        (Some("XXHASH64"), None, Err("Checksum algorithm provided is unsupported.")),
    ] {
        let made = fixture.s3.create_multipart_upload(&fixture.call().await, planned(algorithm, kind)).await;
        match (made, expected) {
            (Ok(made), Ok(kind)) => {
                assert_eq!(made.checksum_type.map(|kind| kind.as_str().to_owned()).as_deref(), kind);
            }
            (Err(error), Err(message)) => {
                assert!(ApiError::from(error).message.starts_with(message), "{algorithm:?}");
            }
            (made, _) => panic!("{algorithm:?} {kind:?}: {made:?}"),
        }
    }
}

#[tokio::test]
async fn composite_checksums_need_those_of_the_parts() {
    let fixture = Fixture::with_bucket().await;
    let planned =
        CreateMultipartUploadRequest { checksum_algorithm: Some(ChecksumAlgorithm::Crc32c), ..begin("k") };
    let id = create_as(&fixture, planned).await.unwrap();
    let other = UploadPartRequest { checksum_crc32: Some("rfPzYw==".to_owned()), ..part("k", &id, 1) };
    let error = upload(&fixture, other, b"data").await.unwrap_err();
    assert_eq!(
        error.message,
        "Checksum Type mismatch occurred, expected checksum Type: crc32c, actual checksum Type: crc32"
    );
    let output = upload(&fixture, part("k", &id, 1), b"test content 123").await.unwrap();
    assert_eq!(output.checksum_crc32_c.as_deref(), Some("fwuu0Q=="));
    let tag = output.e_tag.unwrap();
    let with = |change: fn(&mut CompletedPart)| {
        let mut one = listed(1, &tag);
        change(&mut one);
        finish("k", &id, vec![one])
    };
    let error = complete(&fixture, with(|_| {})).await.unwrap_err();
    assert!(error.message.starts_with("The upload was created using a crc32c checksum."), "{error}");
    let wrong = with(|one| one.checksum_crc32_c = Some("AAAAAA==".to_owned()));
    assert_eq!(code(&complete(&fixture, wrong).await.unwrap_err()), "InvalidPart");
    let foreign = with(|one| one.checksum_sha256 = Some("AAAAAA==".to_owned()));
    let error = complete(&fixture, foreign).await.unwrap_err();
    assert_eq!(error.message, "The sha256 you specified for part 1 did not match what we received.");
    let right = || with(|one| one.checksum_crc32_c = Some("fwuu0Q==".to_owned()));
    let typed = CompleteMultipartUploadRequest { checksum_type: Some(ChecksumType::FullObject), ..right() };
    let error = complete(&fixture, typed).await.unwrap_err();
    assert!(error.message.starts_with("The upload was created using the COMPOSITE checksum mode."));
    let whole = CompleteMultipartUploadRequest { checksum_crc32_c: Some("AAAAAA==-1".to_owned()), ..right() };
    let error = complete(&fixture, whole).await.unwrap_err();
    assert_eq!(error.message, "The crc32c you specified did not match the calculated checksum.");
    let done = complete(&fixture, right()).await.unwrap();
    assert_eq!(done.checksum_crc32_c.as_deref(), Some("sZB91Q==-1"));
    assert_eq!(done.e_tag.as_deref(), Some("\"b972025bc34adf8d76d6d51e93c035cc-1\""));
    let input = GetObjectRequest {
        part_number: Some(1),
        checksum_mode: Some(ChecksumMode::Enabled),
        ..get_request("k")
    };
    let (got, _) = fixture.get_as(input).await.unwrap();
    assert_eq!(
        (got.checksum_crc32_c.as_deref(), got.checksum_type),
        (Some("fwuu0Q=="), Some(ChecksumType::Composite))
    );
}

#[tokio::test]
async fn conditions_see_what_happened_meanwhile() {
    let fixture = Fixture::with_bucket().await;
    let absent = |id: &str, tag: &str| CompleteMultipartUploadRequest {
        if_none_match: Some("*".to_owned()),
        ..finish("k", id, vec![listed(1, tag)])
    };
    fixture.put("k", b"before").await;
    let id = create(&fixture, "k").await;
    let tag = upload(&fixture, part("k", &id, 1), b"1").await.unwrap().e_tag.unwrap();
    assert_eq!(code(&complete(&fixture, absent(&id, &tag)).await.unwrap_err()), "PreconditionFailed");
    let doomed = lambent_model_s3::DeleteObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        ..lambent_model_s3::DeleteObjectRequest::default()
    };
    fixture.s3.delete_object(&fixture.call().await, doomed).await.unwrap();
    let error = complete(&fixture, absent(&id, &tag)).await.unwrap_err();
    assert_eq!((code(&error), error.status), ("ConditionalRequestConflict", 409));
    let id = create(&fixture, "k").await;
    upload(&fixture, part("k", &id, 1), b"1").await.unwrap();
    complete(&fixture, absent(&id, &tag)).await.unwrap();
}

async fn uploads(fixture: &Fixture, input: ListMultipartUploadsRequest) -> ListMultipartUploadsOutput {
    let input = ListMultipartUploadsRequest { bucket: BUCKET.to_owned(), ..input };
    fixture.s3.list_multipart_uploads(&fixture.call().await, input).await.unwrap()
}

#[tokio::test]
async fn uploads_are_listed_by_key_and_age() {
    let fixture = Fixture::with_bucket().await;
    let mut expected = Vec::new();
    for key in ["b", "a", "dir/x", "a"] {
        fixture.hand.advance(std::time::Duration::from_secs(1));
        expected.push((key.to_owned(), create(&fixture, key).await));
    }
    expected.sort_by(|one, two| one.0.cmp(&two.0));
    let mut seen = Vec::new();
    let mut input =
        ListMultipartUploadsRequest { max_uploads: Some(1), ..ListMultipartUploadsRequest::default() };
    loop {
        let page = uploads(&fixture, input.clone()).await;
        seen.extend(
            page.uploads.unwrap().into_iter().map(|upload| (upload.key.unwrap(), upload.upload_id.unwrap())),
        );
        if page.is_truncated != Some(true) {
            break;
        }
        input.key_marker = page.next_key_marker;
        input.upload_id_marker = page.next_upload_id_marker;
    }
    assert_eq!(seen, expected);
    let page = uploads(
        &fixture,
        ListMultipartUploadsRequest {
            delimiter: Some("/".to_owned()),
            ..ListMultipartUploadsRequest::default()
        },
    )
    .await;
    assert_eq!(page.common_prefixes.unwrap()[0].prefix.as_deref(), Some("dir/"));
    assert_eq!(page.uploads.unwrap().len(), 3);
    let foreign = ListMultipartUploadsRequest {
        bucket: BUCKET.to_owned(),
        key_marker: Some("b".to_owned()),
        upload_id_marker: Some(expected[0].1.clone()),
        ..ListMultipartUploadsRequest::default()
    };
    let error: ApiError =
        fixture.s3.list_multipart_uploads(&fixture.call().await, foreign).await.unwrap_err().into();
    assert_eq!(error.message, "Invalid uploadId marker");
}

#[tokio::test]
async fn parts_are_listed_in_pages() {
    let fixture = Fixture::with_bucket().await;
    let id = create(&fixture, "k").await;
    let list = async |marker: Option<i32>, max: Option<i32>| {
        let input = ListPartsRequest {
            bucket: BUCKET.to_owned(),
            key: "k".to_owned(),
            upload_id: id.clone(),
            part_number_marker: marker,
            max_parts: max,
            ..ListPartsRequest::default()
        };
        fixture.s3.list_parts(&fixture.call().await, input).await.unwrap()
    };
    let empty = list(None, None).await;
    assert_eq!((empty.parts, empty.next_part_number_marker), (None, Some(0)));
    for number in [3, 1, 10_000] {
        upload(&fixture, part("k", &id, number), b"data").await.unwrap();
    }
    let first = list(None, Some(2)).await;
    let numbers = |parts: Option<Vec<lambent_model_s3::Part>>| -> Vec<i32> {
        parts.unwrap().iter().filter_map(|part| part.part_number).collect()
    };
    assert_eq!((first.is_truncated, first.next_part_number_marker), (Some(true), Some(3)));
    assert_eq!(numbers(first.parts), [1, 3]);
    let last = list(Some(3), Some(2)).await;
    assert_eq!((numbers(last.parts), last.is_truncated), (vec![10_000], Some(false)));
    assert_eq!(list(Some(10_000), None).await.parts, None);
}

#[tokio::test]
async fn part_copies_take_ranges() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("source", b"0123456789").await;
    let id = create(&fixture, "k").await;
    let copied = |range: Option<&str>| UploadPartCopyRequest {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        upload_id: id.clone(),
        part_number: 1,
        copy_source: "photos/source".to_owned(),
        copy_source_range: range.map(str::to_owned),
        ..UploadPartCopyRequest::default()
    };
    let call = fixture.call().await;
    let output = fixture.s3.upload_part_copy(&call, copied(Some("bytes=0-8"))).await.unwrap();
    let result = output.copy_part_result.unwrap();
    assert_eq!(result.e_tag.as_deref(), Some("\"22975d8a5ed1b91445f6c55ac121505b\""));
    let error: ApiError = fixture.s3.upload_part_copy(&call, copied(Some("0-8"))).await.unwrap_err().into();
    assert_eq!(member(&error, "ArgumentName"), Some("x-amz-copy-source-range"));
    complete(&fixture, finish("k", &id, vec![listed(1, &result.e_tag.unwrap())])).await.unwrap();
    assert_eq!(fixture.get("k").await, "012345678");
}

#[tokio::test]
async fn a_copy_of_a_multipart_object_is_in_one_piece() {
    let fixture = Fixture::with_bucket().await;
    let (bytes, _) = object_of(&fixture, "big", &[PART, 100]).await;
    let input = lambent_model_s3::CopyObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "copy".to_owned(),
        copy_source: "photos/big".to_owned(),
        ..lambent_model_s3::CopyObjectRequest::default()
    };
    let copied =
        fixture.s3.copy_object(&fixture.call().await, input).await.unwrap().copy_object_result.unwrap();
    assert_eq!(copied.e_tag, Some(format!("\"{}\"", Hasher::of(Algorithm::Md5, &bytes).to_hex())));
    assert_eq!(copied.checksum_crc64_nvme, Some(Hasher::of(Algorithm::Crc64Nvme, &bytes).to_base64()));
    assert!(fixture.get("copy").await == bytes);
}

#[tokio::test]
async fn a_deleted_bucket_takes_its_uploads_with_it() {
    let fixture = Fixture::with_bucket().await;
    let id = create(&fixture, "k").await;
    upload(&fixture, part("k", &id, 1), b"1").await.unwrap();
    let input =
        lambent_model_s3::DeleteBucketRequest { bucket: BUCKET.to_owned(), expected_bucket_owner: None };
    fixture.s3.delete_bucket(&fixture.call().await, input).await.unwrap();
    fixture.create_bucket(BUCKET).await.unwrap();
    assert_eq!(code(&upload(&fixture, part("k", &id, 1), b"1").await.unwrap_err()), "NoSuchUpload");
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}
