//! Where the records of asynchronous invocations go, and what they say.
//!
//! A record is an event of its own, put in the transaction that settles the invocation: whoever crashes in between does both
//! again, or neither. It is delivered in the name of the function's role, by whoever has the target's service.
//! Source: Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"; recorded answers of AWS Lambda.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Arn, Clock};
use lambent_bus::ports::{Caller, DeliverTo, Follow, InvokeError, Invoked};
use lambent_bus::{DESTINATION, End, Event, NewEvent, RetryPolicy};
use lambent_identity::{Circumstances, IdentityError, Wanted};
use lambent_model_lambda::DestinationConfig;
use lambent_wire::{ApiError, Timestamp};
use serde_json::{Value, json};

use crate::asynchronous::event_invoke::EventInvokeRow;
use crate::errors::{self, LambdaError};
use crate::functions::spec::SERVICE_PRINCIPAL;
use crate::lambda::Lambda;
use crate::limits::{DEAD_LETTER_MESSAGE_MAX, RECORD_BYTES_MAX};
use crate::names::{FunctionName, LATEST};

/// A record that its target cannot take now is tried for as long as an event may be.
const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    first_delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(60),
    max_age: Duration::from_secs(6 * 60 * 60),
};
/// Stands in a record for a payload that does not fit.
const LEFT_OUT: &[u8] = b"null";
/// Services that AWS has destinations in, and that may join later.
const LATER: [&str; 3] = ["sqs", "sns", "events"];

/// What is to be handed on when one asynchronous invocation is over.
pub(crate) struct HandOn {
    pub(crate) clock: Clock,
    pub(crate) role_arn: String,
    pub(crate) function: FunctionName,
    pub(crate) config: EventInvokeRow,
    pub(crate) dead_letter_arn: Option<String>,
    /// The header that the function itself was called with.
    pub(crate) trace: Option<String>,
}

impl Follow for HandOn {
    fn events(
        &self,
        event: &Event,
        end: End,
        answer: Option<&Result<Invoked, InvokeError>>,
    ) -> Vec<NewEvent> {
        let condition = match (end, answer) {
            (End::Done, _) => {
                let record = || record(self, event, "Success", answer);
                return self.config.on_success.iter().filter_map(|arn| self.event(arn, record())).collect();
            }
            (End::Exhausted, _) => "RetriesExhausted",
            (End::TooOld, _) => "EventAgeExceeded",
            (End::Refused, Some(Err(InvokeError::NoConcurrency(_)))) => "ZeroReservedConcurrency",
            (End::Refused, Some(Err(InvokeError::Recursive(..)))) => "RecursiveInvocation",
            // AWS has no word for it, as it lets no such function be made; the response says why.
            (End::Refused, Some(Err(InvokeError::CannotRun(..) | InvokeError::CannotRunHere(..)))) => {
                "RetriesExhausted"
            }
            // The function was never asked, or is not there: nothing of its is to be told.
            (End::Refused, _) => return Vec::new(),
        };
        let failed = self.config.on_failure.iter();
        let mut events: Vec<NewEvent> =
            failed.filter_map(|arn| self.event(arn, record(self, event, condition, answer))).collect();
        if let Some(arn) = &self.dead_letter_arn
            && let Some(mut letter) = self.event(arn, event.payload.clone())
        {
            letter.attributes = attributes(event, answer);
            events.push(letter);
        }
        events
    }
}

impl HandOn {
    fn event(&self, target: &str, payload: Bytes) -> Option<NewEvent> {
        let source = self.function.arn().parse::<Arn>();
        let (Ok(target), Ok(source)) = (target.parse::<Arn>(), source) else {
            // Both were checked before they were stored.
            tracing::error!(target, function = self.function.name, "a destination is no ARN");
            return None;
        };
        Some(NewEvent {
            kind: DESTINATION.to_owned(),
            target,
            caller: Caller::Role { role_arn: self.role_arn.clone(), source },
            payload,
            request_id: None,
            trace: self.trace.clone(),
            attributes: BTreeMap::new(),
            not_before_ms: None,
            retry: RETRY,
        })
    }
}

impl Lambda {
    /// Fails unless the function's records may go where they shall.
    pub(crate) async fn check_destinations(
        &self,
        name: &FunctionName,
        role_arn: &str,
        config: &DestinationConfig,
    ) -> Result<(), LambdaError> {
        let success = config.on_success.as_ref().and_then(|one| one.destination.as_deref());
        let failure = config.on_failure.as_ref().and_then(|one| one.destination.as_deref());
        for (text, is_success) in [(success, true), (failure, false)] {
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            let invalid =
                || errors::invalid(format!("The provided destination config {} is invalid.", told(config)));
            let arn: Arn = text.parse().map_err(|_| invalid())?;
            if arn.service == "s3" && is_success {
                return Err(invalid().into());
            }
            let target = self.target_of(&arn, "a destination in", invalid)?;
            let is_itself = arn.service == "lambda"
                && FunctionName::parse(text, None, &name.place)
                    .is_ok_and(|other| other.place == name.place && other.name == name.name);
            if is_itself {
                let told = "You can't specify the function as a destination for itself.";
                return Err(errors::invalid(told).into());
            }
            if !exists(&*target, &arn).await? {
                return Err(errors::invalid(format!("The destination ARN {text} is invalid.")).into());
            }
            let (action, resource) = target.permission(&arn);
            let region = region_of(&arn, &name.place.region);
            if !self.role_may(role_arn, region, action, resource).await? {
                return Err(errors::invalid(format!(
                    "The function's execution role does not have permissions to call {} on {text}",
                    verb(action)
                ))
                .into());
            }
        }
        Ok(())
    }

    /// Fails unless the function's dead letters may go where they shall.
    pub(crate) async fn check_dead_letters(
        &self,
        role_arn: &str,
        own_region: &str,
        text: &str,
    ) -> Result<(), LambdaError> {
        let invalid = || errors::invalid(format!("The provided dead letter target {text} is invalid."));
        let arn: Arn = text.parse().map_err(|_| invalid())?;
        let target = self.target_of(&arn, "a DeadLetterConfig of", invalid)?;
        if !exists(&*target, &arn).await? {
            return Err(invalid().into());
        }
        let (action, resource) = target.permission(&arn);
        if self.role_may(role_arn, region_of(&arn, own_region), action, resource).await? {
            return Ok(());
        }
        let service = arn.service.to_uppercase();
        let told = format!(
            "The provided execution role does not have permissions to call {} on {}",
            verb(action),
            if service == "LAMBDA" { "Lambda" } else { &service }
        );
        Err(errors::invalid(told).into())
    }

    fn target_of(
        &self,
        arn: &Arn,
        what: &str,
        invalid: impl FnOnce() -> ApiError,
    ) -> Result<Arc<dyn DeliverTo>, ApiError> {
        match self.parts.targets.of(&arn.service) {
            Some(target) => Ok(target),
            None if LATER.contains(&arn.service.as_str()) => Err(errors::unsupported(
                &format!("{what} {}", arn.service),
                "name a function or, for events that fail, a bucket",
            )),
            None => Err(invalid()),
        }
    }

    /// Whether a function's role trusts Lambda and may do this in a region.
    ///
    /// Errors: when that cannot be decided now, which is no refusal.
    pub(crate) async fn role_may(
        &self,
        role_arn: &str,
        region: &str,
        action: &'static str,
        resource: String,
    ) -> Result<bool, LambdaError> {
        let identity = &self.parts.identity;
        let at = Circumstances {
            // What Lambda does in a role's name never goes over a network that others read on.
            is_secure: true,
            region: region.to_owned(),
            time_ms: self.parts.clock.unix_ms(),
            ..Circumstances::default()
        };
        let decided = match identity.role_as_service(SERVICE_PRINCIPAL, role_arn, "destinations").await {
            Ok(caller) => identity.authorize(&caller, &at, Wanted::new(action, resource)).await.map(drop),
            Err(error) => Err(error),
        };
        match decided {
            Ok(()) => Ok(true),
            Err(error @ (IdentityError::Denied(_) | IdentityError::NoSuchRole(_))) => {
                tracing::debug!(%error, role_arn, "a role hands nothing on");
                Ok(false)
            }
            Err(error) => Err(LambdaError::Role(error.to_string())),
        }
    }
}

/// The region in which a target is asked: buckets have none in their names.
fn region_of<'a>(target: &'a Arn, own: &'a str) -> &'a str {
    if target.region.is_empty() { own } else { &target.region }
}

async fn exists(target: &dyn DeliverTo, arn: &Arn) -> Result<bool, LambdaError> {
    target.exists(arn).await.map_err(|error| LambdaError::Event(error.to_string()))
}

/// `InvokeFunction` of `lambda:InvokeFunction`.
fn verb(action: &str) -> &str {
    action.split_once(':').map_or(action, |(_, verb)| verb)
}

/// As AWS's own errors print one.
fn told(config: &DestinationConfig) -> String {
    let arn = |arn: &Option<String>| arn.clone().unwrap_or_else(|| "null".to_owned());
    let success = config
        .on_success
        .as_ref()
        .map_or_else(|| "null".to_owned(), |one| format!("OnSuccess(destination={})", arn(&one.destination)));
    let failure = config
        .on_failure
        .as_ref()
        .map_or_else(|| "null".to_owned(), |one| format!("OnFailure(destination={})", arn(&one.destination)));
    format!("DestinationConfig(onSuccess={success}, onFailure={failure})")
}

/// An invocation record, version 1.0, its members in AWS's order.
fn record(
    hand_on: &HandOn,
    event: &Event,
    condition: &str,
    answer: Option<&Result<Invoked, InvokeError>>,
) -> Bytes {
    let invoked = answer.and_then(|answer| answer.as_ref().ok());
    let cannot_run = match answer {
        Some(Err(error @ (InvokeError::CannotRun(..) | InvokeError::CannotRunHere(..)))) => {
            Some(error.to_string())
        }
        _ => None,
    };
    let name = &hand_on.function;
    let function_arn = format!("{}:{}", name.arn(), name.qualifier.as_deref().unwrap_or(LATEST));
    let count = event.failures + u32::from(invoked.is_some());
    let head = format!(
        r#"{{"version":"1.0","timestamp":{},"requestContext":{{"requestId":{},"functionArn":{},"condition":{},"approximateInvokeCount":{count}}},"requestPayload":"#,
        quoted(&Timestamp::from_ms(hand_on.clock.unix_ms()).iso8601_ms()),
        quoted(&event.request_id),
        quoted(&function_arn),
        quoted(condition),
    );
    let context = invoked.map(|invoked| {
        let error = invoked.function_error.as_deref();
        let error = error.map_or_else(String::new, |error| format!(r#","functionError":{}"#, quoted(error)));
        format!(
            r#","responseContext":{{"statusCode":200,"executedVersion":{}{error}}},"responsePayload":"#,
            quoted(&invoked.executed_version)
        )
    });
    let refusal = cannot_run.map(|why| {
        let told = json!({ "errorType": "InvalidRuntimeException", "errorMessage": why });
        format!(
            r#","responseContext":{{"statusCode":502,"functionError":"Unhandled"}},"responsePayload":{told}"#
        )
    });
    let context = context.or(refusal).unwrap_or_default();
    // What there is in any case; the closing brace is one byte.
    let mut left =
        RECORD_BYTES_MAX.saturating_sub(head.len() + LEFT_OUT.len() + context.len() + LEFT_OUT.len() + 1);
    let request = fitting(json(&event.payload), &mut left, event, "a request");
    let mut record = [head.as_bytes(), &request, context.as_bytes()].concat();
    if let Some(invoked) = invoked {
        record.extend_from_slice(&fitting(json(&invoked.payload), &mut left, event, "a response"));
    }
    record.push(b'}');
    record.into()
}

/// A payload, or what stands for it where it has more bytes than are left.
fn fitting(payload: Bytes, left: &mut usize, event: &Event, what: &'static str) -> Bytes {
    // The room of what would stand for it is its own.
    let more = payload.len().saturating_sub(LEFT_OUT.len());
    if more > *left {
        let (bytes, request_id) = (payload.len(), &event.request_id);
        tracing::warn!(bytes, request_id, what, "a payload is too long for the record of its invocation");
        return Bytes::from_static(LEFT_OUT);
    }
    *left -= more;
    payload
}

/// What is JSON as it is, and anything else as a JSON text.
fn json(payload: &Bytes) -> Bytes {
    if serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok() {
        return payload.clone();
    }
    quoted(&String::from_utf8_lossy(payload)).into()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The attributes of a dead letter.
fn attributes(event: &Event, answer: Option<&Result<Invoked, InvokeError>>) -> BTreeMap<String, String> {
    let (code, message) = match answer {
        Some(Ok(invoked)) => {
            let value: Value = serde_json::from_slice(&invoked.payload).unwrap_or_default();
            let message = value.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
            ("200", message.to_owned())
        }
        Some(Err(InvokeError::Throttled(_) | InvokeError::NoConcurrency(_))) => {
            ("429", "Rate Exceeded.".to_owned())
        }
        Some(Err(InvokeError::Recursive(..))) => ("400", errors::RECURSIVE.to_owned()),
        Some(Err(error)) => ("500", error.to_string()),
        None => ("500", event.last_error.clone().unwrap_or_default()),
    };
    let message: String = message.chars().take(DEAD_LETTER_MESSAGE_MAX).collect();
    let attributes =
        [("RequestID", event.request_id.clone()), ("ErrorCode", code.to_owned()), ("ErrorMessage", message)];
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}
