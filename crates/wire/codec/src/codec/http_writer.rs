//! Writes an output whose members are spread over status, headers and body (the REST protocols).

use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::constants::{BASE64_OUT, S3_NAMESPACE};
use super::json::is_json_payload;
use super::json_writer::JsonWriter;
use super::roots::{Root, s3_root};
use super::text_writer::TextWriter;
use super::xml_writer::{XmlStyle, XmlWriter};
use crate::{
    Document, Kind, Location, Member, Namespace, OperationInfo, ServiceInfo, Shape, Timestamp, Writable,
    Writer,
};

/// The parts of an answer.
#[derive(Debug)]
pub(super) struct HttpParts {
    pub(super) status: Option<u16>,
    pub(super) headers: HeaderMap,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Bytes,
}

/// Takes the members of the root; what belongs to the body goes on to the body's writer.
pub(super) struct HttpWriter {
    output: &'static Shape,
    root: Root,
    namespace: Option<Namespace>,
    body: BodyWriter,
    /// Whether the body is one document of all members that are bound to nothing else.
    document: bool,
    parts: HttpParts,
}

enum BodyWriter {
    Json(JsonWriter),
    Xml(XmlWriter),
}

impl BodyWriter {
    fn get(&mut self) -> &mut dyn Writer {
        match self {
            Self::Json(writer) => writer,
            Self::Xml(writer) => writer,
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Self::Json(writer) => writer.finish().into(),
            Self::Xml(writer) => writer.finish().into(),
        }
    }

    fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Xml(_) => "application/xml",
        }
    }
}

impl HttpWriter {
    pub(super) fn new(service: &'static ServiceInfo, info: &'static OperationInfo, xml: bool) -> Self {
        let output = info.output;
        let s3 = service.signing_name == "s3";
        let element = output.xml_name.unwrap_or(output.name);
        let root = Some(info.name).filter(|_| s3).and_then(s3_root).unwrap_or(Root { element, bare: false });
        let service_namespace = service.xml_namespace.or(s3.then_some(S3_NAMESPACE));
        let namespace = output.namespace.or(service_namespace.map(|uri| Namespace { uri, prefix: None }));
        let has_body = output.members().iter().any(|member| in_document(member.location));
        let document =
            output.payload.is_none() && if xml { has_body } else { has_body || is_modelled(output) };
        let mut body = if xml {
            BodyWriter::Xml(XmlWriter::new(if s3 { XmlStyle::S3 } else { XmlStyle::Rest }))
        } else {
            BodyWriter::Json(JsonWriter::default())
        };
        if let BodyWriter::Xml(writer) = &mut body
            && s3
        {
            writer.declaration();
        }
        let parts =
            HttpParts { status: None, headers: HeaderMap::new(), content_type: None, body: Bytes::new() };
        Self { output, root, namespace, body, document, parts }
    }

    pub(super) fn finish(mut self) -> HttpParts {
        if self.document {
            self.parts.content_type = Some(self.body.content_type());
            self.parts.body = self.body.finish();
        }
        self.parts
    }

    fn header(&mut self, member: &'static Member, value: &dyn Writable) {
        let mut writer = TextWriter::header(member);
        value.write(&mut writer);
        if member.target.is_aggregate() && writer.values.is_empty() {
            return;
        }
        let text = match <[String; 1]>::try_from(writer.values) {
            Ok([text]) => text,
            Err(values) => values.join(", "),
        };
        let text = if member.json_value { BASE64_OUT.encode(text) } else { text };
        insert(&mut self.parts.headers, member.wire_name(), &text);
    }

    fn prefix_headers(&mut self, member: &'static Member, value: &dyn Writable) {
        let mut writer = TextWriter::header(member);
        value.write(&mut writer);
        for (key, value) in writer.keys.iter().zip(&writer.values) {
            insert(&mut self.parts.headers, &format!("{}{key}", member.wire_name()), value);
        }
    }

    fn payload(&mut self, member: &'static Member, value: &dyn Writable) {
        if member.streaming {
            return;
        }
        if is_json_payload(member.target) {
            self.payload_document(member, value);
            return;
        }
        let mut writer = TextWriter::payload(member);
        value.write(&mut writer);
        let plain = matches!(member.target.kind, Kind::String | Kind::Enum(_));
        self.parts.content_type = Some(if plain { "text/plain" } else { "application/octet-stream" });
        self.parts.body = writer.into_payload();
    }

    fn payload_document(&mut self, member: &'static Member, value: &dyn Writable) {
        match &mut self.body {
            BodyWriter::Json(writer) => {
                *writer = JsonWriter::at(member);
                value.write(writer);
            }
            BodyWriter::Xml(writer) => {
                let target = member.target;
                // A name that only repeats the member's own names no element.
                let given = member.location_name.filter(|name| *name != member.name);
                let name = given.or(target.xml_name).unwrap_or(target.name);
                let namespace = member.namespace.or(target.namespace).or(self.namespace);
                writer.start(name, namespace);
                value.write(writer);
                writer.end(name);
            }
        }
        self.document = true;
    }
}

/// Whether an output's member is in its document: what is bound to the URL of a request has no other place here.
fn in_document(location: Location) -> bool {
    matches!(location, Location::Body | Location::Querystring | Location::Uri)
}

/// Whether the model has an output at all, if only an empty one.
pub(super) fn is_modelled(shape: &'static Shape) -> bool {
    !std::ptr::eq(shape, &raw const crate::EMPTY)
}

/// Adds a header; text beyond ASCII is written as RFC 2047 has it, as S3 does for user metadata.
fn insert(headers: &mut HeaderMap, name: &str, text: &str) {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        tracing::warn!(name, "an output has a member that cannot be a header's name; it is left out");
        return;
    };
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let value = if plain {
        HeaderValue::from_str(text)
    } else {
        HeaderValue::try_from(format!("=?UTF-8?B?{}?=", BASE64_OUT.encode(text)))
    };
    headers.insert(name, value.expect("visible ASCII is a valid header value"));
}

impl Writer for HttpWriter {
    fn begin_structure(&mut self, shape: &'static Shape) {
        if !self.document {
            return;
        }
        if let BodyWriter::Xml(writer) = &mut self.body {
            writer.start(self.root.element, self.namespace);
        }
        self.body.get().begin_structure(shape);
    }

    fn member(&mut self, index: usize, value: &dyn Writable) {
        let member = &self.output.members()[index];
        match member.location {
            Location::Header => self.header(member, value),
            Location::Headers => self.prefix_headers(member, value),
            Location::StatusCode => {
                let mut writer = TextWriter::header(member);
                value.write(&mut writer);
                self.parts.status = writer.values.first().and_then(|status| status.parse().ok());
            }
            _ if self.output.payload == Some(index) => self.payload(member, value),
            Location::Body | Location::Querystring | Location::Uri if self.document => match &mut self.body {
                BodyWriter::Xml(writer) if self.root.bare => writer.bare(member, value),
                body => body.get().member(index, value),
            },
            // Beside a payload there is no place for what is bound to nothing.
            Location::Body | Location::Querystring | Location::Uri => {}
        }
    }

    fn end_structure(&mut self) {
        if !self.document || self.output.payload.is_some() {
            return;
        }
        self.body.get().end_structure();
        if let BodyWriter::Xml(writer) = &mut self.body {
            writer.end(self.root.element);
        }
    }

    fn begin_list(&mut self) {
        self.body.get().begin_list();
    }

    fn item(&mut self, value: &dyn Writable) {
        self.body.get().item(value);
    }

    fn end_list(&mut self) {
        self.body.get().end_list();
    }

    fn begin_map(&mut self) {
        self.body.get().begin_map();
    }

    fn entry(&mut self, key: &str, value: &dyn Writable) {
        self.body.get().entry(key, value);
    }

    fn end_map(&mut self) {
        self.body.get().end_map();
    }

    fn string(&mut self, value: &str) {
        self.body.get().string(value);
    }

    fn blob(&mut self, value: &[u8]) {
        self.body.get().blob(value);
    }

    fn boolean(&mut self, value: bool) {
        self.body.get().boolean(value);
    }

    fn long(&mut self, value: i64) {
        self.body.get().long(value);
    }

    fn double(&mut self, value: f64) {
        self.body.get().double(value);
    }

    fn timestamp(&mut self, value: Timestamp) {
        self.body.get().timestamp(value);
    }

    fn document(&mut self, value: &Document) {
        self.body.get().document(value);
    }
}
