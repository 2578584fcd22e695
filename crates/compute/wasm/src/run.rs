//! One call, from its event to its record.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lambent_base::BoxFuture;
use lambent_pool::{End, Invocation, InvokeRequest, Journal, Usage};
use tokio::sync::watch;
use wasmtime_wasi::I32Exit;

use crate::functions::{Exports, Instance, Place};
use crate::host;
use crate::http_call::Answered;
use crate::limits::REUSES_MAX;
use crate::memory::Vitals;
use crate::output::Output;
use crate::program::Program;
use crate::runner::Inner;
use crate::{event_call, http_call};

/// A call whose place is found.
pub(crate) struct Run {
    pub(crate) inner: Arc<Inner>,
    pub(crate) request: InvokeRequest,
    pub(crate) program: Program,
    pub(crate) place: Place,
    /// How long it took to map the component, if that was done for this call.
    pub(crate) mapped_ms: Option<f64>,
    /// Whether instances are kept for the next call.
    pub(crate) reuse: bool,
    pub(crate) killing: watch::Receiver<bool>,
}

/// What came of the guest.
struct Ended {
    end: End,
    /// How long it took to make the instance, if that is kept.
    init_ms: Option<f64>,
    /// An instance that may serve another call.
    instance: Option<Instance>,
}

/// Why a guest did not end by itself.
enum Given {
    TimedOut,
    Stopped,
}

impl Run {
    /// Runs it; gives the place back with the outcome.
    pub(crate) async fn run(mut self) -> (Invocation, Place) {
        let request = Arc::new(self.request);
        let clock = self.inner.clock.clone();
        let vitals = self.place.surroundings.vitals.clone();
        vitals.begin();
        self.place.journal.begin(&request);
        let (started, started_unix_ms) = (clock.monotonic(), clock.unix_ms());
        let deadline_ms =
            u64::try_from(started_unix_ms).unwrap_or(0) + u64::from(request.function.timeout_ms);
        let guest = Guest {
            inner: self.inner,
            request: request.clone(),
            program: self.program,
            instance: self.place.instance.take(),
            surroundings: self.place.surroundings.clone(),
            log_stream: self.place.journal.stream().to_owned(),
            deadline_ms,
            reuse: self.reuse,
        };
        let timeout = Duration::from_millis(u64::from(request.function.timeout_ms));
        let output = &self.place.surroundings.output;
        let late = Late { timeout, killing: self.killing, waiting: None };
        let ended = match drive(Box::pin(guest.run()), output, &mut self.place.journal, late).await {
            Ok(ended) => ended,
            Err(given) => {
                let end = match given {
                    Given::TimedOut => End::timed_out(&request),
                    Given::Stopped => End::stopped(&request),
                };
                Ended { end, init_ms: None, instance: None }
            }
        };
        output.drain(&mut self.place.journal);
        let init_ms = match (self.mapped_ms, ended.init_ms) {
            (None, None) => None,
            (mapped, made) => Some(mapped.unwrap_or(0.0) + made.unwrap_or(0.0)),
        };
        // Of an instance that is kept, what it took to make it was not the call.
        let started = started + Duration::from_secs_f64(ended.init_ms.unwrap_or(0.0) / 1000.0);
        let usage = Usage { started_unix_ms, started, init_ms, max_memory_mib: vitals.peak_mib() };
        let invocation = self.place.journal.end(&request, ended.end, usage).await;
        self.place.instance = ended.instance;
        self.place.used = clock.monotonic();
        (invocation, self.place)
    }
}

/// The deadline and the platform's end, waited for only once a guest does not answer at once.
struct Late {
    timeout: Duration,
    killing: watch::Receiver<bool>,
    waiting: Option<BoxFuture<'static, Given>>,
}

impl Late {
    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<Given> {
        let (timeout, killing) = (self.timeout, &self.killing);
        let waiting = self.waiting.get_or_insert_with(|| {
            let mut killing = killing.clone();
            Box::pin(async move {
                tokio::select! {
                    () = tokio::time::sleep(timeout) => Given::TimedOut,
                    _ = killing.wait_for(|killing| *killing) => Given::Stopped,
                }
            })
        });
        waiting.as_mut().poll(context)
    }
}

/// Lets a guest run, and takes along what it prints whenever it rests.
async fn drive(
    mut guest: Pin<Box<impl Future<Output = Ended>>>,
    output: &Output,
    journal: &mut Journal,
    mut late: Late,
) -> Result<Ended, Given> {
    enum Step {
        Done(Result<Ended, Given>),
        Full,
    }
    loop {
        let step = std::future::poll_fn(|context| {
            if let Poll::Ready(ended) = guest.as_mut().poll(context) {
                return Poll::Ready(Step::Done(Ok(ended)));
            }
            output.drain(journal);
            if let Poll::Ready(given) = late.poll(context) {
                return Poll::Ready(Step::Done(Err(given)));
            }
            if journal.is_full() { Poll::Ready(Step::Full) } else { Poll::Pending }
        });
        match step.await {
            Step::Done(done) => return done,
            // While the log is behind, who prints waits; its time runs on.
            Step::Full => {
                let given = std::future::poll_fn(|context| late.poll(context));
                tokio::select! {
                    () = journal.hand_over() => {}
                    given = given => return Err(given),
                }
            }
        }
    }
}

/// The call as the component sees it.
struct Guest {
    inner: Arc<Inner>,
    request: Arc<InvokeRequest>,
    program: Program,
    instance: Option<Instance>,
    surroundings: host::Surroundings,
    log_stream: String,
    deadline_ms: u64,
    reuse: bool,
}

impl Guest {
    async fn run(mut self) -> Ended {
        let clock = self.inner.clock.clone();
        let before = clock.monotonic();
        let is_new = self.instance.is_none();
        let made = match self.instance.take() {
            Some(mut instance) => {
                host::begin(&mut instance.store);
                self.surroundings.tmp.measure().await.map(|()| instance).map_err(wasmtime::Error::from)
            }
            None => instantiate(&self.inner, &self.program, &self.request, &self.surroundings).await,
        };
        let took = clock.monotonic().saturating_sub(before);
        let init_ms = (self.reuse && is_new).then_some(took.as_secs_f64() * 1000.0);
        let mut instance = match made {
            Ok(instance) => instance,
            Err(error) => return Ended { end: self.broken(&error), init_ms, instance: None },
        };
        instance.calls += 1;
        let called = match &instance.exports {
            Exports::Http(proxy) => {
                http_call::call(&mut instance.store, proxy, &self.request, self.deadline_ms).await
            }
            Exports::Event(function) => {
                let told = (self.log_stream.as_str(), self.deadline_ms);
                let called = event_call::call(&mut instance.store, function, &self.request, told).await;
                called.map(|end| Answered { end, has_returned: true })
            }
        };
        match called {
            Ok(Answered { end, has_returned }) => {
                let is_good = self.reuse && has_returned && instance.calls < REUSES_MAX;
                Ended { end, init_ms, instance: is_good.then_some(instance) }
            }
            Err(error) => Ended { end: self.broken(&error), init_ms, instance: None },
        }
    }

    /// The end of a call whose instance cannot go on.
    fn broken(&self, error: &wasmtime::Error) -> End {
        broken(&self.request, &self.surroundings.vitals, error)
    }
}

async fn instantiate(
    inner: &Inner,
    program: &Program,
    request: &InvokeRequest,
    surroundings: &host::Surroundings,
) -> wasmtime::Result<Instance> {
    surroundings.tmp.empty().await?;
    let mut store =
        host::store(&inner.engine, &request.function, &inner.budget, surroundings, inner.outside.as_ref())?;
    let exports = match program {
        Program::Http(pre) => Exports::Http(pre.instantiate_async(&mut store).await?),
        Program::Event(pre) => Exports::Event(pre.instantiate_async(&mut store).await?),
    };
    Ok(Instance { store, exports, calls: 0 })
}

fn broken(request: &InvokeRequest, vitals: &Vitals, error: &wasmtime::Error) -> End {
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        let why = match code {
            0 => "Runtime exited without providing a reason".to_owned(),
            code => format!("Runtime exited with error: exit status {code}"),
        };
        return End::exited(request, "Runtime.ExitError", &why);
    }
    // What could not get memory gives up in its own way; what it has in common is that it asked.
    if vitals.is_starved() {
        return End::out_of_memory(request);
    }
    let why = format!("Runtime exited with error: {}", error.root_cause());
    End::exited(request, "Runtime.ExitError", &why)
}
