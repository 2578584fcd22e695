//! The static tables of a service's shapes.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::botocore::{MemberModel, Model, flag, members};
use super::names;

/// The source of `shapes.rs`.
pub(super) fn source(model: &Model) -> String {
    let mut out = String::from("use lambent_wire::prelude::*;\n\n");
    for (name, shape) in model.shapes() {
        let _ = writeln!(
            out,
            "pub(crate) static {}: Shape = {};",
            names::constant(name),
            shape_source(model, name, shape)
        );
    }
    out
}

fn shape_source(model: &Model, name: &str, shape: &Value) -> String {
    let kind = kind_source(model, name, shape);
    let mut out = format!("Shape::new({name:?}, {kind})");
    let empty = Map::new();
    let traits = shape.as_object().unwrap_or(&empty);
    for bound in ["min", "max"] {
        if let Some(value) = traits.get(bound).and_then(whole_number) {
            let _ = write!(out, ".{bound}({value})");
        }
    }
    if let Some(pattern) = traits.get("pattern").and_then(Value::as_str).filter(|pattern| compiles(pattern)) {
        let _ = write!(out, ".pattern({pattern:?})");
    }
    if flag(traits, "exception") {
        out += &error_source(name, traits);
    }
    if let Some(name) = traits.get("locationName").and_then(Value::as_str) {
        let _ = write!(out, ".xml_name({name:?})");
    }
    out += &namespace_source(traits);
    if let Some(format) = traits.get("timestampFormat").and_then(Value::as_str) {
        let _ = write!(out, ".timestamp_format(TimestampFormat::{})", timestamp_format(format));
    }
    if let Some(payload) = traits.get("payload").and_then(Value::as_str) {
        let index = members(shape).position(|member| member.name == payload).unwrap_or_default();
        let _ = write!(out, ".payload({index})");
    }
    for mark in ["flattened", "sensitive"] {
        if flag(traits, mark) {
            let _ = write!(out, ".{mark}()");
        }
    }
    out
}

fn kind_source(model: &Model, name: &str, shape: &Value) -> String {
    match shape["type"].as_str().unwrap_or_default() {
        "structure" if !model.is_structure(name) => "DocumentKind".to_owned(),
        "structure" => {
            let kind = if shape["union"].as_bool().unwrap_or(false) { "Union" } else { "Structure" };
            let members: Vec<String> = members(shape).map(|member| member_source(model, &member)).collect();
            format!("{kind}(&[{}])", members.join(", "))
        }
        "list" => format!("List(&{})", element_source(shape, "member")),
        "map" => format!("Map(&{}, &{})", element_source(shape, "key"), element_source(shape, "value")),
        "string" => match shape["enum"].as_array() {
            Some(values) if !model.is_open_enum(name) => {
                format!("Enum(&[{}])", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
            }
            _ => "Text".to_owned(),
        },
        "timestamp" => "Time".to_owned(),
        other => names::type_name(other),
    }
}

fn member_source(model: &Model, member: &MemberModel<'_>) -> String {
    let mut out = format!("Member::new({:?}, &{})", member.name, names::constant(member.shape));
    out += &binding_source(member.traits);
    if member.required {
        out += ".required()";
    }
    if is_streaming(model, member) {
        out += ".streaming()";
    }
    out
}

/// Whether a member is a body that is streamed.
pub(super) fn is_streaming(model: &Model, member: &MemberModel<'_>) -> bool {
    flag(member.traits, "streaming") || model.shape(member.shape)["streaming"].as_bool().unwrap_or(false)
}

fn element_source(shape: &Value, part: &str) -> String {
    let target = names::constant(shape[part]["shape"].as_str().unwrap_or_default());
    let empty = Map::new();
    let binding = binding_source(shape[part].as_object().unwrap_or(&empty));
    format!("Member::new({part:?}, &{target}){binding}")
}

fn binding_source(traits: &Map<String, Value>) -> String {
    let mut out = String::new();
    if let Some(name) = traits.get("locationName").and_then(Value::as_str) {
        let _ = write!(out, ".named({name:?})");
    }
    if let Some(location) = traits.get("location").and_then(Value::as_str) {
        let _ = write!(out, ".at({})", names::type_name(location));
    }
    for (key, call) in [
        ("flattened", "flattened"),
        ("xmlAttribute", "xml_attribute"),
        ("idempotencyToken", "idempotency_token"),
        ("jsonvalue", "json_value"),
    ] {
        if flag(traits, key) {
            let _ = write!(out, ".{call}()");
        }
    }
    out + &namespace_source(traits)
}

fn namespace_source(traits: &Map<String, Value>) -> String {
    let Some(namespace) = traits.get("xmlNamespace") else { return String::new() };
    let uri = namespace.as_str().or_else(|| namespace["uri"].as_str()).unwrap_or_default();
    let prefix = namespace["prefix"].as_str();
    format!(".namespace({uri:?}, {prefix:?})")
}

fn error_source(name: &str, traits: &Map<String, Value>) -> String {
    let (code, status, sender) = error_facts(name, traits);
    format!(".error({code:?}, {status}, {sender})")
}

/// The code, the HTTP status, and whether the caller is at fault.
pub(super) fn error_facts<'a>(name: &'a str, traits: &'a Map<String, Value>) -> (&'a str, u64, bool) {
    let error = traits.get("error").unwrap_or(&Value::Null);
    let server_fault = flag(traits, "fault");
    let status = error["httpStatusCode"].as_u64().unwrap_or(if server_fault { 500 } else { 400 });
    (error["code"].as_str().unwrap_or(name), status, status < 500)
}

fn timestamp_format(name: &str) -> &'static str {
    match name {
        "iso8601" => "Iso8601",
        "rfc822" => "Rfc822",
        _ => "UnixTimestamp",
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "models bound lengths and small numbers")]
    value.as_i64().or_else(|| value.as_f64().map(|float| float as i64))
}

/// Some models use look-around and classes that the small engine lacks; those patterns are left unchecked.
fn compiles(pattern: &str) -> bool {
    regex_lite::Regex::new(&format!("^(?:{pattern})$")).is_ok()
}
