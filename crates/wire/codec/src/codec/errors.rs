//! Errors as each protocol writes them.

use base64::Engine;
use http::{HeaderName, HeaderValue, StatusCode};

use super::constants::BASE64_OUT;
use super::coral;
use super::json_writer::{JsonWriter, write_string};
use super::protocol::{EncodedResponse, identify, json_content_type, respond};
use super::xml_writer::{XmlStyle, XmlWriter};
use crate::{ApiError, Document, Fault, Member, Namespace, ProtocolKind, ReadError, ServiceInfo};

/// Writes an error. For a HEAD request the caller leaves out the body.
pub fn encode_error(
    protocol: ProtocolKind,
    service: &'static ServiceInfo,
    error: &ApiError,
    request_id: &str,
) -> EncodedResponse {
    let s3 = service.signing_name == "s3";
    let mut response = match protocol {
        ProtocolKind::RestXml if s3 => respond("application/xml", s3_body(error, request_id).into()),
        ProtocolKind::RestXml => respond("application/xml", xml_body(service, error, request_id).into()),
        ProtocolKind::Query => respond("text/xml", xml_body(service, error, request_id).into()),
        ProtocolKind::RestJson => {
            let mut response = respond(json_content_type(protocol), json_body(None, error).into());
            if let Ok(code) = HeaderValue::from_str(&error.code) {
                response.headers.insert(HeaderName::from_static("x-amzn-errortype"), code);
            }
            response
        }
        ProtocolKind::Json10 | ProtocolKind::Json11 | ProtocolKind::RpcV2Cbor => {
            respond(json_content_type(protocol), json_body(Some(&error.code), error).into())
        }
    };
    for (name, value) in &error.headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                response.headers.insert(name, value);
            }
            _ => tracing::warn!(name, value, "an error has a header that cannot be sent; it is left out"),
        }
    }
    response.status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    identify(&mut response.headers, service, request_id);
    response
}

/// The members of an error's shape, as JSON.
fn members(error: &ApiError) -> impl Iterator<Item = (&'static str, Document)> {
    let texts = error.members.iter().map(|(name, text)| (*name, Document::from(text.as_str())));
    texts.chain(error.details.iter().cloned())
}

fn json_body(code: Option<&str>, error: &ApiError) -> Vec<u8> {
    let mut writer = JsonWriter::default();
    writer.raw_object(|writer| {
        if let Some(code) = code {
            writer.raw_entry("__type", |out| write_string(out, code));
        }
        if !error.message.is_empty() {
            writer.raw_entry(error.message_member, |out| write_string(out, &error.message));
        }
        for (name, value) in members(error) {
            writer.raw_entry(name, |out| out.extend_from_slice(value.to_string().as_bytes()));
        }
    });
    writer.finish()
}

fn xml_body(service: &'static ServiceInfo, error: &ApiError, request_id: &str) -> String {
    let mut writer = XmlWriter::new(XmlStyle::Query);
    writer.start("ErrorResponse", service.xml_namespace.map(|uri| Namespace { uri, prefix: None }));
    writer.start("Error", None);
    writer.text_element("Type", if error.fault == Fault::Client { "Sender" } else { "Receiver" });
    writer.text_element("Code", &error.code);
    if !error.message.is_empty() {
        writer.text_element("Message", &error.message);
    }
    write_members(&mut writer, error);
    writer.end("Error");
    writer.text_element("RequestId", request_id);
    writer.end("ErrorResponse");
    writer.finish()
}

/// S3's documentation shows a `Resource` too; S3 itself sends none.
fn s3_body(error: &ApiError, request_id: &str) -> String {
    let mut writer = XmlWriter::new(XmlStyle::S3);
    writer.declaration();
    writer.start("Error", None);
    writer.text_element("Code", &error.code);
    writer.text_element("Message", &error.message);
    write_members(&mut writer, error);
    writer.text_element("RequestId", request_id);
    writer.text_element("HostId", &host_id(request_id));
    writer.end("Error");
    writer.finish()
}

fn write_members(writer: &mut XmlWriter, error: &ApiError) {
    for (name, value) in members(error) {
        write_document(writer, name, &value);
    }
}

/// An object becomes elements in an element, an array a list with `member` elements.
fn write_document(writer: &mut XmlWriter, name: &str, value: &Document) {
    match value {
        Document::Object(members) => {
            writer.start(name, None);
            for (name, value) in members {
                write_document(writer, name, value);
            }
            writer.end(name);
        }
        Document::Array(items) => {
            writer.start(name, None);
            for item in items {
                write_document(writer, "member", item);
            }
            writer.end(name);
        }
        Document::String(text) => writer.text_element(name, text),
        Document::Null => {}
        Document::Bool(_) | Document::Number(_) => writer.text_element(name, &value.to_string()),
    }
}

/// S3's second, longer name for a request; only the answer to a request names it, so it follows from the first.
pub(super) fn host_id(request_id: &str) -> String {
    BASE64_OUT.encode(request_id)
}

/// What a client is told of a request that cannot be read; `member` when it is one outside the body.
pub(super) fn read_error(
    protocol: ProtocolKind,
    service: Option<&ServiceInfo>,
    member: Option<&'static Member>,
    error: &ReadError,
) -> ApiError {
    if let (ProtocolKind::Json10, Some(service)) = (protocol, service) {
        return ApiError::client("SerializationException", coral_message(service, error));
    }
    match (protocol, error, member) {
        (ProtocolKind::RestXml, ReadError::Type { expected, found, .. }, Some(member)) => {
            let name = member.wire_name();
            ApiError::client("InvalidArgument", format!("Provided {name} is not {expected}"))
                .with("ArgumentName", name)
                .with("ArgumentValue", found)
        }
        (ProtocolKind::RestXml, _, _) => {
            tracing::debug!(%error, "an XML body could not be read");
            let message =
                "The XML you provided was not well-formed or did not validate against our published schema";
            ApiError::client("MalformedXML", message)
        }
        (ProtocolKind::Query, ReadError::Type { .. } | ReadError::Base64 { .. } | ReadError::Limit(_), _) => {
            ApiError::client("MalformedInput", error.to_string())
        }
        (ProtocolKind::Query, ReadError::Syntax(_), _) => {
            ApiError::new("MalformedQueryString", 404, error.to_string())
        }
        (_, ReadError::Type { expected, found, .. }, _) => {
            ApiError::client("SerializationException", type_message(expected, found))
        }
        (_, ReadError::Base64 { .. }, _) => {
            let message = type_message("a Blob", "a string that is not base64");
            ApiError::client("SerializationException", message)
        }
        (_, ReadError::Syntax(_) | ReadError::Limit(_), _) => {
            ApiError::client("SerializationException", error.to_string())
        }
    }
}

fn coral_message(service: &ServiceInfo, error: &ReadError) -> String {
    match error {
        ReadError::Type { found, target, within, .. } => coral::wrong_type(service, found, target, within),
        ReadError::Base64 { length, .. } => coral::no_base64(*length),
        ReadError::Syntax(_) | ReadError::Limit(_) => error.to_string(),
    }
}

/// How AWS's JSON services word a value of the wrong type.
fn type_message(expected: &str, found: &str) -> String {
    match found {
        "START_OBJECT" => "Start of structure or map found where not expected.".to_owned(),
        "START_ARRAY" => "Start of list found where not expected.".to_owned(),
        _ if expected == "a list" => "Expected list or null".to_owned(),
        _ if matches!(expected, "a structure" | "a map") => "Unexpected field type".to_owned(),
        _ => format!("{found} can not be converted to {expected}"),
    }
}

pub(super) fn unsupported() -> ApiError {
    let message = "This service does not speak Smithy's RPC v2 CBOR; send JSON or query requests.";
    ApiError::client("UnknownOperationException", message)
}
