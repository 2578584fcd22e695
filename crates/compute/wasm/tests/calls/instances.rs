//! Which calls share what.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lambent_pool::{InvokeError, ThrottleReason};

use crate::support::{Platform, request};

#[tokio::test]
async fn each_call_has_an_instance_of_its_own() {
    let platform = Platform::new();
    let function = Arc::new(platform.guest("event-count"));
    for _ in 0..3 {
        assert_eq!(platform.call(&function, "{}").await.result(), "1");
    }
    let records = platform.told.records.lock();
    assert_eq!(records.iter().map(|record| record.cold_start).collect::<Vec<_>>(), [true, false, false]);
    assert!(records[0].init_ms.is_some() && records[1].init_ms.is_none());
    assert_eq!(records[0].log_stream, records[2].log_stream, "one after the other");
}

#[tokio::test]
async fn each_instance_has_a_tmp_of_its_own_which_is_no_larger_than_it_may_be() {
    let platform = Platform::new();
    let mut function = platform.guest("event-tmp");
    function.ephemeral_mib = 1;
    let function = Arc::new(function);
    // A file's own 4 KiB count too.
    for _ in 0..2 {
        assert_eq!(platform.call(&function, "{}").await.result(), "15");
    }
    let (one, other) = tokio::join!(platform.call(&function, "{}"), platform.call(&function, "{}"));
    assert_eq!((one.result(), other.result()), ("15", "15"));
    let mut reused = platform.guest("event-tmp");
    reused.environment = vec![(lambent_wasm::REUSE_VARIABLE.to_owned(), "true".to_owned())];
    reused.ephemeral_mib = 1;
    let reused = Arc::new(reused);
    let exists = 7;
    assert_eq!(platform.call(&reused, "{}").await.result(), "15");
    assert_eq!(platform.call(&reused, "{}").await.result(), (1000 + exists).to_string());
}

#[tokio::test]
async fn folders_are_no_deeper_than_they_may_be() {
    let platform = Platform::new();
    let across_devices = 36;
    let levels = 64;
    assert_eq!(platform.once("event-deep", "{}").await.result(), (100 * levels + across_devices).to_string());
}

#[tokio::test]
async fn instances_are_reused_where_the_function_says_so() {
    let platform = Platform::new();
    let mut function = platform.guest("event-count");
    function.environment = vec![(lambent_wasm::REUSE_VARIABLE.to_owned(), "true".to_owned())];
    let function = Arc::new(function);
    for count in ["1", "2", "3"] {
        assert_eq!(platform.call(&function, "{}").await.result(), count);
    }
    let tenant = |name: &str| {
        let call = request(&function, "{}");
        lambent_pool::InvokeRequest { tenant_id: Some(name.to_owned()), ..call }
    };
    for _ in 0..2 {
        platform.wasm.invoke(tenant("one")).await.unwrap();
    }
    let records: Vec<_> = platform.told.records.lock().iter().map(|record| record.cold_start).collect();
    assert_eq!(records[..3], [true, false, false]);
}

#[tokio::test]
async fn no_tenant_gets_an_instance_that_served_another() {
    let platform = Platform::new();
    let mut function = platform.guest("event-count");
    function.environment = vec![(lambent_wasm::REUSE_VARIABLE.to_owned(), "true".to_owned())];
    let function = Arc::new(function);
    for tenant in ["one", "one", "two"] {
        let call = request(&function, "{}");
        let call = lambent_pool::InvokeRequest { tenant_id: Some(tenant.to_owned()), ..call };
        let invocation = platform.wasm.invoke(call).await.unwrap();
        let lambent_pool::Outcome::Success(payload) = invocation.outcome else { panic!("a result") };
        assert_eq!(payload, "1");
    }
}

#[tokio::test]
async fn an_instance_that_failed_serves_no_more() {
    let platform = Platform::new();
    let mut function = platform.guest("event-trap");
    function.environment = vec![(lambent_wasm::REUSE_VARIABLE.to_owned(), "true".to_owned())];
    let function = Arc::new(function);
    for _ in 0..2 {
        assert_eq!(platform.call(&function, "{}").await.error().0, "Runtime.ExitError");
        assert!(platform.told.records.lock().last().unwrap().cold_start);
    }
}

#[tokio::test]
async fn a_long_call_goes_on_when_its_caller_goes_away() {
    let platform = Platform::new();
    let function = Arc::new(platform.guest("event-spin"));
    platform.wasm.prepare(&function).await.unwrap();
    {
        let mut call = std::pin::pin!(platform.wasm.invoke(request(&function, "{}")));
        let is_running = || platform.told.lines.lock().is_empty();
        tokio::select! {
            biased;
            _ = &mut call => {}
            () = tokio::task::yield_now(), if is_running() => {}
        }
    }
    platform.wasm.shutdown().await;
    let records = platform.told.records.lock();
    assert!(records.len() <= 1);
    assert!(records.iter().all(|record| record.error_type.is_none()), "{records:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_run_at_once() {
    let platform = Arc::new(Platform::new());
    let function = Arc::new(platform.guest("event-count"));
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let (platform, function) = (platform.clone(), function.clone());
            tokio::spawn(async move { platform.call(&function, "{}").await.result().to_owned() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "1");
    }
    assert_eq!(platform.told.records.lock().len(), 64);
}

#[tokio::test]
async fn no_more_run_than_are_reserved() {
    let platform = Platform::new();
    let mut function = platform.guest("event-echo");
    function.reserved_concurrency = Some(0);
    let refused = platform.refused(function).await;
    let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
    assert!(matches!(refused, InvokeError::Throttled(found) if found == reason), "{refused}");
}

#[tokio::test]
async fn an_update_does_not_begin_to_count_anew() {
    let platform = Arc::new(Platform::new());
    let mut old = platform.guest("event-sleep");
    (old.reserved_concurrency, old.timeout_ms) = (Some(1), 900_000);
    let old = Arc::new(old);
    platform.wasm.prepare(&old).await.unwrap();
    let (own, asked) = (platform.clone(), old.clone());
    let call = tokio::spawn(async move { own.call(&asked, "{}").await });
    while !platform.wasm.is_running() {
        tokio::task::yield_now().await;
    }
    let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
    for version in ["$LATEST", "1"] {
        let mut new = platform.guest("event-sleep");
        new.key.version = version.to_owned();
        new.reserved_concurrency = Some(1);
        let refused = platform.refused(new).await;
        assert!(matches!(refused, InvokeError::Throttled(found) if found == reason), "{version}: {refused}");
    }
    platform.wasm.shutdown().await;
    call.await.unwrap();
}

#[tokio::test]
async fn functions_without_reserved_concurrency_share_what_their_account_has() {
    let platform = Platform::new();
    let function = Arc::new(platform.guest("event-echo"));
    platform.told.is_full.store(true, Ordering::SeqCst);
    let refused = platform.wasm.invoke(request(&function, "{}")).await.expect_err("a call that does not run");
    let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
    assert!(matches!(refused, InvokeError::Throttled(found) if found == reason), "{refused}");
    platform.told.is_full.store(false, Ordering::SeqCst);
    assert_eq!(platform.call(&function, "1").await.result(), "1");
}

#[tokio::test]
async fn a_stopping_platform_ends_what_runs() {
    let platform = Arc::new(Platform::new());
    let mut function = platform.guest("event-sleep");
    function.timeout_ms = 900_000;
    let function = Arc::new(function);
    platform.wasm.prepare(&function).await.unwrap();
    let (own, asked) = (platform.clone(), function.clone());
    let call = tokio::spawn(async move { own.call(&asked, "{}").await });
    while !platform.wasm.is_running() {
        tokio::task::yield_now().await;
    }
    platform.wasm.shutdown().await;
    assert_eq!(call.await.unwrap().error().0, "Runtime.Shutdown");
    assert!(matches!(platform.refused(platform.guest("event-echo")).await, InvokeError::ShuttingDown));
}
