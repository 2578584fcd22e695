//! Calls that end badly: with AWS's errors and a REPORT line, and without harm to others.

use std::sync::Arc;

use lambent_pool::InvokeError;

use crate::support::{Called, Platform, function};

fn check(called: &Called, kind: &str, message: &str, report: &str) {
    let (found_kind, found) = called.error();
    assert_eq!(found_kind, kind, "{found}");
    assert!(found.contains(message), "{found}");
    let tail = called.tail();
    let last = tail.lines().last().unwrap_or_default();
    assert!(last.starts_with("REPORT RequestId: ") && last.contains(report), "{tail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_run_while_a_loop_does() {
    let platform = Arc::new(Platform::new());
    let mut loops = Vec::new();
    for name in ["event-loop", "http-loop", "event-loop"] {
        let mut function = platform.guest(name);
        // Longer than the others need on any machine: the platform ends it first.
        function.timeout_ms = 900_000;
        let (platform, function) = (platform.clone(), Arc::new(function));
        loops.push(tokio::spawn(async move { platform.call(&function, "{}").await }));
    }
    let echo = Arc::new(platform.guest("event-echo"));
    for _ in 0..4 {
        assert_eq!(platform.call(&echo, "1").await.result(), "1");
    }
    assert!(loops.iter().all(|one| !one.is_finished()));
    platform.wasm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_is_ended() {
    let platform = Arc::new(Platform::new());
    let mut loops = Vec::new();
    for name in ["event-loop", "http-loop", "event-sleep", "event-loop"] {
        let mut function = platform.guest(name);
        function.timeout_ms = 1_000;
        let (platform, function) = (platform.clone(), Arc::new(function));
        loops.push(tokio::spawn(async move { platform.call(&function, "{}").await }));
    }
    for one in loops {
        let called = one.await.unwrap();
        check(&called, "Sandbox.Timedout", "Task timed out after 1.00 seconds", "\tStatus: timeout");
        assert!(called.record().timed_out);
        assert!(called.tail().contains("Task timed out after 1.00 seconds"), "{}", called.tail());
        assert!((called.record().duration_ms - 1_000.0).abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn memory_is_bounded() {
    let platform = Platform::new();
    let called = platform.once("event-grow", "{}").await;
    check(&called, "Runtime.OutOfMemory", "signal: killed", "\tMax Memory Used: 128 MB\t");
    assert!(called.tail().ends_with("Status: error\tError Type: Runtime.OutOfMemory\n"), "{}", called.tail());
    assert!(called.record().out_of_memory);
    // Who can live with less is no error.
    let grown: u32 = platform.once("event-grown", "{}").await.result().parse().unwrap();
    assert!((100..=128).contains(&grown), "{grown} MiB");
    let called = platform.once("event-large", "{}").await;
    check(&called, "Runtime.OutOfMemory", "signal: killed", "Runtime.OutOfMemory");
    let mut large = platform.guest("event-large");
    large.memory_mib = 256;
    assert_eq!(platform.call(&Arc::new(large), "{}").await.result(), "1");
}

#[tokio::test]
async fn traps_and_exits_are_told() {
    let platform = Platform::new();
    let report = "\tStatus: error\tError Type: Runtime.ExitError";
    check(&platform.once("event-trap", "{}").await, "Runtime.ExitError", "unreachable", report);
    check(&platform.once("event-recursion", "{}").await, "Runtime.ExitError", "call stack exhausted", report);
    check(&platform.once("event-exit", "{}").await, "Runtime.ExitError", "exit status 1", report);
    let called = platform.once("event-fail", "{}").await;
    assert_eq!(called.error(), ("CustomError".to_owned(), "it failed".to_owned()));
    assert!(!called.tail().contains("Status: error"), "a handler's own error: {}", called.tail());
    assert_eq!(platform.once("event-echo", "{}").await.result(), "{}");
}

#[tokio::test]
async fn responses_that_are_none_are_told() {
    let platform = Platform::new();
    let (kind, _) = platform.once("http-unset", "{}").await.error();
    assert_eq!(kind, "Runtime.NoResponse");
    let (kind, _) = platform.once("http-unfinished", "{}").await.error();
    assert_eq!(kind, "Runtime.HttpError");
    let (kind, message) = platform.once("http-flood", "{}").await.error();
    assert_eq!(kind, "Function.ResponseSizeTooLarge", "{message}");
    let (kind, message) = platform.once("event-long", "{}").await.error();
    assert_eq!(kind, "Function.ResponseSizeTooLarge", "{message}");
    assert_eq!(platform.once("http-hello", "{}").await.result(), "\"hello world\\n\"");
}

#[tokio::test]
async fn there_is_no_way_out() {
    let platform = Platform::new();
    let (failed, access_denied, not_supported) = (100, 1, 2);
    let socket: u32 = platform.once("event-socket", "{}").await.result().parse().unwrap();
    assert!([failed + access_denied, failed + not_supported].contains(&socket), "{socket}");
    let http_request_denied = 15;
    assert_eq!(platform.once("event-fetch", "{}").await.result(), (failed + http_request_denied).to_string());
}

#[tokio::test]
async fn what_cannot_be_called_is_told_when_it_is_deployed() {
    let platform = Platform::new();
    let cases: [(&str, &[u8], &str); 4] = [
        ("event-core", b"\0asm\x01\0\0\0", "expected a component, got a core module"),
        ("event-text", b"(component)", "does not begin like one"),
        ("event-cut", b"\0asm\x0d\0\x01\0\x07", "could not be compiled"),
        ("event-empty", b"\0asm\x0d\0\x01\0", "lambent:function/handler"),
    ];
    for (name, contents, words) in cases {
        let code_dir = platform.package("app.wasm", contents);
        let refused = platform.wasm.prepare(&function(name, &code_dir)).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{name}: {refused}");
    }
    let foreign = platform.guest("event-foreign");
    let refused = platform.wasm.prepare(&foreign).await.unwrap_err().to_string();
    assert!(refused.contains("foreign:house/door"), "{refused}");
    let mut other = platform.guest("event-echo");
    other.runtime = "wasi-http".to_owned();
    let refused = platform.wasm.prepare(&other).await.unwrap_err().to_string();
    assert!(refused.contains("wasi:http/incoming-handler"), "{refused}");
    let refused = platform.refused(foreign).await;
    assert!(matches!(&refused, InvokeError::RuntimeUnavailable(why) if why.contains("door")), "{refused}");
}

#[tokio::test]
async fn the_component_is_found_within_the_package_only() {
    let platform = Platform::new();
    let outside = platform.package("outside.wasm", &lambent_test_components::one("event-echo"));
    let code_dir = platform.package("readme.txt", b"nothing here");
    let refused = |handler: &str| {
        let mut spec = function("event-echo", &code_dir);
        spec.handler = handler.to_owned();
        let platform = &platform;
        async move { platform.wasm.prepare(&spec).await.unwrap_err().to_string() }
    };
    let absolute = outside.join("outside.wasm").display().to_string();
    let climbing = format!("../{}/outside.wasm", outside.file_name().unwrap().to_str().unwrap());
    for handler in ["app", "../x.wasm", &absolute, &climbing] {
        let why = refused(handler).await;
        assert!(why.contains("found 0"), "{handler}: {why}");
    }
    std::os::unix::fs::symlink(outside.join("outside.wasm"), code_dir.join("link.wasm")).unwrap();
    assert!(refused("link").await.contains("found 0"));
    std::fs::write(code_dir.join("one.wasm"), lambent_test_components::one("event-echo")).unwrap();
    let mut spec = function("event-echo", &code_dir);
    spec.handler = "anything.at_all".to_owned();
    platform.wasm.prepare(&spec).await.unwrap();
}
