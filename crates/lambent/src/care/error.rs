//! Why a command that takes care of data failed.

use std::path::PathBuf;

use lambent_care::CareError;
use lambent_cli::CliError;
use lambent_store::StoreError;

/// The texts go to the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("the runtime could not start: {0}")]
    Runtime(std::io::Error),
    #[error("expected the data of a cloud in {}, found none", .0.display())]
    NoData(PathBuf),
    #[error(transparent)]
    Cli(#[from] CliError),
    #[error(transparent)]
    Care(#[from] CareError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandError {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoData(_) => Some("name its directory with --data, or its database with --store"),
            Self::Store(StoreError::Locked { .. }) => {
                Some("stop the cloud first; only a backup and an export are made while it runs")
            }
            Self::Store(StoreError::NotEmpty) | Self::Care(CareError::Store(StoreError::NotEmpty)) => {
                Some("nothing was changed; an import never mixes two clouds")
            }
            _ => None,
        }
    }
}
