//! Published check values, and what AWS recorded for objects in parts.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use lambent_checksums::{
    Algorithm, Checksum, ChecksumError, ChecksumType, Hasher, MAX_PARTS, Part, composite, full_object,
    multipart_etag,
};

/// Sources: the catalogue of parametrised CRC algorithms; RFC 1321, RFC 3174, FIPS 180-4 for the bytes "123456789".
const OF_DIGITS: [(Algorithm, &str); 6] = [
    (Algorithm::Crc32, "cbf43926"),
    (Algorithm::Crc32c, "e3069283"),
    (Algorithm::Crc64Nvme, "ae8b14860a799888"),
    (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
    (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
];

/// Recorded from AWS: an object of "a" in parts of 5242881, 5242881 and 10 bytes.
const PART_BYTES: [usize; 3] = [5_242_881, 5_242_881, 10];
const RECORDED_ETAG: &str = "4d45984fc3feb2ac9b22683c49674b56-3";
const RECORDED_COMPOSITE: [(Algorithm, &str, &str, &str); 4] = [
    (Algorithm::Crc32, "NRU+Sw==", "TBHN8A==", "5FRUiw==-3"),
    (Algorithm::Crc32c, "2/Ckiw==", "5yZkMA==", "XF5+4A==-3"),
    (
        Algorithm::Sha1,
        "bH71WIZUKQtUwR2wKSSkFjCRBPM=",
        "NJX/adNGcdHhWzOmPBN5/e3Toyo=",
        "AyE60nyQoBgJcwsyPHWu7aJuxBs=-3",
    ),
    (
        Algorithm::Sha256,
        "DjU70AB1bON8k0n0fVHv2PJQVWcA/jWsITp6ti20Tbs=",
        "vyy1imj2hNlaO3jvj2Ycmk5bCegsyPnMiMzpBSjK6yc=",
        "9o++y6AejqboiJ7MZCx0fahK2Vu5YC/qnNhhYsCLciI=-3",
    ),
];
const RECORDED_FULL: [(Algorithm, &str, &str, &str); 3] = [
    (Algorithm::Crc32, "NRU+Sw==", "TBHN8A==", "qSEQSA=="),
    (Algorithm::Crc32c, "2/Ckiw==", "5yZkMA==", "eTdAQA=="),
    (Algorithm::Crc64Nvme, "Kg7TOs6algM=", "DBqAA21lxVU=", "ZMNX55lZurA="),
];

fn parts(algorithm: Algorithm, large: &str, small: &str) -> Vec<Part> {
    let of = |text| Checksum::from_base64(algorithm, text).unwrap();
    [large, large, small]
        .into_iter()
        .zip(PART_BYTES)
        .map(|(text, bytes)| Part { checksum: of(text), bytes: bytes as u64 })
        .collect()
}

#[test]
fn check_values_are_the_published_ones_in_any_pieces() {
    for (algorithm, expected) in OF_DIGITS {
        assert_eq!(Hasher::of(algorithm, b"123456789").to_hex(), expected);
        let mut hasher = Hasher::new(algorithm);
        for piece in [b"1".as_slice(), b"", b"2345678", b"9"] {
            hasher.update(piece);
        }
        assert_eq!(hasher.finish().to_hex(), expected, "{algorithm:?}");
    }
}

#[test]
fn parts_have_the_recorded_checksums() {
    let part = vec![b'a'; PART_BYTES[0]];
    for (algorithm, large, small, _) in RECORDED_COMPOSITE.iter().chain(&RECORDED_FULL) {
        assert_eq!(Hasher::of(*algorithm, &part).to_base64(), *large);
        assert_eq!(Hasher::of(*algorithm, &part[..PART_BYTES[2]]).to_base64(), *small);
    }
}

#[test]
fn objects_in_parts_have_the_recorded_checksums() {
    for (algorithm, large, small, expected) in RECORDED_COMPOSITE {
        assert_eq!(composite(algorithm, &parts(algorithm, large, small)).as_deref(), Ok(expected));
    }
    let whole = vec![b'a'; PART_BYTES.iter().sum()];
    for (algorithm, large, small, expected) in RECORDED_FULL {
        assert_eq!(full_object(algorithm, &parts(algorithm, large, small)).unwrap().to_base64(), expected);
        assert_eq!(Hasher::of(algorithm, &whole).to_base64(), expected);
    }
}

#[test]
fn empty_parts_combine() {
    for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
        let of = |bytes: &[u8]| Part { checksum: Hasher::of(algorithm, bytes), bytes: bytes.len() as u64 };
        let combined = full_object(algorithm, &[of(b""), of(b"12345"), of(b""), of(b"6789")]).unwrap();
        assert_eq!(combined, Hasher::of(algorithm, b"123456789"));
    }
}

#[test]
fn entity_tags_are_the_recorded_ones() {
    let part = vec![b'a'; PART_BYTES[0]];
    let large = Hasher::of(Algorithm::Md5, &part);
    let small = Hasher::of(Algorithm::Md5, &part[..PART_BYTES[2]]);
    assert_eq!(large.to_hex(), "c4c753e69bb853187f5854c46cf801c6");
    assert_eq!(small.to_hex(), "e09c80c42fda55f9d992e59ca6b3307d");
    assert_eq!(multipart_etag(&[large, large, small]).as_deref(), Ok(RECORDED_ETAG));
}

#[test]
fn types_are_those_that_aws_allows() {
    use ChecksumType::{Composite, FullObject};
    for (algorithm, composite, full, default) in [
        (Algorithm::Crc32, true, true, Composite),
        (Algorithm::Crc32c, true, true, Composite),
        (Algorithm::Crc64Nvme, false, true, FullObject),
        (Algorithm::Sha1, true, false, Composite),
        (Algorithm::Sha256, true, false, Composite),
    ] {
        assert_eq!((algorithm.supports(Composite), algorithm.supports(FullObject)), (composite, full));
        assert_eq!(algorithm.default_type(), default);
    }
    let sha = Hasher::of(Algorithm::Sha1, b"a");
    let error = full_object(Algorithm::Sha1, &[Part { checksum: sha, bytes: 1 }]).unwrap_err();
    assert_eq!(error, ChecksumError::Type { algorithm: Algorithm::Sha1, checksum_type: FullObject });
}

#[test]
fn values_are_read_strictly() {
    for algorithm in Algorithm::ALL {
        let value = Hasher::of(algorithm, b"x");
        assert_eq!(Checksum::from_base64(algorithm, &value.to_base64()), Ok(value));
        assert_eq!(Algorithm::from_header(&algorithm.header().to_uppercase()), Some(algorithm));
        for wrong in ["", "AAAA", "not base64", " NRU+Sw=="] {
            let malformed = ChecksumError::Malformed { algorithm, found: wrong.into() };
            assert_eq!(Checksum::from_base64(algorithm, wrong), Err(malformed));
        }
        let other = Hasher::of(algorithm, b"y");
        assert_eq!(value.check(&value), Ok(()));
        assert_eq!(value.check(&other), Err(ChecksumError::Mismatch { announced: value, computed: other }));
    }
    assert_eq!(Algorithm::from_name("crc64nvme"), Some(Algorithm::Crc64Nvme));
    assert_eq!(Algorithm::from_name("MD5"), None);
}

#[test]
fn parts_are_counted_and_of_one_kind() {
    let one = Part { checksum: Hasher::of(Algorithm::Crc32, b"a"), bytes: 1 };
    assert_eq!(composite(Algorithm::Crc32, &[]), Err(ChecksumError::Parts { found: 0 }));
    let many = vec![one; MAX_PARTS + 1];
    assert_eq!(full_object(Algorithm::Crc32, &many), Err(ChecksumError::Parts { found: MAX_PARTS + 1 }));
    assert!(full_object(Algorithm::Crc32, &many[..MAX_PARTS]).is_ok());
    let mixed = composite(Algorithm::Crc32c, &[one]).unwrap_err();
    assert_eq!(mixed, ChecksumError::Mixed { expected: Algorithm::Crc32c, found: Algorithm::Crc32 });
    assert!(matches!(multipart_etag(&[one.checksum]), Err(ChecksumError::Mixed { .. })));
}

#[test]
fn refusals_are_worded_as_recorded() {
    let of = |algorithm, bytes: &[u8]| Hasher::of(algorithm, bytes);
    let mismatch = |algorithm| of(algorithm, b"a").check(&of(algorithm, b"b")).unwrap_err().aws_error();
    let malformed = |algorithm| Checksum::from_base64(algorithm, "x").unwrap_err().aws_error();
    let cases = [
        (
            mismatch(Algorithm::Crc64Nvme),
            "BadDigest",
            "The CRC64NVME you specified did not match the calculated checksum.",
        ),
        (
            mismatch(Algorithm::Md5),
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
        ),
        (malformed(Algorithm::Crc32), "InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid."),
        (malformed(Algorithm::Md5), "InvalidDigest", "The Content-MD5 you specified was invalid."),
        (
            composite(Algorithm::Crc64Nvme, &[]).unwrap_err().aws_error(),
            "InvalidRequest",
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
        ),
        (
            multipart_etag(&[of(Algorithm::Sha1, b"")]).unwrap_err().aws_error(),
            "InvalidRequest",
            "Checksum Type mismatch occurred, expected checksum Type: md5, actual checksum Type: sha1",
        ),
    ];
    for ((code, message), expected_code, expected_message) in cases {
        assert_eq!((code, message.as_str()), (expected_code, expected_message));
    }
}
