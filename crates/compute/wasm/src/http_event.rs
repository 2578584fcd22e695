//! Between events and HTTP. Source: AWS Lambda Developer Guide, "Invoking Lambda function URLs", "Request and response
//! payloads" (payload format version 2.0).
//!
//! An event that is no request becomes a `POST /` with the event as body; its response is the result as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use lambent_pool::{End, InvokeRequest};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::limits::REQUEST_HEADER_BYTES_MAX;

const VERSION: &str = "2.0";
const AUTHORITY_DEFAULT: &str = "lambda";
/// What may stand in a path or query as it is; a path that was decoded may hold others.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'#')
    .add(b'\\')
    .add(b'^')
    .add(b'|');
const REQUEST_CONTEXT: HeaderName = HeaderName::from_static("x-amzn-request-context");
const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const INVOKED_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");
/// Content that is text though its type does not begin with `text/`.
const TEXT_TYPES: [&str; 5] = ["json", "xml", "javascript", "x-www-form-urlencoded", "yaml"];

/// A request, made of an event.
pub(crate) struct Asked {
    pub(crate) request: Request<Full<Bytes>>,
    pub(crate) is_https: bool,
    /// Whether the event was a request, so that its result must be a response.
    pub(crate) is_event: bool,
}

impl Asked {
    /// Errors are sentences.
    pub(crate) fn read(call: &InvokeRequest, deadline_ms: u64) -> Result<Self, String> {
        let mut asked = match serde_json::from_slice::<Value>(&call.payload) {
            Ok(Value::Object(event)) if is_request(&event) => of_event(&event)?,
            _ => plain(call.payload.clone()),
        };
        tell(asked.request.headers_mut(), call, deadline_ms);
        let headers = asked.request.headers();
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > REQUEST_HEADER_BYTES_MAX {
            return Err(format!(
                "expected headers, cookies and requestContext of at most {REQUEST_HEADER_BYTES_MAX} bytes, got {bytes}"
            ));
        }
        Ok(asked)
    }
}

fn is_request(event: &Map<String, Value>) -> bool {
    event.get("version").and_then(Value::as_str) == Some(VERSION)
        && event.get("requestContext").and_then(|context| context.get("http")).is_some_and(Value::is_object)
}

fn plain(body: Bytes) -> Asked {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("http://lambda/");
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Asked { request, is_https: true, is_event: false }
}

fn of_event(event: &Map<String, Value>) -> Result<Asked, String> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let context = &event["requestContext"];
    let method = context["http"]["method"].as_str().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes());
    let method = method.map_err(|_| "expected requestContext.http.method to be an HTTP method".to_owned())?;
    let headers = headers(event)?;
    let body = match event.get("isBase64Encoded").and_then(Value::as_bool) {
        Some(true) => {
            BASE64.decode(text("body")).map_err(|error| format!("expected a body in base64: {error}"))?
        }
        _ => text("body").as_bytes().to_vec(),
    };
    let domain = context["domainName"].as_str();
    let host = domain.or_else(|| headers.get("host")?.to_str().ok()).unwrap_or(AUTHORITY_DEFAULT);
    let uri = uri(host, text("rawPath"), text("rawQueryString"))?;
    let is_https = headers.get("x-forwarded-proto").is_none_or(|scheme| scheme != "http");
    let mut request = Request::new(Full::new(Bytes::from(body)));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
    if let Ok(context) = HeaderValue::from_str(&ascii(&context.to_string())) {
        request.headers_mut().insert(REQUEST_CONTEXT, context);
    }
    Ok(Asked { request, is_https, is_event: true })
}

fn headers(event: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in event.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("expected the name of a header, got `{name}`"))?;
        let value = value.as_str().unwrap_or_default();
        let value =
            HeaderValue::from_str(value).map_err(|_| format!("expected the header `{name}` on one line"))?;
        headers.append(name, value);
    }
    let cookies: Vec<&str> = event
        .get("cookies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !cookies.is_empty() {
        let value = HeaderValue::from_str(&cookies.join("; "));
        headers.insert(COOKIE, value.map_err(|_| "expected each cookie on one line".to_owned())?);
    }
    Ok(headers)
}

fn uri(host: &str, path: &str, query: &str) -> Result<Uri, String> {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut target = if path.starts_with('/') { encoded(path) } else { format!("/{}", encoded(path)) };
    if !query.is_empty() {
        target = format!("{target}?{}", encoded(query));
    }
    let built = Uri::builder().scheme("http").authority(host).path_and_query(target).build();
    built.map_err(|error| format!("expected rawPath, rawQueryString and domainName to make a URL: {error}"))
}

/// What a function learns of its call, in the names of the Runtime API.
fn tell(headers: &mut HeaderMap, call: &InvokeRequest, deadline_ms: u64) {
    let mut set = |name: HeaderName, value: &str| {
        headers.remove(&name);
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(REQUEST_ID, &call.request_id);
    set(INVOKED_ARN, &call.invoked_arn);
    if let Some(trace_id) = &call.trace_id {
        set(TRACE_ID, trace_id);
    }
    if let Some(context) = &call.client_context {
        set(CLIENT_CONTEXT, &ascii(context));
    }
    headers.insert(DEADLINE_MS, HeaderValue::from(deadline_ms));
}

/// The same JSON in characters that a header may have.
fn ascii(json: &str) -> String {
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            ' '..='~' => out.push(char),
            '\r' | '\n' | '\t' => out.push(' '),
            _ => {
                char.encode_utf16(&mut [0; 2])
                    .iter()
                    .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out
}

/// The response as a function's result.
pub(crate) fn result(response: &Response<Bytes>) -> Bytes {
    let mut headers = Map::new();
    let mut cookies = Vec::new();
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if name == SET_COOKIE {
            cookies.push(Value::from(value));
            continue;
        }
        let joined = match headers.get(name.as_str()).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value,
        };
        headers.insert(name.as_str().to_owned(), joined.into());
    }
    let (body, encoded) = match text_of(response) {
        Some(text) => (text.to_owned(), false),
        None => (BASE64.encode(response.body()), true),
    };
    let mut result = json!({
        "statusCode": response.status().as_u16(),
        "headers": headers,
        "body": body,
        "isBase64Encoded": encoded,
    });
    if !cookies.is_empty() {
        result["cookies"] = cookies.into();
    }
    result.to_string().into()
}

/// The result of an event that was no request: the response's body where it is JSON, or else as a JSON string. What is no
/// success is the function's error.
pub(crate) fn plain_result(response: Response<Bytes>) -> End {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let text = String::from_utf8_lossy(response.body());
        return End::error(&format!("Http.{}", status.as_u16()), &text);
    }
    if response.body().is_empty() {
        return End::success(Bytes::from_static(b"null"));
    }
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(response.body()).is_ok();
    if is_json {
        return End::success(response.into_body());
    }
    let text = text_of(&response).map_or_else(|| BASE64.encode(response.body()), str::to_owned);
    End::success(Value::from(text).to_string().into())
}

/// The body, where it is text by its type, or by itself where that says nothing.
fn text_of(response: &Response<Bytes>) -> Option<&str> {
    if response.headers().contains_key(CONTENT_ENCODING) {
        return None;
    }
    let kind = response.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    let is_text = kind
        .is_none_or(|kind| kind.starts_with("text/") || TEXT_TYPES.iter().any(|text| kind.contains(text)));
    std::str::from_utf8(response.body()).ok().filter(|_| is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Asked {
        let Value::Object(event) = serde_json::from_str(text).unwrap() else { panic!("an object") };
        assert!(is_request(&event));
        of_event(&event).unwrap()
    }

    #[test]
    fn an_event_becomes_its_request() {
        let asked = event(
            r#"{"version":"2.0","rawPath":"/a b/ü","rawQueryString":"x=1&y=%20","cookies":["a=1","b=2"],
                "headers":{"X-One":"1,2","x-forwarded-proto":"https"},"isBase64Encoded":true,"body":"aGk=",
                "requestContext":{"domainName":"id.lambda-url.localhost:4566","http":{"method":"PUT"},"who":"ü"}}"#,
        );
        let request = asked.request;
        assert_eq!(request.method(), "PUT");
        assert_eq!(request.uri(), "http://id.lambda-url.localhost:4566/a%20b/%C3%BC?x=1&y=%20");
        assert_eq!(request.headers()["x-one"], "1,2");
        assert_eq!(request.headers()[COOKIE], "a=1; b=2");
        assert!(request.headers()[REQUEST_CONTEXT].to_str().unwrap().contains(r"\u00fc"));
        assert!(asked.is_https && asked.is_event);
    }

    #[test]
    fn events_that_are_malformed_are_told() {
        let read = |text: &str| {
            let Value::Object(event) = serde_json::from_str(text).unwrap() else { panic!("an object") };
            of_event(&event).err().unwrap()
        };
        let context = r#""requestContext":{"http":{"method":"GET"}}"#;
        assert!(read(r#"{"requestContext":{"http":{"method":"G T"}}}"#).contains("an HTTP method"));
        assert!(read(&format!(r#"{{{context},"headers":{{"a b":"c"}}}}"#)).contains("name of a header"));
        assert!(read(&format!(r#"{{{context},"headers":{{"a":"c\nd"}}}}"#)).contains("on one line"));
        assert!(read(&format!(r#"{{{context},"body":"?","isBase64Encoded":true}}"#)).contains("base64"));
        assert!(read(r#"{"requestContext":{"domainName":"a b","http":{"method":"GET"}}}"#).contains("a URL"));
    }

    #[test]
    fn a_response_becomes_its_result() {
        let response = Response::builder()
            .status(201)
            .header("content-type", "application/json")
            .header("x-a", "1")
            .header("x-a", "2")
            .header("set-cookie", "a=1")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let value: Value = serde_json::from_slice(&result(&response)).unwrap();
        let expected = json!({"statusCode": 201, "headers": {"content-type": "application/json", "x-a": "1,2"},
            "body": "{}", "isBase64Encoded": false, "cookies": ["a=1"]});
        assert_eq!(value, expected);
        let image =
            Response::builder().header("content-type", "image/png").body(Bytes::from_static(b"hi")).unwrap();
        let value: Value = serde_json::from_slice(&result(&image)).unwrap();
        assert_eq!((&value["body"], &value["isBase64Encoded"]), (&json!("aGk="), &json!(true)));
    }
}
