//! One call of a function: what goes in, what comes out, what is remembered.

use std::sync::Arc;

use bytes::Bytes;

use crate::function::{FunctionKey, FunctionSpec};

/// One call.
pub struct InvokeRequest {
    pub function: Arc<FunctionSpec>,
    /// The event, JSON, at most 6 MiB (the service checks that).
    pub payload: Bytes,
    /// A UUID; what `context.aws_request_id` shows.
    pub request_id: String,
    /// The ARN as the caller gave it, with its qualifier if there was one.
    pub invoked_arn: String,
    /// The value of `X-Amzn-Trace-Id`, as `Root=1-...;Parent=...;Sampled=0`; without `Sampled` the
    /// function's tracing mode decides, and `None` makes one.
    pub trace_id: Option<String>,
    /// The decoded JSON of `X-Amz-Client-Context`.
    pub client_context: Option<String>,
    /// Whose call it is, for a function that keeps its tenants apart: an environment that served one tenant serves no other.
    pub tenant_id: Option<String>,
    /// Whether its caller wants the whole of it: the end of its log, the final record. Else it is answered, as on AWS, as
    /// soon as the runtime has, though extensions may still be at work, and what is told is as of then, without a log.
    pub is_told_whole: bool,
}

/// What a finished call gives back.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub outcome: Outcome,
    /// The end of this call's log, START to REPORT, at most 4 KiB (LogType=Tail, before base64).
    pub log_tail: Vec<u8>,
    pub record: InvocationRecord,
}

/// How the function ended. Both are 200 to the client.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The handler's result, JSON.
    Success(Bytes),
    /// `X-Amz-Function-Error`, with the error object as payload.
    FunctionError { kind: ErrorKind, payload: Bytes },
}

/// The value of `X-Amz-Function-Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    Handled,
    Unhandled,
}

impl ErrorKind {
    /// As it stands in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handled => "Handled",
            Self::Unhandled => "Unhandled",
        }
    }
}

/// How long it took to restore an environment from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restore {
    pub ms: f64,
    /// Of that, what the function's own hooks took; whole milliseconds, rounded up.
    pub billed_ms: u64,
}

/// The one record of a call, from which log, meter and metrics are made.
#[derive(Clone, Debug, PartialEq)]
pub struct InvocationRecord {
    pub function: FunctionKey,
    pub request_id: String,
    pub log_group: String,
    pub log_stream: String,
    /// When the event was handed to the runtime (or the environment's start failed).
    pub started_unix_ms: i64,
    /// Whether an environment was started for it.
    pub cold_start: bool,
    /// Only for the call that started its environment, and if that came to its event.
    pub init_ms: Option<f64>,
    /// Only for the call whose environment was forked from a snapshot.
    pub restore: Option<Restore>,
    pub duration_ms: f64,
    /// Of that, how long its extensions took after the runtime had answered, where they did (AWS's metric
    /// `PostRuntimeExtensionsDuration`).
    pub extensions_ms: Option<f64>,
    /// Whole milliseconds, rounded up, of initialisation or restore and run together.
    pub billed_ms: u64,
    pub memory_mib: u32,
    pub max_memory_mib: u32,
    /// The configured size of `/tmp`.
    pub ephemeral_mib: u32,
    /// `None` for success, else the error type (`Runtime.ExitError`, `Sandbox.Timedout`, the handler's own).
    pub error_type: Option<String>,
    pub timed_out: bool,
    pub out_of_memory: bool,
}
