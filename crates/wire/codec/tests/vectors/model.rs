//! Builds shape tables out of the JSON of a suite, and leaks them: a test process is short.

use lambent_wire::{
    EMPTY, Kind, Location, Member, Namespace, OperationInfo, ProtocolKind, ServiceInfo, Shape,
    TimestampFormat,
};
use serde_json::{Map, Value};

/// How many times a recursive shape may stand inside itself; the vectors go down three levels.
const UNROLLED_MAX: usize = 4;

pub struct Model<'a> {
    shapes: &'a Map<String, Value>,
}

pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub fn leak_str(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

impl<'a> Model<'a> {
    pub fn new(suite: &'a Value) -> Self {
        Self { shapes: suite["shapes"].as_object().unwrap() }
    }

    /// The shape of an operation's input or output; the empty one when it has none.
    pub fn shape(&self, reference: &Value) -> &'static Shape {
        match reference["shape"].as_str() {
            Some(name) => self.build(name, &mut Vec::new()),
            None => &EMPTY,
        }
    }

    pub fn operation(&self, given: &Value) -> &'static OperationInfo {
        let http = &given["http"];
        let errors: Vec<&'static Shape> =
            given["errors"].as_array().into_iter().flatten().map(|error| self.shape(error)).collect();
        leak(OperationInfo {
            name: leak_str(given["name"].as_str().unwrap()),
            method: leak_str(http["method"].as_str().unwrap()),
            uri: leak_str(http["requestUri"].as_str().unwrap()),
            status: http["responseCode"].as_u64().map_or(200, |status| u16::try_from(status).unwrap()),
            input: self.shape(&given["input"]),
            output: self.shape(&given["output"]),
            input_element: None,
            result_wrapper: given["output"]["resultWrapper"].as_str().map(leak_str),
            errors: Vec::leak(errors),
        })
    }

    fn build(&self, name: &str, path: &mut Vec<String>) -> &'static Shape {
        if path.iter().filter(|known| *known == name).count() >= UNROLLED_MAX {
            return &EMPTY;
        }
        path.push(name.to_owned());
        let json = &self.shapes[name];
        let mut shape = Shape::new(leak_str(name), self.kind(json, path));
        path.pop();
        shape.xml_name = json["locationName"].as_str().map(leak_str);
        shape.namespace = namespace(&json["xmlNamespace"]);
        shape.flattened = json["flattened"].as_bool().unwrap_or_default();
        shape.timestamp_format = json["timestampFormat"].as_str().map(|format| match format {
            "iso8601" => TimestampFormat::Iso8601,
            "rfc822" => TimestampFormat::Rfc822,
            _ => TimestampFormat::UnixTimestamp,
        });
        shape.payload = json["payload"].as_str().map(|payload| {
            let members = json["members"].as_object().unwrap();
            members.keys().position(|name| name == payload).unwrap()
        });
        leak(shape)
    }

    fn kind(&self, json: &Value, path: &mut Vec<String>) -> Kind {
        match json["type"].as_str().unwrap() {
            "structure" if json["document"] == true => Kind::Document,
            "structure" => {
                let required = json["required"].as_array().cloned().unwrap_or_default();
                let members = json["members"].as_object().unwrap().iter().map(|(name, member)| Member {
                    required: required.iter().any(|known| known == name),
                    ..self.member(name, member, path)
                });
                let members: &'static [Member] = Vec::leak(members.collect());
                if json["union"] == true { Kind::Union(members) } else { Kind::Structure(members) }
            }
            "list" => Kind::List(leak(self.member("member", &json["member"], path))),
            "map" => Kind::Map(
                leak(self.member("key", &json["key"], path)),
                leak(self.member("value", &json["value"], path)),
            ),
            "string" => match json["enum"].as_array() {
                Some(values) => {
                    let values = values.iter().map(|value| leak_str(value.as_str().unwrap()));
                    Kind::Enum(Vec::leak(values.collect()))
                }
                None => Kind::String,
            },
            "blob" => Kind::Blob,
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "timestamp" => Kind::Timestamp,
            other => panic!("a shape of the unknown type {other}"),
        }
    }

    fn member(&self, name: &str, json: &Value, path: &mut Vec<String>) -> Member {
        let mut member = Member::new(leak_str(name), self.build(json["shape"].as_str().unwrap(), path));
        member.location_name = json["locationName"].as_str().map(leak_str);
        member.location = match json["location"].as_str() {
            None => Location::Body,
            Some("header") => Location::Header,
            Some("headers") => Location::Headers,
            Some("querystring") => Location::Querystring,
            Some("uri") => Location::Uri,
            Some("statusCode") => Location::StatusCode,
            Some(other) => panic!("the unknown location {other}"),
        };
        member.flattened = json["flattened"].as_bool().unwrap_or_default();
        member.xml_attribute = json["xmlAttribute"].as_bool().unwrap_or_default();
        member.namespace = namespace(&json["xmlNamespace"]);
        member.json_value = json["jsonvalue"].as_bool().unwrap_or_default();
        member
    }
}

/// The service of a suite, with one operation.
pub fn service(
    suite: &Value,
    protocol: ProtocolKind,
    operation: &'static OperationInfo,
) -> &'static ServiceInfo {
    leak(ServiceInfo {
        signing_name: "vectors",
        full_name: "Protocol vectors",
        api_version: "2020-01-01",
        protocols: Vec::leak(vec![protocol]),
        target_prefix: suite["metadata"]["targetPrefix"].as_str().map(leak_str),
        xml_namespace: (protocol == ProtocolKind::Query).then_some("https://example.com/"),
        operations: Vec::leak(vec![operation]),
        unimplemented: &[],
    })
}

fn namespace(json: &Value) -> Option<Namespace> {
    if let Some(uri) = json.as_str() {
        return Some(Namespace { uri: leak_str(uri), prefix: None });
    }
    let uri = leak_str(json["uri"].as_str()?);
    Some(Namespace { uri, prefix: json["prefix"].as_str().map(leak_str) })
}
