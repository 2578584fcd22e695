//! Writes JSON.

use std::io::Write as _;

use base64::Engine;

use super::constants::BASE64_OUT;
use super::places::Places;
use super::text;
use crate::{Document, Shape, Timestamp, TimestampFormat, Writable, Writer};

/// Writes one value as compact JSON.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    places: Places,
    /// Whether a value stands before the next one in the open object or array.
    follows: bool,
}

impl JsonWriter {
    /// The text written so far.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Stands at a member that is the whole message.
    pub(super) fn at(member: &'static crate::Member) -> Self {
        Self { places: Places::at(member), ..Self::default() }
    }

    /// Writes an object that has no shape.
    pub(super) fn raw_object(&mut self, write: impl FnOnce(&mut Self)) {
        self.open(b'{');
        write(self);
        self.out.push(b'}');
    }

    /// Writes one entry of an object that has no shape.
    pub(super) fn raw_entry(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        write(&mut self.out);
        self.follows = true;
    }

    fn key(&mut self, key: &str) {
        self.separate();
        write_string(&mut self.out, key);
        self.out.push(b':');
    }

    fn separate(&mut self) {
        if std::mem::take(&mut self.follows) {
            self.out.push(b',');
        }
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.follows = false;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.follows = true;
        self.places.close();
    }

    fn value(&mut self, value: &dyn Writable) {
        value.write(self);
        self.follows = true;
    }
}

impl Writer for JsonWriter {
    fn begin_structure(&mut self, shape: &'static Shape) {
        self.places.open(shape);
        self.open(b'{');
    }

    fn member(&mut self, index: usize, value: &dyn Writable) {
        let name = self.places.member(index).wire_name();
        self.key(name);
        self.value(value);
    }

    fn end_structure(&mut self) {
        self.close(b'}');
    }

    fn begin_list(&mut self) {
        self.places.open_here();
        self.open(b'[');
    }

    fn item(&mut self, value: &dyn Writable) {
        self.separate();
        self.places.element();
        self.value(value);
    }

    fn end_list(&mut self) {
        self.close(b']');
    }

    fn begin_map(&mut self) {
        self.places.open_here();
        self.open(b'{');
    }

    fn entry(&mut self, key: &str, value: &dyn Writable) {
        self.key(key);
        self.places.element();
        self.value(value);
    }

    fn end_map(&mut self) {
        self.close(b'}');
    }

    fn string(&mut self, value: &str) {
        write_string(&mut self.out, value);
    }

    fn blob(&mut self, value: &[u8]) {
        write_string(&mut self.out, &BASE64_OUT.encode(value));
    }

    fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn long(&mut self, value: i64) {
        write!(self.out, "{value}").expect("writing to a Vec cannot fail");
    }

    fn double(&mut self, value: f64) {
        let mut text = String::new();
        text::write_double(&mut text, value);
        if value.is_finite() {
            self.out.extend_from_slice(text.as_bytes());
        } else {
            write_string(&mut self.out, &text);
        }
    }

    fn timestamp(&mut self, value: Timestamp) {
        let format = self.places.timestamp_format().unwrap_or(TimestampFormat::UnixTimestamp);
        let text = value.format(format);
        if format == TimestampFormat::UnixTimestamp {
            self.out.extend_from_slice(text.as_bytes());
        } else {
            write_string(&mut self.out, &text);
        }
    }

    fn document(&mut self, value: &Document) {
        serde_json::to_writer(&mut self.out, value).expect("a document has only string keys");
    }
}

/// Writes a JSON string with its quotes.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[copied..at]);
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}").expect("writing to a Vec cannot fail");
        } else {
            out.extend_from_slice(escape);
        }
        copied = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[copied..]);
    out.push(b'"');
}
