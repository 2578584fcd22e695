//! The operations and errors of a service.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::botocore::{Model, members};
use super::{names, tables, types};

/// The source of `ops.rs`.
pub(super) fn source(model: &Model) -> String {
    let mut out = String::from("use lambent_wire::prelude::*;\n\nuse crate::{shapes, types};\n\n");
    out += &service_source(model);
    for (name, operation) in model.operations() {
        let constant = info_name(name);
        let (input, output) = (side_type(model, operation, "input"), side_type(model, operation, "output"));
        let _ = writeln!(out, "operation!({name}({input}) -> {output}, {constant});\n");
        let _ = writeln!(out, "static {constant}: OperationInfo = {};\n", info_source(name, operation));
    }
    out
}

/// The source of `errors.rs`: one constructor for each error that the operations may answer.
pub(super) fn errors_source(model: &Model) -> String {
    let mut out = String::from("use lambent_wire::prelude::*;\n\n");
    let empty = Map::new();
    for (name, shape) in model.errors() {
        let (code, status, sender) = tables::error_facts(name, shape.as_object().unwrap_or(&empty));
        let message_member =
            members(shape).map(|member| member.name).find(|name| name.eq_ignore_ascii_case("message"));
        let mut calls = String::new();
        if let Some(member) = message_member.filter(|member| *member != "message") {
            let _ = write!(calls, ".message_in({member:?})");
        }
        if members(shape).any(|member| member.name == "Type") {
            let _ = write!(calls, ".with(\"Type\", {:?})", if sender { "User" } else { "Service" });
        }
        let function = names::snake(name);
        let _ = writeln!(
            out,
            "pub fn {function}(message: impl Into<String>) -> ApiError {{\nApiError::new({code:?}, {status}, message){calls}\n}}\n"
        );
    }
    out
}

fn service_source(model: &Model) -> String {
    let signing_name = Some(model.metadata("signingName")).filter(|name| !name.is_empty());
    let signing_name = signing_name.unwrap_or(model.metadata("endpointPrefix"));
    let protocols: Vec<String> =
        model.protocols().iter().map(|name| format!("ProtocolKind::{name}")).collect();
    let operations: Vec<String> =
        model.operations().map(|(name, _)| format!("&{}", info_name(name))).collect();
    let unimplemented: Vec<String> =
        model.unimplemented().map(|(name, operation)| known_source(name, operation)).collect();
    let optional = |key: &str| match model.metadata(key) {
        "" => "None".to_owned(),
        text => format!("Some({text:?})"),
    };
    format!(
        "pub static SERVICE: ServiceInfo = ServiceInfo {{\n\
         signing_name: {signing_name:?},\nfull_name: {:?},\napi_version: {:?},\nprotocols: &[{}],\n\
         target_prefix: {},\nxml_namespace: {},\noperations: &[{}],\nunimplemented: &[{}],\n}};\n\n",
        model.full_name(),
        model.metadata("apiVersion"),
        protocols.join(", "),
        optional("targetPrefix"),
        optional("xmlNamespace"),
        operations.join(", "),
        unimplemented.join(", "),
    )
}

fn known_source(name: &str, operation: &Value) -> String {
    let http = &operation["http"];
    format!("Known {{ name: {name:?}, method: {}, uri: {} }}", http["method"], http["requestUri"])
}

fn info_source(name: &str, operation: &Value) -> String {
    let http = &operation["http"];
    let input = &operation["input"];
    let element = match (input["locationName"].as_str(), input["xmlNamespace"]["uri"].as_str()) {
        (Some(element), Some(uri)) => format!("Some(({element:?}, {uri:?}))"),
        _ => "None".to_owned(),
    };
    let wrapper = operation["output"]["resultWrapper"].as_str();
    let errors: Vec<String> = operation["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["shape"].as_str())
        .map(|error| format!("&shapes::{}", names::constant(error)))
        .collect();
    format!(
        "OperationInfo {{\nname: {name:?},\nmethod: {},\nuri: {},\nstatus: {},\ninput: {},\noutput: {},\n\
         input_element: {element},\nresult_wrapper: {wrapper:?},\nerrors: &[{}],\n}}",
        http["method"],
        http["requestUri"],
        http["responseCode"].as_u64().unwrap_or(200),
        side_table(operation, "input"),
        side_table(operation, "output"),
        errors.join(", "),
    )
}

fn info_name(operation: &str) -> String {
    format!("{}_INFO", names::constant(operation))
}

fn side_type(model: &Model, operation: &Value, side: &str) -> String {
    match operation[side]["shape"].as_str() {
        Some(shape) => format!("types::{}", types::rust_type(model, shape)),
        None => "Empty".to_owned(),
    }
}

fn side_table(operation: &Value, side: &str) -> String {
    match operation[side]["shape"].as_str() {
        Some(shape) => format!("&shapes::{}", names::constant(shape)),
        None => "&lambent_wire::EMPTY".to_owned(),
    }
}
