//! Writes XML.

use std::fmt::Write as _;

use base64::Engine;

use super::constants::BASE64_OUT;
use super::places::Places;
use super::text;
use crate::{Document, Member, Namespace, Shape, Timestamp, TimestampFormat, Writable, Writer};

/// Writes elements into a text. The caller opens and closes the root element.
#[derive(Debug, Default)]
pub struct XmlWriter {
    out: String,
    places: Places,
    open: Vec<Open>,
    /// Where attributes of the element that was opened last go: before its `>`.
    tag_end: usize,
    /// The member whose list or map comes next without an element of its own.
    flattened: Option<&'static Member>,
    /// Whether the value is written as it is, for an attribute, which is escaped as a whole.
    raw: bool,
    style: XmlStyle,
}

/// The protocols' and services' ways with XML.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum XmlStyle {
    /// REST-XML, where a shape's namespace is declared wherever it stands.
    #[default]
    Rest,
    /// As REST-XML, but ISO 8601 timestamps always have three digits of fraction.
    S3,
    /// The query protocol, where only members declare namespaces.
    Query,
}

/// What is open: a structure, or a list or map and the name of its elements.
#[derive(Debug, Clone, Copy)]
enum Open {
    Structure { tag_end: usize },
    Elements { name: &'static str, namespace: Option<Namespace> },
}

impl XmlWriter {
    pub fn new(style: XmlStyle) -> Self {
        Self { style, ..Self::default() }
    }

    /// Writes the XML declaration, with the line break that S3 has after it.
    pub fn declaration(&mut self) {
        self.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    }

    pub fn start(&mut self, name: &str, namespace: Option<Namespace>) {
        self.out.push('<');
        self.out.push_str(name);
        if let Some(Namespace { uri, prefix }) = namespace {
            self.out.push_str(" xmlns");
            if let Some(prefix) = prefix {
                self.out.push(':');
                self.out.push_str(prefix);
            }
            self.out.push_str("=\"");
            escape(&mut self.out, uri);
            self.out.push('"');
        }
        self.tag_end = self.out.len();
        self.out.push('>');
    }

    pub fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Writes an element that holds only text.
    pub fn text_element(&mut self, name: &str, text: &str) {
        self.start(name, None);
        escape(&mut self.out, text);
        self.end(name);
    }

    /// Writes a member's value without an element of its own, as the text of the element that is open.
    pub(super) fn bare(&mut self, member: &'static Member, value: &dyn Writable) {
        self.places = Places::at(member);
        value.write(self);
    }

    /// The text written so far.
    pub fn finish(self) -> String {
        self.out
    }

    /// The namespace that a member or its shape declares.
    fn namespace_of(&self, member: &Member) -> Option<Namespace> {
        let of_shape = member.target.namespace.filter(|_| self.style != XmlStyle::Query);
        member.namespace.or(of_shape)
    }

    fn attribute(&mut self, name: &str, value: &dyn Writable) {
        let outer = std::mem::take(&mut self.out);
        self.raw = true;
        value.write(self);
        self.raw = false;
        let text = std::mem::replace(&mut self.out, outer);
        let Some(Open::Structure { tag_end }) = self.open.last_mut() else { return };
        let mut attribute = format!(" {name}=\"");
        escape(&mut attribute, &text);
        attribute.push('"');
        self.out.insert_str(*tag_end, &attribute);
        *tag_end += attribute.len();
    }

    fn element(&mut self, name: &str, namespace: Option<Namespace>, value: &dyn Writable) {
        self.start(name, namespace);
        value.write(self);
        self.end(name);
    }

    /// Opens the list or map at the current place; `name` is that of its elements when it is not flattened.
    fn open_elements(&mut self, element: Option<(&'static str, Option<Namespace>)>) {
        self.places.open_here();
        let (name, namespace) = match (self.flattened.take(), element) {
            (Some(member), Some((_, namespace))) => (member.wire_name(), namespace),
            (Some(member), None) => (member.wire_name(), self.namespace_of(member)),
            (None, Some((name, namespace))) => (name, namespace),
            (None, None) => ("entry", None),
        };
        self.open.push(Open::Elements { name, namespace });
    }

    fn close(&mut self) {
        self.open.pop();
        self.places.close();
    }

    fn push_text(&mut self, text: &str) {
        if self.raw {
            self.out.push_str(text);
        } else {
            escape(&mut self.out, text);
        }
    }
}

impl Writer for XmlWriter {
    fn begin_structure(&mut self, shape: &'static Shape) {
        self.places.open(shape);
        self.open.push(Open::Structure { tag_end: self.tag_end });
    }

    fn member(&mut self, index: usize, value: &dyn Writable) {
        let member = self.places.member(index);
        if member.xml_attribute {
            self.attribute(member.wire_name(), value);
        } else if member.is_flattened() && member.target.is_aggregate() {
            self.flattened = Some(member);
            value.write(self);
        } else {
            self.element(member.wire_name(), self.namespace_of(member), value);
        }
    }

    fn end_structure(&mut self) {
        self.close();
    }

    fn begin_list(&mut self) {
        let element = match self.places.target().kind {
            crate::Kind::List(element) => Some((element.wire_name(), self.namespace_of(element))),
            _ => None,
        };
        self.open_elements(element);
    }

    fn item(&mut self, value: &dyn Writable) {
        let Some(Open::Elements { name, namespace }) = self.open.last().copied() else { return };
        self.places.element();
        self.element(name, namespace, value);
    }

    fn end_list(&mut self) {
        self.close();
    }

    fn begin_map(&mut self) {
        self.open_elements(None);
    }

    fn entry(&mut self, key: &str, value: &dyn Writable) {
        let Some(Open::Elements { name, namespace }) = self.open.last().copied() else { return };
        let element = self.places.element();
        self.start(name, namespace);
        if let Some(member) = self.places.key_member() {
            self.start(member.wire_name(), self.namespace_of(member));
            escape(&mut self.out, key);
            self.end(member.wire_name());
        }
        self.element(element.wire_name(), self.namespace_of(element), value);
        self.end(name);
    }

    fn end_map(&mut self) {
        self.close();
    }

    fn string(&mut self, value: &str) {
        self.push_text(value);
    }

    fn blob(&mut self, value: &[u8]) {
        BASE64_OUT.encode_string(value, &mut self.out);
    }

    fn boolean(&mut self, value: bool) {
        self.out.push_str(if value { "true" } else { "false" });
    }

    fn long(&mut self, value: i64) {
        write!(self.out, "{value}").expect("writing to a String cannot fail");
    }

    fn double(&mut self, value: f64) {
        text::write_double(&mut self.out, value);
    }

    fn timestamp(&mut self, value: Timestamp) {
        let format = self.places.timestamp_format().unwrap_or(TimestampFormat::Iso8601);
        self.out.push_str(&text::timestamp_text(value, format, self.style == XmlStyle::S3));
    }

    fn document(&mut self, value: &Document) {
        self.push_text(&value.to_string());
    }
}

/// Writes text with what XML gives a meaning escaped, for elements and attributes alike.
pub(super) fn escape(out: &mut String, text: &str) {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let reference = match byte {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'&' => "&amp;",
            b'"' => "&quot;",
            b'\n' => "&#xA;",
            b'\r' => "&#xD;",
            b'\t' => "&#x9;",
            // XML 1.0 has no way to write these; AWS writes references all the same.
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[copied..at]);
        if reference.is_empty() {
            write!(out, "&#x{byte:X};").expect("writing to a String cannot fail");
        } else {
            out.push_str(reference);
        }
        copied = at + 1;
    }
    out.push_str(&text[copied..]);
}
