//! What is told of batches that are given up.
//! Source: Lambda Developer Guide, "Retain discarded records for a DynamoDB event source in Lambda"; recorded answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::Arn;
use lambent_bus::ports::Caller;
use lambent_bus::{DESTINATION, MAX_HANDED_ON_BYTES, NewEvent, RetryPolicy};
use serde_json::{Value, json};

use crate::event::{millis, seconds};
use crate::outcome::Response;
use crate::rows::Mapping;
use crate::source::{BatchInfo, Record};

/// A record that its target cannot take now is tried for as long as that of an asynchronous invocation is.
const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    first_delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(60),
    max_age: Duration::from_secs(6 * 60 * 60),
};

/// Why a batch is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

/// A batch that is given up.
pub(crate) struct Discarded<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) shard: &'a str,
    pub(crate) records: &'a [Record],
    pub(crate) reason: Reason,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Of the last invocation.
    pub(crate) request_id: &'a str,
    pub(crate) response: &'a Response,
    pub(crate) now_ms: i64,
}

/// The record of it for the target in the mapping's settings, in the name of the function's role; none where nobody wants
/// to know. `event` is what the function was sent last.
pub(crate) fn record(
    discarded: &Discarded<'_>,
    info: BatchInfo,
    role_arn: &str,
    event: &Bytes,
) -> Option<NewEvent> {
    let Discarded { mapping, shard, .. } = discarded;
    let target: Arn = mapping.settings.on_failure.as_deref()?.parse().ok()?;
    let own = mapping.arn();
    let source = Arn { resource: format!("{}/{shard}", own.resource), ..own };
    // Buckets get the batch itself, too.
    let with_payload = target.service == "s3";
    let payload = with_payload.then(|| body(discarded, info, Some(event)));
    let payload = payload.filter(|payload| payload.len() <= MAX_HANDED_ON_BYTES);
    Some(NewEvent {
        kind: DESTINATION.to_owned(),
        target,
        caller: Caller::Role { role_arn: role_arn.to_owned(), source },
        payload: payload.unwrap_or_else(|| body(discarded, info, None)),
        request_id: None,
        trace: None,
        attributes: BTreeMap::new(),
        not_before_ms: None,
        retry: RETRY,
    })
}

fn body(discarded: &Discarded<'_>, info: BatchInfo, event: Option<&Bytes>) -> Bytes {
    let Discarded { mapping, shard, records, reason, attempts, request_id, response, now_ms } = discarded;
    let condition = match reason {
        Reason::RetryAttemptsExhausted => "RetryAttemptsExhausted",
        Reason::RecordAgeExceeded => "RecordAgeExceeded",
    };
    let time = if info.has_millis { millis } else { seconds };
    let (first, last) = (records.first(), records.last());
    let sequence = |record: Option<&Record>| record.map(|record| record.sequence.clone());
    let arrival = |record: Option<&Record>| record.map(|record| time(record.arrived_ms));
    let text = |value: &str| Value::from(value).to_string();
    let context = match reason {
        Reason::RecordAgeExceeded => String::new(),
        Reason::RetryAttemptsExhausted => {
            let version = response.executed_version.as_deref();
            let answer = json!({ "statusCode": 200, "executedVersion": version, "functionError": response.function_error });
            format!(r#""responseContext":{answer},"#)
        }
    };
    let batch = json!({
        "shardId": shard,
        "startSequenceNumber": sequence(first),
        "endSequenceNumber": sequence(last),
        "approximateArrivalOfFirstRecord": arrival(first),
        "approximateArrivalOfLastRecord": arrival(last),
        "batchSize": records.len(),
        "streamArn": mapping.source_arn,
    });
    let mut body = format!(
        r#"{{"requestContext":{{"requestId":{},"functionArn":{},"condition":"{condition}","approximateInvokeCount":{attempts}}},{context}"version":"1.0","timestamp":"{}","{}":{batch}"#,
        text(request_id),
        text(&mapping.function_arn),
        millis(*now_ms),
        info.name,
    )
    .into_bytes();
    if let Some(event) = event {
        body.extend_from_slice(br#","payload":"#);
        body.extend_from_slice(event);
    }
    body.push(b'}');
    body.into()
}
