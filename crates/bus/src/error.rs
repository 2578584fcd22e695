//! What can go wrong in the outbox.

use lambent_store::{KeyError, StoreError};

use crate::event::MAX_PAYLOAD_BYTES;

/// Every failure of the outbox.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an event may have {MAX_PAYLOAD_BYTES} bytes, got {length}")]
    PayloadTooLarge { length: usize },
    /// Bytes that the outbox wrote do not read back as an event.
    #[error("an event cannot be read: {0}")]
    Unreadable(String),
    #[error("a key of the outbox cannot be read: {0}")]
    Key(#[from] KeyError),
    /// Another process has taken the outbox over: it delivers now.
    #[error("another process has taken over the delivery of events")]
    Deposed,
    #[error("the dead letter does not exist, or was sent again already")]
    NoSuchDeadLetter,
}
