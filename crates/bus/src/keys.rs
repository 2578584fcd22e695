//! Key layout of the bus, below `bus/`.
//!
//! | key | value |
//! |---|---|
//! | `bus/node/`, 16 random bytes | a process at work on this store: how often it has said so, `u64` big-endian |
//! | `bus/pin/`, 16 random bytes | until when no blob is let go of, see [`crate::pins`]: ms since 1970, `i64` big-endian |
//! | `bus/lease/`, name as text | who does what only one may do: see [`crate::leases`] |
//! | `bus/ready/`, queue `u64`, stamp | an event to deliver now, in the order of the commits |
//! | `bus/later/`, queue `u64`, due time in ms `u64`, 16 random bytes | an event to deliver from that time on |
//! | `bus/wait/`, queue `u64`, target's ARN as text, stamp | a ready event whose target has enough to do: it waits for that alone |
//! | `bus/head/ready/`, queue `u64` | counter: every ready event of an older commit is settled |
//! | `bus/head/later/`, queue `u64` | counter: every event that was due earlier, in ms, is settled |
//! | `bus/head/wait/`, queue `u64`, target's ARN as text | counter: events wait for the target; every one of an older commit is settled |
//! | `bus/body/`, 16 random bytes | a payload too long for its event's row (a large value) |
//! | `bus/dead/`, target's ARN as text, stamp | an event that was given up |
//!
//! A node puts events into a queue of its own, so that whoever causes an event also delivers it; the lease of a queue
//! says who delivers. An event stays in its row while it is delivered: a process that dies forgets only that it had
//! begun. The row is removed, put off or declared dead in one transaction that depends on the lease, so a process that
//! lost it cannot settle anything. Where a queue begins is kept beside it: rows that were deleted are not walked again.

use lambent_base::Arn;
use lambent_store::{Key, KeyRange, KeyReader};

use crate::nodes::NodeId;

const NODE: &[u8] = b"bus/node/";
const PIN: &[u8] = b"bus/pin/";
const LEASE: &[u8] = b"bus/lease/";
const READY: &[u8] = b"bus/ready/";
const LATER: &[u8] = b"bus/later/";
const WAIT: &[u8] = b"bus/wait/";
const HEAD_WAIT: &[u8] = b"bus/head/wait/";
const HEAD_READY: &[u8] = b"bus/head/ready/";
const HEAD_LATER: &[u8] = b"bus/head/later/";
const BODY: &[u8] = b"bus/body/";
pub(crate) const DEAD: &[u8] = b"bus/dead/";
const TOPIC: &[u8] = b"bus/";
/// Woken when a lease may have become free.
pub(crate) const FREED_TOPIC: &[u8] = b"bus/freed";

pub(crate) fn node(id: NodeId) -> Key {
    Key::new(NODE).raw(&id.0)
}

pub(crate) fn nodes() -> KeyRange {
    KeyRange::prefix(NODE)
}

pub(crate) fn read_node(key: &[u8]) -> Option<NodeId> {
    key.strip_prefix(NODE)?.try_into().ok().map(NodeId)
}

pub(crate) fn pin(id: [u8; 16]) -> Key {
    Key::new(PIN).raw(&id)
}

pub(crate) fn pins() -> KeyRange {
    KeyRange::prefix(PIN)
}

pub(crate) fn lease(name: &str) -> Key {
    Key::new(LEASE).str(name)
}

/// The leases whose names start with `prefix`.
pub(crate) fn leases(prefix: &str) -> KeyRange {
    Key::new(LEASE).str_prefix(prefix).range()
}

pub(crate) fn read_lease(key: &[u8]) -> Option<String> {
    KeyReader::new(key, LEASE).ok()?.str().ok()
}

/// What a stamp completes to the key of a ready event.
pub(crate) fn ready(queue: u64) -> Key {
    Key::new(READY).u64(queue)
}

/// Where the ready events of commits from `version` on begin.
pub(crate) fn ready_from(queue: u64, version: u64) -> Key {
    ready(queue).u64(version)
}

/// The commit that a key of a ready event, or one that lies between two such keys, belongs to.
pub(crate) fn version_of_ready(key: &[u8]) -> Option<u64> {
    let mut reader = KeyReader::new(key, READY).ok()?;
    reader.u64().ok()?;
    reader.u64().ok()
}

/// What a stamp completes to the key of an event that waits for its target.
pub(crate) fn wait(queue: u64, target: &str) -> Key {
    Key::new(WAIT).u64(queue).str(target)
}

/// The commit that a key of an event that waits, or one that lies between two such keys, belongs to.
pub(crate) fn version_of_wait(key: &[u8]) -> Option<u64> {
    let mut reader = KeyReader::new(key, WAIT).ok()?;
    reader.u64().ok()?;
    reader.bytes().ok()?;
    reader.u64().ok()
}

pub(crate) fn all_wait() -> KeyRange {
    KeyRange::prefix(WAIT)
}

pub(crate) fn head_of_wait(queue: u64, target: &str) -> Key {
    Key::new(HEAD_WAIT).u64(queue).str(target)
}

pub(crate) fn heads_of_wait(queue: u64) -> KeyRange {
    Key::new(HEAD_WAIT).u64(queue).range()
}

/// The target in a key of [`heads_of_wait`].
pub(crate) fn target_of_head(key: &[u8]) -> Option<String> {
    let mut reader = KeyReader::new(key, HEAD_WAIT).ok()?;
    reader.u64().ok()?;
    reader.str().ok()
}

pub(crate) fn all_ready() -> KeyRange {
    KeyRange::prefix(READY)
}

pub(crate) fn all_later() -> KeyRange {
    KeyRange::prefix(LATER)
}

pub(crate) fn later(queue: u64, due_ms: i64, id: [u8; 16]) -> Key {
    later_from(queue, due_ms).raw(&id)
}

/// Every event of a queue that was put off.
pub(crate) fn laters(queue: u64) -> KeyRange {
    Key::new(LATER).u64(queue).range()
}

/// Where the events that are due at `due_ms` begin.
pub(crate) fn later_from(queue: u64, due_ms: i64) -> Key {
    Key::new(LATER).u64(queue).u64(u64::try_from(due_ms).unwrap_or(0))
}

/// When the event under a key is due, or where a range of such keys begins.
pub(crate) fn due_of_later(key: &[u8]) -> Option<i64> {
    let mut reader = KeyReader::new(key, LATER).ok()?;
    reader.u64().ok()?;
    i64::try_from(reader.u64().ok()?).ok()
}

pub(crate) fn head_of_ready(queue: u64) -> Key {
    Key::new(HEAD_READY).u64(queue)
}

pub(crate) fn head_of_later(queue: u64) -> Key {
    Key::new(HEAD_LATER).u64(queue)
}

/// Wakes who delivers from a queue.
pub(crate) fn topic(queue: u64) -> Key {
    Key::new(TOPIC).u64(queue)
}

pub(crate) fn body(id: [u8; 16]) -> Key {
    Key::new(BODY).raw(&id)
}

/// Every payload that has a row of its own.
pub(crate) fn bodies() -> KeyRange {
    KeyRange::prefix(BODY)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let id = NodeId([7; 16]);
        assert_eq!(read_node(&node(id)), Some(id));
        assert_eq!(read_lease(&lease("outbox/3")).as_deref(), Some("outbox/3"));
        assert_eq!(version_of_ready(&ready_from(2, 9)), Some(9));
        assert_eq!(version_of_ready(&ready(2)), None);
        assert_eq!(version_of_wait(&wait(2, "a").u64(9)), Some(9));
        assert_eq!(version_of_wait(&wait(2, "a")), None);
        assert_eq!(target_of_head(&head_of_wait(2, "a")).as_deref(), Some("a"));
        assert_eq!(due_of_later(&later(2, 77, [1; 16])), Some(77));
        assert!(
            ready(2).range().contains(&ready_from(2, 9)) && !ready(1).range().contains(&ready_from(2, 9))
        );
    }
}
