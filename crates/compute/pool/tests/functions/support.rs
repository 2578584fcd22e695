//! A pool on a temporary data directory, and functions written on the spot.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lambent_base::{BoxFuture, Clock, Random};
use lambent_pool::{
    Credentials, CredentialsSource, Endpoint, FunctionKey, FunctionSpec, Invocation, InvocationRecord,
    InvokeError, InvokeRequest, LogBatch, LogSink, Outcome, Pool, PoolConfig, PoolParts, Recorder,
};
use lambent_runtimes::Catalogue;
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

pub(crate) const NAME: &str = "probe";
const MAX_KEPT_LINES: usize = 1_000;

/// What a test gets.
pub(crate) struct Bench {
    pub(crate) pool: Pool,
    pub(crate) sink: Arc<Sink>,
    pub(crate) dir: tempfile::TempDir,
    count: AtomicU32,
}

/// Keeps records and the first log lines, and counts the rest.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) batches: Mutex<Vec<LogBatch>>,
    pub(crate) lines: AtomicUsize,
    pub(crate) records: Mutex<Vec<InvocationRecord>>,
}

impl LogSink for Sink {
    fn write(&self, batches: Vec<LogBatch>) -> BoxFuture<'_, ()> {
        let lines = batches.iter().map(|batch| batch.events.len()).sum();
        if self.lines.fetch_add(lines, Ordering::SeqCst) < MAX_KEPT_LINES {
            self.batches.lock().unwrap().extend(batches);
        }
        Box::pin(async {})
    }
}

impl Recorder for Sink {
    fn record(&self, record: &InvocationRecord) {
        self.records.lock().unwrap().push(record.clone());
    }
}

/// Answers every connection with a short text, once so many have come: functions that call it meet there.
pub(crate) struct Meeting {
    wanted: AtomicUsize,
    come: tokio::sync::watch::Sender<usize>,
}

impl Meeting {
    /// How many have come.
    pub(crate) fn present(&self) -> usize {
        *self.come.borrow()
    }

    /// Lets those who come from now on wait until so many have.
    pub(crate) fn want(&self, count: usize) {
        self.wanted.store(count, Ordering::SeqCst);
    }

    /// Comes, as a function would.
    pub(crate) fn join(&self) {
        self.come.send_modify(|come| *come += 1);
    }

    pub(crate) async fn wait_for(&self, count: usize) {
        let mut come = self.come.subscribe();
        come.wait_for(|come| *come >= count).await.unwrap();
    }
}

struct MeetingPlace(Arc<Meeting>);

impl Endpoint for MeetingPlace {
    fn serve(&self, listener: TcpListener) -> BoxFuture<'static, ()> {
        let meeting = self.0.clone();
        Box::pin(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                meeting.join();
                let wanted = meeting.wanted.load(Ordering::SeqCst);
                meeting.wait_for(wanted).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            }
        })
    }
}

struct Fixed;

impl CredentialsSource for Fixed {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        Box::pin(async {
            Ok(Credentials {
                access_key_id: "ASIATEST".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: "token".to_owned(),
            })
        })
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, Clock::system())
    }

    /// A platform whose API answers when `wanted` have called it.
    pub(crate) fn meeting(wanted: usize) -> (Self, Arc<Meeting>) {
        Self::meeting_with(wanted, |_| {})
    }

    pub(crate) fn meeting_with(wanted: usize, change: impl FnOnce(&mut PoolConfig)) -> (Self, Arc<Meeting>) {
        let meeting =
            Arc::new(Meeting { wanted: AtomicUsize::new(wanted), come: tokio::sync::watch::Sender::new(0) });
        (Self::of(change, Clock::system(), meeting.clone()), meeting)
    }

    pub(crate) fn with(change: impl FnOnce(&mut PoolConfig), clock: Clock) -> Self {
        let meeting = Meeting { wanted: AtomicUsize::new(1), come: tokio::sync::watch::Sender::new(0) };
        Self::of(change, clock, Arc::new(meeting))
    }

    fn of(change: impl FnOnce(&mut PoolConfig), clock: Clock, meeting: Arc<Meeting>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = PoolConfig::new(dir.path().join("data"));
        change(&mut config);
        let sink = Arc::new(Sink::default());
        let parts = PoolParts {
            clock,
            random: Random::system(),
            runtimes: Arc::new(Catalogue::new()),
            endpoint: Arc::new(MeetingPlace(meeting)),
            egress: None,
            logs: sink.clone(),
            recorder: sink.clone(),
        };
        let pool = Pool::new(config, parts).unwrap();
        Self { pool, sink, dir, count: AtomicU32::new(0) }
    }

    pub(crate) fn python(&self, code: &str) -> FunctionSpec {
        self.function("python3.11", "app.handler", &[("app.py", code, 0o644)])
    }

    pub(crate) fn node(&self, code: &str) -> FunctionSpec {
        self.function("nodejs20.x", "index.handler", &[("index.js", code, 0o644)])
    }

    /// A function of some files: (path, text, mode).
    pub(crate) fn function(&self, runtime: &str, handler: &str, files: &[(&str, &str, u32)]) -> FunctionSpec {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let code_dir = self.dir.path().join(format!("code-{number}"));
        for (name, text, mode) in files {
            let path = code_dir.join(name);
            make_folder(path.parent().unwrap());
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
        }
        make_folder(&code_dir);
        FunctionSpec {
            key: FunctionKey {
                account: "000000000000".to_owned(),
                region: "us-east-1".to_owned(),
                name: format!("{NAME}-{number}"),
                version: "$LATEST".to_owned(),
                revision: "1".to_owned(),
            },
            runtime: runtime.to_owned(),
            handler: handler.to_owned(),
            memory_mib: 256,
            timeout_ms: 20_000,
            ephemeral_mib: 512,
            environment: Vec::new(),
            code_dir,
            opt_dir: None,
            image: None,
            log_group: format!("/aws/lambda/{NAME}-{number}"),
            logging: lambent_pool::Logging::default(),
            tracing_active: false,
            extensions: Vec::new(),
            code_cache: None,
            snap_start: false,
            reserved_concurrency: None,
            credentials: Arc::new(Fixed),
        }
    }

    pub(crate) async fn call(
        &self,
        function: &Arc<FunctionSpec>,
        payload: &str,
    ) -> Result<Invocation, InvokeError> {
        self.pool.invoke(self.request(function, payload)).await
    }

    /// Calls once for a tenant.
    pub(crate) async fn for_tenant(&self, function: &Arc<FunctionSpec>, tenant_id: &str) -> Answer {
        let request = InvokeRequest { tenant_id: Some(tenant_id.to_owned()), ..self.request(function, "{}") };
        Answer(self.pool.invoke(request).await.expect("the call runs"))
    }

    /// Calls once and takes the result as it comes.
    pub(crate) async fn streamed(&self, function: &Arc<FunctionSpec>, payload: &str) -> lambent_pool::Answer {
        let request = InvokeRequest { is_told_whole: false, ..self.request(function, payload) };
        self.pool.invoke_streaming(request).await.expect("the call runs")
    }

    /// Calls once, and is told as soon as the function has answered.
    pub(crate) async fn answered(&self, function: &Arc<FunctionSpec>, payload: &str) -> Answer {
        let request = InvokeRequest { is_told_whole: false, ..self.request(function, payload) };
        Answer(self.pool.invoke(request).await.expect("the call runs"))
    }

    fn request(&self, function: &Arc<FunctionSpec>, payload: &str) -> InvokeRequest {
        InvokeRequest {
            function: function.clone(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            request_id: Random::system().uuid(),
            invoked_arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{}", function.key.name),
            trace_id: None,
            client_context: None,
            tenant_id: None,
            is_told_whole: true,
        }
    }

    /// Calls once and expects an answer of the platform's, of whatever kind.
    pub(crate) async fn once(&self, function: FunctionSpec, payload: &str) -> Answer {
        self.again(&Arc::new(function), payload).await
    }

    pub(crate) async fn again(&self, function: &Arc<FunctionSpec>, payload: &str) -> Answer {
        Answer(self.call(function, payload).await.expect("the call runs"))
    }

    /// Everything logged so far, in order; ends the pool.
    pub(crate) async fn all_logged(&self) -> Vec<String> {
        self.pool.shutdown().await;
        let batches = self.sink.batches.lock().unwrap();
        batches.iter().flat_map(|batch| &batch.events).map(|event| event.message.clone()).collect()
    }
}

fn make_folder(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// An invocation with shorter ways to its parts.
pub(crate) struct Answer(pub(crate) Invocation);

impl Answer {
    pub(crate) fn result(&self) -> Value {
        match &self.0.outcome {
            Outcome::Success(body) => serde_json::from_slice(body).unwrap(),
            Outcome::FunctionError { payload, .. } => {
                panic!("the function failed: {payload:?}\n{}", self.tail())
            }
        }
    }

    pub(crate) fn error(&self) -> Value {
        match &self.0.outcome {
            Outcome::FunctionError { payload, .. } => serde_json::from_slice(payload).unwrap(),
            Outcome::Success(body) => panic!("the function did not fail: {body:?}"),
        }
    }

    pub(crate) fn tail(&self) -> String {
        String::from_utf8_lossy(&self.0.log_tail).into_owned()
    }
}

/// A test that runs in a tokio runtime of its own.
pub(crate) fn trial<F>(name: &str, test: fn() -> F) -> Trial
where
    F: Future<Output = ()> + Send + 'static,
{
    Trial::test(name.to_owned(), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

/// Waits for all of them at once.
pub(crate) async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in pinned.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
            }
        }
        if results.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// A process of this host that runs.
pub(crate) struct HostProcess {
    pub(crate) pid: i32,
    parent: i32,
    /// At most 15 bytes.
    pub(crate) name: String,
}

/// All that run; not those that only wait to be reaped.
pub(crate) fn processes() -> Vec<HostProcess> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let read = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut rest = rest.split_whitespace();
        let alive = rest.next()? != "Z";
        let parent = rest.next()?.parse().ok()?;
        alive.then_some(HostProcess { pid, parent, name })
    };
    entries.filter_map(read).collect()
}

/// Those that this process has started, and those that they have.
pub(crate) fn descendants() -> Vec<HostProcess> {
    let mut all = processes();
    let mut family = vec![i32::try_from(std::process::id()).unwrap()];
    let mut found = Vec::new();
    while let Some(at) = all.iter().position(|one| family.contains(&one.parent)) {
        let one = all.swap_remove(at);
        family.push(one.pid);
        found.push(one);
    }
    found
}
