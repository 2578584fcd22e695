//! From what a function returns to the HTTP response.
//! Source: AWS Lambda Developer Guide, "Invoking Lambda function URLs", "Response payload format"; recorded answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, SERVER, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lambent_api::{Body, UrlAnswer};
use serde_json::{Map, Value};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Headers of one response, cookies among them.
const HEADERS_MAX: usize = 500;
/// Bytes of their names and values together.
const HEADER_BYTES_MAX: usize = 256 * 1024;
/// What stands between the description of a streamed response and its body.
pub(super) const DELIMITER: &[u8] = &[0; 8];
/// What responses of HTTP have of their own; a function's go by another name, as on AWS.
const REMAPPED: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, DATE, SERVER];

/// What a function says of its response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// A result that is no response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoResponse;

/// The response to a request whose function failed, or returned what is no response.
pub(super) fn bad_gateway() -> UrlAnswer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, JSON);
    let body = Bytes::from_static(b"Internal Server Error");
    UrlAnswer { status: StatusCode::BAD_GATEWAY, headers, body: Body::from(body) }
}

/// The response that a whole result means.
pub(super) fn of_result(result: &[u8]) -> Result<UrlAnswer, NoResponse> {
    let value: Value = serde_json::from_slice(result).map_err(|_| NoResponse)?;
    match value {
        Value::Object(members) if members.contains_key("statusCode") => described(&members),
        Value::String(text) => Ok(plain(text.into())),
        _ => Ok(plain(compact(result).into())),
    }
}

/// What the beginning of a streamed response says of it: a JSON object.
pub(super) fn of_prelude(prelude: &[u8]) -> Result<Head, NoResponse> {
    let value: Value = if prelude.iter().all(u8::is_ascii_whitespace) {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(prelude).map_err(|_| NoResponse)?
    };
    let mut head = head(value.as_object().ok_or(NoResponse)?)?;
    head.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    Ok(head)
}

fn plain(body: Bytes) -> UrlAnswer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, JSON);
    UrlAnswer { status: StatusCode::OK, headers, body: Body::from(body) }
}

fn described(members: &Map<String, Value>) -> Result<UrlAnswer, NoResponse> {
    let Head { status, mut headers } = head(members)?;
    headers.entry(CONTENT_TYPE).or_insert(JSON);
    let is_base64 = members.get("isBase64Encoded").and_then(Value::as_bool) == Some(true);
    let body = match members.get("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if is_base64 => BASE64.decode(text).map_err(|_| NoResponse)?.into(),
        Some(Value::String(text)) => Bytes::copy_from_slice(text.as_bytes()),
        Some(other) => other.to_string().into(),
    };
    Ok(UrlAnswer { status, headers, body: Body::from(body) })
}

fn head(members: &Map<String, Value>) -> Result<Head, NoResponse> {
    let status = match members.get("statusCode") {
        None => Some(200),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    // The others are no ends of a response, or none at all.
    let status = status.filter(|code| (200..600).contains(code)).ok_or(NoResponse)?;
    let status = StatusCode::from_u16(status).map_err(|_| NoResponse)?;
    let mut headers = Headers::default();
    match members.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(given)) => {
            for (name, value) in given {
                match value {
                    Value::Array(values) => {
                        values.iter().try_for_each(|value| headers.add(name, value))?;
                    }
                    value => headers.add(name, value)?,
                }
            }
        }
        Some(_) => return Err(NoResponse),
    }
    if let Some(Value::Array(cookies)) = members.get("cookies") {
        cookies.iter().try_for_each(|cookie| headers.add(SET_COOKIE.as_str(), cookie))?;
    }
    Ok(Head { status, headers: headers.map })
}

/// The headers of a response, within their bounds.
#[derive(Default)]
struct Headers {
    map: HeaderMap,
    /// Of all that was given.
    bytes: usize,
}

impl Headers {
    fn add(&mut self, name: &str, value: &Value) -> Result<(), NoResponse> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NoResponse)?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => return Ok(()),
            Value::Array(_) | Value::Object(_) => return Err(NoResponse),
            other => other.to_string(),
        };
        let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| NoResponse)?;
        if name == TRANSFER_ENCODING {
            return Ok(());
        }
        self.bytes += name.as_str().len() + value.len();
        if self.map.len() >= HEADERS_MAX || self.bytes > HEADER_BYTES_MAX {
            return Err(NoResponse);
        }
        if name == CONTENT_TYPE {
            return self.map.try_insert(name, value).map(drop).map_err(|_| NoResponse);
        }
        let name = if REMAPPED.contains(&name) {
            HeaderName::try_from(format!("x-amzn-remapped-{name}")).map_err(|_| NoResponse)?
        } else {
            name
        };
        self.map.try_append(name, value).map(drop).map_err(|_| NoResponse)
    }
}

/// JSON without spaces between its parts.
fn compact(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut in_text, mut is_escaped) = (false, false);
    for &byte in json {
        if in_text {
            in_text = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_text = byte == b'"';
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(result: &str) -> (u16, Vec<String>, String) {
        let UrlAnswer { status, headers, body } = of_result(result.as_bytes()).unwrap();
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        (status.as_u16(), lines, String::from_utf8(body.into_bytes().unwrap().to_vec()).unwrap())
    }

    #[test]
    fn what_is_no_response_becomes_the_body_of_one() {
        for (result, body) in [
            ("{\"hello\": \"world\"}", "{\"hello\":\"world\"}"),
            ("[\"hello\", 3, true]", "[\"hello\",3,true]"),
            ("\"hello\"", "hello"),
            ("3", "3"),
            ("3.1", "3.1"),
            (" true ", "true"),
            ("null", "null"),
            ("{\"body\": \"a \\\" b\"}", "{\"body\":\"a \\\" b\"}"),
        ] {
            let expected = (200, vec!["content-type: application/json".to_owned()], body.to_owned());
            assert_eq!(answered(result), expected, "{result}");
        }
        assert_eq!(of_result(b"no json").unwrap_err(), NoResponse);
    }

    #[test]
    fn a_response_has_status_headers_cookies_and_body() {
        let (status, headers, body) = answered(
            r#"{"statusCode": "201", "headers": {"X-A": "b", "X-N": 3, "Content-Length": "9", "Content-Type": "text/x"},
                "cookies": ["a=1; Path=/", "b=2"], "body": "text", "isBase64Encoded": false}"#,
        );
        assert_eq!((status, body.as_str()), (201, "text"));
        let expected = [
            "content-type: text/x",
            "set-cookie: a=1; Path=/",
            "set-cookie: b=2",
            "x-a: b",
            "x-amzn-remapped-content-length: 9",
            "x-n: 3",
        ];
        assert_eq!(headers, expected);
        assert_eq!(answered(r#"{"statusCode": 204}"#).2, "");
        assert_eq!(answered(r#"{"statusCode": 200, "body": "aMO8", "isBase64Encoded": true}"#).2, "hü");
        assert_eq!(answered(r#"{"statusCode": 200, "body": {"a": 1}}"#).2, "{\"a\":1}");
    }

    #[test]
    fn what_cannot_be_sent_is_no_response() {
        for result in [
            r#"{"statusCode": "often"}"#,
            r#"{"statusCode": 101}"#,
            r#"{"statusCode": 70000}"#,
            r#"{"statusCode": 200, "headers": {"a b": "c"}}"#,
            r#"{"statusCode": 200, "headers": {"a": "b\r\nc: d"}}"#,
            r#"{"statusCode": 200, "headers": 3}"#,
            r#"{"statusCode": 200, "body": "%", "isBase64Encoded": true}"#,
        ] {
            assert!(of_result(result.as_bytes()).is_err(), "{result}");
        }
    }

    #[test]
    fn headers_beyond_their_bounds_are_no_response() {
        let many = |count: usize| {
            let headers: Map<String, Value> = (0..count).map(|n| (format!("h{n}"), "v".into())).collect();
            of_result(serde_json::json!({"statusCode": 200, "headers": headers}).to_string().as_bytes())
        };
        assert!(many(HEADERS_MAX).is_ok());
        assert_eq!(many(HEADERS_MAX + 1).unwrap_err(), NoResponse);
        assert_eq!(many(40_000).unwrap_err(), NoResponse);
        let cookies = vec!["a=1"; HEADERS_MAX + 1];
        let prelude = serde_json::json!({"cookies": cookies}).to_string();
        assert_eq!(of_prelude(prelude.as_bytes()).unwrap_err(), NoResponse);
        let long = serde_json::json!({"headers": {"a": "b".repeat(HEADER_BYTES_MAX)}}).to_string();
        assert_eq!(of_prelude(long.as_bytes()).unwrap_err(), NoResponse);
    }

    #[test]
    fn a_prelude_describes_what_follows() {
        let head = of_prelude(br#"{"statusCode":202,"headers":{"A":["b","c"]},"cookies":["d=e"]}"#).unwrap();
        assert_eq!(head.status, 202);
        assert_eq!(head.headers.get_all("a").iter().count(), 2);
        assert_eq!(head.headers["set-cookie"], "d=e");
        assert_eq!(head.headers["content-type"], "application/octet-stream");
        assert_eq!(of_prelude(b"").unwrap().status, 200);
        assert!(of_prelude(b"[]").is_err());
    }
}
