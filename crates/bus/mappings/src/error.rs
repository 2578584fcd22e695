//! What can go wrong with mappings.

use lambent_bus::BusError;
use lambent_store::{KeyError, StoreError};

use crate::source::SourceError;

/// Every failure of the engine.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the record of a batch that was given up could not be put: {0}")]
    Bus(#[from] BusError),
    #[error("a key of a mapping cannot be read: {0}")]
    Key(#[from] KeyError),
    #[error("the row of a mapping cannot be read: {0}; its bytes stay as they are")]
    Row(#[from] serde_json::Error),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Another node works on the mapping, or this one began anew.
    #[error("another worker has taken this mapping over")]
    Deposed,
    #[error("the task of a lane ended without a result: {0}")]
    Lane(#[from] tokio::task::JoinError),
    #[error("nothing here has streams of the service `{0}`")]
    NoSource(String),
}
