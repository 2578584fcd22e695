//! Records of any length that lie in the order of their commits: under a prefix, the stamp of the commit, and the number of
//! the part. The first part begins with the count of all parts; the others follow it directly, as they are put together.

use bytes::Bytes;
use lambent_store::{KeyError, KeyRange, ScanOptions, Txn};

use crate::DynamoError;

/// Version and index, as [`Txn::put_stamped`] writes them.
pub(crate) const STAMP_BYTES: usize = 12;
/// What a part holds at most; the first one has a byte more.
const PART_BYTES: usize = 60 * 1024;
/// How many records one step of [`trim`] deletes.
const TRIM_ROWS: usize = 500;
const TRIM_BYTES: usize = 1 << 20;
/// The last byte of a key is the part's number.
const SUFFIX_BYTES: usize = 1;

/// A place in the order of commits: a stamp, or any number between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u128);

/// A record that was read.
#[derive(Clone, Debug)]
pub(crate) struct Stamped {
    /// Of its first part.
    pub(crate) at: Position,
    pub(crate) bytes: Bytes,
}

/// Some records of a range.
#[derive(Debug)]
pub(crate) struct StampedPage {
    /// In the order of reading.
    pub(crate) records: Vec<Stamped>,
    /// Whether the range has no more.
    pub(crate) is_last: bool,
}

impl Position {
    /// Before all records.
    pub const START: Self = Self(0);
    /// Numbers as clients see them start with a 1, so that they all have the same length, and sort as texts do.
    const NUMBER_BASE: u128 = 100_000_000_000_000_000_000_000_000_000;

    /// The first place after this one.
    #[must_use]
    pub fn after(self) -> Self {
        Self(self.0 + 1)
    }

    /// The sequence number that clients see: 30 digits.
    pub fn sequence_number(self) -> String {
        (self.0 + Self::NUMBER_BASE).to_string()
    }

    /// Reads what [`Position::sequence_number`] wrote; numbers before the first are the first.
    pub fn parse(number: &str) -> Option<Self> {
        if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let number: u128 = number.parse().ok()?;
        let place = number.saturating_sub(Self::NUMBER_BASE);
        (place >> (8 * STAMP_BYTES) == 0).then_some(Self(place))
    }

    pub(crate) fn stamp(self) -> [u8; STAMP_BYTES] {
        let bytes = self.0.to_be_bytes();
        *bytes.last_chunk().expect("sixteen bytes are more than twelve")
    }

    pub(crate) fn read(stamp: [u8; STAMP_BYTES]) -> Self {
        let mut bytes = [0; 16];
        bytes[16 - STAMP_BYTES..].copy_from_slice(&stamp);
        Self(u128::from_be_bytes(bytes))
    }

    /// The place in the middle between this one and a later one.
    #[must_use]
    pub(crate) fn middle(self, later: Self) -> Self {
        Self(self.0 + later.0.saturating_sub(self.0) / 2)
    }
}

/// Writes a record in the order of the transaction's commit.
pub(crate) fn put(txn: &Txn, prefix: &[u8], record: &[u8]) {
    let mut chunks = record.chunks(PART_BYTES);
    let count = u8::try_from(chunks.len().max(1)).expect("a transaction holds few megabytes");
    let first = chunks.next().unwrap_or_default();
    txn.put_stamped(prefix, &[0], &[&[count], first].concat());
    for (part, chunk) in (1..).zip(chunks) {
        txn.put_stamped(prefix, &[part], chunk);
    }
}

/// Deletes a record that was read under the same prefix: its parts have one stamp after the other.
pub(crate) fn delete(txn: &Txn, prefix: &[u8], record: &Stamped) {
    let count = record.bytes.len().div_ceil(PART_BYTES).max(1);
    let mut at = record.at;
    for part in 0..u8::try_from(count).unwrap_or(u8::MAX) {
        txn.delete(&[prefix, &at.stamp(), &[part]].concat());
        at = at.after();
    }
}

/// The keys of a prefix's records from `from` on.
pub(crate) fn range_from(prefix: &[u8], from: Position) -> KeyRange {
    KeyRange::prefix(prefix).starting_at(&key_of(prefix, from))
}

pub(crate) fn key_of(prefix: &[u8], at: Position) -> Vec<u8> {
    [prefix, &at.stamp()].concat()
}

/// The stamp in the key of a part.
pub(crate) fn position_of(key: &[u8]) -> Result<Position, DynamoError> {
    let body = key.get(..key.len().saturating_sub(SUFFIX_BYTES));
    let stamp = body.and_then(<[u8]>::last_chunk::<STAMP_BYTES>);
    stamp.map(|stamp| Position::read(*stamp)).ok_or(DynamoError::Key(KeyError::Short))
}

/// The key of a record's last part.
pub(crate) fn last_key(prefix: &[u8], record: &Stamped) -> Vec<u8> {
    let more = record.bytes.len().div_ceil(PART_BYTES).max(1) - 1;
    let part = u8::try_from(more).unwrap_or(u8::MAX);
    [prefix, &Position(record.at.0 + u128::from(part)).stamp(), &[part]].concat()
}

/// Reads records until there are `limit` or they have `max_bytes`; the one that reaches it is the last.
pub(crate) async fn read(
    txn: &Txn,
    range: &KeyRange,
    limit: usize,
    max_bytes: usize,
    reverse: bool,
) -> Result<StampedPage, DynamoError> {
    let mut reading = Reading { reverse, head: None, parts: Vec::new() };
    let (mut records, mut bytes) = (Vec::new(), 0);
    let mut left = Some(range.clone());
    while let Some(range) = left {
        let options = ScanOptions::rows(limit.saturating_sub(records.len()).max(1)).max_bytes(max_bytes);
        let options = if reverse { options.reverse() } else { options };
        let page = txn.scan_snapshot(&range, options).await?;
        for (key, value) in &page.rows {
            let Some(record) = reading.take(key, value)? else { continue };
            bytes += record.bytes.len();
            records.push(record);
            if records.len() >= limit || bytes >= max_bytes {
                return Ok(StampedPage { records, is_last: false });
            }
        }
        left = range.rest(&page, reverse);
    }
    Ok(StampedPage { records, is_last: true })
}

/// When a record was made, in milliseconds since 1970: it stands after two bytes, big-endian, in all of them.
pub(crate) fn time_of(record: &Bytes) -> Result<i64, DynamoError> {
    let time = record.get(2..).and_then(<[u8]>::first_chunk);
    let why =
        || DynamoError::Row { what: "a record of changes", why: "it is too short for its time".to_owned() };
    time.map(|time| i64::from_be_bytes(*time)).ok_or_else(why)
}

/// The place of the first record that was made at a time or later: records are in the order of their commits, which is that
/// of their times but for what clocks differ and transactions take.
pub(crate) async fn at_time(txn: &Txn, prefix: &[u8], at_ms: i64) -> Result<Position, DynamoError> {
    let last = read(txn, &KeyRange::prefix(prefix), 1, 1, true).await?;
    let mut from = Position::START;
    let mut to = last.records.first().map_or(from, |last| last.at.after());
    while from < to {
        let middle = from.middle(to);
        let page = read(txn, &range_from(prefix, middle), 1, 1, false).await?;
        match page.records.first() {
            Some(record) if time_of(&record.bytes)? < at_ms => from = record.at.after(),
            _ => to = middle,
        }
    }
    Ok(from)
}

/// What a step of [`trim`] left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trimmed {
    More,
    /// The time of the oldest record that is left.
    Done {
        oldest_ms: Option<i64>,
    },
}

/// Deletes some of the records that were made at a time or earlier, and writes down in the row `start` where the next one
/// is: what was deleted is still walked over by a scan from the beginning.
pub(crate) async fn trim(
    txn: &Txn,
    prefix: &[u8],
    start: &[u8],
    until_ms: i64,
) -> Result<Trimmed, DynamoError> {
    let range = range_from(prefix, start_of(txn, start).await?);
    let page = read(txn, &range, TRIM_ROWS, TRIM_BYTES, false).await?;
    let (mut trimmed, mut oldest_ms) = (None, None);
    for record in &page.records {
        let at_ms = time_of(&record.bytes)?;
        if at_ms > until_ms {
            oldest_ms = Some(at_ms);
            break;
        }
        delete(txn, prefix, record);
        trimmed = Some(record.at.after());
    }
    if let Some(trimmed) = trimmed {
        txn.frees_space();
        txn.put(start, &trimmed.stamp());
    }
    let is_done = oldest_ms.is_some() || page.is_last;
    Ok(if is_done { Trimmed::Done { oldest_ms } } else { Trimmed::More })
}

/// Where the records begin, by a row that [`trim`] keeps.
pub(crate) async fn start_of(txn: &Txn, start: &[u8]) -> Result<Position, DynamoError> {
    let row = txn.get_snapshot(start).await?;
    let stamp = row.as_deref().and_then(<[u8]>::first_chunk);
    Ok(stamp.map_or(Position::START, |stamp| Position::read(*stamp)))
}

/// Parts that are being put together.
struct Reading {
    reverse: bool,
    /// The key of the first part, and the count.
    head: Option<(Bytes, usize)>,
    parts: Vec<Bytes>,
}

impl Reading {
    /// Takes the next row, and gives the record that it completes.
    fn take(&mut self, key: &Bytes, value: &Bytes) -> Result<Option<Stamped>, DynamoError> {
        if key.last() == Some(&0) {
            let count = value.first().ok_or_else(|| empty_head(key))?;
            self.head = Some((key.clone(), usize::from(*count)));
            if !self.reverse {
                self.parts.clear();
            }
            self.parts.push(value.slice(1..));
        } else {
            self.parts.push(value.clone());
        }
        let Some((_, count)) = &self.head else { return Ok(None) };
        if self.parts.len() < *count {
            return Ok(None);
        }
        let Some((key, _)) = self.head.take() else { return Ok(None) };
        let mut parts = std::mem::take(&mut self.parts);
        if self.reverse {
            parts.reverse();
        }
        let bytes = if parts.len() == 1 { parts.remove(0) } else { parts.concat().into() };
        Ok(Some(Stamped { at: position_of(&key)?, bytes }))
    }
}

fn empty_head(key: &Bytes) -> DynamoError {
    DynamoError::Row {
        what: "a record of changes",
        why: format!("{} has no count of its parts", key.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use lambent_base::{Clock, Random};
    use lambent_store::Db;

    use super::*;

    #[test]
    fn sequence_numbers_are_positions() {
        let at = Position::read([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]);
        assert_eq!(at.sequence_number().len(), 30);
        assert_eq!(Position::parse(&at.sequence_number()), Some(at));
        assert_eq!(Position::read(at.stamp()), at);
        assert!(at.after().sequence_number() > at.sequence_number());
        assert_eq!(Position::parse("000000000000000000000"), Some(Position::START));
        assert_eq!(Position::parse("1x"), None);
        assert_eq!(Position::parse("9".repeat(40).as_str()), None);
    }

    #[tokio::test]
    async fn long_records_come_back_whole_in_both_directions() {
        let db = Db::memory(Clock::manual(0).0, Random::seeded(1));
        let long = vec![7_u8; PART_BYTES * 2 + 5];
        let records: [&[u8]; 4] = [b"a", &long, b"", b"b"];
        for pair in records.chunks(2) {
            db.run(|txn| async move {
                pair.iter().for_each(|record| put(&txn, b"p/", record));
                Ok::<_, DynamoError>(())
            })
            .await
            .unwrap();
        }
        for (limit, reverse) in [(10, false), (10, true), (1, false), (3, true)] {
            let page = db
                .read(
                    |txn| async move { read(&txn, &KeyRange::prefix(b"p/"), limit, 1 << 20, reverse).await },
                )
                .await
                .unwrap();
            let mut expected = records.to_vec();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit);
            let found: Vec<_> = page.records.iter().map(|record| &record.bytes[..]).collect();
            assert!(found == expected, "limit {limit}, reverse {reverse}");
            assert!(page.records.is_sorted_by(|one, other| (one.at < other.at) != reverse));
        }
    }
}
