//! Small traits between services. The implementer's crate is never seen by the caller's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use lambent_base::{Arn, BoxFuture};
use parking_lot::RwLock;

use crate::deliver::{Delivery, End};
use crate::event::{Event, NewEvent, RetryPolicy};

/// Runs functions: implemented by `lambda`.
pub trait InvokeFunction: Send + Sync {
    /// Runs a function and returns what it returned, errors of its own code included.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, InvokeError>>;

    /// What the function's owner wants done with an asynchronous invocation: asked before each attempt. After an error
    /// there is none; whether there will be one is as with an error of the invocation itself.
    fn plan<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<EventPlan, InvokeError>> {
        Box::pin(std::future::ready(Ok(EventPlan { retry: event.retry, is_overdue: false, follow: None })))
    }
}

/// What is to be done with one asynchronous invocation.
pub struct EventPlan {
    /// Takes the place of the event's own.
    pub retry: RetryPolicy,
    /// Whether the event is too old to be tried at all.
    pub is_overdue: bool,
    pub follow: Option<Arc<dyn Follow>>,
}

/// What follows from the end of an event.
pub trait Follow: Send + Sync {
    /// Events to put in the transaction that settles this one. An event that was given up, and has none, stays as a dead
    /// letter. `answer` is that of the last attempt; none where it was not made.
    fn events(&self, event: &Event, end: End, answer: Option<&Result<Invoked, InvokeError>>)
    -> Vec<NewEvent>;
}

/// Takes what functions hand on to resources of one service, as records of their invocations: implemented by that
/// service, found by the service's name in the ARN (see [`Targets`]).
pub trait DeliverTo: Send + Sync {
    /// What a role must be allowed so that this may be delivered: action and resource, as policies name them.
    fn permission(&self, target: &Arn) -> (&'static str, String);

    /// Whether there is such a resource, in the place of whoever asks: asked before a configuration that names it is
    /// stored.
    fn exists<'a>(&'a self, target: &'a Arn) -> BoxFuture<'a, Result<bool, PortError>>;

    /// Tries once, in the name of the role. The same may come again, with the same id.
    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, Delivery>;
}

/// What a function hands on to a resource of another service.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub target: Arn,
    /// In whose name.
    pub role_arn: String,
    /// The function.
    pub source: Arn,
    /// JSON.
    pub body: Bytes,
    pub attributes: BTreeMap<String, String>,
    /// The same in every attempt.
    pub id: String,
    /// When it was put, in milliseconds since 1970.
    pub created_ms: i64,
    pub trace: Option<String>,
}

/// Where functions may hand something on to, by the name of the service in an ARN. Services join it when the platform is
/// put together.
#[derive(Default)]
pub struct Targets(RwLock<HashMap<&'static str, Arc<dyn DeliverTo>>>);

impl Targets {
    /// Resources of this service can be named from now on.
    pub fn add(&self, service: &'static str, target: Arc<dyn DeliverTo>) {
        self.0.write().insert(service, target);
    }

    /// Who takes what goes to an ARN of this service.
    pub fn of(&self, service: &str) -> Option<Arc<dyn DeliverTo>> {
        self.0.read().get(service).cloned()
    }
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
    /// What the function finds as the client context's `custom`.
    pub attributes: BTreeMap<String, String>,
}

/// In whose name a function runs; the function's resource policy decides for services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Allowed already: the request that led here was authorised by the caller's own policies.
    Authorized,
    /// A service acts for a resource of its own, as `s3.amazonaws.com` for a bucket.
    Service { principal: String, source: Arn, source_account: String },
    /// A function hands something on: its role's policies decide.
    Role { role_arn: String, source: Arn },
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
    /// The function's owner reserved no concurrency for it: it is not to run.
    #[error("function {0} has a reserved concurrency of zero")]
    NoConcurrency(Arn),
    /// The function set off itself, again and again.
    #[error("function {0} was invoked {1} times by what it did itself, and was stopped")]
    Recursive(Arn, u32),
    /// No attempt will ever succeed as things are, as when the event says no tenant.
    #[error("function {0} cannot be run: {1}")]
    CannotRun(Arn, String),
    /// The same on this node: another one may have the processor or the runtime that the function wants.
    #[error("function {0} cannot be run here: {1}")]
    CannotRunHere(Arn, String),
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
