//! What can go wrong in the meter.

use lambent_store::{KeyError, StoreError};

/// Every failure of the meter.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("expected a stored sum of the meter, got another layout: {0}; restore a backup")]
    Key(#[from] KeyError),
    #[error("the meter was stopped while it wrote; runs of the last second may be missing from the bill")]
    Stopped,
}
