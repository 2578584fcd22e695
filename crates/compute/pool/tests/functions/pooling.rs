//! Environments over many calls: reuse, concurrency, limits, retirement.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use lambent_pool::{FunctionSpec, InvokeError, ThrottleReason};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, join_all, processes, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("pool_reuses_a_warm_environment", reuses),
        trial("pool_runs_calls_side_by_side", side_by_side),
        trial("pool_keeps_reserved_concurrency", reserved),
        trial("pool_keeps_the_accounts_concurrency", account_limit),
        trial("pool_forgets_who_gave_up_waiting", gave_up),
        trial("pool_retires_what_is_out_of_date", retires),
        trial("pool_stops_what_is_idle", stops_idle),
        trial("pool_replaces_what_died_idle", replaces_dead),
        trial("pool_replaces_what_ends_after_each_call", replaces_ended),
        trial("pool_replaces_what_hung_up", replaces_hung_up),
        trial("pool_finishes_what_its_caller_left", caller_leaves),
        trial("pool_shuts_down_under_a_long_call", shuts_down),
        trial("pool_makes_room_of_what_idles", idle_ones_make_room),
        trial("pool_leaves_nothing_behind", leaves_nothing),
    ]
}

const COUNTER: &str = "
count = 0
def handler(event, context):
    global count
    count += 1
    return count
";

/// Waits inside the function until all of the calls are there: proof that they ran side by side.
const MEET: &str = "
import urllib.request
def handler(event, context):
    return urllib.request.urlopen('http://127.0.0.1:4566').read().decode()
";

async fn reuses() {
    let bench = Bench::new();
    let function = Arc::new(bench.python(COUNTER));
    for expected in 1..=5 {
        let answer = bench.again(&function, "{}").await;
        assert_eq!(answer.result(), json!(expected));
        assert_eq!(answer.0.record.init_ms.is_some(), expected == 1);
    }
    assert_eq!((bench.pool.stats().idle, bench.pool.stats().busy), (1, 0));
}

async fn side_by_side() {
    let (bench, meeting) = Bench::meeting(20);
    let function = Arc::new(bench.python(MEET));
    let calls: Vec<_> = (0..20).map(|_| bench.again(&function, "{}")).collect();
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.result() == json!("hello")));
    assert_eq!(meeting.present(), 20);
    assert_eq!(bench.pool.stats().idle, 20);
}

async fn reserved() {
    let (bench, meeting) = Bench::meeting(2);
    let mut function = bench.python(MEET);
    function.reserved_concurrency = Some(1);
    let function = Arc::new(function);
    let first = bench.call(&function, "{}");
    let second = async {
        meeting.wait_for(1).await;
        let refused = bench.call(&function, "{}").await;
        meeting.join();
        refused
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok());
    let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
    assert!(matches!(second, Err(InvokeError::Throttled(found)) if found == reason), "{second:?}");
}

async fn account_limit() {
    let small = |config: &mut lambent_pool::PoolConfig| {
        config.max_environments = 1;
        config.max_waiting = 1;
    };
    let (bench, meeting) = Bench::meeting_with(2, small);
    let (slow, other) = (Arc::new(bench.python(MEET)), Arc::new(bench.python(COUNTER)));
    let first = bench.call(&slow, "{}");
    let second = async {
        meeting.wait_for(1).await;
        bench.call(&other, "{}").await
    };
    let third = async {
        while bench.pool.stats().waiting == 0 {
            tokio::task::yield_now().await;
        }
        let refused = bench.call(&other, "{}").await;
        meeting.join();
        refused
    };
    let (first, second, third) = tokio::join!(first, second, third);
    assert!(first.is_ok());
    assert!(second.is_ok(), "{second:?}");
    let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
    assert!(matches!(third, Err(InvokeError::Throttled(found)) if found == reason), "{third:?}");
    assert_eq!(bench.pool.stats().idle, 1);
}

async fn idle_ones_make_room() {
    let tight = |config: &mut lambent_pool::PoolConfig| {
        config.max_environments = 3;
        config.max_starting = 1;
    };
    let (bench, meeting) = Bench::meeting_with(3, tight);
    let all_of = async |function: FunctionSpec| {
        let function = Arc::new(function);
        let calls: Vec<_> = (0..3).map(|_| bench.again(&function, "{}")).collect();
        join_all(calls).await
    };
    all_of(bench.python(MEET)).await;
    assert_eq!(bench.pool.stats().idle, 3);
    // None of these ends before all have started, so that only idle environments can make room.
    meeting.want(6);
    let mut other = bench.python(MEET);
    other.key.name = "other".to_owned();
    let answers = all_of(other).await;
    assert!(answers.iter().all(|answer| answer.result() == json!("hello")));
    assert_eq!(meeting.present(), 6);
}

async fn gave_up() {
    let small = |config: &mut lambent_pool::PoolConfig| {
        config.max_environments = 1;
        config.max_wait = Duration::from_millis(1);
    };
    let (bench, meeting) = Bench::meeting_with(2, small);
    let (slow, other) = (Arc::new(bench.python(MEET)), Arc::new(bench.python(COUNTER)));
    let first = bench.call(&slow, "{}");
    let second = async {
        meeting.wait_for(1).await;
        let refused = bench.call(&other, "{}").await;
        meeting.join();
        refused
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok());
    assert!(matches!(second, Err(InvokeError::Throttled(_))), "{second:?}");
    assert_eq!(bench.pool.stats().idle, 1, "nobody waits for its room");
}

async fn retires() {
    let bench = Bench::new();
    let mut function = bench.python(COUNTER);
    let first = bench.once(function_of(&bench, &function, "1"), "{}").await;
    let second = bench.once(function_of(&bench, &function, "2"), "{}").await;
    assert_eq!((first.result(), second.result()), (json!(1), json!(1)));
    assert_eq!(bench.pool.stats().idle, 1, "the older revision's environment is gone");
    function.key.version = "7".to_owned();
    bench.once(function, "{}").await;
    assert_eq!(bench.pool.stats().idle, 2, "another version lives beside it");
    let name = &first.0.record.function.name;
    bench.pool.retire("000000000000", "us-east-1", name).await;
    assert_eq!(bench.pool.stats().idle, 0);
}

/// The same function in another revision.
fn function_of(
    bench: &Bench,
    function: &lambent_pool::FunctionSpec,
    revision: &str,
) -> lambent_pool::FunctionSpec {
    let mut other = bench.python(COUNTER);
    other.key = function.key.clone();
    other.key.revision = revision.to_owned();
    other
}

async fn stops_idle() {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let bench = Bench::with(|_| {}, clock);
    let function = Arc::new(bench.python(COUNTER));
    bench.again(&function, "{}").await;
    hand.advance(Duration::from_secs(299));
    bench.pool.reap_idle().await;
    assert_eq!(bench.pool.stats().idle, 1);
    assert_eq!(bench.again(&function, "{}").await.result(), json!(2));
    hand.advance(Duration::from_secs(300));
    bench.pool.reap_idle().await;
    assert_eq!(bench.pool.stats().idle, 0);
    assert_eq!(bench.again(&function, "{}").await.result(), json!(1));
}

/// What a runtime does between calls, it does.
fn never_frozen(config: &mut lambent_pool::PoolConfig) {
    config.freeze_after = Duration::from_secs(3_600);
}

async fn replaces_dead() {
    let bench = Bench::with(never_frozen, Clock::system());
    let code = "
import ctypes
def handler(event, context):
    ctypes.CDLL(None).prctl(15, b'ends-while-idle', 0, 0, 0)
";
    let function = Arc::new(bench.python(code));
    bench.again(&function, "{}").await;
    let idle = || processes().into_iter().find(|one| one.name == "ends-while-idle");
    let pid = rustix::process::Pid::from_raw(idle().expect("it is idle").pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    while idle().is_some() {
        tokio::task::yield_now().await;
    }
    let answer = bench.again(&function, "{}").await;
    assert!(answer.0.record.init_ms.is_some(), "a new environment took the call");
    assert!(answer.0.record.error_type.is_none());
}

/// Serves one event and ends, a little after the next call has come.
const ONE_EVENT_RUNTIME: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
headers=$(curl -sS -o /tmp/event -D - "$api/invocation/next")
id=$(grep -Fi Lambda-Runtime-Aws-Request-Id <<< "$headers" | tr -d '[:space:]' | cut -d: -f2)
curl -sS -o /dev/null "$api/invocation/$id/response" -d '"served"'
sleep 0.2
echo "last words for $id"
exit 3
"#;

async fn replaces_ended() {
    let bench = Bench::new();
    let function = bench.function("provided.al2023", "h", &[("bootstrap", ONE_EVENT_RUNTIME, 0o755)]);
    let function = Arc::new(function);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = bench.again(&function, "{}").await;
        assert_eq!(answer.result(), json!("served"));
        assert!(answer.0.record.init_ms.is_some(), "a new environment took the call");
        ids.push(answer.0.record.request_id.clone());
    }
    let logged = bench.all_logged().await;
    for id in &ids[..2] {
        assert!(logged.contains(&format!("last words for {id}\n")), "{logged:?}");
    }
}

/// Asks for a second event, hangs up before it comes, says so to the platform, and lives on.
const HANGING_UP_RUNTIME: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
headers=$(curl -sS -o /tmp/event -D - "$api/invocation/next")
id=$(grep -Fi Lambda-Runtime-Aws-Request-Id <<< "$headers" | tr -d '[:space:]' | cut -d: -f2)
curl -sS -o /dev/null "$api/invocation/$id/response" -d '"served"'
exec 3<> /dev/tcp/127.0.0.1/9001
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n' >&3
exec 3>&-
curl -sS -o /dev/null http://127.0.0.1:4566
sleep 60
"#;

async fn replaces_hung_up() {
    let (bench, meeting) = Bench::meeting_with(usize::MAX, never_frozen);
    let function = bench.function("provided.al2023", "h", &[("bootstrap", HANGING_UP_RUNTIME, 0o755)]);
    let function = Arc::new(function);
    for count in 1..=2 {
        let answer = bench.again(&function, "{}").await;
        assert_eq!(answer.result(), json!("served"));
        assert!(answer.0.record.init_ms.is_some(), "a new environment took the call");
        // It has hung up.
        meeting.wait_for(count).await;
    }
}

async fn caller_leaves() {
    let (bench, meeting) = Bench::meeting(2);
    let function = Arc::new(bench.python(MEET));
    let call = bench.call(&function, "{}");
    tokio::select! {
        _ = call => panic!("it cannot end before the other has come"),
        () = meeting.wait_for(1) => {}
    }
    meeting.join();
    while bench.pool.stats().busy > 0 {
        tokio::task::yield_now().await;
    }
    bench.pool.shutdown().await;
    assert_eq!(bench.sink.records.lock().unwrap().len(), 1, "it ran to its end and was recorded");
}

async fn shuts_down() {
    let (bench, meeting) = Bench::meeting_with(2, |config| config.shutdown_grace = Duration::ZERO);
    let mut function =
        bench.python(&MEET.replace("    return", "    print('begun', flush=True)\n    return"));
    function.timeout_ms = 900_000;
    let function = Arc::new(function);
    let ended = async {
        meeting.wait_for(1).await;
        bench.all_logged().await
    };
    let (call, logged) = tokio::join!(bench.call(&function, "{}"), ended);
    assert!(matches!(call, Err(InvokeError::ShuttingDown)), "{call:?}");
    assert!(logged.contains(&"begun\n".to_owned()), "{logged:?}");
    let records = bench.sink.records.lock().unwrap();
    assert_eq!(records.len(), 1, "it ran, and is billed");
    assert_eq!(records[0].error_type.as_deref(), Some("Runtime.Shutdown"));
    assert!(records[0].billed_ms > 0 && !records[0].timed_out);
    let id = &records[0].request_id;
    let told = logged.concat();
    assert!(
        told.contains(&format!("RequestId: {id} Error: The platform was stopped while the function ran\n")),
        "{told}"
    );
    assert!(told.contains(&format!("END RequestId: {id}\nREPORT RequestId: {id}\t")), "{told}");
    assert!(told.ends_with("Status: error\tError Type: Runtime.Shutdown\n"), "{told}");
    assert_eq!(bench.pool.stats(), lambent_pool::PoolStats::default());
}

async fn leaves_nothing() {
    let bench = Bench::new();
    let function = Arc::new(bench.python(COUNTER));
    bench.again(&function, "{}").await;
    bench.pool.shutdown().await;
    assert!(matches!(bench.call(&function, "{}").await, Err(InvokeError::ShuttingDown)));
    assert_eq!(bench.pool.stats(), lambent_pool::PoolStats::default());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(bench.dir.path().to_str().unwrap()), "{mounts}");
    let left = std::fs::read_dir(bench.dir.path().join("data/sandbox/scratch")).unwrap().flatten();
    let disks: Vec<_> =
        left.filter(|entry| !entry.file_name().to_string_lossy().starts_with("bare-")).collect();
    assert!(disks.is_empty(), "{disks:?}");
}
