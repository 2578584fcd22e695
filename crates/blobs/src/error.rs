//! What can go wrong with blobs.

use std::path::{Path, PathBuf};

use crate::id::BlobId;
use crate::limits;

/// Every failure of the blob store.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {0} does not exist")]
    NotFound(BlobId),
    /// The bytes that are stored are not those that were written.
    #[error("blob {id} is damaged: {what}; restore it from a backup")]
    Damaged { id: BlobId, what: String },
    #[error("blob {id} has {length} bytes, asked for {start} to {end}")]
    RangeOutOfBounds { id: BlobId, length: u64, start: u64, end: u64 },
    #[error("a blob may have {} bytes", limits::MAX_BLOB_BYTES)]
    TooLarge,
    #[error("the disk of {} is full, or nearly so; free some space", path.display())]
    DiskFull { path: PathBuf },
    #[error("the blob store at {place} has no room left: {why}; free some there")]
    Full { place: String, why: String },
    #[error(
        "cannot reach the blob store at {place}: {why}; check that it runs and can be reached from this host"
    )]
    Unreachable { place: String, why: String },
    #[error(
        "the blob store at {place} refuses: {why}; check that it is the right one and what its credentials allow"
    )]
    Refused { place: String, why: String },
    #[error("`{0}` is not a blob id: expected 32 hexadecimal digits")]
    BadId(String),
    #[error("cannot {step} {}: {source}", path.display())]
    Io { step: &'static str, path: PathBuf, source: std::io::Error },
    /// The process is stopping, or work panicked, or a writer was used after it had failed.
    #[error("work on a blob was cut off; try again")]
    CutOff,
    /// The caller of a sweep could not say which blobs it references.
    #[error("cannot find out which blobs are referenced: {0}")]
    References(String),
}

impl BlobError {
    /// Whether the place is at fault and not the request: the same may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::DiskFull { .. }
                | Self::Full { .. }
                | Self::Unreachable { .. }
                | Self::Refused { .. }
                | Self::CutOff
        )
    }

    pub(crate) fn io(step: &'static str, path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.to_owned() }
            }
            _ => Self::Io { step, path: path.to_owned(), source },
        }
    }
}

/// Runs disk work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(BlobError::CutOff))
}
