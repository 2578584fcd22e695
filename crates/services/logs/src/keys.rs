//! Where everything lies in the store. `GROUP` is the group's random number, drawn when it is created, so that a group
//! which is deleted and made anew never meets rows of its former life.
//!
//! | key | value |
//! |---|---|
//! | `logs/group/` account, region, name | [`GroupRow`](crate::rows::GroupRow) |
//! | `logs/stream/` GROUP, stream | [`StreamRow`](crate::rows::StreamRow) |
//! | `logs/recent/` GROUP, time of the last event (0 when there is none), stream | empty: the order LastEventTime |
//! | `logs/chunk/` GROUP, stream, time of the first event, sequence, part | one part of a [chunk](crate::chunk) |
//! | `logs/time/` GROUP, time of the first event, stream, sequence | empty: the chunks of all streams by time |
//! | `logs/bytes/` GROUP | counter: stored bytes |
//! | `logs/retained/` GROUP | retention in days, `u32` big-endian: where the sweeper looks |
//! | `logs/dead/` GROUP | empty: a deleted group whose rows the sweeper clears |

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

/// Woken when the sweeper may have something new to do.
pub(crate) const SWEEP_TOPIC: &[u8] = b"logs/sweep";

const GROUP: &[u8] = b"logs/group/";
const STREAM: &[u8] = b"logs/stream/";
const RECENT: &[u8] = b"logs/recent/";
const CHUNK: &[u8] = b"logs/chunk/";
const TIME: &[u8] = b"logs/time/";
const BYTES: &[u8] = b"logs/bytes/";
const RETAINED: &[u8] = b"logs/retained/";
const DEAD: &[u8] = b"logs/dead/";

/// Names one chunk of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) first_ms: i64,
    pub(crate) stream: String,
    pub(crate) sequence: u64,
}

pub(crate) fn group(place: &Place, name: &str) -> Key {
    groups_prefix(place).str(name)
}

/// Every group whose name starts with `prefix`.
pub(crate) fn groups(place: &Place, prefix: &str) -> KeyRange {
    groups_prefix(place).str_prefix(prefix).range()
}

pub(crate) fn group_name(place: &Place, key: &[u8]) -> Result<String, KeyError> {
    KeyReader::new(key, &groups_prefix(place))?.str()
}

fn groups_prefix(place: &Place) -> Key {
    Key::new(GROUP).str(&place.account).str(&place.region)
}

pub(crate) fn stream(group: u64, name: &str) -> Key {
    Key::new(STREAM).u64(group).str(name)
}

/// Every stream of the group whose name starts with `prefix`.
pub(crate) fn streams(group: u64, prefix: &str) -> KeyRange {
    Key::new(STREAM).u64(group).str_prefix(prefix).range()
}

pub(crate) fn stream_name(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, STREAM)?;
    reader.u64()?;
    reader.str()
}

pub(crate) fn recent(group: u64, last_event_ms: i64, stream: &str) -> Key {
    Key::new(RECENT).u64(group).i64(last_event_ms).str(stream)
}

pub(crate) fn recents(group: u64) -> KeyRange {
    Key::new(RECENT).u64(group).range()
}

/// The streams whose last event came before `before_ms`.
pub(crate) fn recents_before(group: u64, before_ms: i64) -> KeyRange {
    recents(group).before(&Key::new(RECENT).u64(group).i64(before_ms))
}

/// The time of the last event, and the stream.
pub(crate) fn read_recent(key: &[u8]) -> Result<(i64, String), KeyError> {
    let mut reader = KeyReader::new(key, RECENT)?;
    reader.u64()?;
    Ok((reader.i64()?, reader.str()?))
}

pub(crate) fn chunk_part(group: u64, chunk: &ChunkRef, part: u64) -> Key {
    chunks_of(group, &chunk.stream).i64(chunk.first_ms).u64(chunk.sequence).u64(part)
}

fn chunks_of(group: u64, stream: &str) -> Key {
    Key::new(CHUNK).u64(group).str(stream)
}

/// The chunks of a stream whose first event lies in `from_ms..=to_ms`.
pub(crate) fn stream_chunks(group: u64, stream: &str, from_ms: i64, to_ms: i64) -> KeyRange {
    let all = chunks_of(group, stream);
    between(&all, from_ms, to_ms)
}

/// The chunk of a row of [`stream_chunks`]; `None` for the second and further parts.
pub(crate) fn read_chunk_part(key: &[u8]) -> Result<Option<ChunkRef>, KeyError> {
    let mut reader = KeyReader::new(key, CHUNK)?;
    reader.u64()?;
    let (stream, first_ms, sequence) = (reader.str()?, reader.i64()?, reader.u64()?);
    Ok((reader.u64()? == 0).then_some(ChunkRef { first_ms, stream, sequence }))
}

pub(crate) fn time(group: u64, chunk: &ChunkRef) -> Key {
    Key::new(TIME).u64(group).i64(chunk.first_ms).str(&chunk.stream).u64(chunk.sequence)
}

/// The chunks of a group whose first event lies in `from_ms..=to_ms`.
pub(crate) fn group_chunks(group: u64, from_ms: i64, to_ms: i64) -> KeyRange {
    between(&Key::new(TIME).u64(group), from_ms, to_ms)
}

pub(crate) fn read_time(key: &[u8]) -> Result<ChunkRef, KeyError> {
    let mut reader = KeyReader::new(key, TIME)?;
    reader.u64()?;
    Ok(ChunkRef { first_ms: reader.i64()?, stream: reader.str()?, sequence: reader.u64()? })
}

pub(crate) fn bytes(group: u64) -> Key {
    Key::new(BYTES).u64(group)
}

pub(crate) fn retained(group: u64) -> Key {
    Key::new(RETAINED).u64(group)
}

pub(crate) fn all_retained() -> KeyRange {
    Key::new(RETAINED).range()
}

pub(crate) fn read_retained(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, RETAINED)?.u64()
}

pub(crate) fn dead(group: u64) -> Key {
    Key::new(DEAD).u64(group)
}

pub(crate) fn all_dead() -> KeyRange {
    Key::new(DEAD).range()
}

pub(crate) fn read_dead(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, DEAD)?.u64()
}

/// Every row that belongs to the group's streams and events.
pub(crate) fn contents(group: u64) -> [KeyRange; 4] {
    [STREAM, RECENT, CHUNK, TIME].map(|prefix| Key::new(prefix).u64(group).range())
}

/// Every group of every place.
pub(crate) fn all_groups() -> KeyRange {
    KeyRange::prefix(GROUP)
}

/// The name in a key of [`all_groups`].
pub(crate) fn read_group(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, GROUP)?;
    reader.str()?;
    reader.str()?;
    reader.str()
}

pub(crate) fn all_streams() -> KeyRange {
    KeyRange::prefix(STREAM)
}

/// The group and name in a key of [`all_streams`].
pub(crate) fn read_stream(key: &[u8]) -> Result<(u64, String), KeyError> {
    let mut reader = KeyReader::new(key, STREAM)?;
    Ok((reader.u64()?, reader.str()?))
}

pub(crate) fn all_recents() -> KeyRange {
    KeyRange::prefix(RECENT)
}

/// The group and stream in a key of [`all_recents`].
pub(crate) fn group_and_recent(key: &[u8]) -> Result<(u64, String), KeyError> {
    let mut reader = KeyReader::new(key, RECENT)?;
    let group = reader.u64()?;
    reader.i64()?;
    Ok((group, reader.str()?))
}

pub(crate) fn all_chunks() -> KeyRange {
    KeyRange::prefix(CHUNK)
}

/// The group, chunk and number of a part in a key of [`all_chunks`].
pub(crate) fn group_and_part(key: &[u8]) -> Result<(u64, ChunkRef, u64), KeyError> {
    let mut reader = KeyReader::new(key, CHUNK)?;
    let (group, stream) = (reader.u64()?, reader.str()?);
    let chunk = ChunkRef { first_ms: reader.i64()?, stream, sequence: reader.u64()? };
    Ok((group, chunk, reader.u64()?))
}

pub(crate) fn all_times() -> KeyRange {
    KeyRange::prefix(TIME)
}

/// The group in a key of [`all_times`].
pub(crate) fn group_of_time(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, TIME)?.u64()
}

pub(crate) fn all_bytes() -> KeyRange {
    KeyRange::prefix(BYTES)
}

/// The group in a key of [`all_bytes`].
pub(crate) fn group_of_bytes(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, BYTES)?.u64()
}

fn between(all: &Key, from_ms: i64, to_ms: i64) -> KeyRange {
    let mut range = all.range().starting_at(&all.clone().i64(from_ms));
    if let Some(after) = to_ms.checked_add(1) {
        range = range.before(&all.clone().i64(after));
    }
    range
}
