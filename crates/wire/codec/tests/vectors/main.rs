//! The protocol vectors of botocore, run from a server's side: what an input case serialises is parsed to its
//! parameters, what an output case parses is written from its result.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]
#![allow(unreachable_pub, reason = "the modules of a test are seen by nobody else")]

mod excluded;
mod model;
mod values;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use lambent_wire::codec::{
    Dynamic, EncodedResponse, JsonReader, RequestView, Routed, Router, XmlReader, decode_dynamic, encode,
    encode_error,
};
use lambent_wire::{ApiError, Location, ProtocolKind, Shape};
use serde_json::Value as Json;

use excluded::{Checked, INPUTS, Listed, OUTPUTS};
use model::{Model, leak_str, service};
use values::{Element, canonical, canonical_json, value};

/// What came of the vectors of a file.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    passed: usize,
    /// Answers that no server writes, which are only read.
    read: usize,
    excluded: usize,
}

fn suites(direction: &str, file: &str) -> Vec<Json> {
    let path =
        format!("{}/../../../../shared/data/protocols/{direction}/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// Runs all cases of a file; each problem is told with the id of its case.
fn run(
    direction: &str,
    file: &str,
    excluded: &[Listed],
    check: impl Fn(Checked, &Json, &Json) -> Result<(), String>,
) -> Tally {
    let mut tally = Tally::default();
    let mut problems = Vec::new();
    let of_file = excluded.iter().filter(|listed| listed.file == file);
    let mut listed: Vec<(&str, Checked)> =
        of_file.flat_map(|listed| listed.ids.iter().map(|id| (*id, listed.checked))).collect();
    let mut cases = 0;
    for suite in suites(direction, file) {
        for case in suite["cases"].as_array().unwrap() {
            cases += 1;
            let id = case["id"].as_str().unwrap();
            let at = listed.iter().position(|(known, _)| *known == id);
            let checked = at.map_or(Checked::Fully, |at| listed.swap_remove(at).1);
            let count = match checked {
                Checked::Fully => &mut tally.passed,
                Checked::Read => &mut tally.read,
                Checked::Not => {
                    tally.excluded += 1;
                    continue;
                }
            };
            match check(checked, &suite, case) {
                Ok(()) => *count += 1,
                Err(problem) => problems.push(format!("{id}: {problem}")),
            }
        }
    }
    assert!(problems.is_empty(), "{} of {cases} failed:\n{}", problems.len(), problems.join("\n"));
    assert!(excluded.iter().all(|listed| !listed.reason.is_empty()));
    assert!(listed.is_empty(), "listed as excluded, but not in {direction}/{file}: {listed:?}");
    assert_eq!(tally.passed + tally.read + tally.excluded, cases);
    tally
}

fn headers_of(json: &Json) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
        headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    headers
}

fn check_input(protocol: ProtocolKind, suite: &Json, case: &Json) -> Result<(), String> {
    let info = Model::new(suite).operation(&case["given"]);
    let router = Router::new(service(suite, protocol, info));
    let serialized = &case["serialized"];
    let method: Method = serialized["method"].as_str().unwrap().parse().unwrap();
    let uri = serialized["uri"].as_str().unwrap();
    let (raw_path, raw_query) = uri.split_once('?').unwrap_or((uri, ""));
    let headers = headers_of(&serialized["headers"]);
    let body = Bytes::from(serialized["body"].as_str().unwrap_or_default().to_owned());

    let mut routed = router.route(&method, raw_path, raw_query, &headers);
    if protocol == ProtocolKind::Query {
        routed = router.route_form(raw_query, &body);
    } else if !headers.contains_key("x-amz-target")
        && matches!(protocol, ProtocolKind::Json10 | ProtocolKind::Json11)
    {
        // Most JSON vectors leave the header out.
        routed = router.route_action(info.name);
    }
    let Routed::Operation(found, labels) = routed else { return Err(format!("routed to {routed:?}")) };
    assert_eq!(found.name, info.name);

    let request =
        RequestView { method: &method, raw_path, raw_query, headers: &headers, labels: &labels, body: &body };
    let decoded = decode_dynamic(protocol, info, &request).map_err(|error| error.to_string())?;
    if let Some(violation) = decoded.violation {
        return Err(violation);
    }
    let expected = value(info.input, &case["params"]).unwrap();
    compare(&canonical(decoded.input.value()), &canonical(&expected))
}

fn compare(found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("\n  found    {found}\n  expected {expected}")) }
}

fn check_output(protocol: ProtocolKind, suite: &Json, case: &Json) -> Result<(), String> {
    let info = Model::new(suite).operation(&case["given"]);
    let service = service(suite, protocol, info);
    let headers = headers_of(&case["response"]["headers"]);
    let request_id = headers.get("x-amzn-requestid").map_or("foo-id", |id| id.to_str().unwrap());
    let response = match case["error"].as_object() {
        Some(_) => {
            let shape = info.errors[0];
            let error = error_of(shape, case);
            encode_error(protocol, service, &error, request_id)
        }
        None => {
            let output = value(info.output, &case["result"]).unwrap();
            encode(protocol, service, info, &Dynamic::new(info.output, output), request_id)
        }
    };
    compare_response(protocol, &response, &case["response"])?;
    read_back(protocol, info.output, case).map(drop)
}

/// For a case whose answer no server writes, but clients must take.
fn check_read(protocol: ProtocolKind, suite: &Json, case: &Json) -> Result<(), String> {
    let read = read_back(protocol, Model::new(suite).operation(&case["given"]).output, case)?;
    if read { Ok(()) } else { Err("there is nothing to read".to_owned()) }
}

/// The error of a case as a handler would make it.
fn error_of(shape: &'static Shape, case: &Json) -> ApiError {
    let status = u16::try_from(case["response"]["status_code"].as_u64().unwrap()).unwrap();
    let message = case["errorMessage"].as_str().unwrap_or_default();
    let mut error = ApiError::new(case["errorCode"].as_str().unwrap().to_owned(), status, message);
    error.fault = lambent_wire::Fault::Client;
    for (name, json) in case["error"].as_object().unwrap() {
        let Some(member) = shape.members().iter().find(|member| member.name == name) else { continue };
        let wire_name = member.wire_name();
        error = match json.as_str() {
            Some(_) if name.eq_ignore_ascii_case("message") => error.message_in(wire_name),
            Some(text) if member.location == Location::Header => error.with_header(wire_name, text),
            Some(text) => error.with(wire_name, text),
            None => error.with_detail(wire_name, on_the_wire(member.target, json)),
        };
    }
    error
}

/// A structure of an error with its members' names on the wire.
fn on_the_wire(shape: &'static Shape, json: &Json) -> Json {
    let members = json.as_object().unwrap().iter().map(|(name, value)| {
        let member = shape.members().iter().find(|member| member.name == name).unwrap();
        (leak_str(member.wire_name()).to_owned(), value.clone())
    });
    Json::Object(members.collect())
}

fn compare_response(
    protocol: ProtocolKind,
    response: &EncodedResponse,
    expected: &Json,
) -> Result<(), String> {
    compare(response.status.as_str(), &expected["status_code"].to_string())?;
    for (name, value) in &headers_of(&expected["headers"]) {
        // The one is written by the HTTP server, the other is a header of requests that strayed into an answer.
        if name == "content-length" || name == "x-amz-target" {
            continue;
        }
        let found = response.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or("(none)");
        compare(&format!("{name}: {found}"), &format!("{name}: {}", value.to_str().unwrap()))?;
    }
    let body = std::str::from_utf8(&response.body).unwrap();
    // Without a body, a vector says nothing of it.
    let Some(expected_body) = expected["body"].as_str() else { return Ok(()) };
    if body.is_empty() || expected_body.is_empty() {
        return compare(body, expected_body);
    }
    let content_type = response.headers["content-type"].to_str().unwrap();
    match protocol {
        _ if content_type == "text/plain" || content_type == "application/octet-stream" => {
            compare(body, expected_body)
        }
        ProtocolKind::Query | ProtocolKind::RestXml => {
            let found = Element::parse(body).simplified();
            let expected = Element::parse(expected_body).simplified();
            compare(&format!("{found:?}"), &format!("{expected:?}"))
        }
        _ => compare(&canonical_json(body), &canonical_json(expected_body)),
    }
}

/// What the vector says an answer looks like must also read as its result, as a client would read it. False when
/// there is nothing that a body's reader alone could read.
fn read_back(protocol: ProtocolKind, shape: &'static Shape, case: &Json) -> Result<bool, String> {
    let bound =
        shape.payload.is_some() || shape.members().iter().any(|member| member.location != Location::Body);
    let body = case["response"]["body"].as_str().unwrap_or_default().as_bytes();
    if case["error"].is_object() || bound || body.is_empty() || protocol == ProtocolKind::Query {
        return Ok(false);
    }
    let read = match protocol {
        ProtocolKind::RestXml => Dynamic::read(shape, &mut XmlReader::new(body).unwrap()),
        _ => Dynamic::read(shape, &mut JsonReader::new(body).unwrap()),
    };
    let read = read.map_err(|error| error.to_string())?;
    compare(&canonical(read.value()), &canonical(&value(shape, &case["result"]).unwrap()))?;
    Ok(true)
}

fn run_inputs(file: &str, protocol: ProtocolKind) -> Tally {
    run("input", file, INPUTS, |_, suite, case| check_input(protocol, suite, case))
}

fn run_outputs(file: &str, protocol: ProtocolKind) -> Tally {
    run("output", file, OUTPUTS, |checked, suite, case| match checked {
        Checked::Read => check_read(protocol, suite, case),
        Checked::Fully | Checked::Not => check_output(protocol, suite, case),
    })
}

#[test]
fn json_1_1_inputs() {
    assert_eq!(run_inputs("json", ProtocolKind::Json11), Tally { passed: 52, read: 0, excluded: 2 });
}

#[test]
fn json_1_0_inputs() {
    assert_eq!(run_inputs("json_1_0", ProtocolKind::Json10), Tally { passed: 19, read: 0, excluded: 2 });
}

#[test]
fn query_inputs() {
    assert_eq!(run_inputs("query", ProtocolKind::Query), Tally { passed: 34, read: 0, excluded: 4 });
}

#[test]
fn rest_json_inputs() {
    assert_eq!(run_inputs("rest-json", ProtocolKind::RestJson), Tally { passed: 103, read: 0, excluded: 10 });
}

#[test]
fn rest_xml_inputs() {
    assert_eq!(run_inputs("rest-xml", ProtocolKind::RestXml), Tally { passed: 82, read: 0, excluded: 12 });
}

#[test]
fn json_1_1_outputs() {
    assert_eq!(run_outputs("json", ProtocolKind::Json11), Tally { passed: 44, read: 5, excluded: 9 });
}

#[test]
fn json_1_0_outputs() {
    assert_eq!(run_outputs("json_1_0", ProtocolKind::Json10), Tally { passed: 17, read: 3, excluded: 12 });
}

#[test]
fn query_outputs() {
    assert_eq!(run_outputs("query", ProtocolKind::Query), Tally { passed: 36, read: 0, excluded: 2 });
}

#[test]
fn rest_json_outputs() {
    assert_eq!(run_outputs("rest-json", ProtocolKind::RestJson), Tally { passed: 73, read: 4, excluded: 14 });
}

#[test]
fn rest_xml_outputs() {
    assert_eq!(run_outputs("rest-xml", ProtocolKind::RestXml), Tally { passed: 73, read: 2, excluded: 3 });
}
