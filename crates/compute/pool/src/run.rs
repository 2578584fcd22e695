//! One call in one environment, from the event to the record.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_base::Until;
use lambent_sandbox::{ExitStatus, TASK_DIR};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::{Call, MAX_RESPONSE_BYTES};
use crate::caller::Caller;
use crate::environment::{Environment, Event, FAILURE, TIMEOUT};
use crate::extensions::{CallFacts, Failure};
use crate::http::Trailers;
use crate::invocation::{ErrorKind, Invocation, InvocationRecord, InvokeRequest, Outcome, Restore};
use crate::platform::{Platform, Status};
use crate::pool::{Inner, Turn};
use crate::record::{Measured, record, whole_ms};
use crate::refusals::Progress;
use crate::stream::{self, Sink};
use crate::texts::{self, STOPPED};
use crate::tracing_header::sampled;

/// AWS gives a function so long to load before its own timeout begins to count.
/// Source: AWS Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle".
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

const KILLED: i32 = 9;
/// The largest result that a function streams. Source: AWS Lambda Developer Guide, "Lambda quotas" (200 MB).
const MAX_STREAMED_BYTES: usize = 209_715_200;

/// How a call ended, and whether its environment may serve another.
pub(crate) struct Finished {
    pub(crate) invocation: Invocation,
    pub(crate) reusable: bool,
    /// The platform stopped it.
    pub(crate) stopped: bool,
}

/// What became of an environment that was asked for an event's result.
struct End {
    outcome: Outcome,
    error_type: Option<String>,
    reusable: bool,
    timed_out: bool,
    out_of_memory: bool,
    stopped: bool,
}

/// An environment that was started for the call that it runs.
pub(crate) struct Fresh {
    /// Its turn to start.
    pub(crate) _turn: Option<Turn>,
}

/// Why an environment could not be given the event.
pub(crate) enum NotRun {
    /// It ended by itself before it got the event: the call can go to another.
    Gone,
    /// It could not be finished, in words that complete "could not ...".
    Broken(String),
}

/// One call while it runs.
struct Run<'a> {
    inner: &'a Arc<Inner>,
    environment: &'a mut Environment,
    request: &'a InvokeRequest,
    /// Of an environment that was started for this call: how long that took, once it is known.
    init_ms: Option<f64>,
    /// The same where it was forked from a snapshot.
    restore: Option<Restore>,
    /// How long extensions took after the runtime had answered, if they did.
    extensions_ms: Option<f64>,
    cold_start: bool,
    /// The call's tracing header.
    trace: String,
    /// What stands before the event, once there is one.
    event_head: String,
    /// True once running calls are given up.
    killing: watch::Receiver<bool>,
}

/// Runs a call; `fresh` is given when its environment was started for it, and the result streams to a caller who takes it so.
pub(crate) async fn run(
    inner: &Arc<Inner>,
    environment: &mut Environment,
    request: &InvokeRequest,
    fresh: Option<Fresh>,
    caller: &mut Caller,
) -> Result<Finished, NotRun> {
    let function = &request.function;
    let (clock, random) = (&inner.parts.clock, &inner.parts.random);
    let asked = (request.trace_id.as_deref(), function.tracing_active);
    let mut run = Run {
        trace: inner.sampler.header(asked, &function.key, clock, random),
        inner,
        environment,
        request,
        init_ms: None,
        restore: None,
        extensions_ms: None,
        cold_start: fresh.is_some(),
        event_head: String::new(),
        killing: inner.killing.subscribe(),
    };
    if fresh.is_none() && (run.environment.has_ended() || run.environment.wake().await.is_err()) {
        return Err(run.gone().await);
    }
    let is_fresh = fresh.is_some();
    // As AWS bills: from when the runtime had its function. What the platform took to make the environment, or to wait
    // for a turn to, is not the function's.
    let before = if is_fresh { run.environment.init_since } else { inner.parts.clock.monotonic() };
    // Of a new environment nothing is skipped: that its function cannot be loaded may be the first that it says.
    let asked = if is_fresh { run.environment.is_ready() } else { run.environment.has_asked() };
    if !is_fresh && run.environment.is_broken() {
        return Err(run.gone().await);
    }
    let failed = if asked { None } else { run.initialise(before, is_fresh).await? };
    // It has started, or never will.
    drop(fresh);
    if !is_fresh && failed.is_none() && run.environment.api.has_lost_runtime() {
        return Err(run.gone().await);
    }
    if is_fresh && failed.is_none() {
        run.note_start(before);
    }
    run.environment.close_registration();
    let started_unix_ms = inner.parts.clock.unix_ms();
    // A failed start is billed as part of the call, which AWS does by starting again within it.
    let started = if failed.is_some() { before } else { inner.parts.clock.monotonic() };
    run.environment.drain_output();
    if failed.is_none() {
        run.environment.log.start_tail();
    }
    let (request_id, version) = (request.request_id.as_str(), function.key.version.as_str());
    run.environment.log.tell(&Platform::Start { request_id, version, trace: sampled(&run.trace) });
    let mut end = match failed {
        Some(end) => end,
        None => run.handle(&mut caller.sink).await,
    };
    let streamed = caller.sink.as_ref().map_or(0, |sink| sink.bytes);
    run.tell_done(&end, started, streamed);
    if end.reusable && run.environment.await_extensions() {
        if !request.is_told_whole {
            caller.tell(Ok(run.so_far(&end, started, started_unix_ms)));
        }
        end = run.await_extensions(end, started).await;
    }
    Ok(run.finish(end, started, started_unix_ms).await)
}

impl Run<'_> {
    /// Waits until the runtime asks for an event; gives the end of a call whose function could not be loaded.
    async fn initialise(&mut self, before: Duration, fresh: bool) -> Result<Option<End>, NotRun> {
        let timeout = Duration::from_millis(u64::from(self.request.function.timeout_ms));
        let mut deadline = self.environment.alarm.after(if fresh { INIT_TIMEOUT } else { timeout });
        let mut late = !fresh;
        let end = loop {
            match self.next(&mut deadline).await {
                Event::Call(_, Call::Next) => return Ok(None),
                Event::Call(connection, Call::InitError { kind, body }) => {
                    self.environment.api.accept(connection);
                    let kind = kind.or_else(|| texts::error_type_of(&body));
                    break self.failed(body, kind, false);
                }
                Event::Call(connection, call) => self.environment.refuse(connection, &call),
                Event::TimedOut if late => break self.timed_out(),
                Event::TimedOut => {
                    late = true;
                    self.report_start(before, Status::Timeout);
                    deadline.reset(Instant::now() + timeout);
                }
                // Whatever ended it, it was not this event.
                Event::Exited(_)
                | Event::Broken(_)
                | Event::NotExecuted(_)
                | Event::NotEntered(_)
                | Event::Extension(_)
                | Event::Stopped
                    if !fresh =>
                {
                    return Err(self.gone().await);
                }
                Event::Stopped => break self.stopped(),
                Event::Exited(status) => break self.exited(status),
                Event::Extension(failure) => break self.extension_failed(&failure),
                Event::ExtensionsReady => {}
                Event::Broken(detail) => return Err(NotRun::Broken(detail)),
                Event::NotExecuted(errno) => break self.not_executed(errno),
                Event::NotEntered(errno) => break self.not_entered(errno),
            }
        };
        if fresh && !end.timed_out {
            self.environment.drain_output();
            let kind = end.error_type.as_deref().unwrap_or("Runtime.Unknown");
            self.report_start(before, Status::Error(kind));
        }
        Ok(Some(end))
    }

    /// Tells of a start that failed, or takes too long.
    fn report_start(&mut self, before: Duration, status: Status<'_>) {
        let ms = self.ms_since(before);
        let initialization = self.environment.initialization;
        self.environment.log.tell(&match self.environment.restored_at {
            Some(_) => Platform::RestoreReport { ms, status },
            None => Platform::InitReport { initialization, ms, status },
        });
    }

    /// The call as it is when its runtime has answered, while its extensions are still busy.
    fn so_far(&mut self, end: &End, started: Duration, started_unix_ms: i64) -> Invocation {
        let duration_ms = self.ms_since(started);
        let record = self.record(end, duration_ms, started_unix_ms);
        Invocation { outcome: end.outcome.clone(), log_tail: Vec::new(), record }
    }

    /// Tells how the runtime answered, after so many streamed bytes; its extensions may still be busy.
    fn tell_done(&mut self, end: &End, started: Duration, streamed: u64) {
        let status = match &end.error_type {
            None => Status::Success,
            Some(_) if end.timed_out => Status::Timeout,
            Some(kind) if end.reusable => Status::Error(kind),
            Some(kind) => Status::Failure(kind),
        };
        let produced_bytes = match &end.outcome {
            Outcome::Success(body) => Some(streamed + body.len() as u64),
            // What the function said of its error itself.
            Outcome::FunctionError { payload, .. } if end.reusable => Some(streamed + payload.len() as u64),
            Outcome::FunctionError { .. } => (streamed > 0).then_some(streamed),
        };
        self.environment.drain_output();
        let (request_id, ms) = (self.request.request_id.as_str(), self.ms_since(started));
        let trace = sampled(&self.trace);
        let done = Platform::RuntimeDone { request_id, status, ms, produced_bytes, trace };
        self.environment.log.tell(&done);
    }

    /// Waits until all extensions have asked for their next event, as long as the call may last. What the runtime answered
    /// stands, whatever becomes of them.
    async fn await_extensions(&mut self, end: End, started: Duration) -> End {
        let answered = self.inner.parts.clock.monotonic();
        let end = self.until_extensions_are_ready(end, started).await;
        self.extensions_ms = Some(self.ms_since(answered));
        end
    }

    async fn until_extensions_are_ready(&mut self, end: End, started: Duration) -> End {
        let timeout = Duration::from_millis(u64::from(self.request.function.timeout_ms));
        let gone = self.inner.parts.clock.monotonic().saturating_sub(started);
        let mut deadline = self.environment.alarm.after(timeout.saturating_sub(gone));
        loop {
            match self.next(&mut deadline).await {
                Event::ExtensionsReady => return end,
                Event::Call(_, Call::Next) => {}
                Event::Call(connection, call) => self.environment.refuse(connection, &call),
                Event::TimedOut => return End { outcome: end.outcome, ..self.timed_out() },
                Event::Exited(_) | Event::Extension(_) | Event::Stopped => {
                    return End { reusable: false, ..end };
                }
                Event::NotExecuted(_) | Event::NotEntered(_) | Event::Broken(_) => {}
            }
        }
    }

    fn extension_failed(&self, failure: &Failure) -> End {
        let message = texts::extension_message(&self.request.request_id, &failure.why);
        self.failed(texts::error_object(failure.kind, &message), Some(failure.kind.to_owned()), false)
    }

    /// The end of a call whose function's program could not be executed.
    fn not_executed(&self, errno: i32) -> End {
        let (function, request_id) = (&self.request.function, &self.request.request_id);
        let message = match &function.image {
            Some(image) => texts::program_message(request_id, errno, &image.program),
            None => {
                let is_there = function.code_dir.join("bootstrap").exists();
                texts::entrypoint_message(request_id, errno, is_there)
            }
        };
        let kind = "Runtime.InvalidEntrypoint";
        self.failed(texts::error_object(kind, &message), Some(kind.to_owned()), false)
    }

    /// The same where the folder could not be entered in which it should start.
    fn not_entered(&self, errno: i32) -> End {
        let image = self.request.function.image.as_ref();
        let folder = image.map_or(TASK_DIR, |image| image.work_dir.as_str());
        let message = texts::work_dir_message(&self.request.request_id, errno, folder);
        let kind = "Runtime.InvalidWorkingDir";
        self.failed(texts::error_object(kind, &message), Some(kind.to_owned()), false)
    }

    /// Notes how long the start took that is over.
    fn note_start(&mut self, before: Duration) {
        let ms = self.ms_since(before);
        let Some(restored_at) = self.environment.restored_at.take() else {
            self.init_ms = Some(ms);
            self.environment.tell_initialised(ms);
            return;
        };
        let billed_ms = whole_ms(self.ms_since(restored_at));
        self.restore = Some(Restore { ms, billed_ms });
        self.environment.drain_output();
        let status = Status::Success;
        self.environment.log.tell(&Platform::RestoreRuntimeDone { status });
        self.environment.log.tell(&Platform::RestoreReport { ms, status });
    }

    /// The end of an environment that never got the event; what it printed after its last call is kept.
    async fn gone(&mut self) -> NotRun {
        self.environment.end_reason = FAILURE;
        self.environment.drain_output();
        self.environment.log.end_line();
        self.environment.log.hand_over(&self.inner.logs).await;
        NotRun::Gone
    }

    /// Gives the runtime the event and waits for what comes of it.
    async fn handle(&mut self, sink: &mut Option<Sink>) -> End {
        let request = self.request;
        let timeout_ms = i64::from(request.function.timeout_ms);
        let deadline_ms = self.inner.parts.clock.unix_ms() + timeout_ms;
        self.event_head = self.event_head(deadline_ms);
        self.environment.progress = Progress::Running(request.request_id.clone());
        let call = CallFacts {
            deadline_ms,
            request_id: &request.request_id,
            invoked_arn: &request.invoked_arn,
            trace: &self.trace,
        };
        let Environment { extensions, api, .. } = &mut *self.environment;
        extensions.begin_call(api, &self.inner.parts.random, &call);
        self.environment.api.let_stream(sink.as_ref().map(|_| request.request_id.as_str()));
        self.environment.api.send_event(self.event_head.as_bytes(), &request.payload);
        let end = self.await_end(sink).await;
        self.environment.progress = Progress::Answered(request.request_id.clone());
        let is_cut = self.environment.api.is_streaming();
        self.environment.api.let_stream(None);
        // The rest of what it meant to say would be taken for the next event's.
        End { reusable: end.reusable && !is_cut, ..end }
    }

    async fn await_end(&mut self, sink: &mut Option<Sink>) -> End {
        let timeout = Duration::from_millis(u64::from(self.request.function.timeout_ms));
        let mut deadline = self.environment.alarm.after(timeout);
        loop {
            let event = tokio::select! {
                biased;
                () = stream::room(sink) => {
                    self.environment.api.hold_stream(false);
                    continue;
                }
                event = self.next(&mut deadline) => event,
            };
            match event {
                Event::Call(connection, call) => {
                    let end = match sink {
                        Some(sink) => self.stream(connection, call, sink),
                        None => self.answer(connection, call),
                    };
                    if let Some(end) = end {
                        return end;
                    }
                }
                Event::Exited(status) => return self.exited(status),
                Event::Extension(failure) => return self.extension_failed(&failure),
                Event::ExtensionsReady => {}
                // Said before a runtime's program starts, and that one has asked for its event.
                Event::NotExecuted(_) | Event::NotEntered(_) | Event::Broken(_) => {}
                Event::TimedOut => return self.timed_out(),
                Event::Stopped => return self.stopped(),
            }
        }
    }

    /// Gives on what is streamed; the end of the call if this is it.
    fn stream(&mut self, connection: usize, call: Call, sink: &mut Sink) -> Option<End> {
        match call {
            Call::Streaming { content_type } => sink.begin(content_type),
            Call::Piece(piece) => {
                if sink.bytes + piece.len() as u64 > MAX_STREAMED_BYTES as u64 {
                    let object = texts::too_large_object(MAX_STREAMED_BYTES);
                    return Some(self.failed(
                        object,
                        Some("Function.ResponseSizeTooLarge".to_owned()),
                        false,
                    ));
                }
                let is_full = sink.give(piece);
                self.environment.api.hold_stream(is_full);
            }
            Call::StreamEnd(trailers) => {
                self.environment.api.accept(connection);
                return Some(if trailers.is_error() {
                    self.broken_off(trailers)
                } else {
                    End::success(Bytes::new())
                });
            }
            Call::StreamLost => {
                let kind = "Runtime.TruncatedResponse";
                let message = "The runtime closed its connection before the response had ended";
                return Some(self.failed(texts::error_object(kind, message), Some(kind.to_owned()), false));
            }
            call => return self.answer(connection, call),
        }
        None
    }

    /// The end of a call whose result broke off, as the runtime told it behind the result.
    fn broken_off(&self, trailers: Trailers) -> End {
        let body = trailers.error_body.and_then(|body| BASE64.decode(body).ok()).map(Bytes::from);
        let kind = trailers.error_type.or_else(|| texts::error_type_of(body.as_deref()?));
        let kind = kind.unwrap_or_else(|| "Runtime.Unknown".to_owned());
        let body = body.unwrap_or_else(|| texts::error_object(&kind, "The response broke off"));
        self.failed(body, Some(kind), true)
    }

    /// What happens next, the platform's own end included.
    async fn next(&mut self, deadline: &mut Until) -> Event {
        tokio::select! {
            biased;
            _ = self.killing.wait_for(|killing| *killing) => Event::Stopped,
            event = self.environment.next(&self.inner.logs, deadline) => event,
        }
    }

    /// The end of the call if this is it.
    fn answer(&mut self, connection: usize, call: Call) -> Option<End> {
        let own = self.request.request_id.as_str();
        match call {
            Call::Response { id, trailers, .. } if id == own && trailers.is_error() => {
                self.environment.api.accept(connection);
                Some(self.broken_off(trailers))
            }
            Call::Response { id, has_odd_mode: true, .. } if id == own => {
                let (kind, message) = ("InvalidFunctionResponseMode", "Invalid function response mode");
                self.environment.api.refuse(connection, "400 Bad Request", kind, message);
                let kind = "Runtime.InvalidResponseModeHeader";
                Some(self.failed(texts::error_object(kind, message), Some(kind.to_owned()), true))
            }
            Call::Response { id, body, .. } if id == own => match body {
                Some(body) => {
                    self.environment.api.accept(connection);
                    Some(End::success(body))
                }
                None => {
                    let object = texts::too_large_object(MAX_RESPONSE_BYTES);
                    let message =
                        format!("Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).");
                    let status = "413 Request Entity Too Large";
                    self.environment.api.refuse(connection, status, "RequestEntityTooLarge", &message);
                    Some(self.failed(object, Some("Function.ResponseSizeTooLarge".to_owned()), true))
                }
            },
            Call::Error { id, kind, body } if id == own => {
                self.environment.api.accept(connection);
                let kind = kind.or_else(|| texts::error_type_of(&body));
                Some(self.failed(body, kind, true))
            }
            Call::Next => {
                self.environment.send_again(self.event_head.as_bytes(), &self.request.payload);
                None
            }
            call => {
                self.environment.refuse(connection, &call);
                None
            }
        }
    }

    async fn finish(&mut self, end: End, started: Duration, started_unix_ms: i64) -> Finished {
        let timeout_ms = self.request.function.timeout_ms;
        let duration_ms = if end.timed_out { f64::from(timeout_ms) } else { self.ms_since(started) };
        if end.reusable {
            // What answers the runtime's POST goes out now, unless its next question is here already.
            self.environment.has_asked();
        }
        let reusable = end.reusable && !self.environment.is_broken();
        if !reusable {
            self.environment.end_reason = if end.timed_out { TIMEOUT } else { FAILURE };
        }
        self.environment.drain_output();
        self.environment.log.end_line();
        self.say_why(&end);
        let record = self.record(&end, duration_ms, started_unix_ms);
        let log = &mut self.environment.log;
        log.tell(&Platform::End { request_id: &record.request_id });
        log.tell(&Platform::Report { record: &record, trace: sampled(&self.trace) });
        let log_tail = log.take_tail();
        // Before anything that waits: whoever gives up waiting for a slow sink must not lose the record.
        self.inner.parts.recorder.record(&record);
        if end.stopped {
            log.leave(&self.inner.logs);
        } else {
            log.hand_over(&self.inner.logs).await;
        }
        let invocation = Invocation { outcome: end.outcome, log_tail, record };
        Finished { invocation, reusable, stopped: end.stopped }
    }

    /// The platform's own line about an end that the function could not report itself.
    fn say_why(&mut self, end: &End) {
        let request_id = &self.request.request_id;
        let log = &mut self.environment.log;
        if end.timed_out {
            let now = self.inner.parts.clock.unix_ms();
            log.say_error(request_id, texts::timeout_line(request_id, now, self.request.function.timeout_ms));
        } else if let (Outcome::FunctionError { payload, .. }, Some(kind)) = (&end.outcome, &end.error_type)
            && !end.reusable
            && (kind.starts_with("Extension.")
                || matches!(
                    kind.as_str(),
                    "Runtime.ExitError" | "Runtime.OutOfMemory" | "Runtime.InvalidEntrypoint" | STOPPED
                ))
        {
            let value: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
            let message = value.get("errorMessage").and_then(|text| text.as_str()).unwrap_or_default();
            log.say_error(request_id, texts::exit_line(message, kind));
        }
    }

    fn record(&mut self, end: &End, duration_ms: f64, started_unix_ms: i64) -> InvocationRecord {
        let measured = Measured {
            started_unix_ms,
            cold_start: self.cold_start,
            init_ms: self.init_ms,
            restore: self.restore,
            duration_ms,
            extensions_ms: self.extensions_ms,
            max_memory_mib: self.environment.peak_memory_mib().unwrap_or(0),
            error_type: end.error_type.clone(),
            timed_out: end.timed_out,
            out_of_memory: end.out_of_memory,
        };
        record(self.request, &self.environment.log_stream, measured)
    }

    fn failed(&self, payload: Bytes, error_type: Option<String>, reusable: bool) -> End {
        let outcome = Outcome::FunctionError { kind: ErrorKind::Unhandled, payload };
        let error_type = Some(error_type.unwrap_or_else(|| "Runtime.Unknown".to_owned()));
        End { outcome, error_type, reusable, timed_out: false, out_of_memory: false, stopped: false }
    }

    fn exited(&self, status: ExitStatus) -> End {
        // A child of the runtime may have been killed earlier without harm to the runtime itself.
        let out_of_memory = status == ExitStatus::Signal(KILLED) && self.environment.oom_killed();
        let kind = if out_of_memory { "Runtime.OutOfMemory" } else { "Runtime.ExitError" };
        let message = texts::exit_message(&self.request.request_id, status);
        let end = self.failed(texts::error_object(kind, &message), Some(kind.to_owned()), false);
        End { out_of_memory, ..end }
    }

    fn stopped(&self) -> End {
        let message = texts::stopped_message(&self.request.request_id);
        let end = self.failed(texts::error_object(STOPPED, &message), Some(STOPPED.to_owned()), false);
        End { stopped: true, ..end }
    }

    fn timed_out(&self) -> End {
        let object = texts::timeout_object(&self.request.request_id, self.request.function.timeout_ms);
        let end = self.failed(object, Some("Sandbox.Timedout".to_owned()), false);
        End { timed_out: true, ..end }
    }

    fn event_head(&self, deadline_ms: i64) -> String {
        let request = self.request;
        let trace = &self.trace;
        let mut head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
             Lambda-Runtime-Aws-Request-Id: {}\r\nLambda-Runtime-Deadline-Ms: {deadline_ms}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: {}\r\nLambda-Runtime-Trace-Id: {trace}\r\n",
            one_line(&request.request_id),
            one_line(&request.invoked_arn),
        );
        if let Some(client_context) = &request.client_context {
            head.push_str(&format!("Lambda-Runtime-Client-Context: {}\r\n", ascii_json(client_context)));
        }
        if let Some(tenant_id) = &request.tenant_id {
            head.push_str(&format!("Lambda-Runtime-Aws-Tenant-Id: {}\r\n", one_line(tenant_id)));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", request.payload.len()));
        head
    }

    fn ms_since(&self, then: Duration) -> f64 {
        self.inner.parts.clock.monotonic().saturating_sub(then).as_secs_f64() * 1000.0
    }
}

impl End {
    fn success(body: Bytes) -> Self {
        let outcome = Outcome::Success(body);
        Self {
            outcome,
            error_type: None,
            reusable: true,
            timed_out: false,
            out_of_memory: false,
            stopped: false,
        }
    }
}

/// The same JSON without a character that official clients refuse in a header's value.
fn ascii_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in one_line(json).chars() {
        if matches!(char, ' '..='~' | '\t') {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// A header's value must not begin another header.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_context_is_ascii_and_means_the_same() {
        let json = r#"{"custom":{"name":"Größe 🌍"}}"#;
        let ascii = ascii_json(json);
        assert!(ascii.is_ascii());
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&ascii), value(json));
    }
}
