//! What can go wrong in tables.

use lambent_expressions::{Corrupt, Invalid};
use lambent_model_dynamodb::errors::internal_server_error;
use lambent_store::{KeyError, StoreError};
use lambent_wire::ApiError;

/// Every failure of DynamoDB. All who wait for one transaction are told of its failure, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DynamoError {
    /// What the caller did wrong, in AWS's words.
    #[error(transparent)]
    Refused(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("expected a stored key of DynamoDB, got another layout: {0}; restore a backup")]
    Key(#[from] KeyError),
    #[error("expected the stored row of {what}: {why}; restore a backup")]
    Row { what: &'static str, why: String },
    #[error("a stored item is damaged: {0}; restore a backup")]
    Item(#[from] Corrupt),
    #[error("a write ended with the process that ran it; try again")]
    Abandoned,
    #[error("expected a job of a table to go on, it ended by itself: {0}; report it")]
    Ended(String),
    #[error("a table was deleted and made anew while an item of it was written; try again")]
    Moved,
}

impl DynamoError {
    /// Whether a row is not what was written: no other row has to wait for it.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Row { .. } | Self::Item(_) | Self::Store(StoreError::Corrupt(_)))
    }

    /// Whether smaller steps may succeed: this one met writers, or was more than a transaction holds.
    pub(crate) fn asks_for_less(&self) -> bool {
        let Self::Store(error) = self else { return false };
        matches!(
            error,
            StoreError::Contended { .. }
                | StoreError::TransactionTooLarge { .. }
                | StoreError::TransactionTooComplex
                | StoreError::TransactionTooSlow
        )
    }
}

impl From<Invalid> for DynamoError {
    fn from(invalid: Invalid) -> Self {
        Self::Refused(validation(invalid.0))
    }
}

impl From<DynamoError> for ApiError {
    fn from(error: DynamoError) -> Self {
        match error {
            DynamoError::Refused(refusal) => refusal,
            // Clients try again by themselves.
            DynamoError::Store(StoreError::Contended { .. } | StoreError::Unavailable(_)) => {
                internal_server_error("The request could not be completed. Please try again.")
            }
            other => Self { code: "InternalServerError".into(), ..Self::internal(&other) },
        }
    }
}

/// A ValidationException.
pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}
