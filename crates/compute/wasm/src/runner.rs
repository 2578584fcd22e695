//! WebAssembly as a runner of functions.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_egress::Network;
use lambent_pool::{
    FunctionSpec, Invocation, InvokeError, InvokeRequest, Ledger, SharedConcurrency, ThrottleReason,
    usable_bytes,
};
use tokio::sync::{Semaphore, oneshot, watch};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::REUSE_VARIABLE;
use crate::artifact::{Artifact, SealKey};
use crate::counts::Counts;
use crate::engine::engine;
use crate::error::WasmError;
use crate::functions::{Functions, Place};
use crate::gears::{self, Gears};
use crate::host::{self, Host, Surroundings};
use crate::limits::{COMPILATIONS_MAX, COMPILATIONS_WAITING_MAX, IDLE_TIMEOUT, INSTANCES_MAX, MEMORY_SHARE};
use crate::memory::Budget;
use crate::outgoing::Outside;
use crate::program::Program;
use crate::run::Run;
use crate::ticker::Ticker;
use crate::tmp::Tmps;

/// Variables that every function has; its own come over them, reserved ones over those.
const DEFAULTS: [(&str, &str); 2] = [("TZ", ":UTC"), ("LANG", "en_US.UTF-8")];

/// What a runner of WebAssembly is made of.
pub struct WasmConfig {
    /// Compiled components are sealed under a key made of this.
    pub secret: [u8; 32],
    pub random: Random,
    /// Where the `/tmp` of instances are; what is in it is thrown away.
    pub tmp_dir: PathBuf,
    /// Where calls are told of.
    pub ledger: Ledger,
    /// Where calls of functions without reserved concurrency are counted.
    pub shared: Arc<dyn SharedConcurrency>,
    /// How functions reach the outside, where the operator lets them.
    pub network: Option<Network>,
    /// How long a shutdown waits for running calls before it ends them.
    pub shutdown_grace: Duration,
}

/// Runs WebAssembly functions. Cheap to clone.
#[derive(Clone)]
pub struct Wasm {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) budget: Arc<Budget>,
    pub(crate) outside: Option<Outside>,
    random: Random,
    ledger: Ledger,
    tmps: Tmps,
    linker: Linker<Host>,
    ticker: Ticker,
    gears: Arc<Gears>,
    seal: SealKey,
    functions: Functions,
    counts: Counts,
    calls: Arc<Semaphore>,
    compilations: Arc<Semaphore>,
    compilations_waiting: Arc<Semaphore>,
    reaping: AtomicBool,
    shutdown_grace: Duration,
    /// True once running calls are given up.
    killing: watch::Sender<bool>,
}

impl Wasm {
    /// A runner without functions. Must be made within a tokio runtime.
    pub fn new(config: WasmConfig) -> Result<Self, WasmError> {
        let engine = engine()?;
        let inner = Inner {
            clock: config.ledger.clock().clone(),
            budget: Budget::new(usable_bytes() / MEMORY_SHARE),
            outside: config.network.map(Outside::new).transpose()?,
            random: config.random,
            tmps: Tmps::open(config.tmp_dir)?,
            ledger: config.ledger,
            linker: host::linker(&engine)?,
            ticker: Ticker::start(engine.weak())?,
            gears: Arc::default(),
            seal: SealKey::of(&config.secret),
            functions: Functions::default(),
            counts: Counts::new(config.shared),
            calls: Arc::new(Semaphore::new(INSTANCES_MAX as usize)),
            compilations: Arc::new(Semaphore::new(COMPILATIONS_MAX)),
            compilations_waiting: Arc::new(Semaphore::new(COMPILATIONS_WAITING_MAX)),
            reaping: AtomicBool::new(false),
            shutdown_grace: config.shutdown_grace,
            killing: watch::Sender::new(false),
            engine,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Finds a function's component in its package, compiles it unless that was done, and sees whether it can be called.
    /// Takes seconds for a large one. Errors are for who deployed it.
    pub async fn prepare(&self, function: &FunctionSpec) -> Result<(), WasmError> {
        self.inner.program(function).await.map(drop)
    }

    /// Runs one call to its end. When the caller goes away the call still runs on, as on AWS.
    pub async fn invoke(&self, request: InvokeRequest) -> Result<Invocation, InvokeError> {
        let inner = &self.inner;
        let throttled = |reason| InvokeError::Throttled(reason);
        if inner.calls.is_closed() {
            return Err(InvokeError::ShuttingDown);
        }
        let slot = inner.calls.clone().try_acquire_owned();
        let slot = slot.map_err(|_| throttled(ThrottleReason::ConcurrentInvocationLimitExceeded))?;
        let reserved = request.function.reserved_concurrency;
        let counted = inner.counts.begin(&request.function.key, reserved).map_err(throttled)?;
        let function = inner.functions.get(&request.function.key);
        let running = function.begin();
        let mut mapped_ms = None;
        let before = inner.clock.monotonic();
        let program = function.program.get_or_try_init(async || {
            let program = inner.program(&request.function).await?;
            let took = inner.clock.monotonic().saturating_sub(before);
            mapped_ms = Some(took.as_secs_f64() * 1000.0);
            Ok(program)
        });
        let program = program.await.map_err(not_ready)?.clone();
        let place = match function.take(before) {
            Some(place) => place,
            None => inner.place(&request.function).await?,
        };
        self.reap_soon();
        let vitals = place.surroundings.vitals.clone();
        let run = Run {
            inner: inner.clone(),
            // An instance that served one tenant serves no other.
            reuse: is_reused(&request.function) && request.tenant_id.is_none(),
            request,
            program,
            place,
            mapped_ms,
            killing: inner.killing.subscribe(),
        };
        let ticking = inner.ticker.run();
        let call = async move {
            let (invocation, place) = run.run().await;
            function.give_back(place);
            drop((running, counted, ticking, slot));
            invocation
        };
        inner.gears.run(vitals, Box::pin(call)).await.ok_or(InvokeError::ShuttingDown)
    }

    /// Whether any call runs.
    pub fn is_running(&self) -> bool {
        self.inner.calls.available_permits() < INSTANCES_MAX as usize
    }

    /// Forgets a function that was deleted; its calls end as they would.
    pub fn retire(&self, account: &str, region: &str, name: &str) {
        let own = (account, region, name);
        self.inner
            .functions
            .forget(|key| (key.account.as_str(), key.region.as_str(), key.name.as_str()) == own);
    }

    /// The same for one version of it.
    pub fn retire_version(&self, account: &str, region: &str, name: &str, version: &str) {
        let own = (account, region, name, version);
        self.inner.functions.forget(|key| {
            (key.account.as_str(), key.region.as_str(), key.name.as_str(), key.version.as_str()) == own
        });
    }

    /// Takes no more calls, lets those that run end for a moment, and then ends them.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        let rested = async { inner.calls.acquire_many(INSTANCES_MAX).await.map(drop) };
        if tokio::time::timeout(inner.shutdown_grace, rested).await.is_err() {
            inner.killing.send_replace(true);
            let told = async { inner.calls.acquire_many(INSTANCES_MAX).await.map(drop) };
            // Each has only its record to write now.
            let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
        }
        inner.calls.close();
        inner.functions.forget(|_| true);
    }

    /// Sees to it that what nobody uses any more is given up.
    fn reap_soon(&self) {
        if self.inner.reaping.swap(true, Ordering::SeqCst) {
            return;
        }
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE_TIMEOUT).await;
                let Some(inner) = inner.upgrade() else { return };
                if !inner.functions.reap(inner.clock.monotonic()) {
                    inner.reaping.store(false, Ordering::SeqCst);
                    return;
                }
            }
        });
    }
}

impl Inner {
    /// The function's component, mapped and joined to what it imports.
    async fn program(self: &Arc<Self>, function: &FunctionSpec) -> Result<Program, WasmError> {
        let (inner, code_dir) = (self.clone(), function.code_dir.clone());
        let (handler, runtime) = (function.handler.clone(), function.runtime.clone());
        let found = tokio::task::spawn_blocking(move || {
            let artifact = Artifact::find(&inner.engine, &code_dir, &handler)?;
            let mapped = artifact.open(&inner.engine, &inner.seal);
            let linked = mapped.map(|component| Program::link(&inner.linker, &component, &runtime));
            Ok::<_, WasmError>((artifact, linked.transpose()?))
        });
        let (artifact, program) = found.await.map_err(|_| WasmError::ShuttingDown)??;
        if let Some(program) = program {
            return Ok(program);
        }
        let component = self.compile(artifact).await?;
        Program::link(&self.linker, &component, &function.runtime)
    }

    /// Compiles on a thread of low priority, which keeps its turn when nobody waits for it any more.
    async fn compile(self: &Arc<Self>, artifact: Artifact) -> Result<Component, WasmError> {
        let waiting = self.compilations_waiting.clone().try_acquire_owned().map_err(|_| WasmError::Busy)?;
        let turn = self.compilations.clone().acquire_owned().await.map_err(|_| WasmError::ShuttingDown)?;
        let (send, receive) = oneshot::channel();
        let inner = self.clone();
        let work = move || {
            gears::lower();
            // Another may have had the same component compiled while this one waited.
            let mapped = artifact.open(&inner.engine, &inner.seal);
            let compiled =
                mapped.map_or_else(|| artifact.compile(&inner.engine, &inner.seal, &inner.random), Ok);
            drop((turn, waiting));
            // Nobody waits any more when a caller went away; what was compiled is kept for the next.
            let _ = send.send(compiled);
        };
        let spawned = std::thread::Builder::new().name("wasm-compile".to_owned()).spawn(work);
        spawned.map_err(|error| WasmError::io("start the thread", "wasm-compile", error))?;
        receive.await.map_err(|_| WasmError::Compile("the compiler ended early".to_owned()))?
    }

    /// A new place for a function's calls.
    async fn place(&self, function: &FunctionSpec) -> Result<Place, InvokeError> {
        let credentials = function.credentials.credentials().await.map_err(InvokeError::Credentials)?;
        let journal = self.ledger.open(function);
        let mut variables: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: &str| {
            variables.retain(|(old, _)| old != name);
            variables.push((name.to_owned(), value.to_owned()));
        };
        DEFAULTS.iter().for_each(|(name, value)| set(name, value));
        function.environment.iter().for_each(|(name, value)| set(name, value));
        set("_HANDLER", &function.handler);
        set("AWS_REGION", &function.key.region);
        set("AWS_DEFAULT_REGION", &function.key.region);
        set("AWS_LAMBDA_FUNCTION_NAME", &function.key.name);
        set("AWS_LAMBDA_FUNCTION_VERSION", &function.key.version);
        set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory_mib.to_string());
        set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
        set("AWS_LAMBDA_LOG_GROUP_NAME", &function.log_group);
        set("AWS_LAMBDA_LOG_STREAM_NAME", journal.stream());
        set("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{}", function.runtime));
        set("AWS_ACCESS_KEY_ID", &credentials.access_key_id);
        set("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key);
        set("AWS_SESSION_TOKEN", &credentials.session_token);
        let now = self.clock.monotonic();
        let tmp = self.tmps.make(function.ephemeral_mib);
        let tmp = tmp.map_err(|error| InvokeError::Environment(error.to_string()))?;
        let surroundings = Surroundings {
            tmp,
            variables: Arc::new(variables),
            output: Default::default(),
            vitals: Arc::default(),
        };
        Ok(Place { journal, surroundings, instance: None, made: now, used: now })
    }
}

/// Whether the function asked for its instances to be reused.
fn is_reused(function: &FunctionSpec) -> bool {
    function.environment.iter().any(|(name, value)| name == REUSE_VARIABLE && value == "true")
}

fn not_ready(error: WasmError) -> InvokeError {
    match error {
        WasmError::ShuttingDown => InvokeError::ShuttingDown,
        WasmError::Busy => InvokeError::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded),
        // It may pass; what else there is lies in the component.
        disk @ WasmError::Io { .. } => InvokeError::Environment(disk.to_string()),
        other => InvokeError::RuntimeUnavailable(other.to_string()),
    }
}
