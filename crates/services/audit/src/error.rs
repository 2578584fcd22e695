//! Why the audit log could not be read or written.

use lambent_store::StoreError;

/// Failures of the audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("could not read or write the audit log: {0}")]
    Store(#[from] StoreError),
    #[error("an event of the audit log cannot be written: {0}")]
    Event(#[from] serde_json::Error),
    /// The process ends.
    #[error("the audit log is closing")]
    Stopped,
}
