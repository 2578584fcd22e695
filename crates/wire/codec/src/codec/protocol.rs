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
    service: &ServiceInfo,
    protocol: ProtocolKind,
    info: &'static OperationInfo,
    request: &RequestView<'_>,
) -> Result<Decoded<I>, ApiError> {
    let mut input = None;
    let violation = read_with(Some(service), protocol, info, request, &mut |reader| {
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
    let violation = read_with(None, protocol, info, request, &mut |reader| {
        input = Some(Dynamic::read(info.input, reader)?);
        Ok(())
    })?;
    Ok(Decoded { input: input.expect("a reading that succeeds has set the input"), violation })
}

/// Reads the value that stands in a reader.
type Read<'a> = &'a mut dyn FnMut(&mut dyn Reader) -> Result<(), ReadError>;

fn read_with(
    service: Option<&ServiceInfo>,
    protocol: ProtocolKind,
    info: &'static OperationInfo,
    request: &RequestView<'_>,
    read: Read<'_>,
) -> Result<Option<String>, ApiError> {
    if request.labels.is_malformed() {
        return Err(ApiError::client("InvalidURI", "Couldn't parse the specified URI."));
    }
    let in_body = |error: ReadError| read_error(protocol, service, None, &error);
    match protocol {
        ProtocolKind::Json10 | ProtocolKind::Json11 => {
            run(service, protocol, &mut JsonReader::new(request.body).map_err(in_body)?, read)
        }
        ProtocolKind::Query => run(
            service,
            protocol,
            &mut QueryReader::new(request.raw_query, request.body).map_err(in_body)?,
            read,
        ),
        ProtocolKind::RestJson | ProtocolKind::RestXml => {
            let xml = protocol == ProtocolKind::RestXml;
            let mut reader = HttpReader::new(request, info.input, info.uri, xml).map_err(in_body)?;
            match read(&mut reader) {
                Ok(()) => Ok(reader.context().violation_message()),
                Err(error) => {
                    let member = if reader.in_body() { None } else { reader.context().member() };
                    Err(read_error(protocol, service, member, &error))
                }
            }
        }
        ProtocolKind::RpcV2Cbor => Err(unsupported()),
    }
}

fn run(
    service: Option<&ServiceInfo>,
    protocol: ProtocolKind,
    reader: &mut dyn Reader,
    read: Read<'_>,
) -> Result<Option<String>, ApiError> {
    read(reader).map_err(|error| read_error(protocol, service, None, &error))?;
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
    if matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // HTTP knows no bodies with these.
        response.body = Bytes::new();
        response.headers.remove(CONTENT_TYPE);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Routed, Router, Value, encode_error};
    use crate::{Kind, Member, Shape};

    static TEXT: Shape = Shape::new("Text", Kind::String).max(3);
    static INPUT: Shape = Shape::new("Input", Kind::Structure(&[Member::new("Name", &TEXT).required()]));
    static ANSWER: Shape = Shape::new("Answer", Kind::Structure(&[Member::new("Name", &TEXT)]));
    static GIVE: OperationInfo = OperationInfo {
        name: "Give",
        method: "POST",
        uri: "/",
        status: 200,
        input: &INPUT,
        output: &ANSWER,
        input_element: None,
        result_wrapper: None,
        errors: &[],
    };
    static DELETE: OperationInfo = OperationInfo {
        name: "Delete",
        method: "DELETE",
        uri: "/things/{Name}",
        status: 204,
        input: &INPUT,
        output: &ANSWER,
        input_element: None,
        result_wrapper: None,
        errors: &[],
    };
    /// Speaks three protocols at once, as CloudWatch does.
    static MANY: ServiceInfo = ServiceInfo {
        signing_name: "many",
        full_name: "Many",
        api_version: "2026-01-01",
        protocols: &[ProtocolKind::RpcV2Cbor, ProtocolKind::Json10, ProtocolKind::Query],
        target_prefix: Some("Many_20260101"),
        xml_namespace: Some("https://many.example.com/"),
        operations: &[&GIVE],
        unimplemented: &[crate::Known { name: "Take", method: "POST", uri: "/" }],
    };
    static REST: ServiceInfo = ServiceInfo {
        signing_name: "rest",
        full_name: "Rest",
        api_version: "2026-01-01",
        protocols: &[ProtocolKind::RestJson],
        target_prefix: None,
        xml_namespace: None,
        operations: &[&DELETE],
        unimplemented: &[],
    };

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = list.iter();
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn give(
        protocol: ProtocolKind,
        raw_query: &str,
        body: &'static str,
    ) -> Result<Decoded<Dynamic>, ApiError> {
        let (method, headers, labels) = (Method::POST, HeaderMap::new(), Labels::default());
        let body = Bytes::from_static(body.as_bytes());
        let request = RequestView {
            method: &method,
            raw_path: "/",
            raw_query,
            headers: &headers,
            labels: &labels,
            body: &body,
        };
        decode_dynamic(protocol, &GIVE, &request)
    }

    #[test]
    fn the_protocol_is_the_one_the_request_speaks() {
        let json = headers(&[
            ("x-amz-target", "Many_20260101.Give"),
            ("content-type", "application/x-amz-json-1.1"),
        ]);
        let form = headers(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
        assert_eq!(choose(&MANY, &json), ProtocolKind::Json10);
        assert_eq!(choose(&MANY, &form), ProtocolKind::Query);
        assert_eq!(choose(&MANY, &HeaderMap::new()), ProtocolKind::Query);
        assert_eq!(choose(&REST, &HeaderMap::new()), ProtocolKind::RestJson);
    }

    #[test]
    fn operations_are_found_by_target_and_by_action() {
        let router = Router::new(&MANY);
        let route = |target| router.route(&Method::POST, "/", "", &headers(&[("x-amz-target", target)]));
        assert!(matches!(route("Many_20260101.Give"), Routed::Operation(info, _) if info.name == "Give"));
        assert!(matches!(route("Many_20260101.Take"), Routed::Unimplemented(known) if known.name == "Take"));
        assert!(matches!(route("Many_20260101.Steal"), Routed::Unknown));
        assert!(matches!(route("Other.Give"), Routed::Unknown));
        assert!(matches!(router.route_form("", b"Name=a&Action=Give"), Routed::Operation(..)));
        let in_url = router.route(&Method::GET, "/", "Action=Take", &HeaderMap::new());
        assert!(matches!(in_url, Routed::Unimplemented(_)));
        assert!(matches!(router.route_form("", b"Name=a"), Routed::Unknown));
    }

    #[test]
    fn every_protocol_reads_and_validates_the_same_input() {
        let inputs = [
            (ProtocolKind::Json10, "", r#"{"Name":"abcd"}"#),
            (ProtocolKind::Query, "Name=abcd", ""),
            (ProtocolKind::Query, "", "Action=Give&Name=abcd\n"),
            (ProtocolKind::RestXml, "", "<Input><Name>abcd</Name></Input>"),
        ];
        for (protocol, query, body) in inputs {
            let decoded = give(protocol, query, body).unwrap();
            let expected = Value::Structure(vec![(0, Value::String("abcd".to_owned()))]);
            assert_eq!(*decoded.input.value(), expected, "{protocol:?}");
            assert_eq!(
                decoded.violation.unwrap(),
                "1 validation error detected: Value 'abcd' at 'name' failed to satisfy constraint: Member must have length less than or equal to 3"
            );
        }
    }

    #[test]
    fn unreadable_inputs_get_the_error_of_their_protocol() {
        let error = |protocol, query, body| {
            let error = give(protocol, query, body).unwrap_err();
            (error.code.into_owned(), error.message)
        };
        let wrong_type = error(ProtocolKind::Json11, "", r#"{"Name":1}"#);
        assert_eq!(wrong_type.0, "SerializationException");
        assert_eq!(wrong_type.1, "NUMBER_VALUE can not be converted to a String");
        assert_eq!(error(ProtocolKind::RestJson, "", "{").0, "SerializationException");
        assert_eq!(error(ProtocolKind::RestXml, "", "<").0, "MalformedXML");
        assert_eq!(error(ProtocolKind::Query, "", "Name=%FF").0, "MalformedQueryString");
        assert_eq!(error(ProtocolKind::RpcV2Cbor, "", "").0, "UnknownOperationException");
    }

    #[test]
    fn answers_name_the_request() {
        let output = Dynamic::new(&ANSWER, Value::Structure(vec![(0, Value::String("a".to_owned()))]));
        let json = encode(ProtocolKind::Json10, &MANY, &GIVE, &output, "id");
        assert_eq!(json.headers["x-amzn-requestid"], "id");
        assert_eq!(json.headers[CONTENT_TYPE], "application/x-amz-json-1.0");
        assert_eq!(json.body, r#"{"Name":"a"}"#);
        let query = encode(ProtocolKind::Query, &MANY, &GIVE, &output, "id");
        assert_eq!(
            query.body,
            "<GiveResponse xmlns=\"https://many.example.com/\"><GiveResult><Name>a</Name></GiveResult>\
            <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GiveResponse>"
        );
        let nothing = encode(ProtocolKind::RestJson, &REST, &DELETE, &output, "id");
        assert_eq!((nothing.status, nothing.body.len()), (StatusCode::NO_CONTENT, 0));
        assert!(!nothing.headers.contains_key(CONTENT_TYPE));
    }

    #[test]
    fn errors_have_the_form_of_their_protocol() {
        let error = ApiError::new("Busy", 429, "Slow \"down\".")
            .with("Type", "User")
            .with_detail("Limits", serde_json::json!({ "Rate": [1, 2] }))
            .with_header("Retry-After", "1");
        let rest = encode_error(ProtocolKind::RestJson, &REST, &error, "id");
        assert_eq!(rest.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            (&rest.headers["x-amzn-errortype"], &rest.headers["retry-after"]),
            (&"Busy".parse().unwrap(), &"1".parse().unwrap())
        );
        assert_eq!(rest.body, r#"{"message":"Slow \"down\".","Type":"User","Limits":{"Rate":[1,2]}}"#);
        let json = encode_error(ProtocolKind::Json10, &MANY, &ApiError::client("Bad", "No."), "id");
        assert_eq!(json.body, r#"{"__type":"Bad","message":"No."}"#);
        let query = encode_error(ProtocolKind::Query, &MANY, &error, "id");
        assert_eq!(
            query.body,
            "<ErrorResponse xmlns=\"https://many.example.com/\"><Error><Type>Sender</Type><Code>Busy</Code>\
            <Message>Slow &quot;down&quot;.</Message><Type>User</Type><Limits><Rate><member>1</member><member>2</member>\
            </Rate></Limits></Error><RequestId>id</RequestId></ErrorResponse>"
        );
    }
}
