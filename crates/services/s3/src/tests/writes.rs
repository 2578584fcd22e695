use lambent_checksums::{Algorithm, Hasher};
use lambent_model_s3::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, PutObjectRequest, ServerSideEncryption,
};

use super::{Fixture, code, get_request, member, pattern, pieces, put_request, streamed};
use crate::limits::INLINE_MAX_BYTES;

const INLINE: usize = INLINE_MAX_BYTES as usize;

#[tokio::test]
async fn bodies_of_every_size_come_back() {
    let fixture = Fixture::with_bucket().await;
    for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 700_000] {
        let bytes = pattern(length);
        let key = format!("k{length}");
        let put = fixture.put(&key, &bytes).await;
        let md5 = Hasher::of(Algorithm::Md5, &bytes).to_hex();
        assert_eq!(put.e_tag, Some(format!("\"{md5}\"")));
        let crc = Hasher::of(Algorithm::Crc64Nvme, &bytes).to_base64();
        assert_eq!((put.checksum_crc64_nvme, put.checksum_type), (Some(crc), Some(ChecksumType::FullObject)));
        assert!(fixture.get(&key).await == bytes, "{length}");
    }
    assert_eq!(fixture.blob_files(), 2);
}

#[tokio::test]
async fn what_is_said_of_an_object_is_kept() {
    let fixture = Fixture::with_bucket().await;
    let input = PutObjectRequest {
        content_type: Some("image/jpeg".to_owned()),
        cache_control: Some("max-age=60".to_owned()),
        content_disposition: Some("inline".to_owned()),
        content_encoding: Some("aws-chunked,gzip".to_owned()),
        content_language: Some("de".to_owned()),
        expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
        storage_class: Some(lambent_model_s3::StorageClass::StandardIa),
        metadata: Some([("camera".to_owned(), "X100".to_owned())].into()),
        ..put_request("a.jpg")
    };
    fixture.put_as(input, b"1").await.unwrap();
    let (got, _) = fixture.get_as(get_request("a.jpg")).await.unwrap();
    assert_eq!(got.content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(got.cache_control.as_deref(), Some("max-age=60"));
    assert_eq!(got.content_disposition.as_deref(), Some("inline"));
    assert_eq!(got.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(got.content_language.as_deref(), Some("de"));
    assert_eq!(got.expires.as_deref(), Some("Wed, 21 Oct 2026 07:28:00 GMT"));
    assert_eq!(got.storage_class.unwrap().as_str(), "STANDARD_IA");
    assert_eq!(got.metadata.unwrap()["camera"], "X100");
    fixture.put("plain", b"1").await;
    let (got, _) = fixture.get_as(get_request("plain")).await.unwrap();
    assert_eq!(got.content_type.as_deref(), Some("binary/octet-stream"));
    assert_eq!((got.storage_class, got.metadata), (None, None));
}

#[tokio::test]
async fn right_checksums_are_stored_and_wrong_ones_refused() {
    let fixture = Fixture::with_bucket().await;
    for length in [11, INLINE + 10] {
        let bytes = pattern(length);
        for algorithm in
            [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256]
        {
            let right = Hasher::of(algorithm, &bytes).to_base64();
            let wrong = Hasher::of(algorithm, b"something else").to_base64();
            let header = |value: &str| claimed(algorithm, value);
            let key = "checked";
            let put =
                fixture.put_as(PutObjectRequest { key: key.to_owned(), ..header(&right) }, &bytes).await;
            assert!(put.is_ok(), "{algorithm:?}");
            let mut input = get_request(key);
            input.checksum_mode = Some(ChecksumMode::Enabled);
            let (got, _) = fixture.get_as(input).await.unwrap();
            let shown = [
                got.checksum_crc32,
                got.checksum_crc32_c,
                got.checksum_crc64_nvme,
                got.checksum_sha1,
                got.checksum_sha256,
            ];
            assert_eq!(
                shown.into_iter().flatten().collect::<Vec<_>>().as_slice(),
                std::slice::from_ref(&right),
                "{algorithm:?}"
            );
            let error = fixture.put_as(header(&wrong), &bytes).await.unwrap_err();
            assert_eq!(code(&error), "BadDigest", "{algorithm:?}");
            // The same behind the body: announced, and not announced.
            for announced in [None, Some(ChecksumAlgorithm::from(algorithm.name()))] {
                let input = PutObjectRequest { checksum_algorithm: announced, ..put_request("trailed") };
                let trailed =
                    |value: &str| streamed(&bytes, Some(length as u64), &[(algorithm.header(), value)]);
                fixture.put_body(input.clone(), trailed(&right)).await.unwrap();
                let error = fixture.put_body(input.clone(), trailed(&wrong)).await.unwrap_err();
                assert_eq!(code(&error), "BadDigest", "{algorithm:?}");
                let error = fixture.put_body(input, trailed("AAA")).await.unwrap_err();
                assert_eq!(
                    error.message,
                    format!("Value for {} trailing header is invalid.", algorithm.header())
                );
            }
        }
    }
    // Every refused upload took its data with it: two keys, two blobs, once the replaced ones are swept.
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 2);
}

fn claimed(algorithm: Algorithm, value: &str) -> PutObjectRequest {
    let mut input = put_request("refused");
    let place = match algorithm {
        Algorithm::Crc32 => &mut input.checksum_crc32,
        Algorithm::Crc32c => &mut input.checksum_crc32_c,
        Algorithm::Crc64Nvme => &mut input.checksum_crc64_nvme,
        Algorithm::Sha1 => &mut input.checksum_sha1,
        _ => &mut input.checksum_sha256,
    };
    *place = Some(value.to_owned());
    input
}

#[tokio::test]
async fn content_md5_is_verified() {
    let fixture = Fixture::with_bucket().await;
    let with = |md5: &str| PutObjectRequest { content_md5: Some(md5.to_owned()), ..put_request("k") };
    // "something", as AWS recorded it.
    fixture.put_as(with("Q3uTDbhLgHnC3YBKcZNrXw=="), b"something").await.unwrap();
    for wrong in ["__invalid__", "000", "MTIz", "dGVzdC1zdHJpbmc="] {
        let error = fixture.put_as(with(wrong), b"something").await.unwrap_err();
        assert_eq!((code(&error), member(&error, "Content-MD5")), ("InvalidDigest", Some(wrong)));
    }
    let error = fixture.put_as(with("CYketZBSTjX8czcs3cXVlg=="), b"something").await.unwrap_err();
    assert_eq!(code(&error), "BadDigest");
    assert_eq!(member(&error, "ExpectedDigest"), Some("09891eb590524e35fc73372cddc5d596"));
    assert_eq!(member(&error, "CalculatedDigest"), Some("Q3uTDbhLgHnC3YBKcZNrXw=="));
}

#[tokio::test]
async fn a_body_must_have_the_length_that_it_says() {
    let fixture = Fixture::with_bucket().await;
    for (real, said) in
        [(5, 6), (6, 5), (INLINE + 5, INLINE + 6), (INLINE + 50_000, INLINE + 6), (0, INLINE + 1)]
    {
        let body = streamed(&pattern(real), Some(said as u64), &[]);
        let error = fixture.put_body(put_request("k"), body).await.unwrap_err();
        assert_eq!(code(&error), "IncompleteBody", "{real} {said}");
    }
    let error = fixture.put_body(put_request("k"), streamed(b"1", None, &[])).await.unwrap_err();
    assert_eq!((code(&error), error.status), ("MissingContentLength", 411));
    let huge = streamed(b"1", Some(6 * 1024 * 1024 * 1024), &[]);
    let error = fixture.put_body(put_request("k"), huge).await.unwrap_err();
    assert_eq!((code(&error), member(&error, "MaxSizeAllowed")), ("EntityTooLarge", Some("5368709120")));
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn what_is_not_built_is_refused_by_name() {
    let fixture = Fixture::with_bucket().await;
    let refused = [
        ("x-amz-tagging", PutObjectRequest { tagging: Some("a=b".to_owned()), ..put_request("k") }),
        (
            "x-amz-server-side-encryption",
            PutObjectRequest {
                server_side_encryption: Some(ServerSideEncryption::Aes256),
                ..put_request("k")
            },
        ),
        (
            "x-amz-checksum-sha512",
            PutObjectRequest { checksum_sha512: Some("x".to_owned()), ..put_request("k") },
        ),
        ("x-amz-write-offset-bytes", PutObjectRequest { write_offset_bytes: Some(1), ..put_request("k") }),
    ];
    for (header, input) in refused {
        let error = fixture.put_as(input, b"1").await.unwrap_err();
        assert_eq!((code(&error), member(&error, "Header")), ("NotImplemented", Some(header)));
    }
    let public =
        PutObjectRequest { acl: Some(lambent_model_s3::ObjectCannedACL::PublicRead), ..put_request("k") };
    assert_eq!(code(&fixture.put_as(public, b"1").await.unwrap_err()), "AccessControlListNotSupported");
}

#[tokio::test]
async fn a_missing_bucket_is_named_before_a_long_body_is_read() {
    let fixture = Fixture::new();
    for body in [pieces(b"1"), streamed(b"cut off", Some(1_000_000), &[])] {
        let error = fixture.put_body(put_request("k"), body).await.unwrap_err();
        assert_eq!((code(&error), member(&error, "BucketName")), ("NoSuchBucket", Some("photos")));
    }
}

#[tokio::test]
async fn conditions_of_writes() {
    let fixture = Fixture::with_bucket().await;
    let absent = || PutObjectRequest { if_none_match: Some("*".to_owned()), ..put_request("k") };
    let matching = |tag: &str| PutObjectRequest { if_match: Some(tag.to_owned()), ..put_request("k") };
    assert_eq!(code(&fixture.put_as(matching("x"), b"1").await.unwrap_err()), "NoSuchKey");
    let put = fixture.put_as(absent(), b"1").await.unwrap();
    for body in [pieces(b"2"), pieces(&pattern(INLINE + 1))] {
        let error = fixture.put_body(absent(), body).await.unwrap_err();
        assert_eq!(
            (code(&error), member(&error, "Condition")),
            ("PreconditionFailed", Some("If-None-Match"))
        );
    }
    let error = fixture.put_as(matching("x"), b"2").await.unwrap_err();
    assert_eq!((code(&error), member(&error, "Condition")), ("PreconditionFailed", Some("If-Match")));
    fixture.put_as(matching(&put.e_tag.unwrap()), b"2").await.unwrap();
    assert_eq!(fixture.get("k").await, "2");
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_first_writers_one_wins() {
    let fixture = std::sync::Arc::new(Fixture::with_bucket().await);
    for round in 0..20 {
        // Every other round the bodies are blobs.
        let length = if round % 2 == 0 { 10 } else { INLINE + 10 };
        let tasks: Vec<_> = (0..8u8)
            .map(|writer| {
                let fixture = fixture.clone();
                tokio::spawn(async move {
                    let key = format!("race{round}");
                    let input = PutObjectRequest { if_none_match: Some("*".to_owned()), ..put_request(&key) };
                    fixture.put_as(input, &vec![writer; length]).await.map(|_| writer)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(writer) => winners.push(writer),
                Err(error) => assert_eq!(code(&error), "PreconditionFailed"),
            }
        }
        let [winner] = winners[..] else { panic!("winners: {winners:?}") };
        assert_eq!(fixture.get(&format!("race{round}")).await, vec![winner; length]);
    }
    assert_eq!(fixture.blob_files(), 10);
}

#[tokio::test]
async fn replaced_data_is_swept_after_its_grace_and_not_before() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", &pattern(100_000)).await;
    let (_, mut reading) = fixture.s3.get_object(&fixture.call().await, get_request("k")).await.unwrap();
    fixture.put("k", b"short").await;
    let due = fixture.sweeper.sweep().await.unwrap();
    assert_eq!(due, Some(fixture.clock.unix_ms() + crate::limits::GC_GRACE_MS));
    assert_eq!(fixture.blob_files(), 1);
    let read = reading.collect(usize::MAX, || unreachable!()).await.unwrap();
    assert!(read == pattern(100_000));
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
    assert_eq!(fixture.get("k").await, "short");
}
