//! What can go wrong in the outbox.

use lambent_store::{KeyError, StoreError};

use crate::queues::QUEUES_MAX;

/// Every failure of the outbox.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an event may have {limit} bytes, got {length}")]
    PayloadTooLarge { length: usize, limit: usize },
    /// Bytes that the outbox wrote do not read back as an event.
    #[error("an event cannot be read: {0}")]
    Unreadable(String),
    #[error("a key of the outbox cannot be read: {0}")]
    Key(#[from] KeyError),
    /// This node was taken for dead, or has ended, or another one that needs it more has what this one held.
    #[error("this node does not hold the lease of what it did any more")]
    Deposed,
    #[error("at most {QUEUES_MAX} nodes can be at work on one store, and there are as many")]
    TooManyNodes,
    #[error("the dead letter does not exist, or was sent again already")]
    NoSuchDeadLetter,
}
