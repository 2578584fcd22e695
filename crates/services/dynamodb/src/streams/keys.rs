//! Where streams lie in the store. `STREAM` is the stream's random number.
//!
//! | key | value |
//! |---|---|
//! | `dynamodb/streams/` account, region, table, label | [`StreamRow`](super::rows::StreamRow) |
//! | `dynamodb/stream/` STREAM shard STAMP part | a [record](super::record), or a part of one |
//! | `dynamodb/trimmed/` STREAM shard | the stamp that the shard's records begin at: all before it are gone |

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

/// Woken when there is a stream more.
pub(crate) const SWEEP_TOPIC: &[u8] = b"dynamodb/streams/sweep";

const STREAMS: &[u8] = b"dynamodb/streams/";
const STREAM: &[u8] = b"dynamodb/stream/";
const TRIMMED: &[u8] = b"dynamodb/trimmed/";

pub(crate) fn row(place: &Place, table: &str, label: &str) -> Key {
    of_table(place, table).str(label)
}

/// The streams that a table has or had.
pub(crate) fn of_table(place: &Place, table: &str) -> Key {
    of_place(place).str(table)
}

pub(crate) fn of_place(place: &Place) -> Key {
    Key::new(STREAMS).str(&place.account).str(&place.region)
}

/// All streams of all places.
pub(crate) fn all() -> KeyRange {
    KeyRange::prefix(STREAMS)
}

/// Place, table and label of a row.
pub(crate) fn read_row(key: &[u8]) -> Result<(Place, String, String), KeyError> {
    let mut reader = KeyReader::new(key, STREAMS)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    Ok((place, reader.str()?, reader.str()?))
}

/// The prefix of a shard's records.
pub(crate) fn shard(stream: u64, shard: u16) -> Key {
    Key::new(STREAM).u64(stream).raw(&shard.to_be_bytes())
}

/// The records of all shards.
pub(crate) fn records(stream: u64) -> KeyRange {
    Key::new(STREAM).u64(stream).range()
}

/// The records of all shards of all streams.
pub(crate) fn all_records() -> KeyRange {
    KeyRange::prefix(STREAM)
}

/// The stream and the shard in the key of a record's part, or of a shard's beginning.
pub(crate) fn read_shard(key: &[u8]) -> Result<(u64, u16), KeyError> {
    let mut reader = KeyReader::new(key, STREAM).or_else(|_| KeyReader::new(key, TRIMMED))?;
    let stream = reader.u64()?;
    let shard = reader.rest().first_chunk().ok_or(KeyError::Short)?;
    Ok((stream, u16::from_be_bytes(*shard)))
}

/// Where the shards of all streams begin.
pub(crate) fn all_starts() -> KeyRange {
    KeyRange::prefix(TRIMMED)
}

pub(crate) fn trimmed(stream: u64, shard: u16) -> Key {
    Key::new(TRIMMED).u64(stream).raw(&shard.to_be_bytes())
}

pub(crate) fn all_trimmed(stream: u64) -> KeyRange {
    Key::new(TRIMMED).u64(stream).range()
}

/// Woken when a shard has a record more, or is over.
pub(crate) fn topic(stream: u64, shard: u16) -> Key {
    self::shard(stream, shard)
}
