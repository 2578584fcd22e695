//! Chunks: many events of one stream in one row (or, for a large event, in a few).
//!
//! | bytes | what |
//! |---|---|
//! | 1 | layout, [`LAYOUT`] |
//! | 4 | number of parts |
//! | 8 | time of ingestion |
//! | 8 | stored bytes, as AWS counts them |
//! | 4, 4, n | for each event: milliseconds after the chunk's first, length of the message, message |
//!
//! Numbers are big-endian. A chunk that is longer than [`PART_BYTES`] is cut into parts; only the first has the head.

use lambent_store::Txn;

use crate::LogsError;
use crate::keys::{self, ChunkRef};

/// What AWS counts for each event besides its message. Source: API reference, PutLogEvents.
pub(crate) const EVENT_OVERHEAD_BYTES: usize = 26;
/// The longest time between the first and the last event of one chunk. Readers that look for a time start so much earlier.
pub(crate) const SPAN_MAX_MS: i64 = 60_000;
/// The longest row of a chunk: below the store's limit for values.
const PART_BYTES: usize = 60 * 1024;
const LAYOUT: u8 = 1;
const HEAD_BYTES: usize = 1 + 4 + 8 + 8;
const EVENT_HEAD_BYTES: usize = 4 + 4;

/// An event to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Milliseconds since 1970.
    pub(crate) time_ms: i64,
    pub(crate) message: &'a str,
}

/// What AWS counts for an event.
pub(crate) fn counted_bytes(message: &str) -> usize {
    message.len() + EVENT_OVERHEAD_BYTES
}

/// A stored chunk, whole.
#[derive(Debug)]
pub(crate) struct Chunk {
    first_ms: i64,
    /// Milliseconds since 1970.
    pub(crate) ingested_ms: i64,
    pub(crate) stored_bytes: i64,
    pub(crate) parts: u64,
    bytes: Vec<u8>,
}

/// Writes events, ascending by time, as chunks from `sequence` on; returns the next free sequence.
pub(crate) fn store(
    txn: &Txn,
    group: u64,
    stream: &str,
    mut sequence: u64,
    lines: &[Line<'_>],
    now_ms: i64,
) -> u64 {
    let mut rest = lines;
    while !rest.is_empty() {
        let (packed, later) = rest.split_at(packable(rest));
        let chunk = ChunkRef { first_ms: packed[0].time_ms, stream: stream.to_owned(), sequence };
        let bytes = encode(packed, now_ms);
        for (part, piece) in (0..).zip(bytes.chunks(PART_BYTES)) {
            txn.put(&keys::chunk_part(group, &chunk, part), piece);
        }
        txn.put(&keys::time(group, &chunk), b"");
        sequence += 1;
        rest = later;
    }
    sequence
}

/// Reads a chunk; `None` when it is gone.
pub(crate) async fn load(txn: &Txn, group: u64, chunk: &ChunkRef) -> Result<Option<Chunk>, LogsError> {
    let Some(head) = txn.get_snapshot(&keys::chunk_part(group, chunk, 0)).await? else { return Ok(None) };
    let (parts, ingested_ms, stored_bytes) = read_head(&head)?;
    let mut bytes = head[HEAD_BYTES..].to_vec();
    for part in 1..parts {
        let piece = txn.get_snapshot(&keys::chunk_part(group, chunk, part)).await?;
        bytes.extend_from_slice(&piece.ok_or(LogsError::Chunk("a part is missing"))?);
    }
    Ok(Some(Chunk { first_ms: chunk.first_ms, ingested_ms, stored_bytes, parts, bytes }))
}

impl Chunk {
    /// The events in order.
    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines { first_ms: self.first_ms, rest: &self.bytes }
    }
}

/// Reads the events of a chunk one after the other.
pub(crate) struct Lines<'a> {
    first_ms: i64,
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, LogsError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.read().ok_or(LogsError::Chunk("an event ends too early")))
    }
}

impl<'a> Lines<'a> {
    fn read(&mut self) -> Option<Line<'a>> {
        let rest = std::mem::take(&mut self.rest);
        let (after_ms, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (message, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        let time_ms = self.first_ms.checked_add(i64::from(u32::from_be_bytes(*after_ms)))?;
        Some(Line { time_ms, message: std::str::from_utf8(message).ok()? })
    }
}

/// How many of the lines, at least one, fit into one chunk.
fn packable(lines: &[Line<'_>]) -> usize {
    let mut size = HEAD_BYTES;
    let first_ms = lines[0].time_ms;
    let fits = |line: &&Line<'_>| {
        size += EVENT_HEAD_BYTES + line.message.len();
        size <= PART_BYTES && line.time_ms - first_ms <= SPAN_MAX_MS
    };
    lines.iter().take_while(fits).count().max(1)
}

fn encode(lines: &[Line<'_>], ingested_ms: i64) -> Vec<u8> {
    let size: usize = lines.iter().map(|line| EVENT_HEAD_BYTES + line.message.len()).sum();
    let parts =
        u32::try_from((HEAD_BYTES + size).div_ceil(PART_BYTES)).expect("a batch is a megabyte at most");
    let counted: usize = lines.iter().map(|line| counted_bytes(line.message)).sum();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + size);
    bytes.push(LAYOUT);
    bytes.extend_from_slice(&parts.to_be_bytes());
    bytes.extend_from_slice(&ingested_ms.to_be_bytes());
    bytes.extend_from_slice(&(counted as u64).to_be_bytes());
    for line in lines {
        let after_ms =
            u32::try_from(line.time_ms - lines[0].time_ms).expect("a chunk spans a minute, ascending");
        let length = u32::try_from(line.message.len()).expect("an event is a megabyte at most");
        bytes.extend_from_slice(&after_ms.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(line.message.as_bytes());
    }
    bytes
}

/// Parts, time of ingestion, stored bytes.
pub(crate) fn read_head(row: &[u8]) -> Result<(u64, i64, i64), LogsError> {
    let head = row.split_first_chunk::<HEAD_BYTES>().map(|(head, _)| head);
    let Some([LAYOUT, rest @ ..]) = head else { return Err(LogsError::Chunk("its head is unknown")) };
    let number =
        |from: usize, to: usize| rest[from..to].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    Ok((number(0, 4), number(4, 12).cast_signed(), number(12, 20).cast_signed()))
}
