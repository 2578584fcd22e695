//! What the pool is given by whoever puts the platform together.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use lambent_base::BoxFuture;
use tokio::net::TcpListener;

use crate::function::FunctionKey;
use crate::invocation::InvocationRecord;

/// The platform's API as functions reach it.
pub trait Endpoint: Send + Sync {
    /// Serves the API on a listener inside one environment's own network namespace, until the future is dropped
    /// (the pool drops it with the environment). Peers are authenticated by their signatures, as everywhere.
    fn serve(&self, listener: TcpListener) -> BoxFuture<'static, ()>;
}

/// The outside world as functions reach it.
pub trait Egress: Send + Sync {
    /// Carries the packets of one environment's TUN device (whose descriptor this is) to the outside and back, until the
    /// future is dropped (the pool drops it with the environment). The owner is the function, as account, region and
    /// name: by it shares are counted.
    fn serve(&self, tun: OwnedFd, owner: &str) -> BoxFuture<'static, ()>;
}

/// One log line (or framed multi-line message) with the time it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    pub timestamp_unix_ms: i64,
    /// As written, with its line end, at most 256 KiB.
    pub message: String,
}

/// Lines of one log stream, in order.
#[derive(Clone, Debug)]
pub struct LogBatch {
    pub function: Arc<FunctionKey>,
    pub log_group: Arc<str>,
    /// `YYYY/MM/DD/[VERSION]` and 32 hexadecimal digits.
    pub log_stream: Arc<str>,
    pub events: Vec<LogEvent>,
}

/// Takes log lines. While `write` is pending the pool holds at most [`crate::PoolConfig::log_buffer_bytes`] for all
/// functions together and then stops reading their pipes, so that a function that prints without end waits instead
/// of filling memory.
pub trait LogSink: Send + Sync {
    /// Stores the batches; creates group and stream when absent. Failures are the sink's to report.
    fn write(&self, batches: Vec<LogBatch>) -> BoxFuture<'_, ()>;
}

/// Takes one record for every call that ran, including those whose caller went away, and those that a shutdown ended.
/// Must not block.
pub trait Recorder: Send + Sync {
    fn record(&self, record: &InvocationRecord);
}
