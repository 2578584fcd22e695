//! Events, and how a row holds one.
//!
//! A row is: length of the header as `u32` big-endian, the header as JSON, the payload if it is short.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::Arn;
use serde::{Deserialize, Serialize};

use crate::deliver::{DESTINATION, FUNCTION};
use crate::error::BusError;
use crate::ports::Caller;

/// The longest payload: Lambda's limit for asynchronous events, and as much for what an invocation record adds to one.
pub const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;
/// The longest payload of what functions hand on: the record of a batch that was given up carries the event of a synchronous
/// invocation, and some members beside it.
pub const MAX_HANDED_ON_BYTES: usize = 6 * 1024 * 1024 + 64 * 1024;
/// Payloads up to here stay in the event's row.
pub(crate) const INLINE_PAYLOAD_BYTES: usize = 32 * 1024;
/// How much of an error's text is kept.
const MAX_ERROR_CHARS: usize = 1024;

/// An event to put into the outbox.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Which deliverer takes it, as [`FUNCTION`].
    pub kind: String,
    pub target: Arn,
    pub caller: Caller,
    pub payload: Bytes,
    /// The id that the delivery carries in every attempt; a new UUID if there is none.
    pub request_id: Option<String>,
    /// `X-Amzn-Trace-Id` of what caused it.
    pub trace: Option<String>,
    /// What is told of the payload beside it, as a dead-letter queue's message attributes.
    pub attributes: BTreeMap<String, String>,
    /// Not before this time, in milliseconds since 1970; at once if there is none.
    pub not_before_ms: Option<i64>,
    pub retry: RetryPolicy,
}

impl NewEvent {
    /// How long the payload may be.
    pub(crate) fn payload_max(&self) -> usize {
        if self.kind == DESTINATION { MAX_HANDED_ON_BYTES } else { MAX_PAYLOAD_BYTES }
    }

    /// An asynchronous invocation of a function, with Lambda's own retries.
    pub fn for_function(function: Arn, caller: Caller, payload: Bytes) -> Self {
        Self {
            kind: FUNCTION.to_owned(),
            target: function,
            caller,
            payload,
            request_id: None,
            trace: None,
            attributes: BTreeMap::new(),
            not_before_ms: None,
            retry: RetryPolicy::LAMBDA,
        }
    }
}

/// When to try again, and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Failures of the target's own, the first included, after which the event is dead.
    pub max_attempts: u32,
    /// The pause after the first failure; it doubles from failure to failure.
    pub first_delay: Duration,
    pub max_delay: Duration,
    /// An event that fails, or finds its target busy, at this age is dead.
    pub max_age: Duration,
}

impl RetryPolicy {
    /// Lambda's own for asynchronous invocations: two retries, after one minute and two, for at most six hours.
    /// Source: AWS Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".
    pub const LAMBDA: Self = Self {
        max_attempts: 3,
        first_delay: Duration::from_secs(60),
        max_delay: Duration::from_secs(120),
        max_age: Duration::from_secs(6 * 60 * 60),
    };
}

/// An event on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: String,
    pub target: Arn,
    pub caller: Caller,
    pub payload: Bytes,
    pub request_id: String,
    /// `X-Amzn-Trace-Id` of what caused it.
    pub trace: Option<String>,
    /// What is told of the payload beside it.
    pub attributes: BTreeMap<String, String>,
    /// When it was put, in milliseconds since 1970.
    pub created_ms: i64,
    /// How many deliveries failed by the target's own fault.
    pub failures: u32,
    /// How many deliveries found the target busy.
    pub busy: u32,
    /// Why the last delivery did not succeed.
    pub last_error: Option<String>,
    pub retry: RetryPolicy,
}

/// What a row holds of an event beside its payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) kind: String,
    pub(crate) target: String,
    /// Principal, source ARN and source account; none when the caller is authorised already.
    service: Option<(String, String, String)>,
    /// The function's role and the function, when it is a function that delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<(String, String)>,
    request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    pub(crate) created_ms: i64,
    pub(crate) failures: u32,
    pub(crate) busy: u32,
    last_error: Option<String>,
    max_attempts: u32,
    first_delay_ms: u64,
    max_delay_ms: u64,
    max_age_ms: u64,
    /// The id of the body row, when the payload is not in this one.
    pub(crate) body: Option<[u8; 16]>,
    /// Whether that has more than [`MAX_PAYLOAD_BYTES`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_long: bool,
    /// When it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) died_ms: Option<i64>,
}

impl Header {
    pub(crate) fn new(event: &NewEvent, request_id: String, created_ms: i64, body: Option<[u8; 16]>) -> Self {
        let (mut service, mut role) = (None, None);
        match &event.caller {
            Caller::Authorized => {}
            Caller::Service { principal, source, source_account } => {
                service = Some((principal.clone(), source.to_string(), source_account.clone()));
            }
            Caller::Role { role_arn, source } => role = Some((role_arn.clone(), source.to_string())),
        }
        Self {
            kind: event.kind.clone(),
            target: event.target.to_string(),
            service,
            role,
            request_id,
            trace: event.trace.clone(),
            attributes: event.attributes.clone(),
            created_ms,
            failures: 0,
            busy: 0,
            last_error: None,
            max_attempts: event.retry.max_attempts,
            first_delay_ms: millis(event.retry.first_delay),
            max_delay_ms: millis(event.retry.max_delay),
            max_age_ms: millis(event.retry.max_age),
            body,
            is_long: event.payload.len() > MAX_PAYLOAD_BYTES,
            died_ms: None,
        }
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.max_attempts,
            first_delay: Duration::from_millis(self.first_delay_ms),
            max_delay: Duration::from_millis(self.max_delay_ms),
            max_age: Duration::from_millis(self.max_age_ms),
        }
    }

    pub(crate) fn note_error(&mut self, error: &str) {
        self.last_error = Some(error.chars().take(MAX_ERROR_CHARS).collect());
    }

    /// Forgets every attempt, as if the event were new at `now_ms`.
    pub(crate) fn renew(&mut self, now_ms: i64) {
        (self.created_ms, self.failures, self.busy, self.died_ms) = (now_ms, 0, 0, None);
    }

    pub(crate) fn event(&self, payload: Bytes) -> Result<Event, BusError> {
        let unreadable = |e: lambent_base::ArnError| BusError::Unreadable(e.to_string());
        let caller = match (&self.service, &self.role) {
            (None, None) => Caller::Authorized,
            (None, Some((role_arn, source))) => {
                Caller::Role { role_arn: role_arn.clone(), source: source.parse().map_err(unreadable)? }
            }
            (Some((principal, source, account)), _) => Caller::Service {
                principal: principal.clone(),
                source: source.parse().map_err(unreadable)?,
                source_account: account.clone(),
            },
        };
        Ok(Event {
            kind: self.kind.clone(),
            target: self.target.parse().map_err(unreadable)?,
            caller,
            payload,
            request_id: self.request_id.clone(),
            trace: self.trace.clone(),
            attributes: self.attributes.clone(),
            created_ms: self.created_ms,
            failures: self.failures,
            busy: self.busy,
            last_error: self.last_error.clone(),
            retry: self.retry(),
        })
    }
}

/// The row of an event; `payload` is empty when the body has a row of its own.
pub(crate) fn encode(header: &Header, payload: &[u8]) -> Result<Vec<u8>, BusError> {
    let json = serde_json::to_vec(header).map_err(|e| BusError::Unreadable(e.to_string()))?;
    let length = u32::try_from(json.len()).map_err(|e| BusError::Unreadable(e.to_string()))?;
    Ok([&length.to_be_bytes()[..], &json, payload].concat())
}

/// The header and the inline payload of a row.
pub(crate) fn decode(row: &Bytes) -> Result<(Header, Bytes), BusError> {
    let short = || BusError::Unreadable("the row ends too early".to_owned());
    let (length, _) = row.split_first_chunk().ok_or_else(short)?;
    let payload_at = 4 + usize::try_from(u32::from_be_bytes(*length)).map_err(|_| short())?;
    let json = row.get(4..payload_at).ok_or_else(short)?;
    let header = serde_json::from_slice(json).map_err(|e| BusError::Unreadable(e.to_string()))?;
    Ok((header, row.slice(payload_at..)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
