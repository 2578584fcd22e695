//! Which request means what: the paths of the Runtime, Extensions, Telemetry and Logs APIs.
//!
//! What has no path is answered as AWS's own server of these APIs answers it. Sources: AWS Lambda Developer Guide, "Using the
//! Lambda runtime API for custom runtimes", "Using the Lambda Extensions API to create extensions".

use crate::api::{Call, ExtensionRequest};
use crate::http::{Body, Head};

pub(crate) const PREFIX: &str = "/2018-06-01/runtime/";
const PING: &str = "/2018-06-01/ping";

/// The paths of the Extensions, Telemetry and Logs APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtensionCall {
    Register,
    Next,
    InitError,
    ExitError,
    Telemetry,
    Logs,
}

impl ExtensionCall {
    /// With the method that the path takes.
    fn of(path: &str) -> Option<(&'static str, Self)> {
        match path {
            "/2020-01-01/extension/register" => Some(("POST", Self::Register)),
            "/2020-01-01/extension/event/next" => Some(("GET", Self::Next)),
            "/2020-01-01/extension/init/error" => Some(("POST", Self::InitError)),
            "/2020-01-01/extension/exit/error" => Some(("POST", Self::ExitError)),
            "/2022-07-01/telemetry" => Some(("PUT", Self::Telemetry)),
            "/2020-08-15/logs" => Some(("PUT", Self::Logs)),
            _ => None,
        }
    }
}

/// What a request asks for, or the whole answer to one that has no path.
pub(crate) fn call_of(head: Head, body: Body, serves_restore: bool) -> Result<Call, String> {
    if let Some((method, call)) = ExtensionCall::of(&head.path) {
        return if head.method == method { Ok(of_extension(call, head, body)) } else { Err(only(method)) };
    }
    if head.path == PING {
        return Err("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\npong".to_owned());
    }
    let path = head.path.clone();
    let parts: Vec<&str> = path.strip_prefix(PREFIX).unwrap_or_default().split('/').collect();
    let method = match parts.as_slice() {
        ["function"] | ["invocation", "next"] => "GET",
        ["restore", "next"] if serves_restore => "GET",
        ["restore", "error"] if serves_restore => "POST",
        ["code"] | ["init", "error"] | ["invocation", _, "response" | "error"] => "POST",
        _ => return Err(not_found()),
    };
    if head.method != method {
        return Err(only(method));
    }
    Ok(of_runtime(&parts, head, body))
}

/// The answer where there is nothing.
pub(crate) fn not_found() -> String {
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
     Content-Length: 19\r\n\r\n404 page not found\n"
        .to_owned()
}

fn only(method: &str) -> String {
    format!("HTTP/1.1 405 Method Not Allowed\r\nAllow: {method}\r\nContent-Length: 0\r\n\r\n")
}

/// Of one of the paths that there are.
fn of_runtime(parts: &[&str], head: Head, mut body: Body) -> Call {
    let kind = head.error_type;
    match parts {
        ["function"] => Call::Function,
        ["code"] => Call::Code { body: body.finish() },
        ["restore", "next"] => Call::RestoreNext,
        ["invocation", id, "response"] => {
            let (id, has_odd_mode, trailers) = ((*id).to_owned(), head.has_odd_mode, body.take_trailers());
            let body = if has_odd_mode { None } else { body.finish() };
            Call::Response { id, body, trailers, has_odd_mode }
        }
        ["invocation", id, "error"] => {
            Call::Error { id: (*id).to_owned(), kind, body: body.finish().unwrap_or_default() }
        }
        [_, "error"] => Call::InitError { kind, body: body.finish().unwrap_or_default() },
        _ => Call::Next,
    }
}

fn of_extension(call: ExtensionCall, head: Head, body: Body) -> Call {
    let extension = head.extension.unwrap_or_default();
    Call::Extension(Box::new(ExtensionRequest {
        call,
        name: extension.name,
        id: extension.id,
        features: extension.features,
        error_type: extension.error_type,
        body: body.finish().unwrap_or_default(),
    }))
}
