//! What becomes of asynchronous invocations: retries, records, dead letters, loops.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use lambent_bus::ports::Caller;
use lambent_bus::{MAX_PAYLOAD_BYTES, NewEvent};
use lambent_pool::{ErrorKind, InvokeError, Outcome, ThrottleReason};
use serde_json::{Value, json};

use super::cloud::{arn, host, place};
use super::{Answer, Cloud, zips};
use crate::errors::LambdaError;
use crate::functions::cache::Draw;
use crate::keys;
use crate::names::{FunctionName, LATEST};

const INVALID: &str = "InvalidParameterValueException";
const MISSING: &str = "ResourceNotFoundException";
const EVENT: [(&str, &str); 1] = [("x-amz-invocation-type", "Event")];

/// Functions `f` and `sink`, and a role that may hand on from one to the other.
async fn cloud() -> Cloud {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    cloud.create_active("sink", &zips::handler("2")).await;
    cloud.allow("thumbnailer", "lambda:InvokeFunction", &arn("sink")).await;
    cloud
}

async fn configure(cloud: &Cloud, method: &str, body: Value) -> Answer {
    cloud.json(method, "/2019-09-25/functions/f/event-invoke-config", body).await
}

fn boom() -> Result<Outcome, InvokeError> {
    let payload = Bytes::from_static(b"{\"errorMessage\":\"boom\"}");
    Ok(Outcome::FunctionError { kind: ErrorKind::Unhandled, payload })
}

/// What `sink` was asked, once everything is delivered.
async fn handed_on(cloud: &Cloud) -> Vec<(Value, Option<String>)> {
    cloud.deliver().await;
    let asked = cloud.runner.asked.lock();
    let its = asked.iter().filter(|asked| asked.function.key.name == "sink");
    its.map(|asked| (serde_json::from_slice(&asked.payload).unwrap(), asked.client_context.clone())).collect()
}

#[tokio::test]
async fn configurations_are_put_changed_and_gone_with_their_function() {
    let cloud = cloud().await;
    let shown = |more: Value| {
        let mut shown = json!({"FunctionArn": format!("{}:$LATEST", arn("f")),
            "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}}, "LastModified": 1_795_276_800});
        shown.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        shown
    };
    let none = format!("The function {}:$LATEST doesn't have an EventInvokeConfig", arn("f"));
    cloud.get("/2019-09-25/functions/f/event-invoke-config").await.expect_error(404, MISSING, &none);
    configure(&cloud, "POST", json!({"MaximumRetryAttempts": 1})).await.expect_error(404, MISSING, &none);
    let told = "You must specify at least one of error handling or destination setting.";
    configure(&cloud, "PUT", json!({})).await.expect_error(400, INVALID, told);
    let put = configure(&cloud, "PUT", json!({"MaximumEventAgeInSeconds": 60})).await;
    assert_eq!(put.json, shown(json!({"MaximumEventAgeInSeconds": 60})));
    let updated = configure(&cloud, "POST", json!({"MaximumRetryAttempts": 0})).await;
    assert_eq!(updated.json, shown(json!({"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0})));
    let put = configure(&cloud, "PUT", json!({"MaximumRetryAttempts": 2})).await;
    assert_eq!(put.json, shown(json!({"MaximumRetryAttempts": 2})), "what is left out goes");
    let listed = cloud.get("/2019-09-25/functions/f/event-invoke-config/list").await;
    assert_eq!(listed.json["FunctionEventInvokeConfigs"], json!([put.json]));
    for body in [json!({"MaximumRetryAttempts": 3}), json!({"MaximumEventAgeInSeconds": 59})] {
        assert_eq!(configure(&cloud, "PUT", body).await.json["code"], "ValidationException");
    }
    cloud.send("DELETE", "/2015-03-31/functions/f", &[], Bytes::new()).await;
    cloud.create_active("f", &zips::handler("1")).await;
    cloud.get("/2019-09-25/functions/f/event-invoke-config").await.expect_error(404, MISSING, &none);
}

#[tokio::test]
async fn destinations_are_there_and_allowed_before_they_are_stored() {
    let cloud = cloud().await;
    let put = async |destinations: Value| {
        configure(&cloud, "PUT", json!({"DestinationConfig": destinations})).await
    };
    let absent = arn("absent");
    put(json!({"OnSuccess": {"Destination": absent}})).await.expect_error(
        400,
        INVALID,
        &format!("The destination ARN {absent} is invalid."),
    );
    let itself = "You can't specify the function as a destination for itself.";
    put(json!({"OnFailure": {"Destination": arn("f")}})).await.expect_error(400, INVALID, itself);
    let role = "arn:aws:iam:us-east-1:000000000000:function:f";
    put(json!({"OnSuccess": {"Destination": role}})).await.expect_error(
        400,
        INVALID,
        &format!(
            "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination={role}), \
             onFailure=null) is invalid."
        ),
    );
    cloud.create_active("other", &zips::handler("3")).await;
    put(json!({"OnFailure": {"Destination": arn("other")}})).await.expect_error(
        400,
        INVALID,
        &format!(
            "The function's execution role does not have permissions to call InvokeFunction on {}",
            arn("other")
        ),
    );
    let queue = "arn:aws:sqs:us-east-1:000000000000:q";
    let later = put(json!({"OnFailure": {"Destination": queue}})).await;
    assert!(later.json["message"].as_str().unwrap().contains("does not support a destination in sqs yet"));
    let letters = json!({"DeadLetterConfig": {"TargetArn": arn("other")}});
    cloud.json("PUT", "/2015-03-31/functions/f/configuration", letters).await.expect_error(
        400,
        INVALID,
        "The provided execution role does not have permissions to call InvokeFunction on Lambda",
    );
    assert_eq!(put(json!({"OnFailure": {"Destination": arn("sink")}})).await.status, 200);
}

#[tokio::test]
async fn successes_are_recorded_in_awss_form() {
    let cloud = cloud().await;
    configure(&cloud, "PUT", json!({"DestinationConfig": {"OnSuccess": {"Destination": arn("sink")}}})).await;
    cloud.invoke("f", &EVENT, b"{\"n\": 1}").await;
    let handed_on = handed_on(&cloud).await;
    let request_id = cloud.runner.asked.lock()[0].request_id.clone();
    let record = json!({
        "version": "1.0", "timestamp": "2026-11-21T16:00:00.000Z",
        "requestContext": {"requestId": request_id, "functionArn": format!("{}:$LATEST", arn("f")),
            "condition": "Success", "approximateInvokeCount": 1},
        "requestPayload": {"n": 1}, "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"n": 1},
    });
    assert_eq!(handed_on, [(record, None)]);
}

#[tokio::test]
async fn failures_are_tried_as_configured_and_then_handed_on_twice() {
    let cloud = cloud().await;
    let letters = json!({"DeadLetterConfig": {"TargetArn": arn("sink")}});
    let set = cloud.json("PUT", "/2015-03-31/functions/f/configuration", letters).await;
    assert_eq!(set.json["DeadLetterConfig"]["TargetArn"], arn("sink"), "{set:?}");
    cloud.settled("f").await;
    let config =
        json!({"MaximumRetryAttempts": 1, "DestinationConfig": {"OnFailure": {"Destination": arn("sink")}}});
    assert_eq!(configure(&cloud, "PUT", config).await.status, 200);
    cloud.runner.answers.lock().extend([boom(), boom()]);
    cloud.invoke("f", &EVENT, b"{\"n\":1}").await;
    assert_eq!(handed_on(&cloud).await, []);
    cloud.hand.advance(Duration::from_secs(75));
    let workers = cloud.workers().await;
    while cloud.runner.asked.lock().len() < 4 {
        tokio::task::yield_now().await;
    }
    workers.shutdown().await;
    let handed_on = handed_on(&cloud).await;
    let record = handed_on.iter().find(|(_, context)| context.is_none()).unwrap();
    assert_eq!(record.0["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record.0["requestContext"]["approximateInvokeCount"], 2);
    let context = json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"});
    assert_eq!(
        (&record.0["responseContext"], &record.0["responsePayload"]["errorMessage"]),
        (&context, &json!("boom"))
    );
    let letter = handed_on.iter().find(|(_, context)| context.is_some()).unwrap();
    let context: Value = serde_json::from_str(letter.1.as_deref().unwrap()).unwrap();
    assert_eq!((&letter.0, &context["custom"]["ErrorCode"]), (&json!({"n": 1}), &json!("200")));
    assert_eq!(context["custom"]["ErrorMessage"], "boom");
    assert_eq!(context["custom"]["RequestID"], record.0["requestContext"]["requestId"]);
    assert_eq!(cloud.lambda.parts.outbox.dead_letters(None, None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn events_that_are_too_old_or_must_not_run_are_handed_on_without_a_response() {
    let cloud = cloud().await;
    let on_failure = json!({"OnFailure": {"Destination": arn("sink")}});
    configure(&cloud, "PUT", json!({"MaximumEventAgeInSeconds": 60, "DestinationConfig": on_failure})).await;
    // The next attempt would be after a minute.
    cloud.runner.answers.lock().push(boom());
    cloud.invoke("f", &EVENT, b"{}").await;
    let failed = handed_on(&cloud).await.remove(0).0;
    assert_eq!(failed["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(
        (&failed["requestContext"]["approximateInvokeCount"], failed["responsePayload"].is_object()),
        (&json!(1), true)
    );
    // Throttled until it is too old.
    cloud.runner.asked.lock().clear();
    let throttled = InvokeError::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded);
    cloud.runner.answers.lock().push(Err(throttled));
    cloud.invoke("f", &EVENT, b"{}").await;
    assert_eq!(handed_on(&cloud).await, []);
    cloud.hand.advance(Duration::from_secs(61));
    let workers = cloud.workers().await;
    while cloud.runner.asked.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    workers.shutdown().await;
    let old = handed_on(&cloud).await.remove(0).0;
    assert_eq!(old["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(
        (&old["requestContext"]["approximateInvokeCount"], old.get("responseContext")),
        (&json!(0), None)
    );
    // Its owner wants none to run.
    cloud.runner.asked.lock().clear();
    let none = json!({"ReservedConcurrentExecutions": 0});
    cloud.json("PUT", "/2017-10-31/functions/f/concurrency", none).await;
    cloud.invoke("f", &EVENT, b"{\"n\":2}").await;
    let stopped = handed_on(&cloud).await.remove(0).0;
    assert_eq!(stopped["requestContext"]["condition"], "ZeroReservedConcurrency");
    assert_eq!((&stopped["requestPayload"], stopped.get("responseContext")), (&json!({"n": 2}), None));
}

#[tokio::test]
async fn what_can_never_run_is_given_up_at_once_with_its_reason() {
    let cloud = cloud().await;
    let on_failure = json!({"DestinationConfig": {"OnFailure": {"Destination": arn("sink")}}});
    configure(&cloud, "PUT", on_failure).await;
    let told = "python3.11 is not here: install it";
    cloud.runner.answers.lock().push(Err(InvokeError::RuntimeUnavailable(told.to_owned())));
    cloud.invoke("f", &EVENT, b"{\"n\":1}").await;
    let failed = handed_on(&cloud).await.remove(0).0;
    assert_eq!(failed["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(
        (&failed["requestPayload"], &failed["responseContext"]["statusCode"]),
        (&json!({"n": 1}), &json!(502))
    );
    let why = failed["responsePayload"]["errorMessage"].as_str().unwrap();
    assert!(why.ends_with(told), "{why}");

    // Without a destination it is a dead letter.
    let foreign = if host() == "arm64" { "x86_64" } else { "arm64" };
    cloud.create("far", &zips::handler("3"), json!({"Architectures": [foreign]})).await;
    let per_tenant =
        json!({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}, "Architectures": [host()]});
    cloud.create("shared", &zips::handler("3"), per_tenant).await;
    for name in ["far", "shared"] {
        cloud.settled(name).await;
        let event = &NewEvent::for_function(
            arn(name).parse().unwrap(),
            Caller::Authorized,
            Bytes::from_static(b"{}"),
        );
        let outbox = &cloud.lambda.parts.outbox;
        cloud.db.run(|txn| async move { outbox.put(&txn, event.clone()).await.map(drop) }).await.unwrap();
    }
    cloud.deliver().await;
    let letters = cloud.lambda.parts.outbox.dead_letters(None, None, 9).await.unwrap();
    let mut whys: Vec<_> = letters.iter().map(|letter| letter.event.last_error.clone().unwrap()).collect();
    whys.sort();
    assert!(whys[0].contains(&format!("cannot be run here: The function is for {foreign}")), "{whys:?}");
    assert!(whys[1].contains("Add a valid tenant ID") && whys.len() == 2, "{whys:?}");
}

#[tokio::test]
async fn what_the_role_may_not_hand_on_is_kept_as_a_dead_letter() {
    let cloud = cloud().await;
    configure(&cloud, "PUT", json!({"DestinationConfig": {"OnSuccess": {"Destination": arn("sink")}}})).await;
    cloud.allow("thumbnailer", "lambda:InvokeFunction", &arn("another")).await;
    cloud.invoke("f", &EVENT, b"{}").await;
    assert_eq!(handed_on(&cloud).await, []);
    let letters = cloud.lambda.parts.outbox.dead_letters(None, None, 9).await.unwrap();
    assert_eq!((letters.len(), letters[0].event.target.to_string()), (1, arn("sink")));
    let why = letters[0].event.last_error.as_deref().unwrap();
    assert!(why.contains("may not lambda:InvokeFunction on"), "{why}");
    assert_eq!(letters[0].event.payload[..15], b"{\"version\":\"1.0"[..]);
}

#[tokio::test]
async fn a_function_that_sets_itself_off_is_stopped_unless_that_is_allowed() {
    let cloud = cloud().await;
    configure(&cloud, "PUT", json!({"DestinationConfig": {"OnFailure": {"Destination": arn("sink")}}})).await;
    let again = async |kind: &[(&str, &str)]| {
        let trace = cloud.runner.asked.lock().last().and_then(|asked| asked.trace_id.clone());
        let mut headers = kind.to_vec();
        headers.extend(trace.as_deref().map(|trace| ("x-amzn-trace-id", trace)));
        cloud.invoke("f", &headers, b"{}").await
    };
    for _ in 0..16 {
        assert_eq!(again(&[]).await.status, 200);
    }
    let told = "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services \
                resources and stopped your function's invocation.";
    again(&[]).await.expect_error(400, "RecursiveInvocationException", told);
    assert_eq!(again(&EVENT).await.status, 202);
    let record = handed_on(&cloud).await.remove(0).0;
    assert_eq!(record["requestContext"]["condition"], "RecursiveInvocation");
    assert!(cloud.lambda.parts.outbox.dead_letters(None, None, 9).await.unwrap().is_empty());

    let uri = "/2024-08-31/functions/f/recursion-config";
    assert_eq!(cloud.get(uri).await.json, json!({"RecursiveLoop": "Terminate"}));
    let put = cloud.json("PUT", uri, json!({"RecursiveLoop": "Allow"})).await;
    assert_eq!(
        (put.json, cloud.get(uri).await.json),
        (json!({"RecursiveLoop": "Allow"}), json!({"RecursiveLoop": "Allow"}))
    );
    cloud.runner.asked.lock().pop();
    assert_eq!(again(&[]).await.status, 200);
}

/// Writes the row that says what becomes of events of `f`; gives what was there.
async fn write_config(cloud: &Cloud, row: &[u8]) -> Bytes {
    let key = &keys::event_invoke(&place(), "f", LATEST);
    let written = cloud.db.run(|txn| async move {
        let before = txn.get(key).await?.unwrap();
        txn.put(key, row);
        Ok::<_, LambdaError>(before)
    });
    written.await.unwrap()
}

#[tokio::test]
async fn nothing_runs_while_nobody_knows_what_shall_follow() {
    let cloud = cloud().await;
    configure(&cloud, "PUT", json!({"DestinationConfig": {"OnSuccess": {"Destination": arn("sink")}}})).await;
    let config = write_config(&cloud, b"unreadable").await;
    cloud.invoke("f", &EVENT, b"{}").await;
    assert_eq!(handed_on(&cloud).await, []);
    assert!(cloud.runner.asked.lock().is_empty());
    assert_eq!(cloud.lambda.parts.outbox.backlog().await.unwrap().later, 1);
    write_config(&cloud, &config).await;
    cloud.hand.advance(Duration::from_secs(60));
    let workers = cloud.workers().await;
    while cloud.runner.asked.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    workers.shutdown().await;
    assert_eq!(handed_on(&cloud).await[0].0["requestContext"]["condition"], "Success");
}

#[tokio::test]
async fn records_go_without_what_does_not_fit() {
    let cloud = cloud().await;
    configure(&cloud, "PUT", json!({"DestinationConfig": {"OnSuccess": {"Destination": arn("sink")}}})).await;
    let long = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES - 2));
    let event = &NewEvent::for_function(arn("f").parse().unwrap(), Caller::Authorized, long.clone().into());
    let outbox = &cloud.lambda.parts.outbox;
    cloud.db.run(|txn| async move { outbox.put(&txn, event.clone()).await }).await.unwrap();
    cloud.runner.answers.lock().push(Ok(Outcome::Success(Bytes::from_static(b"7"))));
    let record = handed_on(&cloud).await.remove(0).0;
    assert_eq!((&record["requestPayload"], &record["responsePayload"]), (&Value::Null, &json!(7)));
    cloud.runner.asked.lock().clear();
    cloud
        .runner
        .answers
        .lock()
        .extend([Ok(Outcome::Success(b"{}"[..].into())), Ok(Outcome::Success(long.into()))]);
    cloud.invoke("f", &EVENT, b"8").await;
    let record = handed_on(&cloud).await.remove(0).0;
    assert_eq!((&record["requestPayload"], &record["responsePayload"]), (&json!(8), &Value::Null));
}

#[tokio::test]
async fn an_attempt_draws_one_version_however_often_it_is_asked() {
    let cloud = cloud().await;
    for memory in [256, 512] {
        cloud.json("PUT", "/2015-03-31/functions/f/configuration", json!({"MemorySize": memory})).await;
        cloud.settled("f").await;
        assert_eq!(cloud.json("POST", "/2015-03-31/functions/f/versions", json!({})).await.status, 201);
    }
    let alias = json!({"Name": "live", "FunctionVersion": "1",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}});
    assert_eq!(cloud.json("POST", "/2015-03-31/functions/f/aliases", alias).await.status, 201);
    let name = FunctionName::parse("f:live", None, &place()).unwrap();
    let drawn = async |id: &str, failures| {
        let loaded = cloud.engine.load_drawn(&name, Draw::Attempt(id, failures)).await.unwrap().unwrap();
        loaded.spec.as_ref().unwrap().key.version.clone()
    };
    let mut versions = BTreeSet::new();
    for failures in 0..64 {
        let version = drawn("id", failures).await;
        assert_eq!(drawn("id", failures).await, version);
        versions.insert(version);
    }
    assert_eq!(versions.len(), 2, "another attempt may run another");
}
