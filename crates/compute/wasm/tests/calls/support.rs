//! A runner of WebAssembly, with everything that it tells kept for looking at.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{BoxFuture, Clock, Random};
use lambent_egress::Network;
use lambent_pool::{
    Credentials, CredentialsSource, FunctionKey, FunctionSpec, Invocation, InvocationRecord, InvokeError,
    InvokeRequest, Ledger, LogBatch, LogSink, Outcome, Recorder, SharedConcurrency,
};
use lambent_wasm::{Wasm, WasmConfig};
use parking_lot::Mutex;

pub(crate) struct Platform {
    pub(crate) wasm: Wasm,
    pub(crate) told: Arc<Told>,
    folder: tempfile::TempDir,
    functions: AtomicU32,
}

/// What was told of calls.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) records: Mutex<Vec<InvocationRecord>>,
    pub(crate) lines: Mutex<Vec<String>>,
    /// Whether functions without reserved concurrency run as much as they may.
    pub(crate) is_full: AtomicBool,
}

impl SharedConcurrency for Told {
    fn begin(&self, _: &str, _: &str) -> bool {
        !self.is_full.load(Ordering::SeqCst)
    }

    fn end(&self, _: &str, _: &str) {}
}

impl Recorder for Told {
    fn record(&self, record: &InvocationRecord) {
        self.records.lock().push(record.clone());
    }
}

impl LogSink for Told {
    fn write(&self, batches: Vec<LogBatch>) -> BoxFuture<'_, ()> {
        let lines = batches.into_iter().flat_map(|batch| batch.events).map(|event| event.message);
        self.lines.lock().extend(lines);
        Box::pin(std::future::ready(()))
    }
}

struct Keys;

impl CredentialsSource for Keys {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        let own = |text: &str| text.to_owned();
        Box::pin(std::future::ready(Ok(Credentials {
            access_key_id: own("id"),
            secret_access_key: own("secret"),
            session_token: own("token"),
        })))
    }
}

impl Platform {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// With a way out.
    pub(crate) fn with(network: Option<Network>) -> Self {
        let told = Arc::new(Told::default());
        let folder = tempfile::tempdir().unwrap();
        let functions = AtomicU32::new(0);
        Self { wasm: runner(&told, 7, network, folder.path()), told, folder, functions }
    }

    /// As after a restart, with another secret if that is said.
    pub(crate) fn restarted(&mut self, secret: u8) {
        self.wasm = runner(&self.told, secret, None, self.folder.path());
    }

    /// An unpacked package with one file.
    pub(crate) fn package(&self, name: &str, contents: &[u8]) -> PathBuf {
        let number = self.functions.fetch_add(1, Ordering::Relaxed);
        let code_dir = self.folder.path().join("code").join(format!("{number:064}"));
        std::fs::create_dir_all(&code_dir).unwrap();
        std::fs::write(code_dir.join(name), contents).unwrap();
        code_dir
    }

    /// A function that is one of the guests.
    pub(crate) fn guest(&self, name: &str) -> FunctionSpec {
        let code_dir = self.package("app.wasm", &lambent_test_components::one(name));
        function(name, &code_dir)
    }

    /// Calls a function, and gives what its caller reads and what is recorded.
    pub(crate) async fn call(&self, function: &Arc<FunctionSpec>, event: &str) -> Called {
        Called(self.wasm.invoke(request(function, event)).await.unwrap())
    }

    pub(crate) async fn refused(&self, function: FunctionSpec) -> InvokeError {
        self.wasm.invoke(request(&Arc::new(function), "{}")).await.expect_err("a call that does not run")
    }

    /// Calls a guest once.
    pub(crate) async fn once(&self, name: &str, event: &str) -> Called {
        self.call(&Arc::new(self.guest(name)), event).await
    }
}

/// What came of a call.
pub(crate) struct Called(pub(crate) Invocation);

impl Called {
    pub(crate) fn result(&self) -> &str {
        match &self.0.outcome {
            Outcome::Success(payload) => std::str::from_utf8(payload).unwrap(),
            Outcome::FunctionError { payload, .. } => panic!("expected a result, got the error {payload:?}"),
        }
    }

    /// Type and message.
    pub(crate) fn error(&self) -> (String, String) {
        let Outcome::FunctionError { payload, .. } = &self.0.outcome else {
            panic!("expected an error, got {:?}", self.0.outcome)
        };
        let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        (text("errorType"), text("errorMessage"))
    }

    pub(crate) fn tail(&self) -> &str {
        std::str::from_utf8(&self.0.log_tail).unwrap()
    }

    pub(crate) fn record(&self) -> &InvocationRecord {
        &self.0.record
    }
}

pub(crate) fn function(name: &str, code_dir: &Path) -> FunctionSpec {
    let key = FunctionKey {
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        name: name.to_owned(),
        version: "$LATEST".to_owned(),
        revision: code_dir.display().to_string(),
    };
    let runtime = if name.starts_with("http") { "wasi-http" } else { "wasi-lambda" };
    FunctionSpec::new(key, (runtime, "app.wasm"), code_dir.to_path_buf(), Arc::new(Keys))
}

pub(crate) fn request(function: &Arc<FunctionSpec>, event: &str) -> InvokeRequest {
    InvokeRequest {
        function: function.clone(),
        payload: Bytes::copy_from_slice(event.as_bytes()),
        request_id: Random::system().uuid(),
        invoked_arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{}", function.key.name),
        trace_id: None,
        client_context: None,
        tenant_id: None,
        is_told_whole: true,
    }
}

fn runner(told: &Arc<Told>, secret: u8, network: Option<Network>, folder: &Path) -> Wasm {
    let random = Random::system();
    let ledger = Ledger::new(Clock::system(), random.clone(), told.clone(), told.clone());
    let (secret, shared, tmp_dir) = ([secret; 32], told.clone(), folder.join("tmp"));
    Wasm::new(WasmConfig { secret, random, tmp_dir, ledger, shared, network, shutdown_grace: Duration::ZERO })
        .unwrap()
}
