//! Every bound of the gateway.

use std::time::Duration;

/// Connections served at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections that one address may have, unless `--peer-connections` says otherwise. Of IPv6 the network (/64) counts.
pub const PEER_CONNECTIONS_MAX: usize = 2_000;
/// Connections that each address of this host's loopback may have: all its programs come from one.
pub const LOOPBACK_CONNECTIONS_MAX: usize = 8_000;
/// TLS handshakes under way at once; more wait.
pub const HANDSHAKES_MAX: usize = 4_096;
/// How long a TLS handshake may take, with the wait for its turn.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that one function's sandbox may have to the cloud's endpoint.
pub const SANDBOX_CONNECTIONS_MAX: usize = 128;
/// How often an HTTP/2 connection is asked whether anybody is there.
pub const HTTP_2_PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to send a request's head.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take from the beginning of HTTP/2's preface to its end.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take nothing of what waits to be sent to it, on its connection or on a stream of HTTP/2, before
/// the connection ends.
pub const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that wait in the kernel to be sent to a client. Each time that so many are gone is progress: a larger queue would
/// make one who reads slowly look like one who does not read.
pub const UNSENT_BYTES: u32 = 128 * 1024;
/// Bytes of a response that are given to an HTTP/2 stream at once.
pub const HTTP_2_PIECE_BYTES: usize = 16 * 1024;
/// Streams of an HTTP/2 connection at once.
pub const HTTP_2_STREAMS_MAX: u32 = 200;
/// Bytes of a request's method and target: a URL with the longest session token in it.
pub const TARGET_BYTES_MAX: usize = 48 * 1024;
/// Bytes of a request's head: target, names and values of headers.
pub const HEAD_BYTES_MAX: usize = 96 * 1024;
/// Headers of a request. It is hyper's own bound, which costs less than one that it is told.
pub const HEADERS_MAX: usize = 100;
/// Bytes that a connection reads at once. Beyond it a head is not even read to its end.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;
/// How long a client may pause inside a request's body.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A body that streams must bring so many bytes, or its end, in each [`BODY_IDLE_TIMEOUT`].
pub const BODY_PACE_BYTES: u64 = 16 * 1024;
/// A body that is read into memory may take so long, whatever its length, and longer by its length at
/// [`BUFFERED_BODY_BYTES_PER_S`].
pub const BUFFERED_BODY_GRACE: Duration = Duration::from_secs(30);
/// The slowest that a body which is read into memory may come, so that nobody holds the memory for all for ever.
pub const BUFFERED_BODY_BYTES_PER_S: u64 = 256 * 1024;
/// How long a request waits for memory for its body before it is refused.
pub const BUFFER_WAIT_MAX: Duration = Duration::from_secs(10);
/// KiB of request bodies that are held in memory at once, over all requests; more wait.
pub const BUFFERED_TOTAL_KIB: usize = 256 * 1024;
/// Bodies up to this many bytes are not counted.
pub const BUFFERED_UNCOUNTED_BYTES: u64 = 256 * 1024;
/// Wrong signatures of one peer that are answered at once.
pub const REFUSALS_FREE: u32 = 200;
/// And how many more in each second; further ones wait for their answer.
pub const REFUSALS_PER_S: u32 = 100;
/// As many wrong signatures as so many peers may send are answered at once, or in a second, over all peers.
pub const REFUSALS_ALL_FACTOR: u32 = 10;
/// How long the answer to a wrong signature is held back at most.
pub const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Peers with wrong signatures that are told apart at once; those beyond count as one.
pub const REFUSED_PEERS_MAX: usize = 4_096;
/// Bytes of an `X-Amzn-Trace-Id` that is carried on: the longest that AWS's own parts make, and some more.
pub const TRACE_BYTES_MAX: usize = 512;
/// How long requests under way may still take when the server stops.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a form that nobody has signed: the longest token and policy, encoded.
pub(crate) const UNSIGNED_BODY_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a body that is read before its operation runs.
pub fn buffered_body_max(signing_name: &str) -> usize {
    match signing_name {
        // Lambda's documented bound on a request (a 50 MB package in base64).
        "lambda" => 70_167_211,
        // DeleteObjects and CompleteMultipartUpload with all that they may name.
        "s3" => 4 << 20,
        // PutLogEvents with 1 MiB of events, each character escaped.
        "logs" => 8 << 20,
        // A BatchWriteItem: 16 MB, as AWS counts a request.
        "dynamodb" => 16 << 20,
        _ => 1 << 20,
    }
}

/// Bytes of the body of a request to a function URL: what fits into a synchronous invocation.
/// Source: AWS Lambda Developer Guide, "Lambda quotas" (6 MB).
pub const URL_BODY_BYTES_MAX: usize = 6_291_456;

/// How patient the gateway is with request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// With a pause inside any body.
    pub idle: Duration,
    /// How many bytes end a pause of a body that streams.
    pub pace_bytes: u64,
    /// With a whole body that is read into memory, beside the time that its length is worth.
    pub grace: Duration,
    /// How fast such a body has to come, in bytes for each second.
    pub bytes_per_s: u64,
    /// With the lack of memory for such a body.
    pub room: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle: BODY_IDLE_TIMEOUT,
            pace_bytes: BODY_PACE_BYTES,
            grace: BUFFERED_BODY_GRACE,
            bytes_per_s: BUFFERED_BODY_BYTES_PER_S,
            room: BUFFER_WAIT_MAX,
        }
    }
}

impl Patience {
    /// How long a body of so many bytes may take to come into memory.
    pub(crate) fn for_whole(&self, bytes: u64) -> Duration {
        self.grace + Duration::from_secs(bytes / self.bytes_per_s.max(1))
    }
}
