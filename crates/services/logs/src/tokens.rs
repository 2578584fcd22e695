//! Places between events, and the tokens that carry them to the next call.

use lambent_base::text::{hex, unhex};
use lambent_model_logs::errors::invalid_parameter_exception;
use lambent_store::{Key, KeyError, KeyReader};

use crate::LogsError;

/// The place of an event in the order of its group; also the gap before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) time_ms: i64,
    pub(crate) stream: String,
    /// The chunk's sequence within its stream.
    pub(crate) sequence: u64,
    /// The event's place within its chunk.
    pub(crate) index: u32,
}

/// Which end of the range the first page comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The earliest events first.
    Forward,
    /// The latest events first.
    Backward,
}

impl Position {
    /// The gap before every event of this time.
    pub(crate) fn at(time_ms: i64) -> Self {
        Self { time_ms, stream: String::new(), sequence: 0, index: 0 }
    }

    /// The gap after this event.
    pub(crate) fn after(&self) -> Self {
        Self { index: self.index.saturating_add(1), ..self.clone() }
    }

    /// 56 digits that differ from those of every other event of the group.
    pub(crate) fn event_id(&self) -> String {
        let Self { time_ms, stream, sequence, index } = self;
        format!("{time_ms:016}{:020}{sequence:012}{index:08}", fnv1a(stream.as_bytes()))
    }
}

/// `f/` or `b/`, 56 digits and `/s`, in the form of AWS's tokens.
pub(crate) fn stream_token(direction: Direction, position: &Position) -> String {
    let letter = match direction {
        Direction::Forward => 'f',
        Direction::Backward => 'b',
    };
    let Position { time_ms, sequence, index, .. } = position;
    format!("{letter}/{time_ms:020}{sequence:026}{index:010}/s")
}

/// Reads what [`stream_token`] wrote, for the same stream.
pub(crate) fn read_stream_token(token: &str, stream: &str) -> Result<(Direction, Position), LogsError> {
    let read = || {
        let (letter, rest) = token.split_once('/')?;
        let direction = match letter {
            "f" => Direction::Forward,
            "b" => Direction::Backward,
            _ => return None,
        };
        let digits = rest.strip_suffix("/s").filter(|digits| digits.len() == 56)?;
        let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let position = Position {
            time_ms: digits[..20].parse().ok()?,
            stream: stream.to_owned(),
            sequence: digits[20..46].parse().ok()?,
            index: digits[46..].parse().ok()?,
        };
        Some((direction, position))
    };
    read().ok_or_else(invalid)
}

/// The token of FilterLogEvents; it remembers direction and group.
pub(crate) fn group_token(direction: Direction, group: u64, position: &Position) -> String {
    let letter: &[u8] = match direction {
        Direction::Forward => b"f",
        Direction::Backward => b"b",
    };
    let Position { time_ms, stream, sequence, index } = position;
    hex(&Key::new(letter).u64(group).i64(*time_ms).str(stream).u64(*sequence).u64(u64::from(*index)))
}

/// Reads what [`group_token`] wrote, for the same group.
pub(crate) fn read_group_token(token: &str, group: u64) -> Result<(Direction, Position), LogsError> {
    let bytes = unhex(token).ok_or_else(invalid)?;
    let (direction, letter) = match bytes.first() {
        Some(b'f') => (Direction::Forward, b"f"),
        Some(b'b') => (Direction::Backward, b"b"),
        _ => return Err(invalid()),
    };
    let read = || -> Result<(u64, Position), KeyError> {
        let mut reader = KeyReader::new(&bytes, letter)?;
        let group = reader.u64()?;
        let (time_ms, stream, sequence) = (reader.i64()?, reader.str()?, reader.u64()?);
        let index = u32::try_from(reader.u64()?).map_err(|_| KeyError::Long)?;
        reader.end()?;
        Ok((group, Position { time_ms, stream, sequence, index }))
    };
    let (of, position) = read().map_err(|_| invalid())?;
    if of == group { Ok((direction, position)) } else { Err(invalid()) }
}

/// The token of a list of names: the last one shown.
pub(crate) fn name_token(last: &[u8]) -> String {
    hex(last)
}

/// Reads what [`name_token`] wrote.
pub(crate) fn read_name_token(token: &str) -> Result<Vec<u8>, LogsError> {
    unhex(token).filter(|bytes| !bytes.is_empty()).ok_or_else(invalid)
}

pub(crate) fn invalid() -> LogsError {
    invalid_parameter_exception("The specified nextToken is invalid.").into()
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
