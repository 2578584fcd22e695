//! What can go wrong while data is taken care of.

use std::io;
use std::path::{Path, PathBuf};

use lambent_blobs::{BlobError, BlobId};
use lambent_store::StoreError;

use crate::dump::DumpError;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    #[error("expected to {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} cannot be used: {source}", path.display())]
    Dump { path: PathBuf, source: DumpError },
    #[error("{} exists already; remove it, or choose another name", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("expected a backup in {place}, found none; was it made there?")]
    NoBackup { place: String },
    #[error("expected the dump {name} in {place}; there are: {found}")]
    NoDump { place: String, name: String, found: String },
    #[error(
        "{place} holds backups of the cloud {found}, and this is the cloud {wanted}; give each cloud a place of its own"
    )]
    OtherCloud { place: String, found: String, wanted: String },
    #[error(
        "expected the place for the blobs to be empty, but it holds {0}; a restore goes into an empty place only"
    )]
    BlobsNotEmpty(BlobId),
    #[error(
        "the place for the blobs belongs to the cloud {found}, and this is a backup of {wanted}; give an empty place"
    )]
    OtherBlobs { found: String, wanted: String },
    #[error(
        "the backup lacks {count} of the blobs that {name} names, the first is {first}; restore another dump with --dump"
    )]
    Lacking { name: String, count: usize, first: BlobId },
    #[error("{0} is no manifest of backups: {1}")]
    Manifest(String, serde_json::Error),
    #[error(
        "the manifest in {place} has format {found}, this program knows {known}; use the version of Lambent that wrote it, or a newer one"
    )]
    ManifestFormat { place: String, found: u32, known: u32 },
    #[error(
        "{place} is in use by {holder}, until {until} at least; begin again when it is done, or, if it has died, after that time"
    )]
    InUse { place: String, holder: String, until: String },
    #[error(
        "{place} was taken over by another command, as this one had not been heard of; nothing of it counts there, begin again"
    )]
    TurnLost { place: String },
    #[error(
        "the cloud could not be kept from removing blobs while they were copied, so this would be no whole backup; begin again"
    )]
    NotHeld,
    /// What the caller of a restore does last has failed.
    #[error(transparent)]
    Settle(Box<dyn std::error::Error + Send + Sync>),
    #[error("work was cut off; try again")]
    CutOff,
}

impl CareError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn dump(path: &Path) -> impl FnOnce(DumpError) -> Self {
        let path = path.to_owned();
        move |source| Self::Dump { path, source }
    }
}
