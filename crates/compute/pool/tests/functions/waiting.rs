//! Environments between calls: ready for a function, frozen, and gone in the end.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use lambent_pool::{FunctionKey, FunctionSpec, Needs};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, descendants, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("ready_python_is_given_a_function", python_is_ready),
        trial("ready_node_is_given_a_function", node_is_ready),
        trial("ready_shell_is_given_a_function", shell_is_ready),
        trial("ready_is_expected_before_the_first_call", expected),
        trial("ready_one_that_died_is_replaced", replaces_dead),
        trial("ready_ones_give_way_to_calls", gives_way),
        trial("ready_is_nothing_after_the_keep_alive", dismantled),
        trial("idle_is_frozen_until_the_next_call", frozen),
        trial("idle_and_busy_in_quick_turns", quick_turns),
        trial("idle_ones_log_to_their_end", last_lines),
        trial("idle_ones_of_a_version_are_retired", version_retired),
        trial("functions_are_counted", counted),
    ]
}

/// Says in which network namespace it runs, of which every environment has its own.
const WHERE: &str = "
import os
def handler(event, context):
    return os.readlink('/proc/self/ns/net')
";
const WHERE_NODE: &str = "
exports.handler = async () => [require('fs').readlinkSync('/proc/self/ns/net'), process.env.COLOUR];
";
const WHERE_BOOTSTRAP: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
asked=$(curl -sS -o /dev/null -w '%{http_code}' "$api/function")
while headers=$(curl -sS -o /tmp/event -D - "$api/invocation/next"); do
    id=$(grep -Fi Lambda-Runtime-Aws-Request-Id <<< "$headers" | tr -d '[:space:]' | cut -d: -f2)
    curl -sS -o /dev/null "$api/invocation/$id/response" -d "[\"$(readlink /proc/self/ns/net)\", \"$COLOUR\", $asked]"
done
"#;

/// Waits for something that comes by itself, and fails the test when it does not.
pub(crate) async fn until(what: &str, mut come: impl FnMut() -> bool) {
    let look = async {
        while !come() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), look).await.is_ok(), "waited in vain: {what}");
}

/// The network namespaces of what this process started.
fn namespaces() -> Vec<String> {
    let read = |pid| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    descendants()
        .iter()
        .filter_map(|one| read(one.pid))
        .map(|link| link.to_str().unwrap().to_owned())
        .collect()
}

/// Whether a process belongs to a pool's environments, which have its bootstraps in sight.
pub(crate) fn is_of(pid: i32, bench: &Bench) -> bool {
    let dir = bench.dir.path().to_str().unwrap();
    std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).is_ok_and(|text| text.contains(dir))
}

fn with_colour(mut function: FunctionSpec) -> FunctionSpec {
    function.environment = vec![("COLOUR".to_owned(), "red".to_owned())];
    function
}

async fn python_is_ready() {
    let bench = Bench::new();
    bench.once(bench.python(WHERE), "{}").await;
    until("the next ones are ready", || bench.pool.ready() == 2).await;
    let before = namespaces();
    let code = "
import os
print('loading')
def handler(event, context):
    return [os.readlink('/proc/self/ns/net'), os.environ['COLOUR'], os.environ['AWS_ACCESS_KEY_ID']]
";
    let answer = bench.once(with_colour(bench.python(code)), "{}").await;
    let result = answer.result();
    assert!(
        before.contains(&result[0].as_str().unwrap().to_owned()),
        "{result} waited in none of {before:?}"
    );
    assert_eq!((&result[1], &result[2]), (&json!("red"), &json!("ASIATEST")));
    assert!(answer.0.record.init_ms.is_some());
    until("what was taken is made anew", || bench.pool.ready() == 2).await;
    let log_stream = answer.0.record.log_stream.clone();
    bench.pool.shutdown().await;
    let batches = bench.sink.batches.lock().unwrap();
    let own = batches.iter().filter(|batch| *batch.log_stream == *log_stream);
    let lines: Vec<&str> = own.flat_map(|batch| &batch.events).map(|event| event.message.as_str()).collect();
    assert!(lines[0].starts_with("INIT_START "), "{lines:?}");
    assert_eq!(lines[1], "loading\n");
}

async fn node_is_ready() {
    let bench = Bench::new();
    bench.once(bench.node(WHERE_NODE), "{}").await;
    until("the next ones are ready", || bench.pool.ready() == 2).await;
    let before = namespaces();
    let result = bench.once(with_colour(bench.node(WHERE_NODE)), "{}").await.result();
    assert!(
        before.contains(&result[0].as_str().unwrap().to_owned()),
        "{result} waited in none of {before:?}"
    );
    assert_eq!(result[1], json!("red"));
}

async fn shell_is_ready() {
    let bench = Bench::new();
    let function =
        || with_colour(bench.function("provided.al2023", "h", &[("bootstrap", WHERE_BOOTSTRAP, 0o755)]));
    bench.once(function(), "{}").await;
    until("the next ones are ready", || bench.pool.ready() == 2).await;
    let before = namespaces();
    let result = bench.once(function(), "{}").await.result();
    assert!(
        before.contains(&result[0].as_str().unwrap().to_owned()),
        "{result} waited in none of {before:?}"
    );
    assert_eq!((&result[1], &result[2]), (&json!("red"), &json!(403)), "a function is told once");
}

async fn expected() {
    let bench = Bench::new();
    let function = bench.python(WHERE);
    let needs = || Needs {
        runtime: function.runtime.clone(),
        memory_mib: function.memory_mib,
        ephemeral_mib: function.ephemeral_mib,
        environment: Vec::new(),
        image: None,
        extensions: 0,
    };
    (0..5).for_each(|_| bench.pool.expect(needs()));
    until("one for each that was announced", || bench.pool.ready() == 5).await;
    let before = namespaces();
    let result = bench.once(bench.python(WHERE), "{}").await.result();
    assert!(before.contains(&result.as_str().unwrap().to_owned()), "{result} waited in none of {before:?}");
}

async fn replaces_dead() {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let bench = Bench::with(|_| {}, clock);
    bench.once(bench.python(WHERE), "{}").await;
    until("the next ones are ready", || bench.pool.ready() == 2).await;
    let ours: Vec<i32> = descendants().iter().map(|one| one.pid).filter(|pid| is_of(*pid, &bench)).collect();
    // Whatever waits for a function ends, and what it was forked from.
    for pid in ours {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    // One that is still dying may yet take the function, and its call would fail with it.
    until("all of them are gone", || !descendants().iter().any(|one| is_of(one.pid, &bench))).await;
    let result = bench.once(bench.python(WHERE), "{}").await.result();
    assert!(namespaces().contains(&result.as_str().unwrap().to_owned()), "a new one took the call");
    // What dies is not made again at once.
    hand.advance(Duration::from_secs(11));
    until("others are ready", || bench.pool.ready() == 2).await;
    let result = bench.once(bench.python(WHERE), "{}").await.result();
    assert!(result.is_string());
}

async fn gives_way() {
    let bench = Bench::with(|config| config.max_environments = 3, Clock::system());
    bench.once(bench.python(WHERE), "{}").await;
    until("the next ones are ready", || bench.pool.ready() == 2).await;
    bench.once(bench.python(WHERE), "{}").await;
    bench.once(bench.python(WHERE), "{}").await;
    until("there is no room for any", || bench.pool.ready() == 0).await;
    assert_eq!(bench.pool.stats().idle, 3);
    bench.once(bench.python(WHERE), "{}").await;
    assert_eq!(bench.pool.stats().idle, 3);
}

async fn dismantled() {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let bench = Bench::with(|_| {}, clock);
    bench.once(bench.python(WHERE), "{}").await;
    bench.once(bench.node(WHERE_NODE), "{}").await;
    until("the next ones are ready", || bench.pool.ready() == 4).await;
    hand.advance(Duration::from_secs(299));
    bench.pool.reap_idle().await;
    assert_eq!(bench.pool.ready(), 4);
    assert!(descendants().iter().any(|one| is_of(one.pid, &bench)));
    hand.advance(Duration::from_secs(1));
    bench.pool.reap_idle().await;
    assert_eq!((bench.pool.ready(), bench.pool.stats().idle), (0, 0));
    until("no process is left", || !descendants().iter().any(|one| is_of(one.pid, &bench))).await;
    assert!(bench.once(bench.python(WHERE), "{}").await.result().is_string(), "and all of it comes back");
}

/// Counts at the platform's API for as long as it runs.
const COUNTS_ON: &str = "
import os, threading, time, urllib.request
def count():
    while True:
        urllib.request.urlopen('http://127.0.0.1:4566').read()
        time.sleep(0.001)
threading.Thread(target=count, daemon=True).start()
def handler(event, context):
    return os.readlink('/proc/self/ns/net')
";

/// Whether the kernel says that the control group of a process stands still; `None` where it says nothing.
fn is_frozen(pid: i32) -> Option<bool> {
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        words.next().filter(|_| words.next() == Some("cgroup2"))
    })?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let events = std::fs::read_to_string(format!("{mount}/{group}/cgroup.events")).ok()?;
    Some(events.lines().any(|line| line == "frozen 1"))
}

async fn frozen() {
    let (bench, meeting) = Bench::meeting(0);
    let function = Arc::new(bench.python(COUNTS_ON));
    for _ in 0..2 {
        let before = meeting.present();
        let namespace = bench.again(&function, "{}").await.result();
        until("it counts after its answer", || meeting.present() > before).await;
        let lives_in = |pid| std::fs::read_link(format!("/proc/{pid}/ns/net"));
        let is_own = |pid| lives_in(pid).is_ok_and(|link| link.to_str() == namespace.as_str());
        let own = descendants().iter().map(|one| one.pid).find(|pid| is_own(*pid)).unwrap();
        if is_frozen(own).is_some() {
            until("it is frozen", || is_frozen(own) == Some(true)).await;
            continue;
        }
        let (mut last, mut same) = (usize::MAX, 0);
        let stands_still = || {
            let present = meeting.present();
            same = if present == last { same + 1 } else { 0 };
            last = present;
            same == 40
        };
        until("it stands still", stands_still).await;
    }
    assert_eq!(bench.pool.stats().idle, 1);
}

async fn quick_turns() {
    let bench = Bench::with(|config| config.freeze_after = Duration::ZERO, Clock::system());
    let function = Arc::new(bench.python("def handler(event, context):\n    return event\n"));
    for turn in 0..200 {
        let answer = bench.again(&function, &turn.to_string()).await;
        assert_eq!(answer.result(), json!(turn));
        assert_eq!(answer.0.record.init_ms.is_some(), turn == 0, "the environment lives on");
        if turn % 4 == 0 {
            tokio::time::sleep(Duration::from_millis(turn % 12)).await;
        }
    }
}

async fn last_lines() {
    let (bench, meeting) = Bench::meeting_with(0, |config| config.freeze_after = Duration::from_secs(600));
    let function = Arc::new(bench.python(
        &COUNTS_ON.replace("    while True:", "    for number in range(1 << 20):\n        print(number)"),
    ));
    assert!(bench.again(&function, "{}").await.result().is_string());
    let before = meeting.present();
    until("it counts after its answer", || meeting.present() > before + 10).await;
    let printed = meeting.present();
    bench.pool.retire("000000000000", "us-east-1", &function.key.name).await;
    let logged = bench.all_logged().await;
    assert!(logged.contains(&format!("{}\n", printed - 1)), "{printed} are not all in {logged:?}");
}

async fn version_retired() {
    let bench = Bench::new();
    let latest = Arc::new(bench.python("def handler(event, context):\n    return event\n"));
    let mut first = bench.python("def handler(event, context):\n    return -event\n");
    first.key = FunctionKey { version: "1".to_owned(), ..latest.key.clone() };
    let first = Arc::new(first);
    bench.again(&latest, "1").await;
    bench.again(&first, "1").await;
    assert_eq!(bench.pool.stats().idle, 2);
    bench.pool.retire_version("000000000000", "us-east-1", &latest.key.name, "1").await;
    assert_eq!(bench.pool.stats().idle, 1);
    assert_eq!(bench.again(&latest, "2").await.0.record.init_ms, None, "the other one is there still");
}

async fn counted() {
    let bench = Bench::new();
    let mut function = bench.python("def handler(event, context):\n    return event\n");
    let name = function.key.name.clone();
    bench.once(bench.python("def handler(event, context):\n    return 1\n"), "{}").await;
    function.reserved_concurrency = Some(1);
    let function = Arc::new(function);
    for _ in 0..3 {
        bench.again(&function, "1").await;
    }
    let functions = || bench.pool.functions("000000000000", "us-east-1");
    let known = functions();
    assert_eq!(known.len(), 2);
    assert!(bench.pool.functions("000000000000", "eu-west-1").is_empty());
    assert!(bench.pool.functions("111111111111", "us-east-1").is_empty());
    let one = known.iter().find(|one| one.name == name).unwrap();
    assert_eq!((one.account.as_str(), one.region.as_str()), ("000000000000", "us-east-1"));
    assert_eq!((one.idle, one.busy, one.cold_starts, one.throttles), (1, 0, 1, 0));
    assert!(one.memory_bytes > 0, "a runtime takes memory");
    assert!(one.p50_ms.unwrap() > 0.0 && one.p50_ms <= one.p99_ms);
    let mut none = bench.python("def handler(event, context):\n    return 1\n");
    none.key = function.key.clone();
    none.reserved_concurrency = Some(0);
    assert!(bench.call(&Arc::new(none), "{}").await.is_err());
    let throttles =
        |known: &[lambent_pool::FunctionStats]| known.iter().find(|one| one.name == name).unwrap().throttles;
    assert_eq!(throttles(&functions()), 1);
    bench.pool.retire("000000000000", "us-east-1", &name).await;
    assert!(functions().iter().all(|one| one.name != name), "it was deleted");
}
