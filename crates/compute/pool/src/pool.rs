//! The pool itself.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lambent_base::{BoxFuture, Clock, Random};
use lambent_sandbox::{Capabilities, Sandbox, SandboxConfig};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::caller::{Caller, Running};
use crate::environment::Environment;
use crate::error::{InvokeError, PoolError, ThrottleReason};
use crate::fleet::WORTH_WAITING;
use crate::function::FunctionKey;
use crate::gate::Gate;
use crate::invocation::{Invocation, InvokeRequest};
use crate::keeper::keep;
use crate::leases::{Answer, Bounds, Grant, Held, Leases, Left, Ran};
use crate::logs::Logs;
use crate::memory::usable_bytes;
use crate::parts::{Egress, Endpoint, LogSink, Recorder};
use crate::prepared::Prepared;
use crate::ready::ReadySet;
use crate::run::{Finished, Fresh, NotRun, run};
use crate::snapshots::{Entry, Snapshots};
use crate::start::{Kinds, Needs, kind_of, start};
use crate::stats::{FunctionStats, Recent};
use crate::stream::{self, Sink};
use crate::tracing_header::Sampler;

/// A platform that is stopped is soon down, though a call may run for 15 minutes.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// A start that takes longer than this waits for something else than a core, so that the next may begin. (It may be
/// waiting for another function, which has to start, too.)
const START_TURN: Duration = Duration::from_secs(1);
/// A running call that is given up needs a moment to write its last lines and its record.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);
/// A function may end what it left running after its answer, as long as another call might come at once.
const FREEZE_AFTER: Duration = Duration::from_millis(100);
/// Many environments at once are ended by so many threads.
const END_THREADS: usize = 8;
/// Environments whose extensions are told of the end, and have their time: they are not counted among the living, but hold
/// their memory. Beyond these they are ended at once.
const MAX_SHUTTING_DOWN: usize = 64;
/// What is killed is gone in milliseconds; a process that the kernel does not let go is left behind after this.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits and places of a pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The platform's data directory: runtimes are read from `runtimes/`, sandboxes keep their state in `sandbox/`.
    pub data_dir: PathBuf,
    /// The account's concurrency: environments alive at once, over all functions.
    pub max_environments: usize,
    /// New environments that one function may start within ten seconds; calls beyond are throttled. AWS's default is
    /// 1,000. Source: AWS Lambda Developer Guide, "Lambda scaling behavior".
    pub scaling_rate: usize,
    /// Calls that may wait for an environment, over all functions.
    pub max_waiting: usize,
    /// How long a call may wait for an environment before it is throttled.
    pub max_wait: Duration,
    /// Environments that start at once, over all functions: more of them than cores only slow each other down, until all
    /// are too late.
    pub max_starting: usize,
    /// Calls of one function that run at once before short ones (2 ms and less) queue behind each other for a moment
    /// (100 ms at most), as more would take the host's cores from each other. (What short calls wait for is not looked at.)
    pub max_parallel: usize,
    /// An environment unused for so long is stopped; so is what is kept ready for functions of a kind of which none was
    /// started or made for so long. Nothing runs after that.
    pub idle_timeout: Duration,
    /// What runs in an environment stands still when its last call is over for so long, until the next one.
    pub freeze_after: Duration,
    /// An environment this old is replaced before its next call, so that its credentials stay valid.
    pub max_environment_age: Duration,
    /// Log bytes held for a slow sink before functions are made to wait.
    pub log_buffer_bytes: usize,
    /// How long a shutdown waits for running calls before it ends their environments.
    pub shutdown_grace: Duration,
    /// Run functions even where the host cannot isolate them fully (`lambent doctor` names what is missing).
    pub allow_weak_isolation: bool,
}

impl PoolConfig {
    /// The defaults, for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            data_dir: data_dir.into(),
            max_environments: 1_000,
            scaling_rate: 1_000,
            max_waiting: 1_000,
            max_wait: Duration::from_secs(10),
            max_starting: 4 * cores,
            max_parallel: cores,
            idle_timeout: Duration::from_secs(300),
            freeze_after: FREEZE_AFTER,
            max_environment_age: Duration::from_secs(6 * 3600),
            log_buffer_bytes: 16 << 20,
            shutdown_grace: SHUTDOWN_GRACE,
            allow_weak_isolation: false,
        }
    }
}

/// The other parts that a pool works with.
#[derive(Clone)]
pub struct PoolParts {
    pub clock: Clock,
    pub random: Random,
    pub runtimes: Arc<lambent_runtimes::Catalogue>,
    pub endpoint: Arc<dyn Endpoint>,
    /// `None`: functions reach nothing but the platform.
    pub egress: Option<Arc<dyn Egress>>,
    pub logs: Arc<dyn LogSink>,
    pub recorder: Arc<dyn Recorder>,
}

/// How many environments there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Waiting for a call.
    pub idle: usize,
    /// Running one, or starting for one.
    pub busy: usize,
    /// Calls waiting for an environment.
    pub waiting: usize,
}

/// Execution environments of all functions. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: PoolConfig,
    pub(crate) parts: PoolParts,
    pub(crate) sandbox: Sandbox,
    pub(crate) logs: Arc<Logs>,
    /// Environments without a function.
    pub(crate) ready: Arc<ReadySet>,
    pub(crate) kinds: Kinds,
    pub(crate) snapshots: Snapshots,
    /// What this process may use.
    pub(crate) memory_bytes: u64,
    /// The log's writer and the ready set's keeper.
    tasks: Vec<AbortHandle>,
    pub(crate) leases: Mutex<Leases>,
    pub(crate) reaping: AtomicBool,
    pub(crate) provisioning: AtomicBool,
    /// Woken when a provisioned environment ended, or was made.
    pub(crate) provision_changed: Arc<Notify>,
    pub(crate) freezing: AtomicBool,
    /// Calls that run and environments that are being ended.
    working: AtomicUsize,
    rested: Notify,
    /// Free places among those that shut down.
    shutting_down: Arc<Semaphore>,
    /// True once running calls are given up.
    pub(crate) killing: watch::Sender<bool>,
    gate: Gate,
    pub(crate) sampler: Sampler,
}

impl Pool {
    /// A pool without environments; clears away what an earlier, killed process left behind. Must be called within a
    /// tokio runtime, and only in a process whose `main` began with [`lambent_sandbox::run_if_forge`].
    pub fn new(config: PoolConfig, parts: PoolParts) -> Result<Self, PoolError> {
        let sandbox = Sandbox::new(SandboxConfig { state_dir: config.data_dir.join("sandbox") })?;
        let logs = Arc::new(Logs::new(config.log_buffer_bytes));
        let (writing, sink) = (logs.clone(), parts.logs.clone());
        let writer = tokio::spawn(async move { writing.write_for_ever(&sink).await });
        let bounds = Bounds {
            environments: config.max_environments,
            scaling: config.scaling_rate,
            starting: config.max_starting,
            parallel: config.max_parallel,
            waiting: config.max_waiting,
        };
        let inner = Inner {
            logs,
            ready: Arc::default(),
            kinds: Kinds::default(),
            snapshots: Snapshots::default(),
            memory_bytes: usable_bytes(),
            tasks: vec![writer.abort_handle()],
            config,
            parts,
            sandbox,
            leases: Mutex::new(Leases::new(bounds)),
            reaping: AtomicBool::new(false),
            provisioning: AtomicBool::new(false),
            provision_changed: Arc::default(),
            freezing: AtomicBool::new(false),
            working: AtomicUsize::new(0),
            rested: Notify::new(),
            shutting_down: Arc::new(Semaphore::new(MAX_SHUTTING_DOWN)),
            killing: watch::Sender::new(false),
            gate: Gate::default(),
            sampler: Sampler::default(),
        };
        let inner = Arc::new_cyclic(|owner| {
            let keeper = tokio::spawn(keep(inner.ready.clone(), owner.clone()));
            let mut inner = inner;
            inner.tasks.push(keeper.abort_handle());
            inner
        });
        let early = inner.clone();
        // What takes a while is found out before the first call needs it, and not while the platform starts.
        tokio::spawn(async move { early.refuse_weak_isolation().await.is_ok() });
        Ok(Self { inner })
    }

    /// Runs one call until its function has answered, or to its end; see [`InvokeRequest::is_told_whole`]. When the caller
    /// goes away the call still runs on, as on AWS. What a function streams is gathered, up to the bound of any result.
    pub async fn invoke(&self, request: InvokeRequest) -> Result<Invocation, InvokeError> {
        self.begin(request, None).told().await
    }

    /// Runs one call, and gives its result while the function makes it, if its runtime streams. However slowly it is taken,
    /// or not at all, the call is over when its function's time is.
    pub async fn invoke_streaming(&self, request: InvokeRequest) -> Result<stream::Answer, InvokeError> {
        let (sink, begin) = stream::pair();
        begin.answer(self.begin(request, Some(sink))).await
    }

    /// Begins a call, which then depends on nobody.
    fn begin(&self, request: InvokeRequest, sink: Option<Sink>) -> Running {
        let inner = self.inner.clone();
        let work = Working::new(&inner);
        let (mut caller, running) = Caller::new(sink);
        tokio::spawn(async move {
            let done = inner.invoke_unless_killed(&request, &mut caller).await;
            drop(work);
            caller.tell(done);
        });
        running
    }

    /// Retires every environment of a function, at once when idle, after its call when busy: for DeleteFunction.
    /// (Updates need no call: a new revision in [`crate::FunctionKey`] retires the older ones.)
    pub async fn retire(&self, account: &str, region: &str, name: &str) {
        let is_its = |key: &FunctionKey| {
            (key.account.as_str(), key.region.as_str(), key.name.as_str()) == (account, region, name)
        };
        let snapshots = self.inner.snapshots.retire(is_its);
        let retired = self.inner.leases.lock().retire(account, region, name);
        // What was forked from a snapshot keeps its process 1.
        self.inner.end_and_wait(retired).await;
        self.inner.end_and_wait(snapshots).await;
    }

    /// The same for one version, or `$LATEST`: for DeleteFunction with a qualifier.
    pub async fn retire_version(&self, account: &str, region: &str, name: &str, version: &str) {
        let is_its = |key: &FunctionKey| {
            (key.account.as_str(), key.region.as_str(), key.name.as_str(), key.version.as_str())
                == (account, region, name, version)
        };
        let snapshots = self.inner.snapshots.retire(is_its);
        let retired = self.inner.leases.lock().retire_version(account, region, name, version);
        self.inner.end_and_wait(retired).await;
        self.inner.end_and_wait(snapshots).await;
    }

    /// Says that a function with these needs was made or changed, so that its first call is to be expected. Returns at
    /// once; what comes of it comes in the background.
    pub fn expect(&self, function: Needs) {
        let inner = self.inner.clone();
        tokio::spawn(async move {
            inner.refuse_weak_isolation().await.ok()?;
            // What cannot be started is the first call's to tell.
            let kind = kind_of(&inner, function).await.ok()?;
            inner.ready.expect(&kind.shell, inner.parts.clock.monotonic());
            Some(())
        });
    }

    /// How many environments wait for a function.
    pub fn ready(&self) -> usize {
        self.inner.ready.len()
    }

    /// Stops environments that have been idle for too long, and what is kept ready for nobody; the pool does this by
    /// itself, on a timer.
    pub async fn reap_idle(&self) {
        self.inner.tidy();
        let (old, _) = self.inner.take_old();
        self.inner.end_and_wait(old).await;
    }

    /// Returns when the sink has taken every line of the calls that have ended.
    pub async fn flush_logs(&self) {
        self.inner.logs.flush(&self.inner.parts.logs).await;
    }

    /// Counts for metrics and `lambent top`.
    pub fn stats(&self) -> PoolStats {
        self.inner.leases.lock().stats()
    }

    /// What every function of an account and region did and holds, by name.
    pub fn functions(&self, account: &str, region: &str) -> Vec<FunctionStats> {
        let mut known = self.inner.leases.lock().functions(account, region);
        known.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let with_percentiles = |(mut stats, recent): (FunctionStats, Recent)| {
            (stats.p50_ms, stats.p99_ms) = recent.p50_p99_ms();
            stats
        };
        known.into_iter().map(with_percentiles).collect()
    }

    /// How long a shutdown waits for running calls.
    pub fn shutdown_grace(&self) -> Duration {
        self.inner.config.shutdown_grace
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// What this host can isolate.
    pub async fn capabilities(&self) -> Result<Capabilities, InvokeError> {
        let inner = self.inner.clone();
        let found = tokio::task::spawn_blocking(move || inner.sandbox.capabilities()).await;
        found.map_err(|_| InvokeError::ShuttingDown)
    }

    /// Refuses new calls, lets the running ones end for [`PoolConfig::shutdown_grace`], stops every environment, and
    /// writes the last log lines. Calls that had to be given up end with [`InvokeError::ShuttingDown`], on record.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        let idle = inner.leases.lock().close();
        inner.end(inner.ready.close());
        inner.end(inner.snapshots.close());
        inner.end(idle);
        if tokio::time::timeout(inner.config.shutdown_grace, inner.rest()).await.is_err() {
            inner.killing.send_replace(true);
            // Nothing more can be done about one that stays; it ends with the process at the latest.
            let _ = tokio::time::timeout(KILL_TIMEOUT, inner.rest()).await;
        }
        inner.logs.flush(&inner.parts.logs).await;
    }
}

/// What is ended when nobody needs it any more.
pub(crate) trait Ending: Send + 'static {
    /// Whether something in it wants to know, and has time.
    fn is_told(&self) -> bool {
        false
    }

    /// Tells it, and waits until it has ended or has had its time.
    fn shut_down(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Ending for Prepared {}
impl Ending for Arc<Entry> {}

impl Ending for Environment {
    fn is_told(&self) -> bool {
        self.has_extensions()
    }

    fn shut_down(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(Self::shut_down(self))
    }
}

/// Counts a piece of work that a shutdown waits for.
pub(crate) struct Working(Arc<Inner>);

impl Working {
    pub(crate) fn new(inner: &Arc<Inner>) -> Self {
        inner.working.fetch_add(1, Ordering::SeqCst);
        Self(inner.clone())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if self.0.working.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.rested.notify_waiters();
        }
    }
}

/// Held by whoever has its turn to start an environment.
pub(crate) type Turn = oneshot::Sender<()>;

/// Why a wait ended without a grant.
enum NotGiven {
    Late,
    Closed,
}

/// What a wait of at most `longest` brings.
async fn wait_for(mut wait: oneshot::Receiver<Grant>, longest: Duration) -> Result<Grant, NotGiven> {
    match tokio::time::timeout(longest, &mut wait).await {
        Ok(given) => given.map_err(|_| NotGiven::Closed),
        Err(_) => {
            // What was given in this very moment must be given back.
            wait.close();
            wait.try_recv().map_err(|_| NotGiven::Late)
        }
    }
}

/// Room or an environment that a call holds; gives it back however the call ends.
struct Lease {
    inner: Arc<Inner>,
    held: Held,
    environment: Option<Environment>,
    reusable: bool,
    ran: Option<Ran>,
    /// When it was given, on the pool's monotonic clock; and whether an environment was started for it since.
    since: Duration,
    started: bool,
    /// Until it is used to start one.
    turn: Option<Turn>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut environment = self.environment.take();
        if let Some(environment) = &mut environment {
            environment.idle_since = self.inner.parts.clock.monotonic();
        }
        let (left, ended) = match environment {
            Some(kept) if self.reusable && self.started => (Left::Started(kept), None),
            Some(kept) if self.reusable => {
                let held = kept.idle_since.saturating_sub(self.since);
                (Left::Warm(kept, held), None)
            }
            other => (Left::Nothing, other),
        };
        let is_kept = ended.is_none();
        let returned = self.inner.leases.lock().release(&self.held, left, self.ran);
        self.inner.end(ended.into_iter().chain(returned).collect());
        if self.held.provisioned {
            self.inner.provision_changed.notify_one();
        }
        if is_kept {
            self.inner.freeze_from_now_on();
            self.inner.reap_from_now_on();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Inner {
    async fn invoke_unless_killed(
        self: &Arc<Self>,
        request: &InvokeRequest,
        caller: &mut Caller,
    ) -> Result<Invocation, InvokeError> {
        let mut killing = self.killing.subscribe();
        let mut call = pin!(self.invoke(request, caller));
        tokio::select! {
            biased;
            done = &mut call => return done,
            _ = killing.wait_for(|killing| *killing) => {}
        }
        // A call that runs is told by itself, and makes its record; what waits for anything else has none. The
        // lease is dropped, and ends the environment.
        let ending = tokio::time::timeout(TELL_TIMEOUT, call);
        ending.await.unwrap_or(Err(InvokeError::ShuttingDown))
    }

    async fn invoke(
        self: &Arc<Self>,
        request: &InvokeRequest,
        caller: &mut Caller,
    ) -> Result<Invocation, InvokeError> {
        self.refuse_weak_isolation().await?;
        loop {
            let mut lease = self.lease(request).await?;
            let too_old = lease.environment.as_ref().is_some_and(|one| self.is_too_old(one));
            if too_old {
                self.end(lease.environment.take().into_iter().collect());
                // The next one has to wait for its turn to start, like any other.
                continue;
            }
            let mut fresh = None;
            if lease.environment.is_none() {
                lease.started = true;
                fresh = Some(Fresh { _turn: lease.turn.take() });
                let mut started = start(self, &request.function).await?;
                started.tenant_id.clone_from(&request.tenant_id);
                lease.environment = Some(started);
            }
            let Some(environment) = &mut lease.environment else { continue };
            match run(self, environment, request, fresh, caller).await {
                Ok(Finished { invocation, reusable, stopped }) => {
                    lease.reusable = reusable;
                    let duration_ms = invocation.record.duration_ms;
                    lease.ran = Some(Ran { duration_ms, memory_bytes: environment.memory_bytes });
                    drop(lease);
                    return if stopped { Err(InvokeError::ShuttingDown) } else { Ok(invocation) };
                }
                Err(NotRun::Broken(detail)) => {
                    return Err(InvokeError::Environment(format!("its first process could not {detail}")));
                }
                // Another takes the call.
                Err(NotRun::Gone) => {}
            }
        }
    }

    async fn lease(self: &Arc<Self>, request: &InvokeRequest) -> Result<Lease, InvokeError> {
        let mut patient = true;
        loop {
            let now = self.parts.clock.monotonic();
            let tenant_id = request.tenant_id.as_deref();
            let (answer, held, ended) =
                self.leases.lock().acquire(&request.function, tenant_id, patient, now);
            self.end(ended);
            let grant = match answer {
                Answer::Granted(grant) => grant,
                Answer::Closed => return Err(InvokeError::ShuttingDown),
                Answer::Throttled(reason) => return Err(InvokeError::Throttled(reason)),
                Answer::Queue(wait) => match wait_for(wait, WORTH_WAITING).await {
                    Ok(grant) => grant,
                    Err(_) => {
                        let now = self.parts.clock.monotonic();
                        self.leases.lock().queued_in_vain(&held, now);
                        patient = false;
                        continue;
                    }
                },
                Answer::Wait(wait) => match wait_for(wait, self.config.max_wait).await {
                    Ok(grant) => grant,
                    Err(NotGiven::Closed) => return Err(InvokeError::ShuttingDown),
                    Err(NotGiven::Late) => {
                        self.leases.lock().waited_in_vain(&held);
                        let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
                        return Err(InvokeError::Throttled(reason));
                    }
                },
            };
            let mut held = held;
            let (environment, turn) = match grant {
                Grant::Warm(environment) => (Some(*environment), None),
                Grant::Room => (None, Some(self.begin_start())),
            };
            held.provisioned = environment.as_ref().is_some_and(|one| one.provisioned);
            let since = self.parts.clock.monotonic();
            let inner = self.clone();
            let (reusable, ran, started) = (false, None, false);
            return Ok(Lease { inner, held, environment, reusable, ran, since, started, turn });
        }
    }

    /// A turn to start, which ends when it is dropped or has lasted too long.
    pub(crate) fn begin_start(self: &Arc<Self>) -> Turn {
        let (turn, over) = oneshot::channel();
        let inner = self.clone();
        tokio::spawn(async move {
            // Whichever of the two it was.
            let _ = tokio::time::timeout(START_TURN, over).await;
            let ended = inner.leases.lock().end_start();
            inner.end(ended);
        });
        turn
    }

    /// Runs nothing where the box has holes, unless the operator said so.
    pub(crate) async fn refuse_weak_isolation(self: &Arc<Self>) -> Result<(), InvokeError> {
        if self.config.allow_weak_isolation {
            return Ok(());
        }
        let inner = self.clone();
        self.gate.pass(move || inner.sandbox.capabilities().missing()).await
    }

    /// Waits until no call runs and nothing is being ended.
    async fn rest(&self) {
        loop {
            let rested = self.rested.notified();
            if self.working.load(Ordering::SeqCst) == 0 {
                return;
            }
            rested.await;
        }
    }

    fn is_too_old(&self, environment: &Environment) -> bool {
        let age = self.parts.clock.monotonic().saturating_sub(environment.started_at);
        age >= self.config.max_environment_age
    }

    /// Ends environments on threads that may block.
    pub(crate) fn end<T: Ending>(self: &Arc<Self>, environments: Vec<T>) {
        drop(self.ending(environments));
    }

    async fn end_and_wait<T: Ending>(self: &Arc<Self>, environments: Vec<T>) {
        for ending in self.ending(environments) {
            // Fails only when the process ends, and with it the environments.
            let _ = ending.await;
        }
    }

    /// Each of a few threads ends some of them: most of an end is waiting for the kernel.
    fn ending<T: Ending>(self: &Arc<Self>, environments: Vec<T>) -> Vec<JoinHandle<()>> {
        let (told, mut environments): (Vec<T>, Vec<T>) = environments.into_iter().partition(Ending::is_told);
        let mut ending = Vec::new();
        for mut one in told {
            let Ok(place) = self.shutting_down.clone().try_acquire_owned() else {
                environments.push(one);
                continue;
            };
            let work = Working::new(self);
            ending.push(tokio::spawn(async move {
                one.shut_down().await;
                // Fails only when the process ends, and with it the environment.
                let _ = tokio::task::spawn_blocking(move || drop((one, work, place))).await;
            }));
        }
        let share = environments.len().div_ceil(END_THREADS).max(1);
        while !environments.is_empty() {
            let rest = environments.split_off(share.min(environments.len()));
            let (some, work) = (std::mem::replace(&mut environments, rest), Working::new(self));
            ending.push(tokio::task::spawn_blocking(move || drop((some, work))));
        }
        ending
    }
}
