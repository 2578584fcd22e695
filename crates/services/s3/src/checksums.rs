//! What clients claim about the bytes that they send, what is computed of them, and what answers show.
//! Source: Amazon S3 User Guide, "Checking object integrity in Amazon S3".

use http::HeaderMap;
use lambent_api::{ApiError, Body};
use lambent_checksums::{Algorithm, Checksum, ChecksumType, Hasher, Part};
use lambent_model_s3 as model;
use lambent_wire::OperationInfo;
use serde::{Deserialize, Serialize};

use crate::errors::{self, S3Error};

/// What S3 computes when a client names no algorithm.
pub(crate) const DEFAULT: Algorithm = Algorithm::Crc64Nvme;

/// The algorithms of `x-amz-checksum-*`.
const ALL: [Algorithm; 5] =
    [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

/// What a multipart upload's checksum shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    #[serde(with = "algorithm_name")]
    pub algorithm: Algorithm,
    #[serde(with = "type_name")]
    pub checksum_type: ChecksumType,
}

/// A checksum as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredChecksum {
    #[serde(with = "algorithm_name")]
    pub algorithm: Algorithm,
    #[serde(with = "type_name")]
    pub checksum_type: ChecksumType,
    /// Base64; composite ones end with `-` and the number of parts.
    pub value: String,
}

impl StoredChecksum {
    /// A checksum of the bytes themselves.
    pub(crate) fn full(checksum: &Checksum) -> Self {
        let algorithm = checksum.algorithm();
        Self { algorithm, checksum_type: ChecksumType::FullObject, value: checksum.to_base64() }
    }

    /// The checksum of a whole object from those of its parts, all of the plan's algorithm.
    pub(crate) fn of_parts(plan: Plan, parts: &[Part]) -> Result<Self, S3Error> {
        let value = match plan.checksum_type {
            ChecksumType::FullObject => lambent_checksums::full_object(plan.algorithm, parts)?.to_base64(),
            ChecksumType::Composite => lambent_checksums::composite(plan.algorithm, parts)?,
        };
        Ok(Self { algorithm: plan.algorithm, checksum_type: plan.checksum_type, value })
    }

    /// The digest; only of a checksum that is not composite.
    pub(crate) fn digest(&self) -> Result<Checksum, S3Error> {
        Ok(Checksum::from_base64(self.algorithm, &self.value)?)
    }
}

/// The algorithm that a request names.
///
/// Errors: `InvalidRequest` for those that this service lacks.
pub(crate) fn named(algorithm: &model::ChecksumAlgorithm) -> Result<Algorithm, ApiError> {
    Algorithm::from_name(algorithm.as_str()).ok_or_else(|| {
        errors::invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
             [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

/// As `crc32c`: how messages about multipart uploads say it.
pub(crate) fn lower_name(algorithm: Algorithm) -> String {
    algorithm.name().to_ascii_lowercase()
}

pub(crate) fn shown_algorithm(algorithm: Algorithm) -> model::ChecksumAlgorithm {
    model::ChecksumAlgorithm::from(algorithm.name())
}

pub(crate) fn shown_type(checksum_type: ChecksumType) -> model::ChecksumType {
    model::ChecksumType::from(checksum_type.name())
}

/// What a client says about the bytes that it sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    pub content_md5: Option<Checksum>,
    /// From an `x-amz-checksum-*` header.
    pub checksum: Option<Checksum>,
    /// From `x-amz-sdk-checksum-algorithm`: what a trailing header will probably hold.
    pub announced: Option<Algorithm>,
}

impl Claims {
    /// Reads the headers of an upload.
    ///
    /// Errors: `InvalidDigest`, `InvalidRequest`, `NotImplemented` for algorithms that this service lacks.
    pub(crate) fn read(
        content_md5: Option<&str>,
        given: &Given<'_>,
        algorithm: Option<&model::ChecksumAlgorithm>,
    ) -> Result<Self, ApiError> {
        let content_md5 = content_md5
            .map(|text| Checksum::from_base64(Algorithm::Md5, text).map_err(|_| errors::invalid_digest(text)))
            .transpose()?;
        Ok(Self { content_md5, checksum: given.read()?, announced: algorithm.map(named).transpose()? })
    }

    /// The algorithms to compute besides MD5, so that what is claimed can be checked and what is not is there.
    fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let stored = self.checksum.map_or(DEFAULT, |checksum| checksum.algorithm());
        std::iter::once(stored).chain(self.announced)
    }
}

/// The checksum headers of one request, as the model's members give them.
pub(crate) struct Given<'a> {
    pub supported: [(Algorithm, Option<&'a str>); 5],
    pub unsupported: [(&'static str, Option<&'a str>); 5],
}

impl Given<'_> {
    /// The one checksum among the headers.
    ///
    /// Errors: more than one, a value that is not one of the algorithm's, an algorithm that is not here.
    pub(crate) fn read(&self) -> Result<Option<Checksum>, ApiError> {
        if let Some((header, _)) = self.unsupported.iter().find(|(_, value)| value.is_some()) {
            return Err(errors::header_not_implemented(header));
        }
        let mut given = self.supported.iter().filter_map(|(algorithm, value)| Some((*algorithm, (*value)?)));
        let Some((algorithm, value)) = given.next() else { return Ok(None) };
        if given.next().is_some() {
            return Err(errors::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        Checksum::from_base64(algorithm, value).map(Some).map_err(|_| invalid_header(algorithm))
    }

    /// The first checksum in its text form, as the list of parts and the end of an upload give them.
    pub(crate) fn text(&self) -> Option<(Algorithm, &str)> {
        self.supported.iter().find_map(|(algorithm, value)| Some((*algorithm, (*value)?)))
    }
}

/// The checksum that came behind a body.
///
/// Errors: a value that is not one of the algorithm's.
pub(crate) fn trailing(body: &Body) -> Result<Option<Checksum>, ApiError> {
    for algorithm in ALL {
        let Some(value) = body.trailer(algorithm.header()) else { continue };
        return Checksum::from_base64(algorithm, value.trim()).map(Some).map_err(|_| {
            errors::invalid_request(format!("Value for {} trailing header is invalid.", algorithm.header()))
        });
    }
    Ok(None)
}

/// MD5 and the checksums of a body on its way in.
pub(crate) struct Digests(Vec<Hasher>);

/// What [`Digests`] found.
#[derive(Clone, Debug)]
pub(crate) struct Computed(Vec<Checksum>);

impl Digests {
    /// What the claims need, and `also`.
    pub(crate) fn new(claims: &Claims, also: Option<Algorithm>) -> Self {
        let mut hashers = Vec::with_capacity(3);
        hashers.push(Hasher::new(Algorithm::Md5));
        for algorithm in claims.algorithms().chain(also) {
            if hashers.iter().all(|known: &Hasher| known.algorithm() != algorithm) {
                hashers.push(Hasher::new(algorithm));
            }
        }
        Self(hashers)
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        for hasher in &mut self.0 {
            hasher.update(piece);
        }
    }

    pub(crate) fn finish(self) -> Computed {
        Computed(self.0.into_iter().map(Hasher::finish).collect())
    }
}

impl Computed {
    /// The checksum of an algorithm, if it was computed.
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<Checksum> {
        self.0.iter().find(|checksum| checksum.algorithm() == algorithm).copied()
    }

    /// The MD5 in the form of an ETag.
    pub(crate) fn etag(&self) -> String {
        self.get(Algorithm::Md5).map(|md5| md5.to_hex()).unwrap_or_default()
    }

    /// Adds what had to be computed later.
    pub(crate) fn add(&mut self, checksum: Checksum) {
        self.0.push(checksum);
    }

    /// Errors: `BadDigest`.
    pub(crate) fn check(&self, claimed: &Checksum) -> Result<(), ApiError> {
        if self.get(claimed.algorithm()) == Some(*claimed) {
            return Ok(());
        }
        Err(errors::bad_checksum(claimed.algorithm().name()))
    }

    /// Like [`Computed::check`], for Content-MD5. The error shows the claim as base64, or as PutObject does in hex.
    pub(crate) fn check_md5(&self, claimed: &Checksum, in_hex: bool) -> Result<(), ApiError> {
        let computed = self.get(Algorithm::Md5);
        if computed == Some(*claimed) {
            return Ok(());
        }
        let expected = if in_hex { claimed.to_hex() } else { claimed.to_base64() };
        let calculated = computed.map(|computed| computed.to_base64()).unwrap_or_default();
        Err(errors::bad_content_md5(expected, calculated))
    }
}

/// Checks the document of an operation on its way in; a checksum of an object that an operation names is not one of
/// its document.
///
/// Errors: `InvalidDigest`, `BadDigest`, `InvalidRequest`.
pub(crate) fn check_document(
    operation: &'static OperationInfo,
    headers: &HeaderMap,
    body: &Body,
) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let of_the_object = operation.name == "CompleteMultipartUpload";
    let mut checked = false;
    if let Some(given) = text(Algorithm::Md5.header()) {
        let claimed =
            Checksum::from_base64(Algorithm::Md5, given).map_err(|_| errors::invalid_digest(given))?;
        Computed(vec![Hasher::of(Algorithm::Md5, body.known())]).check_md5(&claimed, false)?;
        checked = true;
    }
    if let Some(claimed) = trailing(body)? {
        check_bytes(body.known(), &claimed)?;
        checked = true;
    }
    for algorithm in ALL {
        let Some(given) = text(algorithm.header()).filter(|_| !of_the_object) else { continue };
        let claimed = Checksum::from_base64(algorithm, given).map_err(|_| invalid_header(algorithm))?;
        check_bytes(body.known(), &claimed)?;
        checked = true;
    }
    if operation.name == "DeleteObjects" && !checked {
        let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
        return Err(errors::invalid_request(message));
    }
    Ok(())
}

fn check_bytes(bytes: &[u8], claimed: &Checksum) -> Result<(), ApiError> {
    Computed(vec![Hasher::of(claimed.algorithm(), bytes)]).check(claimed)
}

fn invalid_header(algorithm: Algorithm) -> ApiError {
    errors::invalid_request(format!("Value for {} header is invalid.", algorithm.header()))
}

/// The checksum headers of an input, for [`Given::read`].
macro_rules! given {
    ($input:expr) => {
        $crate::checksums::Given {
            supported: [
                (lambent_checksums::Algorithm::Crc32, $input.checksum_crc32.as_deref()),
                (lambent_checksums::Algorithm::Crc32c, $input.checksum_crc32_c.as_deref()),
                (lambent_checksums::Algorithm::Crc64Nvme, $input.checksum_crc64_nvme.as_deref()),
                (lambent_checksums::Algorithm::Sha1, $input.checksum_sha1.as_deref()),
                (lambent_checksums::Algorithm::Sha256, $input.checksum_sha256.as_deref()),
            ],
            unsupported: [
                ("x-amz-checksum-md5", $input.checksum_md5.as_deref()),
                ("x-amz-checksum-sha512", $input.checksum_sha512.as_deref()),
                ("x-amz-checksum-xxhash64", $input.checksum_xxhash64.as_deref()),
                ("x-amz-checksum-xxhash3", $input.checksum_xxhash3.as_deref()),
                ("x-amz-checksum-xxhash128", $input.checksum_xxhash128.as_deref()),
            ],
        }
    };
}

/// Puts a checksum's value into the member of its algorithm.
macro_rules! show {
    ($output:expr, $checksum:expr) => {{
        let checksum: &$crate::checksums::StoredChecksum = $checksum;
        let value = Some(checksum.value.clone());
        match checksum.algorithm {
            lambent_checksums::Algorithm::Crc32 => $output.checksum_crc32 = value,
            lambent_checksums::Algorithm::Crc32c => $output.checksum_crc32_c = value,
            lambent_checksums::Algorithm::Crc64Nvme => $output.checksum_crc64_nvme = value,
            lambent_checksums::Algorithm::Sha1 => $output.checksum_sha1 = value,
            lambent_checksums::Algorithm::Sha256 => $output.checksum_sha256 = value,
            lambent_checksums::Algorithm::Md5 => $output.checksum_md5 = value,
        }
    }};
}

/// [`show`], and whether it is of the whole object.
macro_rules! show_with_type {
    ($output:expr, $checksum:expr) => {{
        let checksum: &$crate::checksums::StoredChecksum = $checksum;
        $crate::checksums::show!($output, checksum);
        $output.checksum_type = Some($crate::checksums::shown_type(checksum.checksum_type));
    }};
}

pub(crate) use {given, show, show_with_type};

/// Rows hold an algorithm by its name.
mod algorithm_name {
    use lambent_checksums::Algorithm;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(algorithm: &Algorithm, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(algorithm.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Algorithm, D::Error> {
        let name = <&str>::deserialize(from)?;
        Algorithm::from_name(name).ok_or_else(|| de::Error::custom(format!("unknown algorithm {name}")))
    }
}

/// Rows hold a checksum's type by its name.
mod type_name {
    use lambent_checksums::ChecksumType;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(kind: &ChecksumType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(kind.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ChecksumType, D::Error> {
        let name = <&str>::deserialize(from)?;
        ChecksumType::from_name(name).ok_or_else(|| de::Error::custom(format!("unknown type {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(sha1: Option<&'static str>, crc32: Option<&'static str>) -> Given<'static> {
        Given {
            supported: [
                (Algorithm::Crc32, crc32),
                (Algorithm::Crc32c, None),
                (Algorithm::Crc64Nvme, None),
                (Algorithm::Sha1, sha1),
                (Algorithm::Sha256, None),
            ],
            unsupported: [("x-amz-checksum-md5", None); 5],
        }
    }

    #[test]
    fn headers_are_read_as_aws_reads_them() {
        let right = given(Some("B++3uSfJMSHWToQMQ1g6lIJY5Eo="), None);
        assert_eq!(right.read().unwrap().unwrap().algorithm(), Algorithm::Sha1);
        let message = |given: Given<'_>| given.read().unwrap_err().message;
        assert_eq!(
            message(given(Some("no base64!"), None)),
            "Value for x-amz-checksum-sha1 header is invalid."
        );
        assert_eq!(message(given(Some("MTIz"), None)), "Value for x-amz-checksum-sha1 header is invalid.");
        let two = given(Some("B++3uSfJMSHWToQMQ1g6lIJY5Eo="), Some("lVk/nw=="));
        assert!(message(two).starts_with("Expecting a single x-amz-checksum- header."));
    }

    #[test]
    fn algorithms_that_are_not_here_are_named() {
        let mut newer = given(None, None);
        newer.unsupported[2] = ("x-amz-checksum-xxhash64", Some("x"));
        let error = newer.read().unwrap_err();
        assert_eq!(error.members, [("Header", "x-amz-checksum-xxhash64".to_owned())]);
    }

    #[test]
    fn claims_are_checked() {
        let claims = Claims::read(None, &given(Some("jbXkHAsXUrubtL3dqDQ4w+7WXc0="), None), None).unwrap();
        let mut digests = Digests::new(&claims, Some(DEFAULT));
        digests.update(b"test-");
        digests.update(b"checksum");
        let computed = digests.finish();
        assert!(computed.check(&claims.checksum.unwrap()).is_ok());
        assert_eq!(computed.etag(), "f2081dd61dfa700a0fd5e29b9c3cc23d");
        let wrong = Hasher::of(Algorithm::Sha1, b"other");
        let error = computed.check(&wrong).unwrap_err();
        assert_eq!(error.message, "The SHA1 you specified did not match the calculated checksum.");
        let error = computed.check_md5(&Hasher::of(Algorithm::Md5, b"other"), true).unwrap_err();
        assert_eq!((error.code.as_ref(), error.members.len()), ("BadDigest", 2));
    }

    #[test]
    fn documents_are_checked_by_header_and_trailer() {
        let operation = |name: &str| {
            let found = model::SERVICE.operations.iter().find(|operation| operation.name == name);
            *found.unwrap()
        };
        let check = |name: &str, headers: &[(&'static str, &'static str)], trailers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (header, value) in headers {
                map.insert(*header, value.parse().unwrap());
            }
            let body = Body::from(bytes::Bytes::from_static(b"test-checksum"));
            for (trailer, value) in trailers {
                body.trailers().lock().push(((*trailer).to_owned(), (*value).to_owned()));
            }
            check_document(operation(name), &map, &body).map_err(|error| error.code.into_owned())
        };
        let crc32 = "x-amz-checksum-crc32";
        assert_eq!(check("DeleteObjects", &[], &[]), Err("InvalidRequest".to_owned()));
        assert_eq!(check("CreateBucket", &[], &[]), Ok(()));
        assert_eq!(check("DeleteObjects", &[(crc32, "lVk/nw==")], &[]), Ok(()));
        assert_eq!(check("DeleteObjects", &[(crc32, "AAAAAA==")], &[]), Err("BadDigest".to_owned()));
        assert_eq!(check("DeleteObjects", &[(crc32, "A")], &[]), Err("InvalidRequest".to_owned()));
        assert_eq!(check("DeleteObjects", &[], &[(crc32, "lVk/nw==")]), Ok(()));
        assert_eq!(check("DeleteObjects", &[], &[(crc32, "AAAAAA==")]), Err("BadDigest".to_owned()));
        let md5 = "content-md5";
        assert_eq!(check("DeleteObjects", &[(md5, "8ggd1h36cAoP1eKbnDzCPQ==")], &[]), Ok(()));
        assert_eq!(check("CreateBucket", &[(md5, "AAAA")], &[]), Err("InvalidDigest".to_owned()));
        // Here the checksum is the object's.
        assert_eq!(check("CompleteMultipartUpload", &[(crc32, "AAAAAA==")], &[]), Ok(()));
    }

    #[test]
    fn composite_checksums_are_as_recorded() {
        let checksum = Hasher::of(Algorithm::Crc32c, b"test content 123");
        let plan = Plan { algorithm: Algorithm::Crc32c, checksum_type: ChecksumType::Composite };
        let whole = StoredChecksum::of_parts(plan, &[Part { checksum, bytes: 16 }]).unwrap();
        assert_eq!(whole.value, "sZB91Q==-1");
        let plan = Plan { checksum_type: ChecksumType::FullObject, ..plan };
        let whole = StoredChecksum::of_parts(plan, &[Part { checksum, bytes: 16 }]).unwrap();
        assert_eq!(whole.value, "fwuu0Q==");
    }
}
