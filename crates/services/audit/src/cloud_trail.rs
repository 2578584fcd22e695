//! Events in CloudTrail's shape. Source: AWS CloudTrail User Guide, "CloudTrail record contents".

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::event::{Decided, Event, Who};

/// The version of CloudTrail's shape that is written.
const EVENT_VERSION: &str = "1.11";

/// An event as CloudTrail writes it. Requests' bodies are not kept, as they hold secrets: `requestParameters` is null. What
/// was decided stands in `additionalEventData`.
pub fn cloud_trail(event: &Event) -> Value {
    let is_service = event.who.kind == "AWSService";
    let mut written = json!({
        "eventVersion": EVENT_VERSION,
        "userIdentity": user_identity(&event.who),
        "eventTime": time(event.time_ms),
        "eventSource": format!("{}.amazonaws.com", event.service),
        "eventName": event.operation,
        "awsRegion": event.region,
        "sourceIPAddress": event.source_ip.as_deref().unwrap_or(if is_service { &event.who.arn } else { "AWS Internal" }),
        "userAgent": event.user_agent,
        "requestParameters": null,
        "responseElements": null,
        "additionalEventData": {
            "decisions": event.decisions,
            "answered": event.is_answered,
            "secureTransport": event.is_secure,
        },
        "requestID": event.request_id,
        "eventID": event.id,
        "readOnly": event.is_read_only(),
        "resources": resources(&event.decisions),
        "eventType": if is_service { "AwsServiceEvent" } else { "AwsApiCall" },
        "managementEvent": true,
        "recipientAccountId": event.who.account,
        "eventCategory": "Management",
    });
    let members = written.as_object_mut().expect("it was written as an object");
    if let Some((code, message)) = &event.error {
        members.insert("errorCode".to_owned(), json!(code));
        members.insert("errorMessage".to_owned(), json!(message));
    }
    written
}

fn user_identity(who: &Who) -> Value {
    let mut identity = Map::new();
    let mut say = |name: &str, value: Value| identity.insert(name.to_owned(), value);
    say("type", json!(who.kind));
    if who.kind == "AWSService" {
        say("invokedBy", json!(who.arn));
        return Value::Object(identity);
    }
    say("principalId", json!(who.user_id));
    say("arn", json!(who.arn));
    say("accountId", json!(who.account));
    say("accessKeyId", json!(who.access_key_id));
    if let (Some(name), None) = (&who.name, &who.role_arn) {
        say("userName", json!(name));
    }
    let issuer = who.role_arn.as_ref().map(|role_arn| {
        json!({
            "type": "Role",
            "principalId": who.user_id.split(':').next(),
            "arn": role_arn,
            "accountId": who.account,
            "userName": who.name,
        })
    });
    if let Some(began) = who.session_unix_s {
        let attributes = json!({ "creationDate": time(began * 1_000), "mfaAuthenticated": "false" });
        say("sessionContext", json!({ "sessionIssuer": issuer, "attributes": attributes }));
    }
    Value::Object(identity)
}

fn resources(decisions: &[Decided]) -> Vec<Value> {
    let mut resources: Vec<Value> = Vec::new();
    for decided in decisions.iter().filter(|decided| decided.resource != "*") {
        let resource = json!({ "ARN": decided.resource, "accountId": decided.owner });
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    resources
}

/// As `2026-11-21T17:33:20Z`.
fn time(unix_ms: i64) -> String {
    let seconds = Timestamp::from_second(unix_ms.div_euclid(1_000)).unwrap_or(Timestamp::UNIX_EPOCH);
    seconds.to_string()
}
