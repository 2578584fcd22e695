//! From a request to the event that the function gets: payload format 2.0.
//! Source: AWS Lambda Developer Guide, "Invoking Lambda function URLs", "Request payload format"; recorded events.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use lambent_api::UrlCall;
use lambent_identity::Caller;
use lambent_wire::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::host;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DEFAULT: &str = "$default";

/// The URL that was called, as its events name it.
pub(super) struct Called<'a> {
    pub(super) id: &'a str,
    pub(super) region: &'a str,
    pub(super) domain: &'a str,
    /// Of the function.
    pub(super) account: &'a str,
    /// `X-Amzn-Trace-Id` of the invocation.
    pub(super) trace: &'a str,
}

/// The event, JSON.
pub(super) fn event(call: &UrlCall, called: &Called<'_>) -> Bytes {
    let uri = &call.parts.uri;
    let query = uri.query().unwrap_or_default();
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    put("version", json!("2.0"));
    put("routeKey", json!(DEFAULT));
    put("rawPath", json!(uri.path()));
    put("rawQueryString", json!(query));
    let cookies = cookies(&call.parts.headers);
    if !cookies.is_empty() {
        put("cookies", json!(cookies));
    }
    put("headers", json!(headers(call, called.trace)));
    let parameters = parameters(query);
    if !parameters.is_empty() {
        put("queryStringParameters", json!(parameters));
    }
    put("requestContext", context(call, called));
    let is_text = is_text(&call.parts.headers, &call.body);
    if !call.body.is_empty() {
        let text = if is_text { std::str::from_utf8(&call.body).ok() } else { None };
        put("body", text.map_or_else(|| json!(BASE64.encode(&call.body)), |text| json!(text)));
    }
    put("isBase64Encoded", json!(!call.body.is_empty() && !is_text));
    if call.caller.is_some() {
        put("pathParameters", Value::Null);
        put("stageVariables", Value::Null);
    }
    Value::Object(event).to_string().into()
}

fn context(call: &UrlCall, called: &Called<'_>) -> Value {
    let context = &call.context;
    let user_agent = call.parts.headers.get(USER_AGENT).map(|value| text(value.as_bytes()));
    let mut object = json!({
        "accountId": if call.caller.is_some() { called.account } else { "anonymous" },
        "apiId": called.id,
        "domainName": host::name(called.id, called.region, called.domain),
        "domainPrefix": called.id,
        "http": {
            "method": call.parts.method.as_str(),
            "path": call.parts.uri.path(),
            "protocol": "HTTP/1.1",
            "sourceIp": context.source_ip,
            "userAgent": user_agent.unwrap_or_default(),
        },
        "requestId": context.request_id,
        "routeKey": DEFAULT,
        "stage": DEFAULT,
        "time": time(context.time_ms),
        "timeEpoch": context.time_ms,
    });
    if let Some(caller) = &call.caller {
        object["authentication"] = Value::Null;
        object["authorizer"] = json!({ "iam": identity(caller) });
    }
    object
}

fn identity(caller: &Caller) -> Value {
    json!({
        "accessKey": caller.access_key_id,
        "accountId": caller.account,
        "callerId": caller.user_id,
        "cognitoIdentity": null,
        "principalOrgId": null,
        "userArn": caller.arn,
        "userId": caller.user_id,
    })
}

/// Lower-case names, values of the same name joined, and what the front of the cloud knows of the client in place of what
/// it may claim. A signature is nobody's business after it was checked.
fn headers(call: &UrlCall, trace: &str) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &call.parts.headers {
        let is_hidden =
            name == COOKIE || name == CONNECTION || (name == AUTHORIZATION && call.caller.is_some());
        if is_hidden {
            continue;
        }
        let value = text(value.as_bytes());
        out.entry(name.as_str().to_owned())
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    let (scheme, authority) = call.context.endpoint.split_once("://").unwrap_or(("http", ""));
    let port = authority.rsplit_once(':').map_or("80", |(_, port)| port);
    out.entry(HOST.as_str().to_owned()).or_insert_with(|| authority.to_owned());
    out.insert("x-forwarded-for".to_owned(), call.context.source_ip.clone());
    out.insert("x-forwarded-port".to_owned(), port.to_owned());
    out.insert("x-forwarded-proto".to_owned(), scheme.to_owned());
    out.insert("x-amzn-trace-id".to_owned(), trace.to_owned());
    out
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(COOKIE).iter().map(|value| text(value.as_bytes()));
    all.flat_map(|line| line.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
        .filter(|one| !one.is_empty())
        .collect()
}

/// Decoded, values of the same name joined.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        out.entry(decoded(name))
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    out
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Whether a body goes into the event as it is.
fn is_text(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_named = kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || ["application/json", "application/xml", "application/javascript"].contains(&kind.as_str());
    is_named && std::str::from_utf8(body).is_ok()
}

/// `05/Aug/2022:08:14:39 +0000`
fn time(unix_ms: i64) -> String {
    let iso = Timestamp::from_ms(unix_ms).iso8601_ms();
    let part = |range: std::ops::Range<usize>| iso.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    format!("{}/{}/{}:{} +0000", part(8..10), month.unwrap_or(&"Jan"), part(0..4), part(11..19))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use lambent_api::CallContext;
    use lambent_base::Place;
    use lambent_identity::CallerKind;

    use super::*;

    /// Sends `lines` as headers.
    fn call(method: &str, target: &str, lines: &[(&str, &str)], body: &[u8], signed: bool) -> Value {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let caller = Caller {
            account: "111122223333".to_owned(),
            arn: "arn:aws:iam::111122223333:root".to_owned(),
            user_id: "111122223333".to_owned(),
            access_key_id: "AKIA".to_owned(),
            kind: CallerKind::Root,
            session: None,
        };
        let call = UrlCall {
            parts,
            body: Bytes::copy_from_slice(body),
            caller: signed.then_some(caller),
            context: CallContext {
                request_id: "id".to_owned(),
                place: Place { account: String::new(), region: "us-east-1".to_owned() },
                time_ms: 1_659_687_279_885,
                source_ip: "123.123.123.123".to_owned(),
                endpoint: "http://u.lambda-url.us-east-1.localhost:4566".to_owned(),
                trace: None,
                client: lambent_api::Client::default(),
            },
        };
        let called = Called {
            id: "u",
            region: "us-east-1",
            domain: "localhost",
            account: "111122223333",
            trace: "Root=1-62ecd163-5f302e550dcde3b12402207d",
        };
        serde_json::from_slice(&event(&call, &called)).unwrap()
    }

    fn recorded(name: &str) -> Value {
        let path = format!(
            "{}/../../../../shared/data/lambda-events/powertools/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let path = std::path::PathBuf::from(path);
        serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")))
            .unwrap()
    }

    /// The names of members at every depth, with the kind of their values; those of headers and parameters are the client's.
    fn shape(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(members) if !path.ends_with("headers") && !path.ends_with("Parameters") => {
                for (name, member) in members {
                    shape(member, &format!("{path}.{name}"), out);
                }
            }
            Value::Object(_) => out.push(format!("{path}: object")),
            Value::Array(_) => out.push(format!("{path}: array")),
            Value::String(_) => out.push(format!("{path}: text")),
            Value::Number(_) => out.push(format!("{path}: number")),
            Value::Bool(_) => out.push(format!("{path}: bool")),
            Value::Null => out.push(format!("{path}: null")),
        }
    }

    fn shape_of(value: &Value) -> Vec<String> {
        let mut out = Vec::new();
        shape(value, "", &mut out);
        out.sort();
        out
    }

    #[test]
    fn events_have_exactly_the_members_of_recorded_ones() {
        let plain = call("GET", "/", &[("user-agent", "agent")], b"", false);
        assert_eq!(shape_of(&plain), shape_of(&recorded("lambdaFunctionUrlEvent")));
        let with_query =
            call("GET", "/?parameter1=value1&parameter1=value2&parameter2=value", &[], b"", false);
        assert_eq!(shape_of(&with_query), shape_of(&recorded("lambdaFunctionUrlEventWithHeaders")));
        let signed = call(
            "POST",
            "/my/path/?parameter1=value1&parameter1=value2&parameter2=value",
            &[
                ("cookie", "cookie1; cookie2"),
                ("header1", "value1"),
                ("header2", "value1"),
                ("header2", "value2"),
                ("content-type", "text/plain"),
                ("authorization", "AWS4-HMAC-SHA256 ..."),
            ],
            b"Hello from client!",
            true,
        );
        let expected = recorded("lambdaFunctionUrlEventPathTrailingSlash");
        assert_eq!(shape_of(&signed), shape_of(&expected));
        assert_eq!(shape_of(&signed), shape_of(&recorded("lambdaFunctionUrlIAMEvent")));
        for member in
            ["version", "routeKey", "rawPath", "rawQueryString", "cookies", "queryStringParameters", "body"]
        {
            assert_eq!(signed[member], expected[member], "{member}");
        }
        assert_eq!(signed["headers"]["header2"], "value1,value2");
        assert_eq!(signed["headers"].get("authorization"), None);
        assert_eq!(signed["headers"].get("cookie"), None);
    }

    #[test]
    fn what_is_said_of_the_client_is_true() {
        let event = call("GET", "/a%20b?x=1%2C2+3&y", &[("x-forwarded-for", "6.6.6.6")], b"", false);
        assert_eq!(event["rawPath"], "/a%20b");
        assert_eq!(event["queryStringParameters"], json!({"x": "1,2 3", "y": ""}));
        assert_eq!(event["headers"]["x-forwarded-for"], "123.123.123.123");
        assert_eq!(event["headers"]["x-forwarded-port"], "4566");
        assert_eq!(event["requestContext"]["time"], "05/Aug/2022:08:14:39 +0000");
        assert_eq!(event["requestContext"]["timeEpoch"], 1_659_687_279_885_i64);
        assert_eq!(event["requestContext"]["domainName"], "u.lambda-url.us-east-1.localhost");
    }

    #[test]
    fn bodies_that_are_no_text_come_in_base64() {
        for (kind, body, is_base64) in [
            ("application/json; charset=utf-8", &b"{}"[..], false),
            ("text/html", b"<p>", false),
            ("application/problem+json", b"{}", false),
            ("application/x-www-form-urlencoded", b"a=b", true),
            ("image/png", b"\x89PNG", true),
            ("text/plain", b"\xff", true),
            ("", b"x", true),
        ] {
            let event = call("POST", "/", &[("content-type", kind)], body, false);
            assert_eq!(event["isBase64Encoded"], is_base64, "{kind}");
            let expected =
                if is_base64 { BASE64.encode(body) } else { String::from_utf8_lossy(body).into_owned() };
            assert_eq!(event["body"], expected, "{kind}");
        }
    }
}
