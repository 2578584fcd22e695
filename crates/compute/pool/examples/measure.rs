//! Measures what the pool itself costs: cold starts and warm calls, without HTTP in front.
//!
//! `cargo run --release -p lambent-pool --example measure`
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
const WARM_CALLS: usize = 5_000;

/// (name, runtime, file, code); those with packages need a data directory in which they are installed (DATA=...).
const CASES: [(&str, &str, &str, &str); 4] = [
    ("python", "python3.11", "app.py", "def handler(event, context):\n    return event\n"),
    ("node", "nodejs20.x", "app.js", "exports.handler = async (event) => event;\n"),
    (
        "python+boto3",
        "python3.11",
        "app.py",
        "import boto3\ns3 = boto3.client('s3')\ndef handler(e, c):\n    return e\n",
    ),
    (
        "node+sdk",
        "nodejs20.x",
        "app.mjs",
        "import { S3Client } from '@aws-sdk/client-s3';\nnew S3Client({});\nexport const handler = async (e) => e;\n",
    ),
];

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

async fn measure() {
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
    let only = std::env::args().nth(1).unwrap_or_default();
    for (name, runtime, file, code) in CASES.into_iter().filter(|case| case.0.starts_with(&only)) {
        let dir = temporary.path().join(name);
        write(&dir, file, code);
        let mut cold = Vec::new();
        for revision in 0..COLD_STARTS {
            let function = Arc::new(function(name, runtime, &dir, &revision.to_string()));
            cold.push(one(&pool, &clock, &function).await);
        }
        print("cold", name, &mut cold);
        let function = Arc::new(function(name, runtime, &dir, "warm"));
        let mut warm = Vec::new();
        for _ in 0..WARM_CALLS {
            warm.push(one(&pool, &clock, &function).await);
        }
        print("warm", name, &mut warm[1..]);
        many(&pool, &clock, &function).await;
    }
    pool.shutdown().await;
}

/// Several callers at once, one environment each.
async fn many(pool: &Pool, clock: &Clock, function: &Arc<FunctionSpec>) {
    for callers in [4, 16] {
        let call_all = || {
            let callers: Vec<_> = (0..callers)
                .map(|_| {
                    let (pool, clock, function) = (pool.clone(), clock.clone(), function.clone());
                    tokio::spawn(async move {
                        for _ in 0..WARM_CALLS / 16 {
                            one(&pool, &clock, &function).await;
                        }
                    })
                })
                .collect();
            callers
        };
        for caller in call_all() {
            caller.await.unwrap();
        }
        let before = clock.monotonic();
        for caller in call_all() {
            caller.await.unwrap();
        }
        let seconds = (clock.monotonic() - before).as_secs_f64();
        let calls = u32::try_from(callers * (WARM_CALLS / 16)).unwrap();
        println!("     {callers} callers: {:.0} calls/s", f64::from(calls) / seconds);
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

fn function(name: &str, runtime: &str, dir: &Path, revision: &str) -> FunctionSpec {
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
        timeout_ms: 3_000,
        ephemeral_mib: 512,
        environment: Vec::new(),
        code_dir: dir.to_owned(),
        log_group: "/aws/lambda/measure".to_owned(),
        snap_start: false,
        reserved_concurrency: None,
        credentials: Arc::new(Nothing),
    }
}
