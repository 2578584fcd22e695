//! Checksums and entity tags of objects that were uploaded in parts, without reading the parts again.

use crate::combine::combine;
use crate::{Algorithm, Checksum, ChecksumError, ChecksumType, Hasher};

/// The most parts that an object has (Amazon S3 user guide, "Multipart upload limits").
pub const MAX_PARTS: usize = 10_000;

/// The checksum and size of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of the part's bytes.
    pub checksum: Checksum,
    /// Size of the part.
    pub bytes: u64,
}

/// The composite checksum of parts in their order: base64 of the checksum over the parts' checksums, and `-N`.
pub fn composite(algorithm: Algorithm, parts: &[Part]) -> Result<String, ChecksumError> {
    check_parts(algorithm, parts, ChecksumType::Composite)?;
    let mut hasher = Hasher::new(algorithm);
    for part in parts {
        hasher.update(part.checksum.as_bytes());
    }
    Ok(format!("{}-{}", hasher.finish().to_base64(), parts.len()))
}

/// The checksum of the whole object from those of its parts in their order; only CRCs can be combined.
pub fn full_object(algorithm: Algorithm, parts: &[Part]) -> Result<Checksum, ChecksumError> {
    check_parts(algorithm, parts, ChecksumType::FullObject)?;
    let wrong_type = ChecksumError::Type { algorithm, checksum_type: ChecksumType::FullObject };
    let crc = algorithm.crc().ok_or(wrong_type)?;
    let combined = parts.iter().fold(Hasher::of(algorithm, b"").crc_value(), |so_far, part| {
        combine(crc, so_far, part.checksum.crc_value(), part.bytes)
    });
    Ok(Checksum::of_crc(algorithm, combined))
}

/// The entity tag of an object from the MD5s of its parts in their order, without quotation marks.
pub fn multipart_etag(md5s: &[Checksum]) -> Result<String, ChecksumError> {
    check_count(md5s.len())?;
    let mut hasher = Hasher::new(Algorithm::Md5);
    for md5 in md5s {
        check_algorithm(Algorithm::Md5, md5)?;
        hasher.update(md5.as_bytes());
    }
    Ok(format!("{}-{}", hasher.finish().to_hex(), md5s.len()))
}

fn check_parts(
    algorithm: Algorithm,
    parts: &[Part],
    checksum_type: ChecksumType,
) -> Result<(), ChecksumError> {
    if !algorithm.supports(checksum_type) {
        return Err(ChecksumError::Type { algorithm, checksum_type });
    }
    check_count(parts.len())?;
    parts.iter().try_for_each(|part| check_algorithm(algorithm, &part.checksum))
}

fn check_count(found: usize) -> Result<(), ChecksumError> {
    if (1..=MAX_PARTS).contains(&found) { Ok(()) } else { Err(ChecksumError::Parts { found }) }
}

fn check_algorithm(expected: Algorithm, checksum: &Checksum) -> Result<(), ChecksumError> {
    let found = checksum.algorithm();
    if found == expected { Ok(()) } else { Err(ChecksumError::Mixed { expected, found }) }
}
