//! Writes simple values as text: headers, and bodies that are one text or blob.

use base64::Engine;
use bytes::Bytes;

use super::constants::BASE64_OUT;
use super::places::Places;
use super::text;
use crate::{Document, Member, Shape, Timestamp, TimestampFormat, Writable, Writer};

/// Writes a simple value, a list or a map of them as texts.
pub(super) struct TextWriter {
    /// The keys of a map, in the order of their values.
    pub(super) keys: Vec<String>,
    pub(super) values: Vec<String>,
    places: Places,
    in_list: bool,
    /// A blob that is written as its bytes, not as base64.
    bytes: Option<Bytes>,
}

impl TextWriter {
    /// For a header, where blobs are base64.
    pub(super) fn header(member: &'static Member) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), places: Places::at(member), in_list: false, bytes: None }
    }

    /// For a whole body, where a blob is just its bytes.
    pub(super) fn payload(member: &'static Member) -> Self {
        Self { bytes: Some(Bytes::new()), ..Self::header(member) }
    }

    pub(super) fn into_payload(self) -> Bytes {
        match self.values.into_iter().next() {
            Some(text) => text.into(),
            None => self.bytes.unwrap_or_default(),
        }
    }
}

impl Writer for TextWriter {
    fn begin_structure(&mut self, shape: &'static Shape) {
        self.places.open(shape);
    }

    fn member(&mut self, index: usize, value: &dyn Writable) {
        self.places.member(index);
        value.write(self);
    }

    fn end_structure(&mut self) {
        self.places.close();
    }

    fn begin_list(&mut self) {
        self.places.open_here();
        self.in_list = true;
    }

    fn item(&mut self, value: &dyn Writable) {
        self.places.element();
        value.write(self);
    }

    fn end_list(&mut self) {
        self.places.close();
        self.in_list = false;
    }

    fn begin_map(&mut self) {
        self.places.open_here();
    }

    fn entry(&mut self, key: &str, value: &dyn Writable) {
        self.places.element();
        self.keys.push(key.to_owned());
        value.write(self);
    }

    fn end_map(&mut self) {
        self.places.close();
    }

    fn string(&mut self, value: &str) {
        let quoted = self.in_list && value.contains([',', '"']);
        self.values.push(if quoted {
            format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            value.to_owned()
        });
    }

    fn blob(&mut self, value: &[u8]) {
        match &mut self.bytes {
            Some(bytes) => *bytes = Bytes::copy_from_slice(value),
            None => self.values.push(BASE64_OUT.encode(value)),
        }
    }

    fn boolean(&mut self, value: bool) {
        self.values.push(value.to_string());
    }

    fn long(&mut self, value: i64) {
        self.values.push(value.to_string());
    }

    fn double(&mut self, value: f64) {
        let mut text = String::new();
        text::write_double(&mut text, value);
        self.values.push(text);
    }

    fn timestamp(&mut self, value: Timestamp) {
        self.values.push(value.format(self.places.timestamp_format().unwrap_or(TimestampFormat::Rfc822)));
    }

    fn document(&mut self, value: &Document) {
        self.values.push(value.to_string());
    }
}
