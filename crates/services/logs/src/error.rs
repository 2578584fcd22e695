//! What can go wrong in the logs.

use lambent_model_logs::errors::service_unavailable_exception;
use lambent_store::{KeyError, StoreError};
use lambent_wire::ApiError;

/// Every failure of the logs.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// What the caller did wrong, in AWS's words.
    #[error(transparent)]
    Refused(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("expected a stored key of the logs, got another layout: {0}; restore a backup")]
    Key(#[from] KeyError),
    #[error("expected the stored row of {what}: {source}; restore a backup")]
    Row { what: &'static str, source: serde_json::Error },
    #[error("a stored chunk of log events is damaged: {0}; restore a backup")]
    Chunk(&'static str),
}

impl From<LogsError> for ApiError {
    fn from(error: LogsError) -> Self {
        match error {
            LogsError::Refused(refusal) => refusal,
            LogsError::Store(StoreError::Contended { .. } | StoreError::Unavailable(_)) => {
                service_unavailable_exception("The service cannot complete the request.")
            }
            other => Self::internal(&other),
        }
    }
}
