//! Measures what the pool itself costs: cold starts and warm calls, without HTTP in front.
//!
//! `cargo run --release -p lambent-pool --example measure [WHAT] [CASE]`
#![expect(clippy::unwrap_used, reason = "a tool for developers")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{BoxFuture, Clock, Random};
use lambent_pool::{
    Credentials, CredentialsSource, Endpoint, FunctionKey, FunctionSpec, InvocationRecord, InvokeRequest,
    LogBatch, LogSink, Outcome, Pool, PoolConfig, PoolParts, Recorder,
};
use lambent_runtimes::Catalogue;
use tokio::net::TcpListener;

const COLD_STARTS: usize = 30;
/// Between cold starts, so that the ready set is as it is for calls that come one by one.
const PAUSE: Duration = Duration::from_millis(200);
const WARM_CALLS: usize = 5_000;
const BURST: usize = 500;
const BURN_CALLS: usize = 20;

/// (name, runtime, file, code); those with packages need a data directory in which they are installed (DATA=...).
const CASES: [(&str, &str, &str, &str); 4] = [
    ("python", "python3.11", "app.py", "def handler(event, context):\n    return event\n"),
    ("node", "nodejs20.x", "app.js", "exports.handler = async (event) => event;\n"),
    (
        "boto3",
        "python3.11",
        "app.py",
        "import boto3\ns3 = boto3.client('s3')\ndef handler(e, c):\n    return e\n",
    ),
    (
        "sdk",
        "nodejs20.x",
        "app.mjs",
        "import { S3Client } from '@aws-sdk/client-s3';\nnew S3Client({});\nexport const handler = async (e) => e;\n",
    ),
];
/// Holds its environment for `HELD`, so that a burst needs as many as it has calls.
const SLOW: &str = "import time\ndef handler(event, context):\n    time.sleep(8)\n";
const HELD: Duration = Duration::from_secs(8);
/// Takes a while to load, and is as slow.
const LOADS: &str = "import asyncio, http.client, sqlite3, xml.dom.minidom, unittest.mock, multiprocessing, time\n\
    def handler(event, context):\n    time.sleep(8)\n";
/// Some 20 ms of a CPU's time.
const BURN: &str = "def handler(event, context):\n    for _ in range(400000): pass\n";

struct Nothing;

impl LogSink for Nothing {
    fn write(&self, _: Vec<LogBatch>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Recorder for Nothing {
    fn record(&self, _: &InvocationRecord) {}
}

impl Endpoint for Nothing {
    fn serve(&self, _: TcpListener) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl CredentialsSource for Nothing {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        Box::pin(async {
            Ok(Credentials {
                access_key_id: String::new(),
                secret_access_key: String::new(),
                session_token: String::new(),
            })
        })
    }
}

fn main() {
    lambent_sandbox::run_if_forge();
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
}

/// `measure [WHAT] [CASE]`: what is `cold`, `warm`, `burst`, `restore` or `burn`, and all of them when it is left out.
async fn measure() {
    // Calls come from the runtime's own threads, as in the platform.
    tokio::spawn(measure_all()).await.unwrap();
}

async fn measure_all() {
    let data = lambent_base::env::var("DATA").map(std::path::PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let data = data.unwrap_or_else(|| temporary.path().join("data"));
    let clock = Clock::system();
    let parts = PoolParts {
        clock: clock.clone(),
        random: Random::system(),
        runtimes: Arc::new(Catalogue::new()),
        endpoint: Arc::new(Nothing),
        egress: None,
        logs: Arc::new(Nothing),
        recorder: Arc::new(Nothing),
    };
    let pool = Pool::new(PoolConfig::new(data), parts).unwrap();
    let bench = Bench { pool, clock, dir: temporary.path().to_owned() };
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |what: &str| asked.first().is_none_or(|asked| asked == what);
    let cases = CASES.into_iter().filter(|case| asked.get(1).is_none_or(|only| case.0 == only));
    for (name, runtime, file, code) in cases {
        let function = |revision: &str| bench.function(name, runtime, file, code, revision);
        if wants("cold") {
            bench.cold(name, function).await;
        }
        if wants("warm") {
            bench.warm(name, function).await;
        }
    }
    if wants("burst") {
        bench.burst().await;
    }
    if wants("restore") {
        bench.restore().await;
    }
    if wants("burn") {
        bench.burn().await;
    }
    bench.pool.shutdown().await;
}

#[derive(Clone)]
struct Bench {
    pool: Pool,
    clock: Clock,
    dir: std::path::PathBuf,
}

impl Bench {
    async fn cold(&self, name: &str, function: impl Fn(&str) -> Arc<FunctionSpec>) {
        let mut spaced = Vec::new();
        for revision in 0..COLD_STARTS {
            tokio::time::sleep(PAUSE).await;
            spaced.push(self.one(&function(&format!("spaced-{revision}"))).await);
        }
        print("cold, spaced", name, &mut spaced[1..]);
        let mut close = Vec::new();
        for revision in 0..COLD_STARTS {
            close.push(self.one(&function(&format!("close-{revision}"))).await);
        }
        print("cold, one after the other", name, &mut close);
    }

    /// Several callers at once, one environment each.
    async fn warm(&self, name: &str, function: impl Fn(&str) -> Arc<FunctionSpec>) {
        for callers in [1, 4, 16] {
            let same = function("warm");
            self.many(&format!("warm, {callers} callers"), name, vec![same; callers]).await;
        }
        let others = (0..16).map(|other| self.renamed(&function("warm"), &format!("{name}-{other}")));
        self.many("warm, 16 functions", name, others.collect()).await;
    }

    async fn many(&self, what: &str, name: &str, functions: Vec<Arc<FunctionSpec>>) {
        let callers = functions.len();
        let each = WARM_CALLS / callers.min(4);
        let mut times = Vec::new();
        let mut seconds = 0.0;
        for _round in 0..2 {
            let before = self.clock.monotonic();
            let all: Vec<_> = functions
                .iter()
                .map(|function| {
                    let (bench, function) = (self.clone(), function.clone());
                    tokio::spawn(async move {
                        let mut times = Vec::new();
                        for _ in 0..each {
                            times.push(bench.one(&function).await);
                        }
                        times
                    })
                })
                .collect();
            times.clear();
            for caller in all {
                times.extend(caller.await.unwrap());
            }
            seconds = (self.clock.monotonic() - before).as_secs_f64();
        }
        print(what, name, &mut times);
        println!("     {:.0} calls/s", f64::from(u32::try_from(times.len()).unwrap()) / seconds);
    }

    async fn burst(&self) {
        let function = self.function("burst", "python3.11", "app.py", SLOW, "1");
        let calls: Vec<_> = (0..BURST)
            .map(|_| {
                let (bench, function) = (self.clone(), function.clone());
                tokio::spawn(async move { bench.one(&function).await - HELD })
            })
            .collect();
        let mut times = Vec::new();
        for call in calls {
            times.push(call.await.unwrap());
        }
        print("burst of 500, until it runs", "python", &mut times);
        let last = times[times.len() - 1].as_secs_f64();
        println!("     {:.0} environments/s", f64::from(u32::try_from(BURST).unwrap()) / last);
    }

    /// Starts of a function that takes a while to load, with SnapStart and without.
    async fn restore(&self) {
        let function = self.function("restore", "python3.11", "app.py", LOADS, "1");
        for snap_start in [true, false] {
            let mut function = spec("restore", &function.runtime, &function.code_dir, "1");
            function.key.version = u8::from(snap_start).to_string();
            function.snap_start = snap_start;
            let function = Arc::new(function);
            let mut calls = Vec::new();
            for _ in 0..COLD_STARTS {
                let (bench, function) = (self.clone(), function.clone());
                calls.push(tokio::spawn(async move { bench.one(&function).await - HELD }));
                tokio::time::sleep(PAUSE).await;
            }
            let mut times = Vec::new();
            for call in calls {
                times.push(call.await.unwrap());
            }
            println!("first of them, SnapStart {snap_start}: {:?}", times[0]);
            print("cold, with imports", if snap_start { "SnapStart" } else { "ordinary" }, &mut times[1..]);
        }
    }

    /// Two functions that burn a CPU each: they must not share one.
    async fn burn(&self) {
        let functions =
            [0, 1].map(|other| self.function(&format!("burn-{other}"), "python3.11", "app.py", BURN, "1"));
        for count in [1, 2] {
            let calls: Vec<_> = functions[..count]
                .iter()
                .map(|function| {
                    let (bench, function) = (self.clone(), function.clone());
                    tokio::spawn(async move {
                        for _ in 0..BURN_CALLS {
                            bench.one(&function).await;
                        }
                    })
                })
                .collect();
            let before = self.clock.monotonic();
            for call in calls {
                call.await.unwrap();
            }
            println!(
                "burn, {count} at once: {:?} for {BURN_CALLS} calls each",
                self.clock.monotonic() - before
            );
        }
    }

    fn renamed(&self, function: &FunctionSpec, name: &str) -> Arc<FunctionSpec> {
        Arc::new(spec(name, &function.runtime, &function.code_dir, "warm"))
    }

    fn function(
        &self,
        name: &str,
        runtime: &str,
        file: &str,
        code: &str,
        revision: &str,
    ) -> Arc<FunctionSpec> {
        let dir = self.dir.join(name);
        write(&dir, file, code);
        Arc::new(spec(name, runtime, &dir, revision))
    }

    async fn one(&self, function: &Arc<FunctionSpec>) -> Duration {
        one(&self.pool, &self.clock, function).await
    }
}

async fn one(pool: &Pool, clock: &Clock, function: &Arc<FunctionSpec>) -> Duration {
    let request = InvokeRequest {
        function: function.clone(),
        payload: Bytes::from_static(b"{\"key\":\"value\"}"),
        request_id: Random::system().uuid(),
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:measure".to_owned(),
        trace_id: None,
        client_context: None,
        tenant_id: None,
        is_told_whole: true,
    };
    let before = clock.monotonic();
    let invocation = pool.invoke(request).await.unwrap();
    let after = clock.monotonic();
    assert!(
        matches!(invocation.outcome, Outcome::Success(_)),
        "{}",
        String::from_utf8_lossy(&invocation.log_tail)
    );
    after - before
}

fn print(what: &str, runtime: &str, times: &mut [Duration]) {
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    println!("{what} {runtime}: p50 {:?}, p95 {:?}, p99 {:?}, min {:?}", at(50), at(95), at(99), times[0]);
}

fn write(dir: &Path, file: &str, code: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(dir.join(file), code).unwrap();
}

fn spec(name: &str, runtime: &str, dir: &Path, revision: &str) -> FunctionSpec {
    FunctionSpec {
        key: FunctionKey {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            name: name.to_owned(),
            version: "$LATEST".to_owned(),
            revision: revision.to_owned(),
        },
        runtime: runtime.to_owned(),
        handler: "app.handler".to_owned(),
        memory_mib: 256,
        timeout_ms: 20_000,
        ephemeral_mib: 512,
        environment: Vec::new(),
        code_dir: dir.to_owned(),
        opt_dir: None,
        image: None,
        log_group: "/aws/lambda/measure".to_owned(),
        logging: lambent_pool::Logging::default(),
        tracing_active: false,
        extensions: Vec::new(),
        code_cache: None,
        snap_start: false,
        reserved_concurrency: None,
        credentials: Arc::new(Nothing),
    }
}
