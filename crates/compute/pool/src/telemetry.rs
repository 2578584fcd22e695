//! Who wants to know what is logged: subscribers of the Telemetry and Logs APIs, and what waits to be delivered to them.
//!
//! Nothing here ever waits for a subscriber: what does not fit is dropped, counted, and told of.
//! Source: AWS Lambda Developer Guide, "Accessing real-time telemetry data for extensions using the Telemetry API".

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::platform::Platform;
use crate::texts;

/// What happens before anybody has subscribed is kept for those who do while the environment is initialised.
const MAX_EARLY: usize = 1_000;
const MAX_EARLY_BYTES: usize = 256 * 1024;
/// A queue holds so many times what its subscriber takes at once.
const QUEUE_FACTOR: usize = 4;
/// Events that only subscribers of the Logs API get, and those that they get of the platform's.
const ONLY_OF_LOGS_API: [&str; 2] = ["platform.end", "platform.logsSubscription"];
const OF_LOGS_API: [&str; 7] = [
    "platform.start",
    "platform.end",
    "platform.report",
    "platform.extension",
    "platform.logsSubscription",
    "platform.logsDropped",
    "platform.runtimeDone",
];

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Platform,
    Function,
    Extension,
}

impl Source {
    /// As subscriptions name it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "platform" => Some(Self::Platform),
            "function" => Some(Self::Function),
            "extension" => Some(Self::Extension),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Function => "function",
            Self::Extension => "extension",
        }
    }
}

/// How a subscriber wants its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) is_logs: bool,
    pub(crate) types: Vec<Source>,
    pub(crate) max_items: usize,
    pub(crate) max_bytes: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) destination: Destination,
}

/// Where to in the environment's own network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Http { port: u16, path: String },
    Tcp { port: u16 },
}

/// One environment's.
#[derive(Default)]
pub(crate) struct Telemetry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// While the environment is initialised.
    early: Vec<Event>,
    early_bytes: usize,
    /// Nobody can subscribe any more.
    closed: bool,
    subscribers: Vec<Arc<Subscriber>>,
}

#[derive(Clone)]
struct Event {
    source: Source,
    kind: &'static str,
    json: Arc<str>,
}

/// What waits for one subscriber.
pub(crate) struct Subscriber {
    /// The extension's name.
    name: String,
    pub(crate) wish: Wish,
    queue: Mutex<Queue>,
    more: Notify,
}

/// What is sent to a subscriber at once.
pub(crate) struct Batch {
    /// Events, and perhaps the notice that others were dropped.
    pub(crate) lines: Vec<Arc<str>>,
    /// Without the notice.
    events: usize,
    bytes: usize,
    /// What the notice tells of.
    dropped: usize,
    dropped_bytes: usize,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Arc<str>>,
    bytes: usize,
    dropped: usize,
    dropped_bytes: usize,
    /// Whatever waits is wanted at once.
    hurry: bool,
}

/// An event as it stands in a JSON log and as subscribers get it.
pub(crate) fn event(now_unix_ms: i64, kind: &str, record: &Value) -> String {
    let time = texts::iso(now_unix_ms);
    format!("{{\"time\":\"{time}\",\"type\":\"{kind}\",\"record\":{record}}}")
}

impl Telemetry {
    /// A line that was printed; in a JSON log it may be a record.
    pub(crate) fn line(&self, source: Source, now_unix_ms: i64, message: &str, is_json: bool) {
        if !self.is_wanted() {
            return;
        }
        let text = message.trim_end_matches('\n');
        let parsed = if is_json { serde_json::from_str::<Value>(text).ok() } else { None };
        let record = parsed.filter(Value::is_object).unwrap_or_else(|| json!(text));
        self.add(source, source.name(), event(now_unix_ms, source.name(), &record));
    }

    /// Something that the platform says.
    pub(crate) fn platform(&self, now_unix_ms: i64, what: &Platform<'_>) {
        if self.is_wanted() {
            self.add(Source::Platform, what.kind(), event(now_unix_ms, what.kind(), &what.record()));
        }
    }

    fn is_wanted(&self) -> bool {
        let state = self.state.lock();
        !state.closed || !state.subscribers.is_empty()
    }

    fn add(&self, source: Source, kind: &'static str, json: String) {
        let event = Event { source, kind, json: json.into() };
        let mut state = self.state.lock();
        for subscriber in &state.subscribers {
            subscriber.put(&event);
        }
        if !state.closed && state.early.len() < MAX_EARLY && state.early_bytes < MAX_EARLY_BYTES {
            state.early_bytes += event.json.len();
            state.early.push(event);
        }
    }

    /// One more subscriber, which also gets what happened before. It takes the place of what the same extension
    /// subscribed to with the same API.
    pub(crate) fn subscribe(&self, name: &str, wish: Wish) -> Arc<Subscriber> {
        let (queue, more) = (Mutex::default(), Notify::new());
        let subscriber = Arc::new(Subscriber { name: name.to_owned(), wish, queue, more });
        let mut state = self.state.lock();
        state.subscribers.retain(|one| one.name != name || one.wish.is_logs != subscriber.wish.is_logs);
        for event in &state.early {
            subscriber.put(event);
        }
        state.subscribers.push(subscriber.clone());
        subscriber
    }

    /// Initialisation is over: nobody can subscribe any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        (state.closed, state.early, state.early_bytes) = (true, Vec::new(), 0);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Has everything delivered that waits.
    pub(crate) fn hurry(&self) {
        for subscriber in &self.state.lock().subscribers {
            subscriber.queue.lock().hurry = true;
            subscriber.more.notify_one();
        }
    }
}

impl Subscriber {
    fn put(&self, event: &Event) {
        let wanted = self.wish.types.contains(&event.source)
            && match (self.wish.is_logs, event.source) {
                (true, Source::Platform) => OF_LOGS_API.contains(&event.kind),
                (false, Source::Platform) => !ONLY_OF_LOGS_API.contains(&event.kind),
                _ => true,
            };
        if !wanted {
            return;
        }
        let mut queue = self.queue.lock();
        let is_full = queue.bytes + event.json.len() > QUEUE_FACTOR * self.wish.max_bytes
            || queue.items.len() >= QUEUE_FACTOR * self.wish.max_items;
        if is_full {
            queue.dropped += 1;
            queue.dropped_bytes += event.json.len();
            return;
        }
        queue.bytes += event.json.len();
        queue.items.push_back(event.json.clone());
        drop(queue);
        self.more.notify_one();
    }

    /// Waits until something waits to be sent.
    pub(crate) async fn wait_for_any(&self) {
        loop {
            let more = self.more.notified();
            if !self.queue.lock().items.is_empty() {
                return;
            }
            more.await;
        }
    }

    /// Waits until as much waits as is taken at once, or whatever there is is wanted.
    pub(crate) async fn wait_until_full(&self) {
        loop {
            let more = self.more.notified();
            if self.is_full() {
                return;
            }
            more.await;
        }
    }

    fn is_full(&self) -> bool {
        let queue = self.queue.lock();
        queue.hurry || queue.items.len() >= self.wish.max_items || queue.bytes >= self.wish.max_bytes
    }

    /// Takes what is sent at once.
    pub(crate) fn take(&self, now_unix_ms: i64) -> Batch {
        let mut queue = self.queue.lock();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < self.wish.max_items
            && let Some(next) = queue.items.front()
            && (taken.is_empty() || bytes + next.len() <= self.wish.max_bytes)
        {
            bytes += next.len();
            taken.extend(queue.items.pop_front());
        }
        queue.bytes -= bytes;
        if queue.items.is_empty() {
            queue.hurry = false;
        }
        let events = taken.len();
        let (dropped, dropped_bytes) = (queue.dropped, queue.dropped_bytes);
        if dropped > 0 && self.wish.types.contains(&Source::Platform) {
            let reason = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.";
            let notice = Platform::LogsDropped { reason, records: dropped, bytes: dropped_bytes };
            taken.push(event(now_unix_ms, notice.kind(), &notice.record()).into());
        }
        (queue.dropped, queue.dropped_bytes) = (0, 0);
        Batch { lines: taken, events, bytes, dropped, dropped_bytes }
    }

    /// Counts what could not be delivered, and what nobody was told of thereby.
    pub(crate) fn lose(&self, batch: &Batch) {
        let mut queue = self.queue.lock();
        queue.dropped += batch.events + batch.dropped;
        queue.dropped_bytes += batch.bytes + batch.dropped_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(types: &[Source]) -> Wish {
        let destination = Destination::Tcp { port: 1 };
        Wish {
            is_logs: false,
            types: types.to_vec(),
            max_items: 2,
            max_bytes: 1_000,
            timeout_ms: 25,
            destination,
        }
    }

    #[test]
    fn subscribers_get_what_was_before_and_no_more_than_they_take() {
        let telemetry = Telemetry::default();
        telemetry.line(Source::Function, 0, "early\n", false);
        telemetry.line(Source::Extension, 0, "not wanted\n", false);
        let subscriber = telemetry.subscribe("one", wish(&[Source::Function, Source::Platform]));
        telemetry.close();
        for number in 0..20 {
            telemetry.line(Source::Function, 0, &format!("{number}\n"), false);
        }
        let first = subscriber.take(0);
        assert_eq!(first.lines.len(), 3, "two, and that some were dropped");
        assert!(first.lines[0].contains("\"record\":\"early\""));
        assert!(first.lines[2].contains("\"droppedRecords\":13"), "{}", first.lines[2]);
        subscriber.lose(&first);
        let second = subscriber.take(0).lines;
        assert!(second[2].contains("\"droppedRecords\":15"), "the notice itself is no event: {}", second[2]);
        assert_eq!(subscriber.take(0).lines.len(), 2);
    }

    #[test]
    fn an_extension_subscribes_once_with_each_api() {
        let telemetry = Telemetry::default();
        let of_logs = Wish { is_logs: true, ..wish(&[Source::Function]) };
        for _ in 0..3 {
            telemetry.subscribe("one", wish(&[Source::Function]));
            telemetry.subscribe("one", of_logs.clone());
            telemetry.subscribe("other", wish(&[Source::Function]));
        }
        assert_eq!(telemetry.state.lock().subscribers.len(), 3);
    }

    #[test]
    fn each_api_has_events_of_its_own() {
        let telemetry = Telemetry::default();
        let wish = Wish { max_items: 9, ..wish(&[Source::Platform]) };
        let of_logs = telemetry.subscribe("logs", Wish { is_logs: true, ..wish.clone() });
        let of_telemetry = telemetry.subscribe("telemetry", wish);
        for is_logs in [true, false] {
            telemetry.platform(0, &Platform::Subscription { is_logs, name: "one", types: &[] });
        }
        telemetry.platform(0, &Platform::End { request_id: "one" });
        let of_logs: Vec<_> = of_logs.take(0).lines;
        assert!(of_logs.len() == 2 && of_logs[0].contains("logsSub") && of_logs[1].contains("platform.end"));
        let of_telemetry = of_telemetry.take(0).lines;
        assert!(of_telemetry.len() == 1 && of_telemetry[0].contains("telemetrySub"));
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let telemetry = Telemetry::default();
        telemetry.close();
        telemetry.line(Source::Function, 0, "late\n", false);
        assert!(telemetry.state.lock().early.is_empty());
        assert!(!telemetry.is_wanted());
    }

    #[test]
    fn records_of_json_logs_stay_records() {
        let telemetry = Telemetry::default();
        let subscriber = telemetry.subscribe("one", wish(&[Source::Function]));
        telemetry.line(Source::Function, 0, "{\"level\":\"INFO\"}\n", true);
        assert!(subscriber.take(0).lines[0].ends_with("\"record\":{\"level\":\"INFO\"}}"));
    }
}
