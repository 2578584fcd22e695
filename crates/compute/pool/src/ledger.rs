//! Calls that run without an environment of the pool, as those of WebAssembly do: their lines, ends and records come from
//! here, so that nobody who reads a log, a bill or a metric can tell them from others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Clock, Random};

use crate::api::MAX_RESPONSE_BYTES;
use crate::function::FunctionSpec;
use crate::invocation::{ErrorKind, Invocation, InvokeRequest, Outcome};
use crate::logs::{EnvironmentLog, HAND_OVER_BYTES, LogStream, Logs};
use crate::parts::{LogSink, Recorder};
use crate::platform::Platform;
use crate::pool::Pool;
use crate::record::{Measured, record};
use crate::texts;

/// Log bytes held for a slow sink where there is no pool.
const LOG_BYTES: usize = 16 << 20;

/// The log's writer and the recorder of a pool. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    logs: Arc<Logs>,
    clock: Clock,
    random: Random,
    recorder: Arc<dyn Recorder>,
}

/// The log stream of calls that run one after the other, as one environment would run them.
pub struct Journal {
    log: EnvironmentLog,
    stream: Arc<str>,
    ledger: Ledger,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct End {
    outcome: Outcome,
    error_type: Option<String>,
    /// What the platform itself says of it.
    line: Option<String>,
    timed_out: bool,
    out_of_memory: bool,
}

/// What was measured of a call.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// When the function got its event, in Unix milliseconds and on the monotonic clock.
    pub started_unix_ms: i64,
    pub started: Duration,
    /// How long it took to make ready what the call runs on, if that was done for it.
    pub init_ms: Option<f64>,
    pub max_memory_mib: u32,
}

impl Pool {
    /// Where calls are told of that run elsewhere.
    pub fn ledger(&self) -> Ledger {
        let inner = self.inner();
        let parts = &inner.parts;
        Ledger {
            logs: inner.logs.clone(),
            clock: parts.clock.clone(),
            random: parts.random.clone(),
            recorder: parts.recorder.clone(),
        }
    }
}

impl Ledger {
    /// One of its own, for who runs calls without a pool. Must be made within a tokio runtime, in which lines are written
    /// for as long as that is there.
    pub fn new(clock: Clock, random: Random, sink: Arc<dyn LogSink>, recorder: Arc<dyn Recorder>) -> Self {
        let logs = Arc::new(Logs::new(LOG_BYTES));
        let writing = logs.clone();
        tokio::spawn(async move { writing.write_for_ever(&sink).await });
        Self { logs, clock, random, recorder }
    }

    /// Begins a log stream.
    pub fn open(&self, function: &FunctionSpec) -> Journal {
        let id = lambent_base::text::hex(&self.random.bytes::<16>());
        let stream: Arc<str> = texts::stream_name(self.clock.unix_ms(), &function.key.version, &id).into();
        let to = LogStream {
            function: Arc::new(function.key.clone()),
            group: function.log_group.as_str().into(),
            stream: stream.clone(),
        };
        let log = EnvironmentLog::new(to, self.clock.clone());
        let mut log = log.with(function.logging.clone(), None);
        log.tell(&Platform::InitStart {
            initialization: texts::ON_DEMAND,
            identifier: Some(&function.runtime),
            region: &function.key.region,
            name: &function.key.name,
            version: &function.key.version,
        });
        Journal { log, stream, ledger: self.clone() }
    }

    /// The clock by which calls are measured.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Journal {
    /// The name of the log stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Tells that a call begins.
    pub fn begin(&mut self, request: &InvokeRequest) {
        self.log.start_tail();
        let (request_id, version) = (request.request_id.as_str(), request.function.key.version.as_str());
        self.log.tell(&Platform::Start { request_id, version, trace: None });
    }

    /// Takes what the function printed.
    pub fn print(&mut self, bytes: &[u8]) {
        self.log.push(bytes);
    }

    /// Whether the function should print no more before [`Journal::hand_over`].
    pub fn is_full(&self) -> bool {
        self.log.bytes() >= HAND_OVER_BYTES
    }

    /// Hands over what was gathered; waits while the sink is behind.
    pub async fn hand_over(&mut self) {
        self.log.hand_over(&self.ledger.logs).await;
    }

    /// Tells how a call ended, and makes its record.
    pub async fn end(&mut self, request: &InvokeRequest, end: End, usage: Usage) -> Invocation {
        let clock = &self.ledger.clock;
        let ran = clock.monotonic().saturating_sub(usage.started);
        let duration_ms = match end.timed_out {
            true => f64::from(request.function.timeout_ms),
            false => ran.as_secs_f64() * 1000.0,
        };
        self.log.end_line();
        if end.timed_out {
            let now = clock.unix_ms();
            let line = texts::timeout_line(&request.request_id, now, request.function.timeout_ms);
            self.log.say_error(&request.request_id, line);
        } else if let Some(line) = end.line {
            self.log.say_error(&request.request_id, line);
        }
        let measured = Measured {
            started_unix_ms: usage.started_unix_ms,
            cold_start: usage.init_ms.is_some(),
            init_ms: usage.init_ms,
            restore: None,
            duration_ms,
            extensions_ms: None,
            max_memory_mib: usage.max_memory_mib,
            error_type: end.error_type,
            timed_out: end.timed_out,
            out_of_memory: end.out_of_memory,
        };
        let record = record(request, &self.stream, measured);
        self.log.tell(&Platform::End { request_id: &record.request_id });
        self.log.tell(&Platform::Report { record: &record, trace: None });
        let log_tail = self.log.take_tail();
        // Before anything that waits: whoever gives up waiting for a slow sink must not lose the record.
        self.ledger.recorder.record(&record);
        self.log.hand_over(&self.ledger.logs).await;
        Invocation { outcome: end.outcome, log_tail, record }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.log.leave(&self.ledger.logs);
    }
}

impl End {
    /// The handler's result, JSON; too large a one is an error.
    pub fn success(payload: Bytes) -> Self {
        if payload.len() > MAX_RESPONSE_BYTES {
            return Self::too_large();
        }
        let outcome = Outcome::Success(payload);
        Self { outcome, error_type: None, line: None, timed_out: false, out_of_memory: false }
    }

    /// The handler's result was larger than a result may be.
    pub fn too_large() -> Self {
        let object = texts::too_large_object(MAX_RESPONSE_BYTES);
        Self::failed(object, "Function.ResponseSizeTooLarge", None)
    }

    /// The handler's own error.
    pub fn error(kind: &str, message: &str) -> Self {
        Self::failed(texts::error_object(kind, message), kind, None)
    }

    /// The function came to an end that it did not mean, for this reason; the platform tells it in the log.
    pub fn exited(request: &InvokeRequest, kind: &str, why: &str) -> Self {
        let message = format!("RequestId: {} Error: {why}", request.request_id);
        let line = texts::exit_line(&message, kind);
        Self::failed(texts::error_object(kind, &message), kind, Some(line))
    }

    /// The same for want of memory.
    pub fn out_of_memory(request: &InvokeRequest) -> Self {
        let end = Self::exited(request, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed");
        Self { out_of_memory: true, ..end }
    }

    /// The call took as long as it may.
    pub fn timed_out(request: &InvokeRequest) -> Self {
        let object = texts::timeout_object(&request.request_id, request.function.timeout_ms);
        Self { timed_out: true, ..Self::failed(object, "Sandbox.Timedout", None) }
    }

    /// The platform stopped it.
    pub fn stopped(request: &InvokeRequest) -> Self {
        let message = texts::stopped_message(&request.request_id);
        let line = texts::exit_line(&message, texts::STOPPED);
        Self::failed(texts::error_object(texts::STOPPED, &message), texts::STOPPED, Some(line))
    }

    fn failed(payload: Bytes, kind: &str, line: Option<String>) -> Self {
        Self {
            outcome: Outcome::FunctionError { kind: ErrorKind::Unhandled, payload },
            error_type: Some(kind.to_owned()),
            line,
            timed_out: false,
            out_of_memory: false,
        }
    }
}
