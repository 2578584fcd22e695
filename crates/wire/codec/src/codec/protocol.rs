//! The one entry for a gateway: requests to typed inputs and typed outputs to answers, whatever the protocol.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::dynamic::Dynamic;
use super::errors::{read_error, unsupported};
use super::http::HttpReader;
use super::http_writer::{HttpWriter, is_modelled};
use super::json::JsonReader;
use super::json_writer::JsonWriter;
use super::query::QueryReader;
use super::route::Labels;
use super::xml_writer::{XmlStyle, XmlWriter};
use crate::{
    ApiError, Namespace, OperationInfo, ProtocolKind, ReadError, Readable, Reader, ServiceInfo, Writable,
};

/// What of a request is needed to read its input.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    pub method: &'a Method,
    /// As it came, percent-encoded.
    pub raw_path: &'a str,
    /// Without the question mark; empty when there is none.
    pub raw_query: &'a str,
    pub headers: &'a HeaderMap,
    pub labels: &'a Labels,
    /// The whole body; empty when the operation streams it.
    pub body: &'a Bytes,
}

/// An input that could be read.
#[derive(Debug)]
pub struct Decoded<I> {
    pub input: I,
    /// What AWS says of the constraints that failed, when any did; the caller has the service's code for it.
    pub violation: Option<String>,
}

/// An answer. When the output streams, the body is empty and the caller's to fill.
#[derive(Debug)]
pub struct EncodedResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The protocol that a request speaks, among those of the service.
pub fn choose(service: &'static ServiceInfo, headers: &HeaderMap) -> ProtocolKind {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let spoken = |wanted: ProtocolKind| service.protocols.contains(&wanted).then_some(wanted);
    let wanted = if headers.contains_key("x-amz-target") {
        let (first, second) = if content_type.starts_with(b"application/x-amz-json-1.0") {
            (ProtocolKind::Json10, ProtocolKind::Json11)
        } else {
            (ProtocolKind::Json11, ProtocolKind::Json10)
        };
        spoken(first).or_else(|| spoken(second))
    } else {
        let rest = spoken(ProtocolKind::RestXml).or_else(|| spoken(ProtocolKind::RestJson));
        rest.or_else(|| spoken(ProtocolKind::Query))
    };
    let first = || service.protocols.iter().copied().find(|kind| *kind != ProtocolKind::RpcV2Cbor);
    wanted.or_else(first).unwrap_or(ProtocolKind::Json11)
}

/// Reads the input of an operation.
pub fn decode<I: Readable>(
    protocol: ProtocolKind,
    info: &'static OperationInfo,
    request: &RequestView<'_>,
) -> Result<Decoded<I>, ApiError> {
    let mut input = None;
    let violation = read_with(protocol, info, request, &mut |reader| {
        input = Some(I::read(reader)?);
        Ok(())
    })?;
    Ok(Decoded { input: input.expect("a reading that succeeds has set the input"), violation })
}

/// Reads the input of an operation without its generated type.
pub fn decode_dynamic(
    protocol: ProtocolKind,
    info: &'static OperationInfo,
    request: &RequestView<'_>,
) -> Result<Decoded<Dynamic>, ApiError> {
    let mut input = None;
    let violation = read_with(protocol, info, request, &mut |reader| {
        input = Some(Dynamic::read(info.input, reader)?);
        Ok(())
    })?;
    Ok(Decoded { input: input.expect("a reading that succeeds has set the input"), violation })
}

/// Reads the value that stands in a reader.
type Read<'a> = &'a mut dyn FnMut(&mut dyn Reader) -> Result<(), ReadError>;

fn read_with(
    protocol: ProtocolKind,
    info: &'static OperationInfo,
    request: &RequestView<'_>,
    read: Read<'_>,
) -> Result<Option<String>, ApiError> {
    if request.labels.is_malformed() {
        return Err(ApiError::client("InvalidURI", "Couldn't parse the specified URI."));
    }
    let in_body = |error: ReadError| read_error(protocol, None, &error);
    match protocol {
        ProtocolKind::Json10 | ProtocolKind::Json11 => {
            run(protocol, &mut JsonReader::new(request.body).map_err(in_body)?, read)
        }
        ProtocolKind::Query => {
            run(protocol, &mut QueryReader::new(request.raw_query, request.body).map_err(in_body)?, read)
        }
        ProtocolKind::RestJson | ProtocolKind::RestXml => {
            let xml = protocol == ProtocolKind::RestXml;
            let mut reader = HttpReader::new(request, info.input, info.uri, xml).map_err(in_body)?;
            match read(&mut reader) {
                Ok(()) => Ok(reader.context().violation_message()),
                Err(error) => {
                    let member = if reader.in_body() { None } else { reader.context().member() };
                    Err(read_error(protocol, member, &error))
                }
            }
        }
        ProtocolKind::RpcV2Cbor => Err(unsupported()),
    }
}

fn run(protocol: ProtocolKind, reader: &mut dyn Reader, read: Read<'_>) -> Result<Option<String>, ApiError> {
    read(reader).map_err(|error| read_error(protocol, None, &error))?;
    Ok(reader.context().violation_message())
}

/// Writes the output of an operation.
pub fn encode(
    protocol: ProtocolKind,
    service: &'static ServiceInfo,
    info: &'static OperationInfo,
    output: &dyn Writable,
    request_id: &str,
) -> EncodedResponse {
    let mut status = info.status;
    let mut response = match protocol {
        ProtocolKind::RestJson | ProtocolKind::RestXml => {
            let mut writer = HttpWriter::new(service, info, protocol == ProtocolKind::RestXml);
            output.write(&mut writer);
            let parts = writer.finish();
            status = parts.status.unwrap_or(status);
            let mut response =
                EncodedResponse { status: StatusCode::OK, headers: parts.headers, body: parts.body };
            if let Some(content_type) = parts.content_type
                && !response.headers.contains_key(CONTENT_TYPE)
            {
                response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            response
        }
        ProtocolKind::Query => respond("text/xml", query_body(service, info, output, request_id).into()),
        ProtocolKind::Json10 | ProtocolKind::Json11 | ProtocolKind::RpcV2Cbor => {
            let mut writer = JsonWriter::default();
            output.write(&mut writer);
            respond(json_content_type(protocol), writer.finish().into())
        }
    };
    response.status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    identify(&mut response.headers, service, request_id);
    response
}

fn query_body(
    service: &'static ServiceInfo,
    info: &'static OperationInfo,
    output: &dyn Writable,
    request_id: &str,
) -> String {
    let mut writer = XmlWriter::new(XmlStyle::Query);
    let root = format!("{}Response", info.name);
    writer.start(&root, service.xml_namespace.map(|uri| Namespace { uri, prefix: None }));
    if is_modelled(info.output) {
        let wrapper = info.result_wrapper.map_or_else(|| format!("{}Result", info.name), str::to_owned);
        writer.start(&wrapper, None);
        output.write(&mut writer);
        writer.end(&wrapper);
    }
    writer.start("ResponseMetadata", None);
    writer.text_element("RequestId", request_id);
    writer.end("ResponseMetadata");
    writer.end(&root);
    writer.finish()
}

/// An answer with a body of this type, without its status and request id.
pub(super) fn respond(content_type: &'static str, body: Bytes) -> EncodedResponse {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    EncodedResponse { status: StatusCode::OK, headers, body }
}

pub(super) fn json_content_type(protocol: ProtocolKind) -> &'static str {
    match protocol {
        ProtocolKind::Json10 => "application/x-amz-json-1.0",
        ProtocolKind::RestJson => "application/json",
        _ => "application/x-amz-json-1.1",
    }
}

/// Adds the headers that name the request.
pub(super) fn identify(headers: &mut HeaderMap, service: &'static ServiceInfo, request_id: &str) {
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if service.signing_name == "s3" {
        add("x-amz-request-id", request_id);
        add("x-amz-id-2", &super::errors::host_id(request_id));
    } else {
        add("x-amzn-requestid", request_id);
    }
}
