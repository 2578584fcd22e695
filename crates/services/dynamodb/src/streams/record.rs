//! Records of what happened to items, written in the transaction in which it happens.
//!
//! A record is a version byte, a byte of marks, the time (`i64`, milliseconds since 1970), the size as AWS counts it (`u32`),
//! and then those items that its marks name, each with its length before it (`u32`): keys, new image, old image. Numbers are
//! big-endian; items have the form of [`lambent_expressions::encode_item`].

use lambent_expressions::{Item, decode_item, encode_item, hash_of, item_bytes};
use lambent_store::Txn;

use super::keys;
use crate::DynamoError;
use crate::change::Origin;
use crate::stamped::{self, Position, Stamped};
use crate::table::{StreamView, Table};

const VERSION: u8 = 1;
const EVENT_MASK: u8 = 0b11;
const BY_TTL: u8 = 1 << 2;
const HAS_NEW: u8 = 1 << 3;
const HAS_OLD: u8 = 1 << 4;
const HEAD_BYTES: usize = 2 + 8 + 4;

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventName {
    Insert,
    Modify,
    Remove,
}

/// A record of a stream.
#[derive(Clone, Debug)]
pub struct ChangeRecord {
    pub at: Position,
    pub event: EventName,
    /// Whether time to live deleted the item, and no caller.
    pub by_ttl: bool,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Of the keys and the images, as AWS counts them.
    pub size_bytes: u32,
    pub keys: Item,
    pub new: Option<Item>,
    pub old: Option<Item>,
}

/// Writes the record of a change to the table's stream, if that is on; nothing where nothing changed.
pub(crate) fn record(
    txn: &Txn,
    table: &Table,
    old: Option<&Item>,
    new: Option<&Item>,
    origin: Origin,
    at_ms: i64,
) {
    let Some(stream) = &table.stream else { return };
    let (event, item) = match (old, new) {
        (None, Some(new)) => (EventName::Insert, new),
        (Some(old), Some(new)) if old != new => (EventName::Modify, new),
        (Some(old), None) => (EventName::Remove, old),
        (Some(_), Some(_)) | (None, None) => return,
    };
    let Some(partition) = table.key.hash.of(item) else { return };
    let shard = shard_of(hash_of(partition), stream.shards);
    let keys = table.keys_of(item);
    let new = new.filter(|_| matches!(stream.view, StreamView::NewImage | StreamView::NewAndOldImages));
    let old = old.filter(|_| matches!(stream.view, StreamView::OldImage | StreamView::NewAndOldImages));
    let record = encode(event, origin, at_ms, [Some(&keys), new, old]);
    stamped::put(txn, &keys::shard(stream.id, shard), &record);
    txn.on_commit(&keys::topic(stream.id, shard));
}

/// The shard of all records of items with this hash.
pub(crate) fn shard_of(hash: u16, shards: u16) -> u16 {
    let shard = (u32::from(hash) * u32::from(shards)) >> 16;
    u16::try_from(shard).expect("a part of a number below 65,536 is below it, too")
}

fn encode(event: EventName, origin: Origin, at_ms: i64, parts: [Option<&Item>; 3]) -> Vec<u8> {
    let bytes: usize = parts.iter().flatten().map(|item| item_bytes(item)).sum();
    let size_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let mut marks = match event {
        EventName::Insert => 0,
        EventName::Modify => 1,
        EventName::Remove => 2,
    };
    for (mark, is_set) in
        [(BY_TTL, origin == Origin::Ttl), (HAS_NEW, parts[1].is_some()), (HAS_OLD, parts[2].is_some())]
    {
        marks |= if is_set { mark } else { 0 };
    }
    let mut record = Vec::with_capacity(HEAD_BYTES + bytes + 64);
    record.extend_from_slice(&[VERSION, marks]);
    record.extend_from_slice(&at_ms.to_be_bytes());
    record.extend_from_slice(&size_bytes.to_be_bytes());
    for item in parts.into_iter().flatten() {
        let item = encode_item(item);
        let length = u32::try_from(item.len()).expect("an item has less than a megabyte");
        record.extend_from_slice(&length.to_be_bytes());
        record.extend_from_slice(&item);
    }
    record
}

/// Reads a record.
pub(crate) fn decode(stored: &Stamped) -> Result<ChangeRecord, DynamoError> {
    let record = &stored.bytes;
    let at_ms = stamped::time_of(record)?;
    let [VERSION, marks] = record[..2] else {
        return Err(unreadable("it is of a version that this program does not know"));
    };
    let event = match marks & EVENT_MASK {
        0 => EventName::Insert,
        1 => EventName::Modify,
        2 => EventName::Remove,
        _ => return Err(unreadable("it says of no known event")),
    };
    let (size, mut rest) =
        record[10..].split_first_chunk().ok_or_else(|| unreadable("it ends before its items"))?;
    let mut item = || -> Result<Item, DynamoError> {
        let (length, body) = rest.split_first_chunk().ok_or_else(|| unreadable("it lacks an item"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (item, after) = body.split_at_checked(length).ok_or_else(|| unreadable("an item is cut off"))?;
        rest = after;
        Ok(decode_item(item)?)
    };
    Ok(ChangeRecord {
        at: stored.at,
        event,
        by_ttl: marks & BY_TTL != 0,
        at_ms,
        size_bytes: u32::from_be_bytes(*size),
        keys: item()?,
        new: (marks & HAS_NEW != 0).then(&mut item).transpose()?,
        old: (marks & HAS_OLD != 0).then(&mut item).transpose()?,
    })
}

fn unreadable(why: &str) -> DynamoError {
    DynamoError::Row { what: "a stream's record", why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lambent_expressions::Value;

    use super::*;

    #[test]
    fn records_come_back() {
        let keys = Item::from([("id".to_owned(), Value::S("NewKey".to_owned()))]);
        let bytes = Bytes::from(encode(EventName::Remove, Origin::Ttl, 77, [Some(&keys), None, Some(&keys)]));
        let at = Position::START.after();
        let record = decode(&Stamped { at, bytes: bytes.clone() }).unwrap();
        assert_eq!((record.event, record.by_ttl, record.at_ms), (EventName::Remove, true, 77));
        assert_eq!(record.size_bytes, 16);
        assert_eq!((record.keys, record.new, record.old), (keys.clone(), None, Some(keys)));
        for cut in 0..bytes.len() {
            let cut = Stamped { at, bytes: bytes.slice(..cut) };
            assert!(decode(&cut).is_err());
        }
    }

    #[test]
    fn shards_share_the_hashes_evenly() {
        assert_eq!([0, 16_383, 16_384, 65_535].map(|hash| shard_of(hash, 4)), [0, 0, 1, 3]);
        assert_eq!(shard_of(65_535, 1), 0);
    }
}
