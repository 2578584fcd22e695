//! Where time to live keeps what it knows. `TTL` is a random number, drawn each time when it is turned on.
//!
//! | key | value |
//! |---|---|
//! | `dynamodb/expiring/` TTL | [`TtlRow`](super::TtlRow) |
//! | `dynamodb/ttl/` TTL, seconds since 1970, the item's key | empty: when to look at the item |

use lambent_store::{Key, KeyError, KeyRange, KeyReader};

use crate::keys::ItemKey;

/// Woken when the sweeper may have something new to do.
pub(super) const SWEEP_TOPIC: &[u8] = b"dynamodb/ttl";

const EXPIRING: &[u8] = b"dynamodb/expiring/";
const MARK: &[u8] = b"dynamodb/ttl/";

pub(super) fn expiring(ttl: u64) -> Key {
    Key::new(EXPIRING).u64(ttl)
}

pub(super) fn all_expiring() -> KeyRange {
    KeyRange::prefix(EXPIRING)
}

pub(super) fn read_expiring(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, EXPIRING)?.u64()
}

pub(super) fn mark(ttl: u64, due_s: i64, item: &ItemKey) -> Key {
    Key::new(MARK).u64(ttl).i64(due_s).raw(item.as_bytes())
}

/// When the mark is due, and the item's key.
pub(super) fn read_mark(key: &[u8]) -> Result<(i64, ItemKey), KeyError> {
    let mut reader = KeyReader::new(key, MARK)?;
    reader.u64()?;
    let due_s = reader.i64()?;
    Ok((due_s, ItemKey::found(bytes::Bytes::copy_from_slice(reader.rest()))))
}

/// Every mark that is due at `from_s` or later.
pub(super) fn marks_from(ttl: u64, from_s: i64) -> KeyRange {
    marks(ttl).starting_at(&Key::new(MARK).u64(ttl).i64(from_s))
}

pub(super) fn marks(ttl: u64) -> KeyRange {
    Key::new(MARK).u64(ttl).range()
}
