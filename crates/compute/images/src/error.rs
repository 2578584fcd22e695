//! Why an image is not to be had, or is none.

use std::path::PathBuf;

/// What went wrong with an image. The texts are for who deploys it, and name no address or file of the host's but the image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(
        "expected an image as HOST[:PORT]/REPOSITORY[:TAG|@sha256:DIGEST] or oci:NAME[:TAG|@sha256:DIGEST], got `{0}`"
    )]
    Reference(String),
    #[error(
        "the registry {host} may not be reached; the operator names those that may with `lambent up --registry {host}`"
    )]
    RegistryNotAllowed { host: String },
    #[error("there is no folder of images; the operator names one with `lambent up --images DIRECTORY`")]
    NoFolder,
    #[error("{what} does not exist")]
    Missing { what: String },
    #[error(
        "{host} does not let this platform have the image ({status}); the operator gives credentials with `lambent up --registry-credentials FILE`"
    )]
    Denied { host: String, status: u16 },
    #[error("{host} sends to {to}, which may not be reached: {why}")]
    SentAway { host: String, to: String, why: String },
    #[error("{host} cannot be reached: {cause}")]
    Unreachable { host: String, cause: String },
    /// Asking again would take as long.
    #[error("its {bytes} bytes did not come within {seconds} s")]
    TooSlow { bytes: u64, seconds: u64 },
    #[error("{host} answered {what}")]
    Protocol { host: String, what: String },
    #[error("the operator's file of registry credentials cannot be read: {0}")]
    Credentials(String),
    #[error("{what} has {got} bytes, and may have {max}")]
    TooLarge { what: &'static str, got: u64, max: u64 },
    #[error("it has more {what} than {max}")]
    TooMany { what: &'static str, max: usize },
    #[error("the digest of {what} is {got}, and should be {expected}")]
    WrongDigest { what: String, expected: String, got: String },
    #[error("{what} cannot be read: {cause}")]
    Malformed { what: String, cause: String },
    #[error("{what} is of the type {kind}, which is not supported")]
    Unsupported { what: String, kind: String },
    #[error("it is for {found}, and the function for {wanted}")]
    OtherPlatform { found: String, wanted: String },
    #[error("the entry `{path}` of a layer {problem}")]
    Entry { path: String, problem: &'static str },
    #[error("cannot {step} {}: {source}", path.display())]
    Io { step: &'static str, path: PathBuf, source: std::io::Error },
}

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// There is no such image.
    Missing,
    /// The image is there, and may not be had.
    Denied,
    /// What is there is no image that can be run here.
    Invalid,
    /// The registry, or the way to it.
    Elsewhere,
    /// This host.
    Host,
}

impl ImageError {
    /// Who has to do something about it.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Missing { .. } => Blame::Missing,
            Self::Denied { .. }
            | Self::RegistryNotAllowed { .. }
            | Self::SentAway { .. }
            | Self::NoFolder => Blame::Denied,
            Self::Unreachable { .. } | Self::Protocol { .. } | Self::TooSlow { .. } => Blame::Elsewhere,
            Self::Credentials(_) | Self::Io { .. } => Blame::Host,
            _ => Blame::Invalid,
        }
    }

    /// Whether the same may go well a moment later.
    pub fn may_pass(&self) -> bool {
        self.blame() == Blame::Elsewhere && !matches!(self, Self::TooSlow { .. })
    }

    /// Whether the host's disk has no room for it.
    pub fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind;
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }

    pub(crate) fn io(
        step: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::Io { step, path: path.into(), source: source.into() }
    }

    pub(crate) fn malformed(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Malformed { what: what.into(), cause: cause.to_string() }
    }
}
