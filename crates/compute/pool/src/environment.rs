//! One execution environment: its sandbox, its runtime's connection, its output.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lambent_base::{Alarm, Clock, Random, Until};
use lambent_sandbox::ExitStatus;
use tokio::net::TcpListener;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::api::{Call, ExtensionRequest, RuntimeApi};
use crate::enclosure::{Enclosure, Reported, Reports, Stillness};
use crate::error::InvokeError;
use crate::extensions::{Extensions, Failure, Heard};
use crate::function::FunctionKey;
use crate::logs::{EnvironmentLog, HAND_OVER_BYTES, Logs};
use crate::platform::{Platform, Status};
use crate::pool::Inner;
use crate::prepared::{Held, Prepared};
use crate::refusals::{Progress, refuse};
use crate::subscriptions::{MAX_SUBSCRIPTION_BYTES, deliver};
use crate::telemetry::Wish;
use crate::texts;

/// Why an environment ends that nobody needs, and one that did what it must not.
pub(crate) const SPINDOWN: &str = "spindown";
pub(crate) const TIMEOUT: &str = "timeout";
pub(crate) const FAILURE: &str = "failure";
const SUBSCRIBED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";

/// Output is read in pieces of this size.
const READ_BYTES: usize = 16 * 1024;
/// After a call's end so much of what was printed is still read; more waits for the next call.
const MAX_LATE_BYTES: usize = 256 * 1024;

/// What happened in an environment.
#[derive(Debug)]
pub(crate) enum Event {
    /// The runtime said something; the number names the connection to answer on.
    Call(usize, Call),
    /// The runtime's program ended.
    Exited(ExitStatus),
    /// It could not even be executed: the errno.
    NotExecuted(i32),
    /// Nor could the folder be entered in which it should start: the errno.
    NotEntered(i32),
    /// It could not be finished, by no fault of the function's.
    Broken(String),
    /// The time given had passed.
    TimedOut,
    /// The platform stops, and waits no longer.
    Stopped,
    /// An extension failed.
    Extension(Failure),
    /// All extensions have asked for their next event, which was waited for.
    ExtensionsReady,
}

/// A live environment. Dropping it kills what is in it, which blocks for some milliseconds.
pub(crate) struct Environment {
    pub(crate) key: Arc<FunctionKey>,
    /// The tenant whose calls it serves, and no others.
    pub(crate) tenant_id: Option<String>,
    pub(crate) log: EnvironmentLog,
    pub(crate) api: RuntimeApi,
    pub(crate) log_stream: Arc<str>,
    /// For the deadlines of whatever runs in it.
    pub(crate) alarm: Alarm,
    /// On the pool's monotonic clock.
    pub(crate) started_at: Duration,
    /// When it was given its function, from where its initialisation counts; of one that was forked from a snapshot: when
    /// that began.
    pub(crate) init_since: Duration,
    pub(crate) idle_since: Duration,
    /// Of one that was forked from a snapshot, until its first call: when that was done.
    pub(crate) restored_at: Option<Duration>,
    /// Whether it was started before anybody called, and waits for as long as that is wanted.
    pub(crate) provisioned: bool,
    /// The most memory that it used, as far as is known; what the host does not count is none.
    pub(crate) memory_bytes: u64,
    pub(crate) enclosure: Enclosure,
    pub(crate) extensions: Extensions,
    /// As AWS_LAMBDA_INITIALIZATION_TYPE says.
    pub(crate) initialization: &'static str,
    /// What extensions are told when it ends.
    pub(crate) end_reason: &'static str,
    /// Whether it is told when all extensions have asked for their next event.
    awaits_extensions: bool,
    held: Option<Held>,
    pub(crate) random: Random,
    pub(crate) clock: Clock,
    output: Receiver,
    extensions_output: Option<Receiver>,
    reports: Reports,
    /// Where its last lines go when it ends.
    pub(crate) logs: Arc<Logs>,
    /// What serves the platform's API, and the outside world, inside; for as long as it lives.
    tasks: Vec<AbortHandle>,
    /// What delivers to subscribers: one for each extension, and for each of its APIs (true: logs).
    deliveries: HashMap<(String, bool), AbortHandle>,
    /// Whether it was told to stand still, which not every host can.
    still: watch::Sender<bool>,
    pub(crate) progress: Progress,
    /// Whether the last thing that the runtime said was out of turn.
    refused: bool,
    /// Whether an extension failed, so that no call may be given to it any more.
    broken: bool,
}

impl Environment {
    /// Makes a prepared environment one function's own, for whose calls it lives from now on. It has the function already.
    pub(crate) fn of(
        prepared: Prepared,
        key: Arc<FunctionKey>,
        log: EnvironmentLog,
        log_stream: Arc<str>,
        now: Duration,
        inner: &Inner,
    ) -> Result<Self, InvokeError> {
        let wrong = |error: std::io::Error| InvokeError::Environment(format!("watch it: {error}"));
        let Prepared { api, output, reports, enclosure, endpoint, tun, extensions_output, held, .. } =
            prepared;
        let served = inner.parts.endpoint.serve(TcpListener::from_std(endpoint).map_err(wrong)?);
        let mut tasks = vec![tokio::spawn(served).abort_handle()];
        if let (Some(tun), Some(egress)) = (tun, &inner.parts.egress) {
            let owner = format!("{}/{}/{}", key.account, key.region, key.name);
            tasks.push(tokio::spawn(egress.serve(tun, &owner)).abort_handle());
        }
        Ok(Self {
            key,
            tenant_id: None,
            log,
            api,
            log_stream,
            alarm: Alarm::default(),
            started_at: now,
            init_since: now,
            idle_since: now,
            restored_at: None,
            provisioned: false,
            memory_bytes: 0,
            extensions: Extensions::default(),
            initialization: texts::ON_DEMAND,
            end_reason: SPINDOWN,
            awaits_extensions: false,
            held,
            random: inner.parts.random.clone(),
            clock: inner.parts.clock.clone(),
            extensions_output,
            output,
            reports,
            enclosure,
            logs: inner.logs.clone(),
            tasks,
            deliveries: HashMap::new(),
            still: watch::Sender::new(false),
            progress: Progress::default(),
            refused: false,
            broken: false,
        })
    }

    /// Whether it may serve a call of this function, or version, for this tenant.
    pub(crate) fn serves(&self, key: &FunctionKey, tenant_id: Option<&str>) -> bool {
        *self.key == *key && self.tenant_id.as_deref() == tenant_id
    }

    /// Waits for what happens next, and takes the log along meanwhile.
    pub(crate) async fn next(&mut self, logs: &Logs, deadline: &mut Until) -> Event {
        // What came in time counts although it is read late; but nobody talks on past the deadline out of turn.
        if std::mem::take(&mut self.refused) && deadline.has_passed() {
            return Event::TimedOut;
        }
        loop {
            let event = std::future::poll_fn(|context| self.poll_next(context, deadline)).await;
            if let Some(event) = event {
                return event;
            }
            // While the sink is behind nobody reads the pipe, and a function that prints more waits; but its time
            // runs on, and its answer and its end are not lost.
            tokio::select! {
                () = self.log.hand_over(logs) => {}
                () = &mut *deadline => return Event::TimedOut,
            }
        }
    }

    /// Whether the runtime and all extensions have asked for their next event, without waiting for it. Sends what is to be
    /// sent meanwhile. An extension that failed shows by [`Environment::is_broken`].
    pub(crate) fn has_asked(&mut self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        // One that waits for its event may still say that it failed.
        while !self.broken && (!self.is_ready() || self.has_extensions()) {
            match self.api.poll_call(&mut context) {
                Poll::Pending => return self.is_ready(),
                Poll::Ready((_, Call::Next)) => {}
                Poll::Ready((connection, Call::Extension(request))) => {
                    // All that comes of it here is that it cannot go on.
                    self.broken |= self.hear(connection, *request).is_some();
                }
                Poll::Ready((connection, call)) => self.refuse(connection, &call),
            }
        }
        !self.broken
    }

    /// Whether an extension has failed: it must not be given a call.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether an event can be sent.
    pub(crate) fn is_ready(&self) -> bool {
        self.api.is_waiting() && self.extensions.are_ready()
    }

    /// Tells that it was initialised, and how long that took.
    pub(crate) fn tell_initialised(&mut self, ms: f64) {
        let (initialization, status) = (self.initialization, Status::Success);
        self.log.tell(&Platform::InitRuntimeDone { initialization, status });
        self.log.tell(&Platform::InitReport { initialization, ms, status });
        self.close_registration();
    }

    /// Initialisation is over: nobody can register or subscribe any more.
    pub(crate) fn close_registration(&mut self) {
        if self.extensions.is_closed() {
            return;
        }
        self.extensions.close();
        for (name, events) in self.extensions.shown() {
            let (name, events) = (name.as_str(), events.as_slice());
            self.log.tell(&Platform::Extension { name, state: "Ready", events, error_type: None });
        }
        if let Some(telemetry) = self.log.telemetry() {
            telemetry.close();
        }
    }

    /// Has it be told when all extensions have asked for their next event; false when they have.
    pub(crate) fn await_extensions(&mut self) -> bool {
        self.awaits_extensions = !self.extensions.are_ready();
        self.awaits_extensions
    }

    /// Whether anything runs beside its runtime, or within it, that wants to know of its end.
    pub(crate) fn has_extensions(&self) -> bool {
        !self.extensions.is_empty()
    }

    /// Answers an extension; what that means for whoever runs the environment, if anything.
    fn hear(&mut self, connection: usize, request: ExtensionRequest) -> Option<Event> {
        match self.extensions.hear(&mut self.api, &self.random, connection, request) {
            Heard::Nothing => {}
            Heard::Registered => return self.begin_runtime(),
            Heard::Failed(failure) => return Some(self.failed(failure)),
            Heard::Subscribe { name, is_logs, body } => self.subscribe(connection, &name, is_logs, &body),
        }
        None
    }

    /// Lets the runtime have its function once all programs beside it have registered.
    fn begin_runtime(&mut self) -> Option<Event> {
        if !self.extensions.all_registered() {
            return None;
        }
        let Held { assignment, variables } = self.held.take()?;
        if let Err(error) = self.enclosure.sandbox.execute(&assignment) {
            return Some(Event::Broken(error.to_string()));
        }
        match variables {
            Some(variables) => self.api.give_function(variables),
            None => self.api.end_handover(),
        }
        None
    }

    fn failed(&mut self, failure: Failure) -> Event {
        self.broken = true;
        let shown = self.extensions.shown();
        let events =
            shown.iter().find(|(name, _)| *name == failure.name).map(|(_, events)| events.as_slice());
        let Failure { name, kind, state, .. } = &failure;
        let events = events.unwrap_or_default();
        self.log.tell(&Platform::Extension { name, state, events, error_type: Some(kind) });
        Event::Extension(failure)
    }

    fn subscribe(&mut self, connection: usize, name: &str, is_logs: bool, body: &[u8]) {
        let Some(telemetry) = self.log.telemetry().cloned() else { return };
        let api = if is_logs { "Logs" } else { "Telemetry" };
        if telemetry.is_closed() {
            let (kind, why) =
                (format!("{api}.SubscriptionClosed"), format!("{api} API subscription is closed already"));
            return self.api.refuse(connection, "403 Forbidden", &kind, &why);
        }
        if body.len() > MAX_SUBSCRIPTION_BYTES {
            let (kind, why) = ("RequestEntityTooLarge", "A subscription has at most 16 KiB");
            return self.api.refuse(connection, "413 Request Entity Too Large", kind, why);
        }
        match Wish::read(body, is_logs) {
            Err(why) => {
                let why: String =
                    why.chars().filter(|char| !matches!(char, '"' | '\\') && !char.is_control()).collect();
                self.api.refuse(connection, "400 Bad Request", "ValidationError", &why);
            }
            Ok(wish) => {
                let types: Vec<&str> = wish.types.iter().map(|one| one.name()).collect();
                let subscriber = telemetry.subscribe(name, wish);
                self.log.tell(&Platform::Subscription { is_logs, name, types: &types });
                let sandbox = Arc::downgrade(&self.enclosure.sandbox);
                let delivery = deliver(subscriber, sandbox, self.still.subscribe(), self.clock.clone());
                let delivery = tokio::spawn(delivery).abort_handle();
                if let Some(old) = self.deliveries.insert((name.to_owned(), is_logs), delivery) {
                    old.abort();
                }
                self.api.reply(connection, SUBSCRIBED);
            }
        }
    }

    /// Answers what a runtime says out of turn.
    pub(crate) fn refuse(&mut self, connection: usize, call: &Call) {
        self.refused = true;
        refuse(&mut self.api, connection, call, &self.progress);
    }

    /// The runtime asks for an event again that it has not answered, and gets it again, as on AWS.
    pub(crate) fn send_again(&mut self, head: &[u8], payload: &[u8]) {
        self.refused = true;
        self.api.send_event(head, payload);
    }

    /// Whether the runtime's program is known to have ended, or an extension has failed.
    pub(crate) fn has_ended(&mut self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        while !self.broken {
            match self.reports.poll_end(&mut context) {
                Poll::Pending => return false,
                Poll::Ready(Reported::Companion(name, end)) => {
                    if let Some(failure) = self.extensions.ended(&name, end) {
                        self.failed(failure);
                    }
                }
                Poll::Ready(_) => return true,
            }
        }
        true
    }

    /// Takes what was printed so far into the log. Asks the pipe itself: that it is readable may not have been noticed
    /// yet, while what was said after it on the connection has.
    pub(crate) fn drain_output(&mut self) {
        let mut piece = [MaybeUninit::uninit(); READ_BYTES];
        let mut taken = 0;
        while let Some(output) = &self.extensions_output
            && taken < MAX_LATE_BYTES
            && let Ok((bytes, _)) = rustix::io::read(output, &mut piece)
            && !bytes.is_empty()
        {
            self.log.push_extensions(bytes);
            taken += bytes.len();
        }
        taken = 0;
        while taken < MAX_LATE_BYTES {
            match rustix::io::read(&self.output, &mut piece) {
                Ok((bytes, _)) if !bytes.is_empty() => {
                    self.log.push(bytes);
                    taken += bytes.len();
                }
                _ => return,
            }
        }
    }

    /// Its runtime shall stand still until the next call: the way to make it so.
    pub(crate) fn be_still(&mut self) -> Stillness {
        self.still.send_replace(true);
        self.enclosure.stillness()
    }

    /// Whether it has yet to be told to stand still.
    pub(crate) fn is_unfrozen(&self) -> bool {
        !*self.still.borrow()
    }

    /// Lets its runtime go on; an error means that it cannot.
    pub(crate) async fn wake(&mut self) -> std::io::Result<()> {
        self.still.send_replace(false);
        self.enclosure.wake().await
    }

    /// The most memory it ever used, rounded up.
    pub(crate) fn peak_memory_mib(&mut self) -> Option<u32> {
        let bytes = self.enclosure.sandbox.peak_memory_bytes()?;
        self.memory_bytes = bytes;
        u32::try_from(bytes.div_ceil(1 << 20)).ok()
    }

    pub(crate) fn oom_killed(&self) -> bool {
        self.enclosure.sandbox.oom_killed()
    }

    /// `Ready(None)` when enough was printed to be handed over.
    fn poll_next(&mut self, context: &mut Context<'_>, deadline: &mut Until) -> Poll<Option<Event>> {
        while let Poll::Ready((connection, call)) = self.api.poll_call(context) {
            let was_ready = self.is_ready();
            match call {
                Call::Extension(request) => {
                    if let Some(event) = self.hear(connection, *request) {
                        return Poll::Ready(Some(event));
                    }
                }
                // It is told when its extensions have registered.
                Call::Function if self.held.is_some() => continue,
                // It starts to be called when its extensions are initialised, too.
                Call::Next if !self.extensions.is_closed() && !self.extensions.are_ready() => continue,
                call => return Poll::Ready(Some(Event::Call(connection, call))),
            }
            if !self.extensions.is_closed() && !was_ready && self.is_ready() {
                return Poll::Ready(Some(Event::Call(connection, Call::Next)));
            }
            if self.awaits_extensions && self.extensions.are_ready() {
                self.awaits_extensions = false;
                return Poll::Ready(Some(Event::ExtensionsReady));
            }
        }
        while let Poll::Ready(reported) = self.reports.poll_end(context) {
            let (name, end) = match reported {
                Reported::Companion(name, end) => (name, end),
                Reported::Exited(status) => return Poll::Ready(Some(Event::Exited(status))),
                Reported::NotExecuted(errno) => return Poll::Ready(Some(Event::NotExecuted(errno))),
                Reported::NotEntered(errno) => return Poll::Ready(Some(Event::NotEntered(errno))),
                Reported::Broken(detail) => return Poll::Ready(Some(Event::Broken(detail))),
            };
            // What it said last comes before how it ended.
            self.drain_output();
            if let Some(failure) = self.extensions.ended(&name, end) {
                return Poll::Ready(Some(self.failed(failure)));
            }
            if self.extensions.is_ending() {
                return Poll::Ready(Some(Event::ExtensionsReady));
            }
        }
        if deadline.poll_passed(context).is_ready() {
            return Poll::Ready(Some(Event::TimedOut));
        }
        if !self.read_extensions_output(context) {
            return Poll::Ready(None);
        }
        loop {
            if self.log.bytes() >= HAND_OVER_BYTES {
                return Poll::Ready(None);
            }
            match self.output.poll_read_ready(context) {
                Poll::Ready(Ok(())) => {}
                // An error here is a runtime without output, and not worth its life.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            }
            if !self.read_output() {
                return Poll::Pending;
            }
        }
    }

    /// Takes what extensions printed into the log; false when that is to be handed over first.
    fn read_extensions_output(&mut self, context: &mut Context<'_>) -> bool {
        while let Some(output) = &self.extensions_output
            && let Poll::Ready(Ok(())) = output.poll_read_ready(context)
        {
            if self.log.bytes() >= HAND_OVER_BYTES {
                return false;
            }
            let mut piece = [0; READ_BYTES];
            match output.try_read(&mut piece) {
                // All of them have closed it.
                Ok(0) => self.extensions_output = None,
                Ok(length) => self.log.push_extensions(&piece[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.extensions_output = None,
            }
        }
        true
    }

    /// Takes a piece of what was printed into the log; false when the pipe is of no more use.
    fn read_output(&mut self) -> bool {
        let mut piece = [0; READ_BYTES];
        match self.output.try_read(&mut piece) {
            Ok(0) => return false,
            Ok(length) => self.log.push(&piece[..length]),
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
        true
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.tasks.iter().chain(self.deliveries.values()).for_each(AbortHandle::abort);
        // What it printed after its last call is nobody's answer, but somebody's log.
        self.drain_output();
        self.log.leave(&self.logs);
    }
}
