//! The algorithms, and the names by which requests call them.

/// An algorithm that can check a body. MD5 is that of `Content-MD5` and of entity tags; the others are AWS's
/// `ChecksumAlgorithm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME, S3's own default.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

/// How the checksum of a multipart object comes from its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumType {
    /// A checksum of the parts' checksums, written with `-N`.
    Composite,
    /// The checksum of the whole object's bytes.
    FullObject,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 6] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256, Self::Md5];

    /// The value of `ChecksumAlgorithm`, as `CRC64NVME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Md5 => "MD5",
        }
    }

    /// From the value of `x-amz-checksum-algorithm` or `x-amz-sdk-checksum-algorithm`, in either case. MD5 is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = |algorithm: &Self| algorithm.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().filter(|algorithm| *algorithm != Self::Md5).find(named)
    }

    /// The header or trailer that carries the value, in lower case.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
            Self::Md5 => "content-md5",
        }
    }

    /// From the name of a header or trailer, in either case.
    pub fn from_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    /// Bytes of a value.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether multipart objects may have a checksum of that type.
    pub fn supports(self, checksum_type: ChecksumType) -> bool {
        match (self, checksum_type) {
            (Self::Crc32 | Self::Crc32c, _) => true,
            (Self::Crc64Nvme, checksum_type) => checksum_type == ChecksumType::FullObject,
            (Self::Sha1 | Self::Sha256, checksum_type) => checksum_type == ChecksumType::Composite,
            (Self::Md5, _) => false,
        }
    }

    /// The type that a multipart upload has when it asks for none.
    pub fn default_type(self) -> ChecksumType {
        if self == Self::Crc64Nvme { ChecksumType::FullObject } else { ChecksumType::Composite }
    }

    pub(crate) fn crc(self) -> Option<crc_fast::CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 | Self::Md5 => None,
        }
    }
}

impl ChecksumType {
    /// The value of `ChecksumType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Composite => "COMPOSITE",
            Self::FullObject => "FULL_OBJECT",
        }
    }

    /// From the value of `x-amz-checksum-type`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Composite, Self::FullObject].into_iter().find(|checksum_type| checksum_type.name() == name)
    }
}
