//! Chunked bodies: published example, any split, any change.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use bytes::Bytes;
use http::{HeaderMap, Request};
use lambent_sigv4::{
    ChunkError, ChunkSigner, ChunkedDecoder, PayloadReader, ServiceRules, Signer, Trailers, UNSIGNED_PAYLOAD,
    Verified, sha256,
};
use proptest::prelude::*;

const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const KINDS: [&str; 3] = [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER];
const MIN_CHUNK: usize = 8192;

/// The signature of an upload of `length` bytes, as a verifier has it.
fn seed(payload: &str) -> Verified {
    let request = Request::put("/examplebucket/chunkObject.txt").header("host", "s3.amazonaws.com");
    let mut parts = request.body(()).unwrap().into_parts().0;
    let signer = Signer {
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        session_token: None,
        region: "us-east-1",
        service: "s3",
        rules: ServiceRules::S3,
        now_unix_s: 1_369_353_600,
    };
    signer.sign(&mut parts, payload).unwrap()
}

fn trailers(payload: &str) -> Trailers {
    if payload == SIGNED { Vec::new() } else { vec![("x-amz-checksum-crc32c".into(), "sOO8/Q==".into())] }
}

/// A body of chunks of `chunk` bytes.
fn encode(payload: &str, data: &[u8], chunk: usize) -> Vec<u8> {
    let mut signer = ChunkSigner::new(&seed(payload));
    let mut body: Vec<u8> = data.chunks(chunk).flat_map(|piece| signer.chunk(piece)).collect();
    body.extend(signer.end(&trailers(payload)));
    body
}

/// Data and trailers of a body that is fed in the given pieces.
fn decode<'a>(
    payload: &str,
    length: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, Trailers), ChunkError> {
    let announced = trailers(payload).into_iter().map(|(name, _)| name).collect();
    let mut decoder = ChunkedDecoder::new(&seed(payload), length as u64, announced);
    let mut data = Vec::new();
    for piece in pieces {
        data.extend(decoder.feed(Bytes::copy_from_slice(piece))?.concat());
    }
    Ok((data, decoder.finish()?))
}

fn whole(payload: &str, length: usize, body: &[u8]) -> Result<(Vec<u8>, Trailers), ChunkError> {
    decode(payload, length, std::iter::once(body))
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn the_published_example_is_decoded() {
    // Source: Amazon S3 API reference, "Signature calculations: transferring a payload in multiple chunks":
    // 66560 bytes "a" in chunks of 64 KiB, with the request's signature given there.
    let mut seed = seed(SIGNED);
    seed.seed_signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".into();
    let mut body =
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
            .to_vec();
    body.extend([b'a'; 65536]);
    body.extend(
        b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
    );
    body.extend([b'a'; 1024]);
    body.extend(
        b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    );
    let mut decoder = ChunkedDecoder::new(&seed, 66560, Vec::new());
    let data = decoder.feed(body.into()).unwrap();
    assert_eq!(data.iter().map(Bytes::len).sum::<usize>(), 66560);
    assert_eq!(decoder.finish(), Ok(Vec::new()));
}

#[test]
fn data_is_sliced_not_copied() {
    let body = Bytes::from(encode(SIGNED, &sample(20_000), MIN_CHUNK));
    let range = body.as_ptr_range();
    let data = ChunkedDecoder::new(&seed(SIGNED), 20_000, Vec::new()).feed(body).unwrap();
    assert_eq!(data.len(), 3);
    assert!(data.iter().all(|slice| range.contains(&slice.as_ptr())));
}

#[test]
fn every_kind_gives_data_and_trailers_byte_by_byte() {
    for payload in KINDS {
        for length in [0, 1, MIN_CHUNK, 2 * MIN_CHUNK + 5] {
            let data = sample(length);
            let body = encode(payload, &data, MIN_CHUNK);
            let decoded = decode(payload, length, body.chunks(1));
            assert_eq!(decoded, Ok((data, trailers(payload))), "{payload} {length}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for payload in KINDS {
        let body = encode(payload, &sample(300), MIN_CHUNK);
        for end in 0..body.len() {
            let error = whole(payload, 300, &body[..end]).unwrap_err();
            assert!(matches!(error, ChunkError::Incomplete { .. }), "{payload} {end}: {error}");
            assert_eq!(error.aws_error().code, "IncompleteBody");
        }
    }
}

#[test]
fn every_changed_byte_of_a_signed_body_is_refused() {
    for payload in [SIGNED, SIGNED_TRAILER] {
        let data = sample(300);
        let body = encode(payload, &data, MIN_CHUNK);
        for at in 0..body.len() {
            for change in [1_u8, 0x20, 0x80] {
                let mut changed = body.clone();
                changed[at] ^= change;
                // The case of a size's digits and of a trailer's name carries no meaning; all else is refused.
                if let Ok(decoded) = whole(payload, 300, &changed) {
                    assert!(
                        changed.eq_ignore_ascii_case(&body),
                        "{payload}: byte {at} was changed and accepted"
                    );
                    assert_eq!(decoded, (data.clone(), trailers(payload)));
                }
            }
        }
    }
}

#[test]
fn chunks_cannot_be_swapped_dropped_or_repeated() {
    let data = sample(3 * MIN_CHUNK);
    let mut signer = ChunkSigner::new(&seed(SIGNED));
    let chunks: Vec<Vec<u8>> = data.chunks(MIN_CHUNK).map(|piece| signer.chunk(piece)).collect();
    let end = signer.end(&[]);
    let of = |order: &[usize]| {
        let mut body: Vec<u8> = order.iter().flat_map(|index| chunks[*index].clone()).collect();
        body.extend(&end);
        whole(SIGNED, order.len() * MIN_CHUNK, &body).map(drop)
    };
    assert_eq!(of(&[0, 1, 2]), Ok(()));
    assert_eq!(of(&[1, 0, 2]), Err(ChunkError::ChunkSignature { index: 1 }));
    assert_eq!(of(&[0, 2]), Err(ChunkError::ChunkSignature { index: 2 }));
    assert_eq!(of(&[0, 0, 1, 2]), Err(ChunkError::ChunkSignature { index: 2 }));
    assert_eq!(of(&[0, 1]), Err(ChunkError::ChunkSignature { index: 3 }));
}

#[test]
fn lengths_are_held_to_what_was_announced() {
    let body = encode(SIGNED, &sample(300), MIN_CHUNK);
    assert_eq!(whole(SIGNED, 299, &body).unwrap_err(), ChunkError::TooLong { expected: 299 });
    let short = whole(SIGNED, 301, &body).unwrap_err();
    assert_eq!(short, ChunkError::Incomplete { found: 300, expected: 301 });
    let mut longer = body;
    longer.push(b'x');
    assert_eq!(whole(SIGNED, 300, &longer).unwrap_err(), ChunkError::BytesAfterEnd);
}

#[test]
fn small_chunks_must_be_last() {
    let body = encode(SIGNED, &sample(MIN_CHUNK), MIN_CHUNK - 1);
    let error = whole(SIGNED, MIN_CHUNK, &body).unwrap_err();
    assert_eq!(error, ChunkError::ChunkTooSmall { index: 1, found: 8191, limit: 8192 });
    assert_eq!(error.aws_error().code, "InvalidChunkSizeError");
}

#[test]
fn lines_and_sizes_are_bounded() {
    let fed = |body: &[u8]| whole(UNSIGNED_TRAILER, usize::MAX, body).unwrap_err();
    assert_eq!(fed(&[b'0'; 1025]), ChunkError::LineTooLong { limit: 1024 });
    assert_eq!(
        decode(SIGNED, 1, [b"0".as_slice(); 2000].into_iter()),
        Err(ChunkError::LineTooLong { limit: 1024 })
    );
    assert!(matches!(fed(b"140000001\r\n"), ChunkError::ChunkTooLarge { found: 5_368_709_121, .. }));
    for line in
        ["ffffffffffffffffff\r\n", "\r\n", "-1\r\n", "+1\r\n", "1 \r\n", "5\n", "1;chunk-signature=0\r\n"]
    {
        assert!(matches!(fed(line.as_bytes()), ChunkError::HeaderMalformed { .. }), "{line:?}");
    }
    assert_eq!(fed(b"1\r\naXX"), ChunkError::NoLineEnd { index: 1 });
}

#[test]
fn trailers_are_those_announced() {
    let with = |lines: &str| {
        whole(UNSIGNED_TRAILER, 0, format!("0\r\n{lines}\r\n").as_bytes()).map(|(_, found)| found)
    };
    let good = "x-amz-checksum-crc32c:sOO8/Q==\r\n";
    assert_eq!(with(good), Ok(trailers(UNSIGNED_TRAILER)));
    assert_eq!(with("X-Amz-Checksum-Crc32c: sOO8/Q== \r\n"), Ok(trailers(UNSIGNED_TRAILER)));
    assert!(matches!(with(""), Err(ChunkError::TrailerMissing { .. })));
    assert!(matches!(with(&good.repeat(2)), Err(ChunkError::TrailerUnexpected { .. })));
    assert!(matches!(with(&format!("{good}x-other:1\r\n")), Err(ChunkError::TrailerUnexpected { .. })));
    assert!(matches!(with("nothing\r\n"), Err(ChunkError::TrailerMalformed { .. })));
    let error = with("nothing\r\n").unwrap_err();
    assert_eq!(error.aws_error().code, "MalformedTrailerError");
    let unsigned = format!("{good}x-amz-trailer-signature:{}\r\n", "0".repeat(64));
    assert!(matches!(with(&unsigned), Err(ChunkError::TrailerUnexpected { .. })));
}

#[test]
fn unsigned_trailers_of_a_signed_body_are_refused() {
    let body = String::from_utf8(encode(SIGNED_TRAILER, b"", 1)).unwrap();
    let start = body.find("x-amz-trailer-signature").unwrap();
    let without = format!("{}\r\n", &body[..start]);
    assert_eq!(whole(SIGNED_TRAILER, 0, without.as_bytes()).unwrap_err(), ChunkError::TrailerSignature);
    let changed = body.replace("sOO8", "tOO8");
    assert_eq!(whole(SIGNED_TRAILER, 0, changed.as_bytes()).unwrap_err(), ChunkError::TrailerSignature);
}

#[test]
fn after_an_error_nothing_more_is_taken() {
    let mut decoder = ChunkedDecoder::new(&seed(SIGNED), 1, Vec::new());
    assert!(decoder.feed(Bytes::from_static(b"zz\r\n")).is_err());
    assert_eq!(decoder.feed(Bytes::from_static(b"0")), Err(ChunkError::AlreadyRefused));
    assert_eq!(decoder.finish(), Err(ChunkError::AlreadyRefused));
}

#[test]
fn plain_bodies_are_held_to_their_hash() {
    let read = |payload: &str, pieces: &[&'static [u8]]| {
        let mut reader = PayloadReader::new(&seed(payload), &HeaderMap::new()).unwrap();
        let mut data = Vec::new();
        for piece in pieces {
            data.extend(reader.feed(Bytes::from_static(piece)).unwrap().concat());
        }
        reader.finish().map(|_| data)
    };
    let digest = lambent_base::text::hex(&sha256(b"hello"));
    assert_eq!(read(&digest, &[b"hel", b"lo"]), Ok(b"hello".to_vec()));
    assert_eq!(read(UNSIGNED_PAYLOAD, &[b"any"]), Ok(b"any".to_vec()));
    let error = read(&digest, &[b"hellO"]).unwrap_err();
    assert_eq!(error.aws_error().code, "XAmzContentSHA256Mismatch");
}

#[test]
fn chunked_bodies_need_their_length() {
    let mut headers = HeaderMap::new();
    let error = PayloadReader::new(&seed(SIGNED), &headers).map(drop).unwrap_err();
    assert_eq!(error.aws_error().code, "MissingContentLength");
    headers.insert("x-amz-decoded-content-length", "+5".parse().unwrap());
    assert!(PayloadReader::new(&seed(SIGNED), &headers).is_err());
    headers.insert("x-amz-decoded-content-length", "300".parse().unwrap());
    headers.insert("x-amz-trailer", "X-Amz-Checksum-Crc32c".parse().unwrap());
    let mut reader = PayloadReader::new(&seed(SIGNED_TRAILER), &headers).unwrap();
    let data = sample(300);
    assert_eq!(reader.feed(encode(SIGNED_TRAILER, &data, MIN_CHUNK).into()).unwrap().concat(), data);
    assert_eq!(reader.finish(), Ok(trailers(SIGNED_TRAILER)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same(
        kind in 0..KINDS.len(),
        length in 0_usize..40_000,
        chunk in MIN_CHUNK..20_000,
        cuts in prop::collection::vec(0_usize..41_000, 0..40),
    ) {
        let payload = KINDS[kind];
        let data = sample(length);
        let body = encode(payload, &data, chunk);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]);
        prop_assert_eq!(decode(payload, length, pieces), Ok((data, trailers(payload))));
    }

    #[test]
    fn no_input_panics_or_gives_more_than_announced(body in prop::collection::vec(any::<u8>(), 0..300), kind in 0..KINDS.len()) {
        if let Ok((data, _)) = whole(KINDS[kind], 10, &body) {
            prop_assert_eq!(data.len(), 10);
        }
    }
}

#[test]
fn a_body_that_nobody_signed_is_taken_out_of_its_chunks() {
    let read = |headers: &[(&'static str, &'static str)], body: &[u8]| {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        let mut reader = PayloadReader::unsigned(&headers.collect::<HeaderMap>())?;
        let data = reader.feed(Bytes::copy_from_slice(body))?.concat();
        Ok::<_, ChunkError>((data, reader.finish()?))
    };
    let body = encode(UNSIGNED_TRAILER, b"hello", MIN_CHUNK);
    let (length, trailer) =
        (("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32c"));
    for says_chunked in [
        ("content-encoding", "aws-chunked"),
        ("content-encoding", "gzip, AWS-Chunked"),
        ("x-amz-content-sha256", UNSIGNED_TRAILER),
    ] {
        let (data, trailers_found) = read(&[says_chunked, length, trailer], &body).unwrap();
        assert_eq!((data.as_slice(), trailers_found), (&b"hello"[..], trailers(UNSIGNED_TRAILER)));
        assert!(matches!(read(&[says_chunked, trailer], &body), Err(ChunkError::DecodedLength { .. })));
    }
    let proved_by_nothing = encode(SIGNED, b"hello", MIN_CHUNK);
    assert!(read(&[("x-amz-content-sha256", SIGNED), length], &proved_by_nothing).is_err());
    for plain in [&[][..], &[("content-encoding", "gzip")], &[("x-amz-content-sha256", UNSIGNED_PAYLOAD)]] {
        assert_eq!(read(plain, b"hello").unwrap(), (b"hello".to_vec(), Vec::new()));
    }
}
