use lambent_model_s3::{ChecksumMode, GetObjectRequest, HeadObjectRequest};
use lambent_wire::Timestamp;

use super::{BUCKET, Fixture, code, get_request, member, pattern};

#[tokio::test]
async fn ranges_of_rows_and_blobs() {
    let fixture = Fixture::with_bucket().await;
    for length in [1000usize, 600_000] {
        let bytes = pattern(length);
        let key = format!("k{length}");
        fixture.put(&key, &bytes).await;
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=10-19", 10..20),
            ("bytes=999-", 999..length),
            ("bytes=-1", length - 1..length),
            ("bytes=500-100000000", 500..length),
        ] {
            let input = GetObjectRequest { range: Some(range.to_owned()), ..get_request(&key) };
            let (got, read) = fixture.get_as(input).await.unwrap();
            assert!(read == bytes[expected.clone()], "{range}");
            let shown = format!("bytes {}-{}/{length}", expected.start, expected.end - 1);
            assert_eq!(got.content_range, Some(shown), "{range}");
        }
        let input = GetObjectRequest { range: Some("bytes=x-y".to_owned()), ..get_request(&key) };
        let (got, read) = fixture.get_as(input).await.unwrap();
        assert!(read == bytes && got.content_range.is_none());
        let input = GetObjectRequest { range: Some("bytes=9999999-".to_owned()), ..get_request(&key) };
        let error = fixture.get_as(input).await.unwrap_err();
        assert_eq!((code(&error), error.status), ("InvalidRange", 416));
        assert_eq!(member(&error, "ActualObjectSize"), Some(length.to_string().as_str()));
    }
}

#[tokio::test]
async fn checksums_are_shown_on_demand_and_only_for_all_bytes() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", b"0123456789").await;
    let ask = |range: Option<&str>, mode: Option<ChecksumMode>| GetObjectRequest {
        range: range.map(str::to_owned),
        checksum_mode: mode,
        ..get_request("k")
    };
    for (range, shown) in
        [(None, true), (Some("bytes=0-100"), true), (Some("bytes=-15"), true), (Some("bytes=0-8"), false)]
    {
        let (got, _) = fixture.get_as(ask(range, Some(ChecksumMode::Enabled))).await.unwrap();
        assert_eq!(
            (got.checksum_crc64_nvme.is_some(), got.checksum_type.is_some()),
            (shown, shown),
            "{range:?}"
        );
    }
    let (got, _) = fixture.get_as(ask(None, None)).await.unwrap();
    assert_eq!((got.checksum_crc64_nvme, got.checksum_type), (None, None));
}

#[tokio::test]
async fn objects_in_one_piece_have_one_part() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", b"test-123").await;
    fixture.put("empty", b"").await;
    let part = |number: i32| GetObjectRequest { part_number: Some(number), ..get_request("k") };
    let (got, read) = fixture.get_as(part(1)).await.unwrap();
    assert_eq!((got.content_range.as_deref(), got.parts_count), (Some("bytes 0-7/8"), None));
    assert_eq!(read, "test-123");
    let error = fixture.get_as(part(2)).await.unwrap_err();
    assert_eq!((code(&error), error.status), ("InvalidPartNumber", 416));
    assert_eq!(member(&error, "ActualPartCount"), Some("1"));
    assert_eq!(code(&fixture.get_as(part(0)).await.unwrap_err()), "InvalidArgument");
    let both = GetObjectRequest { range: Some("bytes=0-1".to_owned()), ..part(1) };
    assert_eq!(code(&fixture.get_as(both).await.unwrap_err()), "InvalidRequest");
    let empty = GetObjectRequest { part_number: Some(1), ..get_request("empty") };
    assert_eq!(fixture.get_as(empty).await.unwrap().0.content_range, None);
}

#[tokio::test]
async fn conditions_of_reads() {
    let fixture = Fixture::with_bucket().await;
    let tag = fixture.put("k", b"data").await.e_tag.unwrap();
    let error = fixture
        .get_as(GetObjectRequest { if_none_match: Some(tag.clone()), ..get_request("k") })
        .await
        .unwrap_err();
    assert_eq!((code(&error), error.status), ("NotModified", 304));
    assert!(error.headers.contains(&("etag", tag.clone())));
    assert!(error.headers.iter().any(|(name, _)| *name == "last-modified"));
    let error = fixture
        .get_as(GetObjectRequest { if_match: Some("\"other\"".to_owned()), ..get_request("k") })
        .await
        .unwrap_err();
    assert_eq!((code(&error), member(&error, "Condition")), ("PreconditionFailed", Some("If-Match")));
    let since = Timestamp::from_ms(fixture.clock.unix_ms());
    let head = HeadObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        if_modified_since: Some(since),
        ..HeadObjectRequest::default()
    };
    let error: lambent_api::ApiError =
        fixture.s3.head_object(&fixture.call().await, head).await.unwrap_err().into();
    assert_eq!(error.status, 304);
}

#[tokio::test]
async fn missing_things_are_told_apart() {
    let fixture = Fixture::with_bucket().await;
    let error = fixture.get_as(get_request("none")).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "Key"), error.status), ("NoSuchKey", Some("none"), 404));
    let elsewhere = GetObjectRequest { bucket: "nowhere".to_owned(), ..get_request("none") };
    let error = fixture.get_as(elsewhere).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "BucketName")), ("NoSuchBucket", Some("nowhere")));
    let endless = GetObjectRequest { bucket: "b".repeat(9000), ..get_request("none") };
    assert_eq!(code(&fixture.get_as(endless).await.unwrap_err()), "InvalidBucketName");
    let endless = get_request(&"k".repeat(9000));
    assert_eq!(code(&fixture.get_as(endless).await.unwrap_err()), "KeyTooLongError");
    fixture.put("k", b"1").await;
    let version = |id: &str| GetObjectRequest { version_id: Some(id.to_owned()), ..get_request("k") };
    assert!(fixture.get_as(version("null")).await.is_ok());
    let error = fixture.get_as(version("HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD")).await.unwrap_err();
    assert_eq!(member(&error, "ArgumentName"), Some("versionId"));
}

#[tokio::test]
async fn answers_can_be_asked_to_say_otherwise() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", b"something").await;
    let input = GetObjectRequest {
        response_content_type: Some("image/jpeg".to_owned()),
        response_content_disposition: Some("attachment; filename=\"foo.jpg\"".to_owned()),
        response_cache_control: Some("max-age=74".to_owned()),
        response_expires: Timestamp::parse("Wed, 21 Oct 2015 07:28:00 GMT"),
        ..get_request("k")
    };
    let (got, _) = fixture.get_as(input).await.unwrap();
    assert_eq!(got.content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(got.content_disposition.as_deref(), Some("attachment; filename=\"foo.jpg\""));
    assert_eq!(got.cache_control.as_deref(), Some("max-age=74"));
    assert_eq!(got.expires.as_deref(), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
}
