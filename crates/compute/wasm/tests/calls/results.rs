//! What functions get and give.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Platform, request};

#[tokio::test]
async fn events_come_back_as_they_were() {
    let platform = Platform::new();
    let function = Arc::new(platform.guest("event-echo"));
    let long = format!("\"{}\"", "ü".repeat(200_000));
    for event in ["{}", r#"{"a":[1,2,"ü"]}"#, "null", &long] {
        assert_eq!(platform.call(&function, event).await.result(), event);
    }
}

#[tokio::test]
async fn a_function_knows_its_call() {
    let platform = Platform::new();
    let function = Arc::new(platform.guest("event-context"));
    let call = request(&function, "{}");
    let expected = format!("\"{}\"", call.request_id);
    let invocation = platform.wasm.invoke(call).await.unwrap();
    let lambent_pool::Outcome::Success(payload) = invocation.outcome else { panic!("a result") };
    assert_eq!(payload, expected);
    assert_eq!(platform.once("event-memory-size", "{}").await.result(), "128");
}

#[tokio::test]
async fn a_function_has_its_variables_and_those_of_lambda() {
    let platform = Platform::new();
    let mut function = platform.guest("event-variables");
    let before: u32 = platform.once("event-variables", "{}").await.result().parse().unwrap();
    assert!(before >= 10, "{before}");
    function.environment =
        vec![("OWN".to_owned(), "1".to_owned()), ("AWS_REGION".to_owned(), "moon".to_owned())];
    let after: u32 = platform.call(&Arc::new(function), "{}").await.result().parse().unwrap();
    assert_eq!(after, before + 1, "a reserved name is not there twice");
}

#[tokio::test]
async fn a_request_is_answered() {
    let platform = Platform::new();
    let event = json!({"version": "2.0", "rawPath": "/", "rawQueryString": "", "headers": {"host": "a.example"},
        "requestContext": {"http": {"method": "GET", "path": "/"}}, "isBase64Encoded": false});
    let called = platform.once("http-hello", &event.to_string()).await;
    let result: Value = serde_json::from_str(called.result()).unwrap();
    let expected = json!({"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "hello world\n",
        "isBase64Encoded": false});
    assert_eq!(result, expected);
    let mut event = event;
    event["body"] = "aGkh".into();
    event["isBase64Encoded"] = true.into();
    let called = platform.once("http-echo", &event.to_string()).await;
    let result: Value = serde_json::from_str(called.result()).unwrap();
    assert_eq!(result["body"], "hi!");
    let called = platform.once("http-busy", &event.to_string()).await;
    let result: Value = serde_json::from_str(called.result()).unwrap();
    assert_eq!((&result["statusCode"], &result["body"]), (&json!(503), &json!("hello")));
}

#[tokio::test]
async fn an_event_that_is_no_request_is_posted() {
    let platform = Platform::new();
    let function = Arc::new(platform.guest("http-echo"));
    let long = format!("[{}1]", "1,".repeat(100_000));
    for event in [r#"{"version":"1.0"}"#, "17", &long] {
        assert_eq!(platform.call(&function, event).await.result(), event);
    }
    assert_eq!(platform.once("http-hello", "{}").await.result(), "\"hello world\\n\"");
    let (kind, message) = platform.once("http-busy", "{}").await.error();
    assert_eq!((kind.as_str(), message.as_str()), ("Http.503", "hello"));
}

#[tokio::test]
async fn what_is_printed_is_in_the_log() {
    let platform = Platform::new();
    let called = platform.once("event-print", "{}").await;
    let id = &called.record().request_id;
    let tail = called.tail();
    let expected = format!(
        "START RequestId: {id} Version: $LATEST\nfirst line\nsecond line\nrest\nEND RequestId: {id}\n"
    );
    assert!(tail.starts_with(&expected), "{tail}");
    assert!(tail.contains("\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t"), "{tail}");
    let called = platform.once("event-print-much", "{}").await;
    let line = "0123456789abcde\n";
    assert!(called.tail().contains(line), "{}", called.tail());
    platform.wasm.shutdown().await;
    let lines = platform.told.lines.lock();
    assert!(lines[0].starts_with("INIT_START Runtime Version: wasi-lambda"), "{}", lines[0]);
}
