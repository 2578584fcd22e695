//! Log events on their way from environments to the sink: gathered, bounded, written in batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::function::{FunctionKey, LEVELS, Logging};
use crate::lines::Splitter;
use crate::parts::{LogBatch, LogEvent, LogSink};
use crate::platform::Platform;
use crate::telemetry::{Source, Telemetry, event};
use crate::texts;

/// How long events gather before they are written, so that a busy function costs a write now and then, not per call.
const GATHER: Duration = Duration::from_millis(20);
/// Events of one environment are handed over when they are this many bytes, however long its call still runs.
pub(crate) const HAND_OVER_BYTES: usize = 64 * 1024;
/// What an event costs beyond its text. Source: CloudWatch Logs API Reference, "PutLogEvents".
const EVENT_OVERHEAD: usize = 26;
/// LogType=Tail gives so much. Source: AWS Lambda API Reference, "Invoke".
const TAIL_BYTES: usize = 4 * 1024;
/// The budget is counted in these, so that its counter does not overflow.
const BUDGET_UNIT: usize = 1024;

/// Where and for whom one environment logs.
#[derive(Clone)]
pub(crate) struct LogStream {
    pub(crate) function: Arc<FunctionKey>,
    pub(crate) group: Arc<str>,
    pub(crate) stream: Arc<str>,
}

/// One environment's log: what it prints and what the platform says about it.
pub(crate) struct EnvironmentLog {
    to: LogStream,
    clock: Clock,
    splitter: Splitter,
    events: Vec<LogEvent>,
    bytes: usize,
    tail: Vec<u8>,
    /// What extensions print.
    extensions: Splitter,
    logging: Logging,
    /// Subscribers to what is logged.
    telemetry: Option<Arc<Telemetry>>,
}

impl EnvironmentLog {
    pub(crate) fn new(to: LogStream, clock: Clock) -> Self {
        Self {
            to,
            clock,
            splitter: Splitter::default(),
            events: Vec::new(),
            bytes: 0,
            tail: Vec::new(),
            extensions: Splitter::default(),
            logging: Logging::default(),
            telemetry: None,
        }
    }

    /// With a format and levels, and those who want to know of it.
    pub(crate) fn with(mut self, logging: Logging, telemetry: Option<Arc<Telemetry>>) -> Self {
        (self.logging, self.telemetry) = (logging, telemetry);
        self
    }

    /// Output of the function.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.push(bytes, |message| self.line(Source::Function, message));
        self.splitter = splitter;
    }

    /// Output of its extensions.
    pub(crate) fn push_extensions(&mut self, bytes: &[u8]) {
        let mut splitter = std::mem::take(&mut self.extensions);
        splitter.push(bytes, |message| self.line(Source::Extension, message));
        self.extensions = splitter;
    }

    fn line(&mut self, source: Source, message: String) {
        if let Some(json) = &self.logging.json
            && is_below(&message, &json.application_level)
        {
            return;
        }
        if let Some(telemetry) = &self.telemetry {
            telemetry.line(source, self.clock.unix_ms(), &message, self.logging.json.is_some());
        }
        self.say(message);
    }

    /// What the platform says of the environment: in the log's form, and to those who subscribed.
    pub(crate) fn tell(&mut self, what: &Platform<'_>) {
        let now = self.clock.unix_ms();
        if let Some(telemetry) = &self.telemetry {
            telemetry.platform(now, what);
        }
        match &self.logging.json {
            None => {
                if let Some(line) = what.text() {
                    self.say(line);
                }
            }
            Some(json) if what.level().is_some_and(|level| level >= json.system_level) => {
                self.say(format!("{}\n", event(now, what.kind(), &what.record())));
            }
            Some(_) => {}
        }
    }

    /// An error that ends a call, in the log's form.
    pub(crate) fn say_error(&mut self, request_id: &str, text: String) {
        if self.logging.json.is_none() {
            return self.say(text);
        }
        let timestamp = texts::iso(self.clock.unix_ms());
        let message = text.trim_end();
        let record = serde_json::json!({
            "timestamp": timestamp, "level": "ERROR", "message": message, "requestId": request_id,
        });
        self.say(format!("{record}\n"));
    }

    pub(crate) fn telemetry(&self) -> Option<&Arc<Telemetry>> {
        self.telemetry.as_ref()
    }

    /// A line of the platform's own, after what the function printed so far.
    pub(crate) fn say(&mut self, message: String) {
        self.bytes += message.len() + EVENT_OVERHEAD;
        keep_tail(&mut self.tail, message.as_bytes());
        if !message.ends_with('\n') {
            keep_tail(&mut self.tail, b"\n");
        }
        self.events.push(LogEvent { timestamp_unix_ms: self.clock.unix_ms(), message });
    }

    /// An unfinished line ends here: the call is over.
    pub(crate) fn end_line(&mut self) {
        if let Some(message) = self.splitter.finish() {
            self.line(Source::Function, message);
        }
    }

    /// A new call begins: its tail starts here.
    pub(crate) fn start_tail(&mut self) {
        self.tail.clear();
    }

    pub(crate) fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }

    /// Bytes gathered and not yet handed over.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hands over what was gathered; waits while the sink is behind. Nothing is lost when the wait is given up.
    pub(crate) async fn hand_over(&mut self, logs: &Logs) {
        if self.events.is_empty() {
            return;
        }
        let units = logs.reserve(self.bytes).await;
        self.bytes = 0;
        logs.add(&self.to, std::mem::take(&mut self.events), units);
    }

    /// Hands over what is left without waiting for room: for the platform's end, which waits for nobody.
    pub(crate) fn leave(&mut self, logs: &Logs) {
        self.end_line();
        if let Some(message) = self.extensions.finish() {
            self.line(Source::Extension, message);
        }
        self.bytes = 0;
        if !self.events.is_empty() {
            logs.add(&self.to, std::mem::take(&mut self.events), 0);
        }
    }
}

/// Whether a message is a JSON record of a level below this one.
/// Source: AWS Lambda Developer Guide, "Log-level filtering".
fn is_below(message: &str, least: &str) -> bool {
    if !message.starts_with('{') {
        return false;
    }
    let rank = |level: &str| LEVELS.iter().position(|one| one.eq_ignore_ascii_case(level));
    let Ok(value) = serde_json::from_str::<serde_json::Value>(message) else { return false };
    let level = value.get("level").and_then(serde_json::Value::as_str).and_then(rank);
    level.zip(rank(least)).is_some_and(|(level, least)| level < least)
}

fn keep_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    let over = (tail.len() + bytes.len()).saturating_sub(TAIL_BYTES);
    tail.drain(..over);
    tail.extend_from_slice(bytes);
}

/// The way to the sink, shared by all environments.
pub(crate) struct Logs {
    gathered: Mutex<Gathered>,
    /// In units of 1 KiB.
    budget: Semaphore,
    units: u32,
    wake: Notify,
    /// One write at a time, so that whoever flushes also waits for what is being written.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Gathered {
    batches: HashMap<Arc<str>, LogBatch>,
    units: u32,
}

impl Logs {
    pub(crate) fn new(max_bytes: usize) -> Self {
        // One environment's hand-over must always fit.
        let units = u32::try_from(max_bytes.max(4 * HAND_OVER_BYTES) / BUDGET_UNIT).unwrap_or(u32::MAX >> 4);
        Self {
            gathered: Mutex::default(),
            budget: Semaphore::new(usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS)),
            units,
            wake: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Waits until there is room for so many bytes; gives the units to hand to `add`.
    async fn reserve(&self, bytes: usize) -> u32 {
        let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX).min(self.units);
        self.budget.acquire_many(units).await.expect("the budget is never closed").forget();
        units
    }

    fn add(&self, to: &LogStream, events: Vec<LogEvent>, units: u32) {
        let mut gathered = self.gathered.lock();
        gathered.units += units;
        let batch = gathered.batches.entry(to.stream.clone()).or_insert_with(|| LogBatch {
            function: to.function.clone(),
            log_group: to.group.clone(),
            log_stream: to.stream.clone(),
            events: Vec::new(),
        });
        batch.events.extend(events);
        drop(gathered);
        self.wake.notify_one();
    }

    /// Writes to the sink for as long as the pool lives. Sleeps, without a timer, while nothing is logged.
    pub(crate) async fn write_for_ever(self: &Arc<Self>, sink: &Arc<dyn LogSink>) {
        loop {
            self.wake.notified().await;
            tokio::time::sleep(GATHER).await;
            self.flush(sink).await;
        }
    }

    /// Has the sink take what was gathered.
    pub(crate) async fn flush(self: &Arc<Self>, sink: &Arc<dyn LogSink>) {
        // A task of its own, because a caller who goes away in the middle would take lines and room along.
        let (logs, sink) = (Arc::clone(self), Arc::clone(sink));
        let writing = tokio::spawn(async move { logs.write(&*sink).await });
        // A sink that panicked has said so; its lines are lost, and it is asked again for the next ones.
        let _ = writing.await;
    }

    async fn write(&self, sink: &dyn LogSink) {
        let _turn = self.writing.lock().await;
        let gathered = std::mem::take(&mut *self.gathered.lock());
        let _taken = Taken { budget: &self.budget, units: gathered.units };
        if !gathered.batches.is_empty() {
            sink.write(gathered.batches.into_values().collect()).await;
        }
    }
}

/// Room that lines take; free again when they are written, or lost with a sink that panicked.
struct Taken<'a> {
    budget: &'a Semaphore,
    units: u32,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.budget.add_permits(usize::try_from(self.units).expect("never more than was acquired"));
    }
}

#[cfg(test)]
mod tests {
    use lambent_base::BoxFuture;

    use super::*;

    /// Takes lines only when it is told to, by a permit each time.
    struct Gated {
        open: Semaphore,
        came: Semaphore,
        taken: Mutex<Vec<LogEvent>>,
        panics: bool,
    }

    impl LogSink for Gated {
        fn write(&self, batches: Vec<LogBatch>) -> BoxFuture<'_, ()> {
            Box::pin(async move {
                self.came.add_permits(1);
                self.open.acquire().await.unwrap().forget();
                assert!(!self.panics, "a defect in a sink");
                self.taken.lock().extend(batches.into_iter().flat_map(|batch| batch.events));
            })
        }
    }

    /// All the room there is, taken by one line that was handed over.
    async fn full(panics: bool) -> (Arc<Logs>, Arc<Gated>) {
        let logs = Arc::new(Logs::new(4 * HAND_OVER_BYTES));
        let function = FunctionKey {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            name: "f".to_owned(),
            version: "$LATEST".to_owned(),
            revision: "1".to_owned(),
        };
        let to = LogStream { function: Arc::new(function), group: "group".into(), stream: "stream".into() };
        let units = logs.reserve(4 * HAND_OVER_BYTES).await;
        logs.add(&to, vec![LogEvent { timestamp_unix_ms: 1, message: "line".to_owned() }], units);
        let (open, came) = (Semaphore::new(0), Semaphore::new(0));
        (logs, Arc::new(Gated { open, came, taken: Mutex::default(), panics }))
    }

    #[tokio::test]
    async fn whoever_flushes_may_go_away() {
        let (logs, gated) = full(false).await;
        let sink: Arc<dyn LogSink> = gated.clone();
        tokio::select! {
            () = logs.flush(&sink) => panic!("the sink took lines by itself"),
            came = gated.came.acquire() => came.unwrap().forget(),
        }
        gated.open.add_permits(1);
        // Whoever comes next waits for the line, and finds the room free.
        logs.flush(&sink).await;
        assert_eq!(gated.taken.lock().len(), 1);
        assert_eq!(logs.budget.available_permits(), 4 * HAND_OVER_BYTES / BUDGET_UNIT);
    }

    #[tokio::test]
    async fn a_sink_that_panics_keeps_no_room() {
        let (logs, gated) = full(true).await;
        gated.open.add_permits(1);
        let sink: Arc<dyn LogSink> = gated.clone();
        logs.flush(&sink).await;
        assert_eq!(logs.budget.available_permits(), 4 * HAND_OVER_BYTES / BUDGET_UNIT);
    }

    #[test]
    fn the_tail_is_the_last_4_kib() {
        let mut tail = Vec::new();
        keep_tail(&mut tail, &[b'a'; 3_000]);
        keep_tail(&mut tail, &[b'b'; 3_000]);
        assert_eq!(tail.len(), TAIL_BYTES);
        assert_eq!(tail.iter().filter(|byte| **byte == b'b').count(), 3_000);
        keep_tail(&mut tail, &[b'c'; 10_000]);
        assert_eq!(tail, [b'c'; TAIL_BYTES]);
    }
}
