//! Provisioned concurrency: environments that wait before anybody calls.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use lambent_pool::{FunctionSpec, ProvisionFailure, Provisioned};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, HostProcess, descendants, join_all, trial};
use crate::waiting::is_of;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("provisioned_environments_wait_for_calls", wait_for_calls),
        trial("provisioned_environments_are_replaced", are_replaced),
        trial("provisioned_environments_that_fail_are_told", fail),
    ]
}

const LIMIT: Duration = Duration::from_secs(60);

const TYPE: &str = "
import ctypes, os, threading, urllib.request
ctypes.CDLL(None).prctl(15, b'is-provisioned', 0, 0, 0)
count = 0
def handler(event, context):
    global count
    count += 1
    if event.get('meet'):
        urllib.request.urlopen('http://127.0.0.1:4566').read()
    if event.get('die'):
        os._exit(1)
    if event.get('later'):
        threading.Timer(0.05, lambda: os._exit(7)).start()
    return [os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'], count]
";

impl Bench {
    fn provision(&self, function: &Arc<FunctionSpec>, wanted: usize) {
        let key = &function.key;
        let versions = vec![(function.clone(), wanted)];
        self.pool.provision(&key.account, &key.region, &key.name, versions);
    }

    fn provisioned(&self, function: &FunctionSpec) -> Provisioned {
        let key = &function.key;
        self.pool.provisioned(&key.account, &key.region, &key.name, &key.version).unwrap()
    }

    async fn until(&self, function: &FunctionSpec, is_so: impl Fn(&Provisioned) -> bool) {
        let waited = async {
            while !is_so(&self.provisioned(function)) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let told = || format!("{:?}", self.provisioned(function));
        assert!(tokio::time::timeout(LIMIT, waited).await.is_ok(), "{}", told());
    }
}

fn published(mut spec: FunctionSpec) -> Arc<FunctionSpec> {
    spec.key.version = "1".to_owned();
    Arc::new(spec)
}

async fn wait_for_calls() {
    let (bench, _meeting) = Bench::meeting_with(3, |config| config.idle_timeout = Duration::from_millis(50));
    let function = published(bench.python(TYPE));
    bench.provision(&function, 2);
    bench.until(&function, |told| told.allocated == 2).await;
    bench.pool.reap_idle().await;
    assert_eq!(bench.pool.stats().idle, 2, "they wait for as long as they are wanted");
    let calls = (0..3).map(|_| bench.call(&function, r#"{"meet": true}"#)).collect();
    let answers: Vec<_> =
        join_all(calls).await.into_iter().map(|answer| crate::support::Answer(answer.unwrap())).collect();
    let mut types: Vec<_> = answers.iter().map(|answer| answer.result()[0].clone()).collect();
    types.sort_by_key(ToString::to_string);
    assert_eq!(
        types,
        [json!("on-demand"), json!("provisioned-concurrency"), json!("provisioned-concurrency")]
    );
    let cold = answers.iter().filter(|answer| answer.0.record.cold_start).count();
    assert_eq!(cold, 1, "one goes beyond what is provisioned");
    bench.provision(&function, 0);
    bench.pool.provision("000000000000", "us-east-1", &function.key.name, Vec::new());
    bench.pool.shutdown().await;
}

async fn are_replaced() {
    let (clock, hand) = Clock::manual(1_800_000_000_000);
    let bench = Bench::with(|_| {}, clock);
    let function = published(bench.python(TYPE));
    bench.provision(&function, 1);
    bench.until(&function, |told| told.allocated == 1).await;
    assert_eq!(bench.again(&function, "{}").await.result(), json!(["provisioned-concurrency", 1]));

    // By its own call.
    bench.again(&function, r#"{"die": true}"#).await.error();
    bench.until(&function, |told| told.allocated == 1).await;
    assert_eq!(bench.again(&function, "{}").await.result(), json!(["provisioned-concurrency", 1]));

    // While it waits.
    // Other tests of this file, which run beside it, give their processes the same name.
    let is_ours = |one: &&HostProcess| one.name == "is-provisioned" && is_of(one.pid, &bench);
    let alone = || descendants().iter().find(is_ours).map(|one| one.pid);
    let before = alone().unwrap();
    bench.again(&function, r#"{"later": true}"#).await;
    while alone().is_none_or(|pid| pid == before) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bench.until(&function, |told| told.allocated == 1).await;
    assert_eq!(bench.again(&function, "{}").await.result(), json!(["provisioned-concurrency", 1]));

    // By age, before it is too old for a call.
    hand.advance(Duration::from_secs(6 * 3600 - 60));
    let replaced = async {
        while bench.again(&function, "{}").await.result() != json!(["provisioned-concurrency", 1]) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, replaced).await.is_ok());
    bench.pool.shutdown().await;
}

async fn fail() {
    let bench = Bench::new();
    let function = published(bench.python("raise Exception('not today')\n"));
    bench.provision(&function, 2);
    bench.until(&function, |told| told.failure == Some(ProvisionFailure::Function)).await;
    assert_eq!((bench.provisioned(&function).allocated, bench.provisioned(&function).wanted), (0, 2));
    let lines = bench.all_logged().await;
    assert!(lines.iter().any(|line| line.contains("not today")), "{lines:?}");
}
