//! Reads an input whose members are spread over URL, headers and body (the REST protocols).

use std::borrow::Cow;

use base64::Engine;
use bytes::Bytes;
use http::HeaderMap;

use super::constants::BASE64;
use super::json::{JsonReader, is_json_payload};
use super::params::{decode_pairs, is_key, raw_pairs};
use super::protocol::RequestView;
use super::text;
use super::xml::XmlReader;
use crate::{Document, Kind, Location, Member, ReadContext, ReadError, Reader, Shape, Timestamp};

pub(super) struct HttpReader<'a> {
    request: &'a RequestView<'a>,
    /// The request template, whose literal query keys are no parameters.
    uri: &'static str,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Reads what is in the body; its context is that of the whole input.
    body: BodyReader<'a>,
    /// The next member of the root to look for outside the body.
    next: usize,
    /// The members for which there is a header, a bit for each.
    in_headers: u128,
    payload_done: bool,
    source: Source,
    /// The simple value at the current place.
    text: Cow<'a, str>,
    items: std::vec::IntoIter<Cow<'a, str>>,
    entries: std::vec::IntoIter<Entry<'a>>,
}

/// A key of a map in the URL or the headers, with its values.
type Entry<'a> = (Cow<'a, str>, Vec<Cow<'a, str>>);

/// Where the value at the current place comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// URL or headers.
    Text,
    /// The body is the value.
    Payload,
    /// A document in the body.
    Body,
}

pub(super) enum BodyReader<'a> {
    Json(JsonReader<'a>),
    Xml(XmlReader<'a>),
}

impl BodyReader<'_> {
    fn get(&mut self) -> &mut dyn Reader {
        match self {
            Self::Json(reader) => reader,
            Self::Xml(reader) => reader,
        }
    }
}

/// What of a body is a document for the body's reader.
fn document_body<'a>(input: &'static Shape, body: &'a Bytes) -> &'a [u8] {
    let members = input.members();
    let has_document = match input.payload {
        Some(index) => is_json_payload(members[index].target) && !members[index].streaming,
        None => members.iter().any(|member| member.location == Location::Body),
    };
    if has_document { body } else { b"" }
}

impl<'a> HttpReader<'a> {
    /// `xml`: whether a document in the body is XML; else it is JSON.
    pub(super) fn new(
        request: &'a RequestView<'a>,
        input: &'static Shape,
        uri: &'static str,
        xml: bool,
    ) -> Result<Self, ReadError> {
        let document = document_body(input, request.body);
        let body = if xml {
            BodyReader::Xml(XmlReader::new(document)?)
        } else {
            BodyReader::Json(JsonReader::new(document)?)
        };
        let mut query = Vec::new();
        decode_pairs(request.raw_query, &mut query)?;
        Ok(Self {
            request,
            uri,
            query,
            body,
            next: 0,
            in_headers: in_headers(input.members(), request.headers),
            payload_done: false,
            source: Source::Body,
            text: Cow::Borrowed(""),
            items: Vec::new().into_iter(),
            entries: Vec::new().into_iter(),
        })
    }

    /// Whether the value that was read last, or failed, is in the body.
    pub(super) fn in_body(&self) -> bool {
        self.source != Source::Text
    }

    /// Finds the value of a member outside the body, and stands at it.
    fn locate(&mut self, index: usize, member: &'static Member) -> bool {
        let found = match member.location {
            Location::Uri => self.locate_label(member),
            Location::Querystring => self.locate_query(member),
            Location::Header => self.in_headers & (1 << index) != 0 && self.locate_header(member),
            Location::Headers => self.locate_prefix(member),
            Location::Body | Location::StatusCode => return false,
        };
        if found {
            self.source = Source::Text;
        }
        found
    }

    fn locate_label(&mut self, member: &'static Member) -> bool {
        let Some(value) = self.request.labels.get(member.wire_name()) else { return false };
        self.text = Cow::Borrowed(value);
        true
    }

    fn locate_query(&mut self, member: &'static Member) -> bool {
        if matches!(member.target.kind, Kind::Map(..)) {
            return self.locate_query_map();
        }
        let name = member.wire_name();
        if matches!(member.target.kind, Kind::List(_)) {
            let values = self.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone());
            self.items = values.collect::<Vec<_>>().into_iter();
            return self.items.len() > 0;
        }
        let Some((_, value)) = self.query.iter().find(|(key, _)| key == name) else { return false };
        // An empty number or time is absent, as for `?max-keys=`.
        if value.is_empty() && !is_text(member.target) {
            return false;
        }
        self.text = value.clone();
        true
    }

    /// A map takes all parameters, those that have a member of their own, too; only literals of the template are none.
    fn locate_query_map(&mut self) -> bool {
        let literals = self.uri.split_once('?').map_or("", |(_, literals)| literals);
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for (key, value) in &self.query {
            if raw_pairs(literals).any(|(literal, _)| is_key(literal, key)) {
                continue;
            }
            match entries.iter_mut().find(|(known, _)| known == key) {
                Some((_, values)) => values.push(value.clone()),
                None => entries.push((key.clone(), vec![value.clone()])),
            }
        }
        self.entries = entries.into_iter();
        self.entries.len() > 0
    }

    fn locate_header(&mut self, member: &'static Member) -> bool {
        let headers: &'a HeaderMap = self.request.headers;
        let mut values = headers.get_all(member.wire_name()).iter();
        let Some(first) = values.next() else { return false };
        let first = header_text(first.as_bytes());
        if let Kind::List(element) = member.target.kind {
            let mut items = Vec::new();
            split_list(&first, element.target, &mut items);
            for value in values {
                split_list(&header_text(value.as_bytes()), element.target, &mut items);
            }
            self.items = items.into_iter();
            return true;
        }
        if first.is_empty() && !is_text(member.target) {
            return false;
        }
        self.text = first;
        true
    }

    fn locate_prefix(&mut self, member: &'static Member) -> bool {
        let prefix = member.wire_name();
        let headers: &'a HeaderMap = self.request.headers;
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for name in headers.keys() {
            let text = name.as_str();
            let Some(start) = text.get(..prefix.len()) else { continue };
            if start.eq_ignore_ascii_case(prefix) {
                let values = headers.get_all(name).iter().map(|value| header_text(value.as_bytes()));
                let joined = values.reduce(|all, next| Cow::Owned(format!("{all},{next}")));
                entries.push((Cow::Borrowed(&text[prefix.len()..]), joined.into_iter().collect()));
            }
        }
        self.entries = entries.into_iter();
        self.entries.len() > 0
    }

    /// Whether the member that is the whole body is there.
    fn locate_payload(&mut self, input: &'static Shape) -> Option<usize> {
        if std::mem::replace(&mut self.payload_done, true) {
            return None;
        }
        let index = input.payload?;
        let member = &input.members()[index];
        if member.streaming || self.request.body.is_empty() {
            return None;
        }
        let document = is_json_payload(member.target);
        self.source = if document { Source::Body } else { Source::Payload };
        Some(index)
    }

    fn context_mut(&mut self) -> &mut ReadContext {
        self.body.get().context()
    }

    /// The text of a simple value that is not in a document.
    fn simple(&mut self) -> Result<(Cow<'a, str>, &mut ReadContext), ReadError> {
        let text = if self.source == Source::Payload {
            let text = std::str::from_utf8(self.request.body);
            Cow::Borrowed(text.map_err(|_| ReadError::Syntax("the body is not UTF-8".to_owned()))?)
        } else {
            std::mem::take(&mut self.text)
        };
        Ok((text, self.body.get().context()))
    }

    fn depth(&mut self) -> usize {
        self.context_mut().depth()
    }
}

/// The members for which there is a header. An operation has many times the members that a request has headers, so
/// this is cheaper than to ask the map for each member.
fn in_headers(members: &[Member], headers: &HeaderMap) -> u128 {
    let mut found = 0;
    for name in headers.keys() {
        let name = name.as_str();
        for (index, member) in members.iter().enumerate() {
            if member.location == Location::Header && member.wire_name().eq_ignore_ascii_case(name) {
                found |= 1 << index;
            }
        }
    }
    found
}

/// Whether empty text is a value of the shape.
fn is_text(shape: &Shape) -> bool {
    matches!(shape.kind, Kind::String | Kind::Enum(_) | Kind::Blob)
}

/// A header's bytes as text: UTF-8, or else ISO 8859-1.
fn header_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// Splits a header at its commas; values may stand in double quotes, and an HTTP date has a comma of its own.
fn split_list(text: &str, element: &Shape, items: &mut Vec<Cow<'static, str>>) {
    let own_commas = match element.kind {
        Kind::Timestamp => usize::from(text.contains("GMT")),
        _ => 0,
    };
    if text.trim_ascii().is_empty() {
        return;
    }
    let mut item = String::new();
    let (mut quoted, mut escaped, mut commas) = (false, false, 0);
    for char in text.chars() {
        match char {
            _ if escaped => {
                item.push(char);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' if quoted || item.trim_ascii().is_empty() => quoted = !quoted,
            ',' if !quoted && commas == own_commas => {
                items.push(Cow::Owned(std::mem::take(&mut item).trim_ascii().to_owned()));
                commas = 0;
            }
            ',' if !quoted => {
                item.push(char);
                commas += 1;
            }
            _ => item.push(char),
        }
    }
    items.push(Cow::Owned(item.trim_ascii().to_owned()));
}

impl Reader for HttpReader<'_> {
    fn context(&mut self) -> &mut ReadContext {
        self.context_mut()
    }

    fn begin_structure(&mut self, shape: &'static Shape) -> Result<(), ReadError> {
        if self.depth() == 0 && shape.payload.is_some() {
            return self.context_mut().open(shape);
        }
        self.body.get().begin_structure(shape)
    }

    fn next_member(&mut self) -> Result<Option<usize>, ReadError> {
        if self.depth() > 1 {
            return self.body.get().next_member();
        }
        let input = self.context_mut().shape();
        while let Some(member) = input.members().get(self.next) {
            let index = self.next;
            self.next += 1;
            if self.locate(index, member) {
                self.context_mut().at_member(index);
                return Ok(Some(index));
            }
        }
        self.source = Source::Body;
        if input.payload.is_none() {
            return self.body.get().next_member();
        }
        let index = self.locate_payload(input);
        match index {
            Some(index) => self.context_mut().at_member(index),
            None => self.context_mut().close(),
        }
        Ok(index)
    }

    fn begin_list(&mut self) -> Result<(), ReadError> {
        match self.source {
            Source::Text => self.context_mut().open_here(),
            _ => self.body.get().begin_list(),
        }
    }

    fn next_item(&mut self) -> Result<bool, ReadError> {
        if self.source != Source::Text {
            return self.body.get().next_item();
        }
        match self.items.next() {
            Some(text) => {
                self.text = text;
                self.context_mut().at_item();
                Ok(true)
            }
            None => {
                self.context_mut().close();
                Ok(false)
            }
        }
    }

    fn begin_map(&mut self) -> Result<(), ReadError> {
        match self.source {
            Source::Text => self.context_mut().open_here(),
            _ => self.body.get().begin_map(),
        }
    }

    fn next_key(&mut self) -> Result<Option<String>, ReadError> {
        if self.source != Source::Text {
            return self.body.get().next_key();
        }
        match self.entries.next() {
            Some((key, values)) => {
                self.text = values.first().cloned().unwrap_or_default();
                self.items = values.into_iter();
                self.context_mut().at_key(&key);
                Ok(Some(key.into_owned()))
            }
            None => {
                self.context_mut().close();
                Ok(None)
            }
        }
    }

    fn string(&mut self) -> Result<String, ReadError> {
        if self.source == Source::Body {
            return self.body.get().string();
        }
        let (text, context) = self.simple()?;
        if !context.member().is_some_and(|member| member.json_value) {
            return Ok(text::string(context, &text));
        }
        let json = BASE64.decode(text.as_bytes()).ok().and_then(|json| String::from_utf8(json).ok());
        let json = json.ok_or_else(|| context.type_error("base64 of JSON", &text))?;
        context.check_string(&json);
        Ok(json)
    }

    fn blob(&mut self) -> Result<Bytes, ReadError> {
        match self.source {
            Source::Body => self.body.get().blob(),
            Source::Payload => {
                let body = self.request.body;
                self.context_mut().check_blob(body.len());
                Ok(body.clone())
            }
            Source::Text => {
                let (text, context) = self.simple()?;
                text::blob(context, &text)
            }
        }
    }

    fn boolean(&mut self) -> Result<bool, ReadError> {
        if self.source == Source::Body {
            return self.body.get().boolean();
        }
        let (text, context) = self.simple()?;
        text::boolean(context, &text)
    }

    fn long(&mut self) -> Result<i64, ReadError> {
        if self.source == Source::Body {
            return self.body.get().long();
        }
        let (text, context) = self.simple()?;
        text::long(context, &text)
    }

    fn double(&mut self) -> Result<f64, ReadError> {
        if self.source == Source::Body {
            return self.body.get().double();
        }
        let (text, context) = self.simple()?;
        text::double(context, &text)
    }

    fn timestamp(&mut self) -> Result<Timestamp, ReadError> {
        if self.source == Source::Body {
            return self.body.get().timestamp();
        }
        let (text, context) = self.simple()?;
        text::timestamp(context, &text)
    }

    fn document(&mut self) -> Result<Document, ReadError> {
        if self.source == Source::Body {
            return self.body.get().document();
        }
        text::document(&self.simple()?.0)
    }

    fn skip(&mut self) -> Result<(), ReadError> {
        if self.source == Source::Body { self.body.get().skip() } else { Ok(()) }
    }
}
