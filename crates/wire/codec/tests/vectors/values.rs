//! The parameters and results of the vectors as values, and how two messages are compared.

use bytes::Bytes;
use lambent_wire::codec::Value;
use lambent_wire::{Kind, Member, Shape, Timestamp};
use serde_json::Value as Json;

/// A value of a shape from its JSON in a vector; `None` for null.
pub fn value(shape: &'static Shape, json: &Json) -> Option<Value> {
    if json.is_null() {
        return matches!(shape.kind, Kind::Document).then_some(Value::Document(Json::Null));
    }
    Some(match shape.kind {
        Kind::Structure(members) | Kind::Union(members) => {
            let entries = json.as_object().unwrap_or_else(|| panic!("{} is {json}", shape.name)).iter();
            let values = entries.filter_map(|(name, json)| {
                let index = members.iter().position(|member| member.name == name);
                let index = index.unwrap_or_else(|| panic!("{} has no {name}", shape.name));
                Some((index, member_value(&members[index], json)?))
            });
            Value::Structure(values.collect())
        }
        Kind::List(element) => Value::List(
            json.as_array().unwrap().iter().filter_map(|json| value(element.target, json)).collect(),
        ),
        Kind::Map(_, element) => {
            let entries = json.as_object().unwrap().iter();
            Value::Map(
                entries.filter_map(|(key, json)| Some((key.clone(), value(element.target, json)?))).collect(),
            )
        }
        Kind::Enum(_) | Kind::String => Value::String(json.as_str().unwrap().to_owned()),
        Kind::Blob => Value::Blob(Bytes::from(json.as_str().unwrap().to_owned())),
        Kind::Boolean => Value::Boolean(json.as_bool().unwrap()),
        Kind::Integer | Kind::Long => Value::Long(json.as_i64().unwrap()),
        Kind::Float | Kind::Double => {
            Value::Double(json.as_f64().unwrap_or_else(|| json.as_str().unwrap().parse().unwrap()))
        }
        Kind::Timestamp => Value::Timestamp(match json.as_f64() {
            Some(seconds) => Timestamp::from_seconds(seconds).unwrap(),
            None => Timestamp::parse(json.as_str().unwrap()).unwrap(),
        }),
        Kind::Document => Value::Document(json.clone()),
    })
}

fn member_value(member: &'static Member, json: &Json) -> Option<Value> {
    if member.json_value && !json.is_string() {
        return Some(Value::String(json.to_string()));
    }
    value(member.target, json)
}

/// A text that is the same for values that are the same.
pub fn canonical(value: &Value) -> String {
    fn sort(value: &mut Value) {
        match value {
            Value::Structure(members) => {
                members.iter_mut().for_each(|(_, value)| sort(value));
                members.sort_by_key(|(index, _)| *index);
            }
            Value::List(items) => items.iter_mut().for_each(sort),
            // The JSON parser that reads the vectors is not exact to the last digit.
            Value::Double(number) => *number = format!("{number:.13e}").parse().unwrap(),
            Value::Map(entries) => {
                entries.iter_mut().for_each(|(_, value)| sort(value));
                // Names of headers have no case; hyper and HTTP/2 give them in lower case.
                entries.iter_mut().for_each(|(key, _)| key.make_ascii_lowercase());
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            _ => {}
        }
    }
    let mut value = value.clone();
    sort(&mut value);
    format!("{value:?}")
}

/// A text that is the same for JSON texts that mean the same.
pub fn canonical_json(text: &str) -> String {
    fn simplify(json: &mut Json) {
        match json {
            Json::Array(items) => items.iter_mut().for_each(simplify),
            Json::Object(members) => members.values_mut().for_each(simplify),
            Json::Number(number) => *json = Json::from(number.as_f64().unwrap()),
            _ => {}
        }
    }
    let mut json: Json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    simplify(&mut json);
    json.to_string()
}

/// An element of an XML document. The order of children of different names means nothing.
#[derive(Debug, Default, Clone, PartialEq, PartialOrd)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// Parses with the reference parser alone, none of the code under test.
    pub fn parse(text: &str) -> Self {
        use quick_xml::events::Event;
        let mut reader = quick_xml::Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().unwrap_or_else(|error| panic!("{error} in {text}"));
            match event {
                Event::Start(tag) => open.push(Self::of(&tag)),
                Event::Empty(tag) => {
                    let element = Self::of(&tag);
                    open.last_mut().unwrap().children.push(element);
                }
                Event::End(_) => {
                    let mut element = open.pop().unwrap();
                    element.close();
                    open.last_mut().unwrap().children.push(element);
                }
                Event::Text(text) => open.last_mut().unwrap().text.push_str(&text.xml10_content()),
                Event::CData(text) => open.last_mut().unwrap().text.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let text = match reference.resolve_char_ref().unwrap() {
                        Some(char) => char.to_string(),
                        None => quick_xml::escape::resolve_predefined_entity(&reference).unwrap().to_owned(),
                    };
                    open.last_mut().unwrap().text.push_str(&text);
                }
                Event::Eof => return open.pop().unwrap().children.pop().unwrap(),
                _ => {}
            }
        }
    }

    fn of(tag: &quick_xml::events::BytesStart<'_>) -> Self {
        let attributes = tag.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).unwrap();
            (attribute.key.as_ref().to_owned(), value.into_owned())
        });
        let mut attributes: Vec<_> = attributes.collect();
        attributes.sort();
        Self { name: tag.name().as_ref().to_owned(), attributes, ..Self::default() }
    }

    fn close(&mut self) {
        if !self.children.is_empty() || self.text.trim().is_empty() && self.text.contains('\n') {
            self.text.clear();
        }
        self.children.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// For the comparison of whole answers: without the request id and the namespace of errors, which the vectors
    /// leave out and AWS's services have, and without an order, which means nothing to the entries of maps.
    pub fn simplified(mut self) -> Self {
        self.children.retain(|child| child.name != "ResponseMetadata");
        if self.name == "ErrorResponse" {
            self.attributes.clear();
        }
        self.unordered()
    }

    fn unordered(mut self) -> Self {
        if let Ok(number) = self.text.parse::<f64>() {
            // 1 and 1.0 are the same number.
            self.text = format!("{number:?}");
        }
        self.children = self.children.into_iter().map(Self::unordered).collect();
        self.children.sort_by(|a, b| a.partial_cmp(b).unwrap());
        self
    }
}
