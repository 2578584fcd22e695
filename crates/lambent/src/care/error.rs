//! Why a command that takes care of data failed.

use std::path::PathBuf;

use lambent_blobs::BlobError;
use lambent_care::CareError;
use lambent_cli::CliError;
use lambent_store::StoreError;

use crate::blobs::OpenBlobsError;
use crate::data_dir::DataDirError;
use crate::owner::OwnerError;

/// The texts go to the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("the runtime could not start: {0}")]
    Runtime(std::io::Error),
    #[error("expected the data of a cloud in {}, found none", .0.display())]
    NoData(PathBuf),
    #[error("expected to make a temporary folder: {0}")]
    Scratch(std::io::Error),
    #[error("expected the blobs of the cloud {wanted}, but those there are of {found}")]
    OtherBlobs { found: String, wanted: String },
    #[error("expected a place for backups, but {0} is where a cloud keeps its own rows or blobs")]
    CloudAsBackup(String),
    #[error("a repair needs the cloud to be stopped, and it runs")]
    RepairWhileRunning,
    #[error("the cloud could not be kept from removing blobs while they were checked; check again")]
    NotHeld,
    #[error("the backup has no key that opens it, and without the master key its secrets cannot be opened")]
    NoKeys { file: PathBuf },
    #[error(
        "the new master key is in force, but not everything is sealed under it: {0}; try again, or start the cloud"
    )]
    SealAnew(Box<crate::cloud::StartError>),
    #[error(transparent)]
    Directory(#[from] DataDirError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error(transparent)]
    OpenBlobs(#[from] OpenBlobsError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Cli(#[from] CliError),
    #[error(transparent)]
    Care(#[from] CareError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandError {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoData(_) => "name its directory with --data, or its database with --store",
            Self::CloudAsBackup(_) => "name another directory, or another prefix of the bucket",
            Self::RepairWhileRunning => {
                "stop every `lambent up` that uses this store; without --repair, a check changes nothing"
            }
            Self::OtherBlobs { .. } => {
                "name the place of its blobs with --blobs, as it was given to `lambent up`"
            }
            Self::NoKeys { file } => {
                return Some(format!(
                    "put the old file `master-key` to {}, or set LAMBENT_MASTER_KEY to what it holds; if it is lost for good, use --new-keys",
                    file.display()
                ));
            }
            Self::Store(StoreError::Locked { .. }) => {
                "stop the cloud first; while it runs, it can be backed up, checked and exported"
            }
            Self::Store(StoreError::NotEmpty) | Self::Care(CareError::Store(StoreError::NotEmpty)) => {
                "nothing was changed; rows of two clouds are never mixed"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
