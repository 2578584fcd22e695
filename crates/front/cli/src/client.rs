//! Signed requests to the cloud, each on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lambent_base::Clock;
use lambent_base::text::hex;
use lambent_sigv4::{ServiceRules, Signer, sha256};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::CliError;
use crate::cloud::Cloud;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Speaks to a cloud as its root.
pub(crate) struct Client {
    cloud: Cloud,
    clock: Clock,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// What it does, for error messages: `CreateFunction`.
    pub(crate) action: &'a str,
    /// The signing name.
    pub(crate) service: &'a str,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: Bytes,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl<'a> Request<'a> {
    pub(crate) fn new(action: &'a str, service: &'a str, method: Method, path: &'a str) -> Self {
        Self { action, service, method, path, headers: &[], body: Bytes::new() }
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn headers(self, headers: &'a [(&'static str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

impl Client {
    pub(crate) fn new(cloud: Cloud, clock: Clock) -> Self {
        Self { cloud, clock }
    }

    pub(crate) fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends a request; every answer is fine.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Answer, CliError> {
        let endpoint = || self.cloud.endpoint.clone();
        let silent = |_| CliError::Silent { endpoint: endpoint(), seconds: TIMEOUT.as_secs() };
        tokio::time::timeout(TIMEOUT, self.exchange(request)).await.map_err(silent)?
    }

    /// Sends a request that must succeed.
    pub(crate) async fn expect(&self, request: &Request<'_>) -> Result<Bytes, CliError> {
        let answer = self.send(request).await?;
        if (200..300).contains(&answer.status) {
            Ok(answer.body)
        } else {
            Err(answer.refusal(request.action))
        }
    }

    /// Calls an operation of a JSON service, as CloudWatch Logs.
    pub(crate) async fn call_json(
        &self,
        service: &str,
        target: &str,
        input: &Value,
    ) -> Result<Answer, CliError> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let request = Request::new(target, service, Method::POST, "/").headers(&headers);
        self.send(&request.body(input.to_string())).await
    }

    /// Sends a request that must succeed, and gives its body as it comes.
    pub(crate) async fn open(&self, request: &Request<'_>) -> Result<Incoming, CliError> {
        let silent =
            |_| CliError::Silent { endpoint: self.cloud.endpoint.clone(), seconds: TIMEOUT.as_secs() };
        tokio::time::timeout(TIMEOUT, self.begin(request)).await.map_err(silent)?
    }

    async fn begin(&self, request: &Request<'_>) -> Result<Incoming, CliError> {
        let response = self.ask(request).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(self.answer(response).await?.refusal(request.action))
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<Answer, CliError> {
        let response = self.ask(request).await?;
        self.answer(response).await
    }

    /// Sends a request on a connection of its own; the answer's body is still to come.
    async fn ask(&self, request: &Request<'_>) -> Result<http::Response<Incoming>, CliError> {
        let endpoint = &self.cloud.endpoint;
        let http = |source| CliError::Http { endpoint: endpoint.clone(), source };
        let (authority, signed) = self.signed(request)?;
        let unreachable = |source| CliError::Unreachable { endpoint: endpoint.clone(), source };
        let stream = TcpStream::connect(&authority).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        // It ends with the body, or when that is dropped.
        tokio::spawn(connection);
        sender.send_request(signed).await.map_err(http)
    }

    /// The whole of a small answer.
    async fn answer(&self, response: http::Response<Incoming>) -> Result<Answer, CliError> {
        let http = |source| CliError::Http { endpoint: self.cloud.endpoint.clone(), source };
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(http)?.to_bytes();
        Ok(Answer { status, body })
    }

    /// The authority to connect to, and the request with its signature.
    fn signed(&self, request: &Request<'_>) -> Result<(String, http::Request<Full<Bytes>>), CliError> {
        let Cloud { endpoint, root, .. } = &self.cloud;
        let invalid = |found: String| CliError::Answer {
            action: "the endpoint file".to_owned(),
            expected: "an address as http://127.0.0.1:4566",
            found,
        };
        let uri: Uri = endpoint.parse().map_err(|_| invalid(endpoint.clone()))?;
        let authority = uri.authority().ok_or_else(|| invalid(endpoint.clone()))?.to_string();
        let mut built = http::Request::builder().method(request.method.clone()).uri(request.path);
        built = built.header(http::header::HOST, &authority);
        for (name, value) in request.headers {
            let value = HeaderValue::from_str(value).map_err(|_| invalid((*value).to_owned()))?;
            built = built.header(HeaderName::from_static(name), value);
        }
        let built =
            built.body(Full::new(request.body.clone())).map_err(|error| invalid(error.to_string()))?;
        let (mut parts, body) = built.into_parts();
        let signer = Signer {
            access_key_id: &root.access_key_id,
            secret: &root.secret_access_key,
            session_token: None,
            region: &root.region,
            service: request.service,
            rules: ServiceRules::of(request.service),
            now_unix_s: self.clock.unix_s(),
        };
        signer.sign(&mut parts, &hex(&sha256(&request.body)))?;
        Ok((authority, http::Request::from_parts(parts, body)))
    }
}

impl Answer {
    /// The answer's JSON.
    pub(crate) fn json(&self, action: &str) -> Result<Value, CliError> {
        serde_json::from_slice(&self.body).map_err(|error| CliError::Answer {
            action: action.to_owned(),
            expected: "JSON",
            found: error.to_string(),
        })
    }

    /// The error's code: of JSON, or of XML.
    pub(crate) fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let json: Option<Value> = serde_json::from_str(&text).ok();
        let named = |name: &str| Some(json.as_ref()?.get(name)?.as_str()?.to_owned());
        let code = named("__type").or_else(|| named("code")).or_else(|| between(&text, "<Code>", "</Code>"));
        let code = code.unwrap_or_else(|| "error".to_owned());
        code.rsplit('#').next().unwrap_or(&code).to_owned()
    }

    /// What a refusal means for the command.
    pub(crate) fn refusal(&self, action: &str) -> CliError {
        let text = String::from_utf8_lossy(&self.body);
        let json: Option<Value> = serde_json::from_str(&text).ok();
        let named = |name: &str| Some(json.as_ref()?.get(name)?.as_str()?.to_owned());
        let message = named("message").or_else(|| named("Message"));
        let message = message.or_else(|| between(&text, "<Message>", "</Message>"));
        CliError::Refused {
            action: action.to_owned(),
            status: self.status,
            code: self.code(),
            message: message.unwrap_or_else(|| text.into_owned()),
        }
    }
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_from_json_and_xml() {
        let answer = |body: &str| Answer { status: 400, body: Bytes::copy_from_slice(body.as_bytes()) };
        let json = answer(r#"{"__type":"com.amazon#ResourceNotFoundException","message":"gone"}"#);
        assert_eq!(
            json.refusal("GetLogEvents").to_string(),
            "GetLogEvents was refused (400 ResourceNotFoundException): gone"
        );
        let xml = answer("<Error><Code>NoSuchBucket</Code><Message>not there</Message></Error>");
        assert_eq!(
            xml.refusal("PutObject").to_string(),
            "PutObject was refused (400 NoSuchBucket): not there"
        );
        assert_eq!(answer("?").refusal("X").to_string(), "X was refused (400 error): ?");
    }
}
