//! Execution environments of functions: made, leased, reused, retired.
//!
//! [`Pool::invoke`] gives a call an environment (a warm one first, else one that was prepared ahead, else a new one, else a
//! place in a bounded queue, else a throttle), writes the event to the runtime through the Runtime API, reads the answer back, and
//! leaves one [`InvocationRecord`] from which the REPORT line, the meter and the metrics are made.
#![forbid(unsafe_code)]

mod api;
mod caller;
mod compile;
mod demand;
mod enclosure;
mod environment;
mod error;
mod extensions;
mod fleet;
mod function;
mod gate;
mod http;
mod idle;
mod invocation;
mod keeper;
mod leases;
mod ledger;
mod lines;
mod logs;
mod memory;
mod parts;
mod platform;
mod pool;
mod prepared;
mod provision;
mod ready;
mod record;
mod refusals;
mod routes;
mod run;
mod shutdown;
mod snapshots;
mod start;
mod stats;
mod stream;
mod subscriptions;
mod telemetry;
mod texts;
mod tracing_header;

pub use error::{InvokeError, PoolError, ThrottleReason};
pub use function::{
    Credentials, CredentialsSource, FunctionKey, FunctionSpec, JsonLogging, Logging, SystemLevel,
};
pub use invocation::{ErrorKind, Invocation, InvocationRecord, InvokeRequest, Outcome, Restore};
pub use ledger::{End, Journal, Ledger, Usage};
pub use memory::usable_bytes;
pub use parts::{Egress, Endpoint, LogBatch, LogEvent, LogSink, Recorder};
pub use pool::{Pool, PoolConfig, PoolParts, PoolStats};
pub use provision::{ProvisionFailure, Provisioned, SharedConcurrency};
pub use start::Needs;
pub use stats::FunctionStats;
pub use stream::{Answer, ResultStream};
