//! Requests as bytes, signed before they are sent.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use lambent_base::{Clock, text};
use lambent_sigv4::{ServiceRules, Signer, UNSIGNED_PAYLOAD, sha256};

use crate::connection::{Answer, Connection};

/// The root key that a measured or tortured server is started with.
pub const ACCESS_KEY_ID: &str = "AKIALAMBENTBENCHMARK";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "benchmark/secret+0123456789abcdefghijklm";
/// The server's region.
pub const REGION: &str = "us-east-1";
/// The content type of the query protocol.
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

/// Headers that today's SDKs send with every request, so that reading and verifying them is in the figures.
const SDK_HEADERS: [(&str, &str); 4] = [
    ("user-agent", "Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1 os/linux md/arch#x86_64 lang/python#3.13.5"),
    ("accept-encoding", "identity"),
    ("amz-sdk-invocation-id", "8d5f8a7e-6a7c-4a07-9c43-6f3a3d1e0c8b"),
    ("amz-sdk-request", "attempt=1"),
];

/// Signs for one server.
pub struct Api<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Signatures are dated with it.
    pub clock: &'a Clock,
}

/// What to ask for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The signing name.
    pub service: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Beside those that every request has.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body; not sent by [`Api::head`] and [`Api::unsigned_head`].
    pub body: &'a [u8],
}

impl Api<'_> {
    /// A whole request, whose signature covers its body.
    pub fn signed(&self, request: Request<'_>) -> anyhow::Result<Vec<u8>> {
        let hash = text::hex(&sha256(request.body));
        let mut bytes = self.head(request, request.body.len() as u64, &hash)?;
        bytes.extend_from_slice(request.body);
        Ok(bytes)
    }

    /// The head of a request whose body of that length comes later and is not signed.
    pub fn unsigned_head(&self, request: Request<'_>, length: u64) -> anyhow::Result<Vec<u8>> {
        self.head(request, length, UNSIGNED_PAYLOAD)
    }

    /// The head of a request whose body has that length and SHA-256.
    pub fn head(&self, request: Request<'_>, length: u64, hash: &str) -> anyhow::Result<Vec<u8>> {
        let Request { service, method, target, headers, .. } = request;
        let mut builder = http::Request::builder().method(method).uri(target);
        builder = builder.header("host", self.address.to_string());
        for (name, value) in SDK_HEADERS.iter().chain(headers) {
            builder = builder.header(*name, *value);
        }
        let (mut parts, ()) = builder.body(()).context("a prepared request is not HTTP")?.into_parts();
        let signer = Signer {
            access_key_id: ACCESS_KEY_ID,
            secret: SECRET_ACCESS_KEY,
            session_token: None,
            region: REGION,
            service,
            rules: ServiceRules::of(service),
            now_unix_s: self.clock.unix_s(),
        };
        signer.sign(&mut parts, hash).context("a prepared request cannot be signed")?;
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &parts.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
        Ok(bytes)
    }

    /// Asks on a connection of its own; anything but success is an error.
    pub fn call(&self, request: Request<'_>) -> anyhow::Result<Answer> {
        self.call_on(&mut Connection::open(self.address)?, request)
    }

    /// Asks on a connection that is there; anything but success is an error.
    pub fn call_on(&self, connection: &mut Connection, request: Request<'_>) -> anyhow::Result<Answer> {
        let answer = connection.exchange(&self.signed(request)?)?;
        if !answer.is_success() {
            bail!("{} {}: {}", request.method, request.target, answer.text());
        }
        Ok(answer)
    }
}

/// A value as it stands in a form or a query.
pub fn encoded(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
