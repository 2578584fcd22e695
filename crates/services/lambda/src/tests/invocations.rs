//! Invoke in its three types, and invocations by other services.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_base::BoxFuture;
use lambent_bus::ports::{
    Caller, Invocation, InvokeError as PortError, InvokeFunction, KeepRuns, PortError as NotKept,
};
use lambent_bus::{
    Backlog, DESTINATION, Deliver, DeliverToFunctions, DeliverToTargets, FUNCTION, Nodes, Workers,
};
use lambent_pool::{ErrorKind, InvokeError, Outcome, ThrottleReason};
use serde_json::json;

use super::cloud::{arn, host};
use super::{Cloud, zips};

async fn cloud() -> Cloud {
    let cloud = Cloud::new().await;
    cloud.create_active("thumb", &zips::handler("1")).await;
    cloud
}

#[tokio::test]
async fn an_invocation_reaches_the_runner_and_its_answer_the_caller() {
    let cloud = cloud().await;
    let context = BASE64.encode(r#"{"custom":{"a":1}}"#);
    let headers = [("x-amz-log-type", "Tail"), ("x-amz-client-context", context.as_str())];
    let answer = cloud.invoke("thumb", &headers, br#"{"key":"value"}"#).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &br#"{"key":"value"}"#[..]));
    assert_eq!(answer.header("x-amz-executed-version"), Some("$LATEST"));
    assert_eq!(answer.header("x-amz-function-error"), None);
    assert_eq!(answer.header("x-amz-log-result"), Some(BASE64.encode("START\nEND\n").as_str()));
    let asked = cloud.runner.asked.lock();
    assert_eq!(asked[0].invoked_arn, arn("thumb"));
    assert_eq!(asked[0].client_context.as_deref(), Some(r#"{"custom":{"a":1}}"#));
    let spec = &asked[0].function;
    assert_eq!((spec.memory_mib, spec.timeout_ms, spec.ephemeral_mib), (128, 3_000, 512));
    assert_eq!((spec.log_group.as_str(), spec.handler.as_str()), ("/aws/lambda/thumb", "index.handler"));
    assert!(spec.code_dir.join("index.py").is_file());
}

#[tokio::test]
async fn environments_get_credentials_of_the_role() {
    let cloud = cloud().await;
    cloud.invoke("thumb", &[], b"").await;
    let spec = cloud.runner.asked.lock()[0].function.clone();
    let credentials = spec.credentials.credentials().await.unwrap();
    assert!(credentials.access_key_id.starts_with("ASIA"));
    assert_eq!(cloud.runner.asked.lock()[0].payload, "{}");
}

#[tokio::test]
async fn errors_of_the_function_are_answers() {
    let cloud = cloud().await;
    let payload = Bytes::from_static(br#"{"errorMessage":"no"}"#);
    let outcome = Outcome::FunctionError { kind: ErrorKind::Unhandled, payload: payload.clone() };
    cloud.runner.answers.lock().push(Ok(outcome));
    let answer = cloud.invoke("thumb", &[], b"{}").await;
    assert_eq!((answer.status, answer.header("x-amz-function-error")), (200, Some("Unhandled")));
    assert_eq!(answer.body, payload);
    assert_eq!(answer.header("x-amz-log-result"), None);
}

#[tokio::test]
async fn what_keeps_a_call_from_running_has_awss_error() {
    let cloud = cloud().await;
    let fail = |error| cloud.runner.answers.lock().push(Err(error));
    fail(InvokeError::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded));
    let throttled = cloud
        .try_send("POST", "/2015-03-31/functions/thumb/invocations", &[], Bytes::new())
        .await
        .unwrap_err();
    assert_eq!((throttled.status, throttled.code.as_ref()), (429, "TooManyRequestsException"));
    assert_eq!(throttled.message, "Rate Exceeded.");
    let members = [("Type", "User"), ("Reason", "ConcurrentInvocationLimitExceeded")];
    assert_eq!(throttled.members, members.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(throttled.headers, [("Retry-After", "1".to_owned())]);
    fail(InvokeError::RuntimeUnavailable("expected node on this host".to_owned()));
    cloud.invoke("thumb", &[], b"").await.expect_error(
        502,
        "InvalidRuntimeException",
        "expected node on this host",
    );
    fail(InvokeError::Credentials("gone".to_owned()));
    cloud.invoke("thumb", &[], b"").await.expect_error(
        403,
        "AccessDeniedException",
        "The role defined for the function cannot be assumed by Lambda.",
    );
}

#[tokio::test]
async fn payloads_are_checked() {
    let cloud = cloud().await;
    let large = format!("\"{}\"", "x".repeat(6_291_455));
    cloud.invoke("thumb", &[], large.as_bytes()).await.expect_error(
        413,
        "RequestTooLargeException",
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)",
    );
    let event = [("x-amz-invocation-type", "Event")];
    cloud.invoke("thumb", &event, &large.as_bytes()[..1_048_577]).await.expect_error(
        413,
        "RequestTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    );
    cloud.invoke("thumb", &[], b"n\x87r").await.expect_error(
        400,
        "InvalidRequestContentException",
        "Could not parse request body into json: Could not parse payload into json: Invalid UTF-8 start byte 0x87\n \
         at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 3]",
    );
    let bad_context = cloud.invoke("thumb", &[("x-amz-client-context", "!")], b"{}").await;
    assert_eq!(bad_context.json["code"], "InvalidRequestContentException");
    assert!(cloud.runner.asked.lock().is_empty());
}

#[tokio::test]
async fn functions_that_cannot_run_say_why() {
    let cloud = Cloud::new().await;
    let missing = "ResourceNotFoundException";
    let not_found = |name: &str| format!("Function not found: {}", arn(name));
    cloud.invoke("absent", &[], b"").await.expect_error(404, missing, &not_found("absent:$LATEST"));
    let created = cloud.create("thumb", &zips::handler("1"), json!({"Architectures": [host()]})).await;
    assert_eq!(created.status, 201);
    cloud.invoke("thumb", &[], b"").await.expect_error(
        409,
        "ResourceConflictException",
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    );
    cloud.settled("thumb").await;
    assert_eq!(cloud.invoke("thumb", &[], b"").await.status, 200);
    cloud.invoke("thumb:7", &[], b"").await.expect_error(404, missing, &not_found("thumb:7"));
    let foreign = if host() == "arm64" { "x86_64" } else { "arm64" };
    cloud.create("other", &zips::handler("1"), json!({"Architectures": [foreign]})).await;
    cloud.settled("other").await;
    let refused = cloud.invoke("other", &[], b"").await;
    assert!(refused.json["message"].as_str().unwrap().contains("set its Architectures"), "{refused:?}");
}

#[tokio::test]
async fn dry_runs_run_nothing() {
    let cloud = cloud().await;
    let answer = cloud.invoke("thumb", &[("x-amz-invocation-type", "DryRun")], b"{}").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert!(cloud.runner.asked.lock().is_empty());
}

#[tokio::test]
async fn the_callers_trace_goes_on_now_and_later() {
    let cloud = cloud().await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    cloud.invoke("thumb", &[("x-amzn-trace-id", trace)], b"{}").await;
    cloud.invoke("thumb", &[("x-amzn-trace-id", trace), ("x-amz-invocation-type", "Event")], b"{}").await;
    cloud.invoke("thumb", &[], b"{}").await;
    cloud.deliver().await;
    let asked = cloud.runner.asked.lock();
    let traces: Vec<_> = asked.iter().map(|request| request.trace_id.as_deref().unwrap()).collect();
    assert!(traces[0].starts_with(trace) && traces[2] == traces[0], "{traces:?}");
    assert!(traces[1].starts_with("Root=1-") && !traces[1].starts_with(trace), "{traces:?}");
    assert!(traces.iter().all(|trace| trace.contains(";Lineage=1:") && trace.ends_with(":0")), "{traces:?}");
}

/// Nobody bills these runs.
struct NoRuns;

impl KeepRuns for NoRuns {
    fn keep_runs(&self) -> BoxFuture<'_, Result<(), NotKept>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Cloud {
    pub(crate) async fn workers(&self) -> Workers {
        let functions =
            DeliverToFunctions { functions: Arc::new(self.engine.clone()), runs: Arc::new(NoRuns) };
        let functions: Arc<dyn Deliver> = Arc::new(functions);
        let targets: Arc<dyn Deliver> = Arc::new(DeliverToTargets(self.lambda.parts.targets.clone()));
        let outbox = &self.lambda.parts.outbox;
        let nodes = Nodes::join(self.db.clone(), self.random.clone()).await.unwrap();
        let deliverers = HashMap::from([(FUNCTION.to_owned(), functions), (DESTINATION.to_owned(), targets)]);
        outbox.start(&nodes, deliverers).await.unwrap()
    }

    /// Runs what is in the outbox.
    pub(crate) async fn deliver(&self) {
        let workers = self.workers().await;
        let outbox = &self.lambda.parts.outbox;
        while outbox.backlog().await.unwrap().ready > 0 {
            tokio::task::yield_now().await;
        }
        workers.shutdown().await;
    }
}

#[tokio::test]
async fn events_are_run_by_the_outbox_and_survive_until_then() {
    let cloud = cloud().await;
    let answer = cloud.invoke("thumb", &[("x-amz-invocation-type", "Event")], b"{\"n\":1}").await;
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    assert_eq!(answer.header("x-amz-executed-version"), None);
    assert!(cloud.runner.asked.lock().is_empty());

    // The process ends here, and another one finds the event.
    let cloud = cloud.restarted().await;
    cloud.deliver().await;
    let asked = cloud.runner.asked.lock();
    assert_eq!((asked.len(), &asked[0].payload[..]), (1, &b"{\"n\":1}"[..]));
}

#[tokio::test]
async fn an_event_that_fails_at_every_attempt_is_kept_as_a_dead_letter() {
    let cloud = cloud().await;
    let boom = || Outcome::FunctionError {
        kind: ErrorKind::Unhandled,
        payload: Bytes::from_static(b"{\"errorMessage\":\"boom\"}"),
    };
    cloud.runner.answers.lock().extend([Ok(boom()), Ok(boom()), Ok(boom())]);
    cloud.invoke("thumb", &[("x-amz-invocation-type", "Event")], b"{\"n\":1}").await;
    let outbox = &cloud.lambda.parts.outbox;
    for (pause_s, left) in [(0, 2), (75, 1), (150, 0)] {
        assert_eq!(outbox.dead_letters(None, None, 10).await.unwrap(), []);
        cloud.hand.advance(std::time::Duration::from_secs(pause_s));
        let workers = cloud.workers().await;
        while cloud.runner.answers.lock().len() > left {
            tokio::task::yield_now().await;
        }
        // It is put off again, or dead, once this is over.
        workers.shutdown().await;
    }
    let dead = outbox.dead_letters(None, None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].event.failures, &dead[0].event.payload[..]), (3, &b"{\"n\":1}"[..]));
    assert_eq!(dead[0].event.last_error.as_deref(), Some("Unhandled: {\"errorMessage\":\"boom\"}"));
    assert_eq!(outbox.backlog().await.unwrap(), Backlog::default());
}

#[tokio::test]
async fn services_invoke_what_the_functions_policy_allows_them() {
    let cloud = cloud().await;
    let invocation = |function: &str, bucket: &str| Invocation {
        function: arn(function).parse().unwrap(),
        payload: Bytes::from_static(b"{}"),
        request_id: "id".to_owned(),
        caller: Caller::Service {
            principal: "s3.amazonaws.com".to_owned(),
            source: format!("arn:aws:s3:::{bucket}").parse().unwrap(),
            source_account: "000000000000".to_owned(),
        },
        trace: None,
        earlier_attempts: 0,
        attributes: std::collections::BTreeMap::new(),
    };
    let invoke = async |function: &str, bucket: &str| {
        InvokeFunction::invoke(&cloud.engine, invocation(function, bucket)).await
    };
    assert!(matches!(invoke("thumb", "photos").await, Err(PortError::NotAllowed(_))));
    let permission = json!({"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::pho*", "SourceAccount": "000000000000"});
    cloud.json("POST", "/2015-03-31/functions/thumb/policy", permission).await;
    assert_eq!(invoke("thumb", "photos").await.unwrap().executed_version, "$LATEST");
    assert!(matches!(invoke("thumb", "videos").await, Err(PortError::NotAllowed(_))));
    assert!(matches!(invoke("absent", "photos").await, Err(PortError::NoSuchFunction(_))));
    cloud.send("DELETE", "/2015-03-31/functions/thumb/policy/s3", &[], Bytes::new()).await;
    assert!(matches!(invoke("thumb", "photos").await, Err(PortError::NotAllowed(_))));
}

#[tokio::test]
#[ignore = "prints what a warm invocation costs here, without wire's socket and without the pool"]
async fn cost_of_a_warm_invocation() {
    let cloud = cloud().await;
    let clock = lambent_base::Clock::system();
    let count = 20_000_u32;
    for payload in [br#"{"key":"value"}"#.to_vec(), format!("\"{}\"", "x".repeat(100_000)).into_bytes()] {
        let before = clock.monotonic();
        for _ in 0..count {
            cloud.invoke("thumb", &[], &payload).await;
            cloud.runner.asked.lock().clear();
        }
        println!("{} bytes: {:?} each", payload.len(), (clock.monotonic() - before) / count);
    }
}

#[tokio::test]
async fn the_old_asynchronous_call_is_an_event_too() {
    let cloud = cloud().await;
    let call = async |name: &str, payload: &'static [u8]| {
        let uri = format!("/2014-11-13/functions/{name}/invoke-async/");
        cloud.send("POST", &uri, &[], Bytes::from_static(payload)).await
    };
    assert_eq!(call("thumb", b"{\"n\":1}").await.status, 202);
    assert_eq!(call("thumb", b"{").await.json["code"], "InvalidRequestContentException");
    assert_eq!(call("absent", b"{}").await.json["code"], "ResourceNotFoundException");
    static LARGE: [u8; 1_048_577] = [b'1'; 1_048_577];
    assert_eq!(call("thumb", &LARGE).await.json["code"], "RequestTooLargeException");
    assert!(cloud.runner.asked.lock().is_empty());
    cloud.deliver().await;
    let asked = cloud.runner.asked.lock();
    assert_eq!((asked.len(), &asked[0].payload[..]), (1, &b"{\"n\":1}"[..]));
}
