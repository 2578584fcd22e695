//! Key layout of the outbox, below `bus/`.
//!
//! | key | value |
//! |---|---|
//! | `bus/owner` | the epoch of the process that delivers, `u64` big-endian |
//! | `bus/ready/`, stamp | an event to deliver now, in the order of the commits |
//! | `bus/later/`, due time in ms `u64`, 16 random bytes | an event to deliver from that time on |
//! | `bus/body/`, 16 random bytes | a payload too long for its event's row (a large value) |
//! | `bus/dead/`, target's ARN as text, stamp | an event that was given up |
//!
//! An event stays in its row while it is delivered: a process that dies forgets only that it had begun. The row is
//! removed, put off or declared dead in one transaction that depends on `bus/owner`, so a process that lost the
//! ownership cannot settle anything.

use lambent_base::Arn;
use lambent_store::{Key, KeyRange};

pub(crate) const OWNER: &[u8] = b"bus/owner";
pub(crate) const READY: &[u8] = b"bus/ready/";
pub(crate) const LATER: &[u8] = b"bus/later/";
const BODY: &[u8] = b"bus/body/";
pub(crate) const DEAD: &[u8] = b"bus/dead/";
/// The topic that wakes the workers.
pub(crate) const TOPIC: &[u8] = b"bus";

pub(crate) fn later(due_ms: i64, id: [u8; 16]) -> Key {
    later_from(due_ms).raw(&id)
}

/// Where the events that are due at `due_ms` begin.
pub(crate) fn later_from(due_ms: i64) -> Key {
    Key::new(LATER).u64(u64::try_from(due_ms).unwrap_or(0))
}

pub(crate) fn body(id: [u8; 16]) -> Key {
    Key::new(BODY).raw(&id)
}

pub(crate) fn dead_letters(target: Option<&Arn>) -> KeyRange {
    match target {
        Some(target) => dead_prefix(&target.to_string()).range(),
        None => KeyRange::prefix(DEAD),
    }
}

/// What a stamp completes to the key of a dead letter.
pub(crate) fn dead_prefix(target: &str) -> Key {
    Key::new(DEAD).str(target)
}
