//! Small traits between services. The implementer's crate is never seen by the caller's.

use bytes::Bytes;
use lambent_base::{Arn, BoxFuture};

/// Runs functions: implemented by `lambda`.
pub trait InvokeFunction: Send + Sync {
    /// Runs a function and returns what it returned, errors of its own code included.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, InvokeError>>;
}

/// Says whether a caller may run a function: implemented by `lambda`, asked before a rule that names the function is
/// stored.
pub trait MayInvoke: Send + Sync {
    /// `false` also when there is no such function.
    fn may_invoke<'a>(
        &'a self,
        function: &'a Arn,
        caller: &'a Caller,
    ) -> BoxFuture<'a, Result<bool, PortError>>;
}

/// One wish to run a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// A function's ARN, with or without a version or alias.
    pub function: Arn,
    /// The event, JSON.
    pub payload: Bytes,
    /// The id that logs and the bill carry; the same for every attempt at one asynchronous event.
    pub request_id: String,
    pub caller: Caller,
    /// `X-Amzn-Trace-Id` of what caused it.
    pub trace: Option<String>,
    /// Attempts at one asynchronous event before this one; 0 for a synchronous call.
    pub earlier_attempts: u32,
}

/// In whose name a function runs; the function's resource policy decides for services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Allowed already: the request that led here was authorised by the caller's own policies.
    Authorized,
    /// A service acts for a resource of its own, as `s3.amazonaws.com` for a bucket.
    Service { principal: String, source: Arn, source_account: String },
}

/// How a function ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// The function's answer, or its error as JSON.
    pub payload: Bytes,
    /// `Unhandled` or `Handled` when the function's code failed.
    pub function_error: Option<String>,
    /// The version that ran, as `$LATEST` or `3`.
    pub executed_version: String,
    /// The last 4 KiB of the log.
    pub log_tail: Bytes,
}

/// Why a function did not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    #[error("function {0} does not exist")]
    NoSuchFunction(Arn),
    /// The function's resource policy does not allow the caller.
    #[error("the policy of function {0} does not allow this caller")]
    NotAllowed(Arn),
    #[error("the payload has {bytes} bytes, more than the {limit} allowed")]
    PayloadTooLarge { bytes: usize, limit: usize },
    /// No room now: try again later.
    #[error("function {0} is throttled")]
    Throttled(Arn),
    /// The function is being created or updated: try again later.
    #[error("function {0} is not ready: {1}")]
    NotReady(Arn, String),
    /// The platform could not run it: try again later.
    #[error("the function could not be run: {0}")]
    Platform(String),
}

impl InvokeError {
    /// Whether the same invocation may succeed later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Throttled(_) | Self::NotReady(..) | Self::Platform(_))
    }
}

/// Knows of the runs of functions that have ended: implemented where the meter and the logs are.
pub trait KeepRuns: Send + Sync {
    /// Returns when every run that has ended is durably in the bill: an event whose run nobody would bill must not be
    /// settled. The log lines of these runs were written by then, or refused by the store: they are no reason to wait,
    /// or a full disk would stop every delivery, those that make room too.
    ///
    /// Errors: the bill's. A later try may help.
    fn keep_runs(&self) -> BoxFuture<'_, Result<(), PortError>>;
}

/// A port's implementer failed; trying again may help.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);
