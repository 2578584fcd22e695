//! Items out of the bytes of an object, as they come: unpacked, cut into records, and read.
//! Source: Developer Guide, "Amazon S3 import formats for DynamoDB".

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::MultiGzDecoder;
use lambent_expressions::{Item, Number, Value};
use serde::{Deserialize, Serialize};

use crate::json::item_from_json;
use crate::table::{KeyKind, Table};

/// The longest record: an item of 400 KB, written as wide as JSON can.
const RECORD_BYTES_MAX: usize = 4 << 20;
const QUOTE: char = '"';
/// What an object may begin with: it belongs to no field.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How items are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    DynamoDbJson,
    Csv {
        delimiter: u8,
        /// The names of the columns, where the first record is not they.
        header: Option<Vec<String>>,
    },
}

/// An object that is being read.
pub(super) struct Intake<'a> {
    table: &'a Table,
    format: Format,
    unpacking: Option<MultiGzDecoder<Vec<u8>>>,
    /// What is unpacked and not yet read; `scanned` bytes of it have no end of a record.
    pending: Vec<u8>,
    scanned: usize,
    /// Of the record that is not complete yet.
    at: At,
    header: Option<Vec<String>>,
    is_over: bool,
}

/// A record: the item, or why it is none.
pub(super) type Record = Result<Item, String>;

impl<'a> Intake<'a> {
    pub(super) fn new(table: &'a Table, format: Format, is_packed: bool) -> Self {
        let header = match &format {
            Format::Csv { header, .. } => header.clone(),
            Format::DynamoDbJson => None,
        };
        let unpacking = is_packed.then(|| MultiGzDecoder::new(Vec::new()));
        let (pending, at) = (Vec::new(), At::Start);
        Self { table, format, unpacking, pending, scanned: 0, at, header, is_over: false }
    }

    /// Takes the next bytes, and gives the records that they complete. A piece should be small: it may be much when
    /// unpacked. What makes the rest of the object unreadable is the last record.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Record> {
        if self.is_over {
            return Vec::new();
        }
        let Some(unpacking) = &mut self.unpacking else {
            self.pending.extend_from_slice(bytes);
            return self.complete();
        };
        let unpacked = unpacking.write_all(bytes);
        self.pending.append(unpacking.get_mut());
        let records = self.complete();
        match unpacked {
            Ok(()) => records,
            Err(error) => self.end_with(records, format!("the object is no GZIP file: {error}")),
        }
    }

    /// Whether the rest of the object cannot be read.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The last record, which needs no end mark.
    pub(super) fn finish(mut self) -> Vec<Record> {
        if self.is_over {
            return Vec::new();
        }
        if let Some(mut unpacking) = self.unpacking.take() {
            let unpacked = unpacking.try_finish();
            self.pending.append(unpacking.get_mut());
            if let Err(error) = unpacked {
                let records = self.complete();
                return self.end_with(records, format!("the GZIP file ends early: {error}"));
            }
        }
        if self.pending.last().is_some_and(|last| *last != b'\n') {
            self.pending.push(b'\n');
        }
        let mut records = self.complete();
        if !self.pending.is_empty() && !self.is_over {
            records.push(Err("the last record has a quotation mark that is not closed".to_owned()));
        }
        records
    }

    fn end_with(&mut self, mut records: Vec<Record>, why: String) -> Vec<Record> {
        self.is_over = true;
        records.push(Err(why));
        records
    }

    fn complete(&mut self) -> Vec<Record> {
        let (mut records, mut start) = (Vec::new(), 0);
        let delimiter = match self.format {
            Format::Csv { delimiter, .. } => Some(char::from(delimiter)),
            Format::DynamoDbJson => None,
        };
        for at in self.scanned..self.pending.len() {
            let byte = self.pending[at];
            if byte == b'\n' && self.at != At::Quoted {
                let record = self.pending[start..at].to_vec();
                (start, self.at) = (at + 1, At::Start);
                records.extend(self.record(record.strip_suffix(b"\r").unwrap_or(&record)));
            } else if let Some(delimiter) = delimiter
                && BYTE_ORDER_MARK.get(at - start) != Some(&byte)
            {
                self.at = self.at.after(char::from(byte), delimiter);
            }
        }
        self.pending.drain(..start);
        self.scanned = self.pending.len();
        if self.pending.len() > RECORD_BYTES_MAX {
            return self.end_with(records, format!("a record has more than {RECORD_BYTES_MAX} bytes"));
        }
        records
    }

    /// Reads a record; none for an empty line and for the header.
    fn record(&mut self, record: &[u8]) -> Option<Record> {
        if record.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let Ok(text) = std::str::from_utf8(record) else {
            return Some(Err("a record is not UTF-8".to_owned()));
        };
        let Format::Csv { delimiter, .. } = self.format else { return Some(json_item(text)) };
        let fields = fields(text.strip_prefix('\u{feff}').unwrap_or(text), char::from(delimiter));
        match &self.header {
            None => {
                self.header = Some(fields);
                None
            }
            Some(header) => Some(self.csv_item(header, fields)),
        }
    }

    /// All attributes are texts, but for those that are keys.
    fn csv_item(&self, header: &[String], fields: Vec<String>) -> Record {
        if fields.len() != header.len() {
            return Err(format!("a record has {} fields, and the header {}", fields.len(), header.len()));
        }
        let attributes = self.table.attributes();
        let value = |name: &String, field: String| {
            let kind = attributes.iter().find(|attribute| attribute.name == *name);
            Ok::<_, String>(match kind.map_or(KeyKind::S, |attribute| attribute.kind) {
                KeyKind::S => Value::S(field),
                KeyKind::N => Value::N(Number::parse(&field).map_err(|error| error.to_string())?),
                KeyKind::B => {
                    let bytes = STANDARD.decode(&field).map_err(|_| format!("{name} is not base64"))?;
                    Value::B(bytes.into())
                }
            })
        };
        header.iter().zip(fields).map(|(name, field)| Ok((name.clone(), value(name, field)?))).collect()
    }
}

fn json_item(text: &str) -> Record {
    let line: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let item = line.get("Item").ok_or("a line has no Item")?;
    item_from_json(item).map_err(|invalid| invalid.0)
}

/// Where in a record of CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before a field, where alone a quotation mark opens one.
    Start,
    Plain,
    Quoted,
    /// Behind a quotation mark that ends the field, if it is not doubled.
    Closing,
}

impl At {
    fn after(self, letter: char, delimiter: char) -> Self {
        match (self, letter) {
            (Self::Start | Self::Closing, QUOTE) => Self::Quoted,
            (Self::Quoted, QUOTE) => Self::Closing,
            (Self::Quoted, _) => Self::Quoted,
            (_, letter) if letter == delimiter => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// The fields of a record: those in quotes may have delimiters, ends of lines, and doubled quotes.
fn fields(record: &str, delimiter: char) -> Vec<String> {
    let (mut fields, mut field, mut at) = (Vec::new(), String::new(), At::Start);
    for letter in record.chars() {
        let next = at.after(letter, delimiter);
        match (at, next) {
            (_, At::Start) => fields.push(std::mem::take(&mut field)),
            (At::Start, At::Quoted) | (At::Quoted, At::Closing) => {}
            _ => field.push(letter),
        }
        at = next;
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_csv_may_be_quoted() {
        assert_eq!(fields("a,\"b, \"\"c\"\"\nd\",,e", ','), ["a", "b, \"c\"\nd", "", "e"]);
        assert_eq!(fields("a;b", ';'), ["a", "b"]);
        assert_eq!(fields("7\" disc,\"x\"y,z\"\"", ','), ["7\" disc", "xy", "z\"\""]);
    }
}
