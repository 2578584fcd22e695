//! Log events on their way from environments to the sink: gathered, bounded, written in batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::function::FunctionKey;
use crate::lines::Splitter;
use crate::parts::{LogBatch, LogEvent, LogSink};

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
}

impl EnvironmentLog {
    pub(crate) fn new(to: LogStream, clock: Clock) -> Self {
        Self { to, clock, splitter: Splitter::default(), events: Vec::new(), bytes: 0, tail: Vec::new() }
    }

    /// Output of the function.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.push(bytes, |message| self.say(message));
        self.splitter = splitter;
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
            self.say(message);
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
        self.bytes = 0;
        if !self.events.is_empty() {
            logs.add(&self.to, std::mem::take(&mut self.events), 0);
        }
    }
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
    pub(crate) async fn write_for_ever(&self, sink: &dyn LogSink) {
        loop {
            self.wake.notified().await;
            tokio::time::sleep(GATHER).await;
            self.flush(sink).await;
        }
    }

    /// Writes what was gathered.
    pub(crate) async fn flush(&self, sink: &dyn LogSink) {
        let _turn = self.writing.lock().await;
        let gathered = std::mem::take(&mut *self.gathered.lock());
        if !gathered.batches.is_empty() {
            sink.write(gathered.batches.into_values().collect()).await;
        }
        self.budget.add_permits(usize::try_from(gathered.units).expect("never more than was acquired"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
