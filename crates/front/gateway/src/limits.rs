//! Every bound of the gateway.

use std::time::Duration;

/// Connections served at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections that one function's sandbox may have to the cloud's endpoint.
pub const SANDBOX_CONNECTIONS_MAX: usize = 128;
/// How often an HTTP/2 connection is asked whether anybody is there.
pub const HTTP_2_PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to send a request's head.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that a connection reads at once, and so the most that a request's head may have.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;
/// How long a client may pause inside a request's body.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// KiB of request bodies that are held in memory at once, over all requests; more wait.
pub const BUFFERED_TOTAL_KIB: usize = 256 * 1024;
/// Bodies up to this many bytes are not counted.
pub const BUFFERED_UNCOUNTED_BYTES: u64 = 256 * 1024;
/// How long requests under way may still take when the server stops.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a body that is read before its operation runs.
pub fn buffered_body_max(signing_name: &str) -> usize {
    match signing_name {
        // Lambda's documented bound on a request (a 50 MB package in base64).
        "lambda" => 70_167_211,
        // DeleteObjects and CompleteMultipartUpload with all that they may name.
        "s3" => 4 << 20,
        // PutLogEvents with 1 MiB of events, each character escaped.
        "logs" => 8 << 20,
        _ => 1 << 20,
    }
}
