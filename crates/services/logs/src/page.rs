//! One page of events from a stream or from a whole group, in the order of their times.
//!
//! Chunks overlap in time, so a page is what remains of all chunks that may reach into the range: events are collected in
//! order, and whatever is too much is cut from the far end, which draws the range's far end nearer. No page holds more
//! than its limit and one chunk in memory.

use std::collections::{BTreeMap, BTreeSet};

use lambent_store::{KeyRange, ScanOptions, Txn};

use crate::LogsError;
use crate::chunk::{self, Chunk, EVENT_OVERHEAD_BYTES, SPAN_MAX_MS};
use crate::keys::{self, ChunkRef};
use crate::pattern::Pattern;
use crate::tokens::{Direction, Position};

/// The most events of one page. Source: API reference, GetLogEvents.
pub(crate) const PAGE_EVENTS_MAX: usize = 10_000;
/// The most bytes of one page, with 26 for each event; one event is always given.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// How much one call reads before it gives a page that may be short, or empty, and a token to go on. A busy small host
/// must read this much well within the time that the store gives a transaction.
const READ_CHUNKS_MAX: usize = 5_000;
const READ_BYTES_MAX: usize = 8 << 20;
/// How many references one call looks at, those of streams that are not asked for included.
const LOOK_MAX: usize = 50_000;
/// How many references one scan fetches.
const SCAN_ROWS: usize = 1_000;

/// Which events a page is made of.
#[derive(Clone, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) group: u64,
    pub(crate) streams: Streams<'a>,
    /// Inclusive.
    pub(crate) from: Position,
    /// Exclusive.
    pub(crate) to: Position,
    pub(crate) direction: Direction,
    pub(crate) limit: usize,
    pub(crate) pattern: &'a Pattern,
}

/// The streams that a query reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Streams<'a> {
    One(&'a str),
    All,
    Prefix(&'a str),
    Named(&'a BTreeSet<String>),
}

/// A stored event's text and when it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) message: String,
    pub(crate) ingested_ms: i64,
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Ascending, whatever the direction.
    pub(crate) events: BTreeMap<Position, Event>,
    /// Where to go on; `None` when the range was read to its end.
    pub(crate) rest: Option<Position>,
}

/// Reads one page.
pub(crate) async fn read(txn: &Txn, query: &Query<'_>) -> Result<Found, LogsError> {
    let mut page =
        Filling { query, from: query.from.clone(), to: query.to.clone(), found: Found::default(), bytes: 0 };
    let backward = query.direction == Direction::Backward;
    let mut left = Some(query.range());
    let (mut looked_at, mut chunks_read, mut bytes_read) = (0, 0, 0);
    while let Some(range) = left {
        let options = ScanOptions::rows(SCAN_ROWS).keys_only();
        let options = if backward { options.reverse() } else { options };
        let rows = txn.scan_snapshot(&range, options).await?;
        for (key, _) in &rows.rows {
            let Some(chunk) = query.chunk(key)? else { continue };
            if page.is_beyond(&chunk) {
                return Ok(page.found);
            }
            looked_at += 1;
            let read_enough = chunks_read >= READ_CHUNKS_MAX || bytes_read >= READ_BYTES_MAX;
            if (read_enough || looked_at >= LOOK_MAX) && page.stop_before(&chunk) {
                return Ok(page.found);
            }
            if !query.wants(&chunk) {
                continue;
            }
            let Some(stored) = chunk::load(txn, query.group, &chunk).await? else { continue };
            chunks_read += 1;
            bytes_read += usize::try_from(stored.stored_bytes).unwrap_or(0);
            page.take(&chunk, &stored)?;
        }
        left = range.rest(&rows, backward);
    }
    Ok(page.found)
}

impl Query<'_> {
    /// The references of every chunk that may reach into the range.
    fn range(&self) -> KeyRange {
        let from_ms = self.from.time_ms.saturating_sub(SPAN_MAX_MS);
        let to_ms = self.to.time_ms;
        match self.streams {
            Streams::One(stream) => keys::stream_chunks(self.group, stream, from_ms, to_ms),
            _ => keys::group_chunks(self.group, from_ms, to_ms),
        }
    }

    /// The chunk that a row refers to, if it is the first row that does.
    fn chunk(&self, key: &[u8]) -> Result<Option<ChunkRef>, LogsError> {
        match self.streams {
            Streams::One(_) => Ok(keys::read_chunk_part(key)?),
            _ => Ok(Some(keys::read_time(key)?)),
        }
    }

    /// Whether a chunk is of a stream that the query asks for.
    fn wants(&self, chunk: &ChunkRef) -> bool {
        match self.streams {
            Streams::One(_) | Streams::All => true,
            Streams::Prefix(prefix) => chunk.stream.starts_with(prefix),
            Streams::Named(names) => names.contains(&chunk.stream),
        }
    }
}

/// A page that is being filled, and the range that it still takes from.
struct Filling<'a> {
    query: &'a Query<'a>,
    from: Position,
    to: Position,
    found: Found,
    bytes: usize,
}

impl Filling<'_> {
    fn take(&mut self, chunk: &ChunkRef, stored: &Chunk) -> Result<(), LogsError> {
        for (index, line) in (0..).zip(stored.lines()) {
            let line = line?;
            let ChunkRef { stream, sequence, .. } = chunk;
            if line.time_ms < self.from.time_ms || line.time_ms > self.to.time_ms {
                continue;
            }
            let position =
                Position { time_ms: line.time_ms, stream: stream.clone(), sequence: *sequence, index };
            if position < self.from || position >= self.to || !self.query.pattern.matches(line.message) {
                continue;
            }
            self.bytes += line.message.len() + EVENT_OVERHEAD_BYTES;
            let event = Event { message: line.message.to_owned(), ingested_ms: stored.ingested_ms };
            self.found.events.insert(position, event);
            self.trim();
        }
        Ok(())
    }

    /// Cuts what is too much from the far end.
    fn trim(&mut self) {
        let events = &mut self.found.events;
        while events.len() > self.query.limit || (self.bytes > PAGE_BYTES_MAX && events.len() > 1) {
            let far = match self.query.direction {
                Direction::Forward => events.pop_last(),
                Direction::Backward => events.pop_first(),
            };
            let Some((position, event)) = far else { return };
            self.bytes -= event.message.len() + EVENT_OVERHEAD_BYTES;
            match self.query.direction {
                Direction::Forward => self.to = position,
                Direction::Backward => self.from = position.after(),
            }
            let end = if self.query.direction == Direction::Forward { &self.to } else { &self.from };
            self.found.rest = Some(end.clone());
        }
    }

    /// Whether neither this chunk nor any that comes after it in the order of reading has events of the range.
    fn is_beyond(&self, chunk: &ChunkRef) -> bool {
        match self.query.direction {
            Direction::Forward => chunk.first_ms > self.to.time_ms,
            Direction::Backward => chunk.first_ms.saturating_add(SPAN_MAX_MS) < self.from.time_ms,
        }
    }

    /// Ends the page where this chunk may begin to add to it; `false` when that would be no progress.
    fn stop_before(&mut self, chunk: &ChunkRef) -> bool {
        match self.query.direction {
            Direction::Forward => {
                let end = Position::at(chunk.first_ms);
                if end <= self.from {
                    return false;
                }
                self.found.events.split_off(&end);
                self.found.rest = Some(end);
            }
            Direction::Backward => {
                let end = Position::at(chunk.first_ms.saturating_add(SPAN_MAX_MS + 1));
                // The chunks of a busy minute overlap: a page that would lose all it found goes on reading.
                if end >= self.to || self.found.events.range(&end..).next().is_none() {
                    return false;
                }
                self.found.events = self.found.events.split_off(&end);
                self.found.rest = Some(end);
            }
        }
        true
    }
}
