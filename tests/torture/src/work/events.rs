//! Events: objects that a function is told of, and asynchronous calls of it.

use anyhow::bail;
use lambent_test_client::Request;

use super::{Round, Worker};
use crate::client::{Client, Told, s3};
use crate::content::{Content, below, size};
use crate::pulse::Pulse;
use crate::setup::{FUNCTION, FUNCTIONS, JSON, TOLD_BUCKET, lambda};
use crate::verify;

/// How many events a round has at most: each runs a function.
const EVENTS_MAX: usize = 30;

/// One client that causes events.
pub(crate) struct EventWorker {
    name: String,
    /// Whether there is a function to hear of them.
    pub(crate) heard: bool,
    /// All that was ever attempted, in order.
    pub(crate) events: Vec<Event>,
    /// Where those of this round begin.
    newest: usize,
    /// When the first round began.
    began_unix_ms: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// What the function prints.
    pub(crate) key: String,
    /// The object of that key; `None` for an asynchronous call.
    pub(crate) object: Option<Content>,
    pub(crate) outcome: Outcome,
}

/// What became of a cause, and so of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was not answered.
    Open,
    /// It was acknowledged, or its object was found.
    Happened,
    /// It was not answered, and its object was not there afterwards.
    Missed,
}

impl EventWorker {
    pub(crate) fn new(name: String, heard: bool) -> Self {
        Self { name, heard, events: Vec::new(), newest: 0, began_unix_ms: None }
    }

    /// Begins all its keys.
    pub(crate) fn prefix(&self) -> String {
        format!("{}.", self.name)
    }
}

impl Worker for EventWorker {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, client: &mut Client, round: &Round, pulse: &Pulse) -> anyhow::Result<()> {
        let random = round.random(&self.name);
        self.newest = self.events.len();
        self.began_unix_ms.get_or_insert(round.began_unix_ms);
        for number in 0..EVENTS_MAX {
            if client.is_over()? {
                break;
            }
            let key = format!("{}{:04}.{number}", self.prefix(), round.number);
            let is_call = self.heard && below(&random, 3) == 0;
            let (content, body) = Content::plain(random.u64(), size(&random));
            let object = (!is_call).then_some(content);
            self.events.push(Event { key: key.clone(), object, outcome: Outcome::Open });
            let told = if is_call {
                invoke(client, &key)?
            } else {
                let target = format!("/{TOLD_BUCKET}/{key}");
                client.attempt(Request { body: &body, ..s3("PUT", &target) })?
            };
            match told {
                Told::Done(_) => {
                    self.events.last_mut().expect("pushed just before").outcome = Outcome::Happened;
                    pulse.beat();
                }
                Told::Refused(answer) => bail!("the event {key} was refused: {}", answer.text()),
                Told::Unknown => {}
            }
        }
        Ok(())
    }

    fn verify(&mut self, client: &mut Client, round: &Round) -> anyhow::Result<()> {
        verify::events(self, self.newest, round.began_unix_ms, client)
    }

    fn verify_all(&mut self, client: &mut Client) -> anyhow::Result<()> {
        let Some(began_unix_ms) = self.began_unix_ms else { return Ok(()) };
        verify::events(self, 0, began_unix_ms, client)
    }

    fn open_attempts(&self) -> usize {
        self.events[self.newest..].iter().filter(|event| event.outcome == Outcome::Open).count()
    }
}

/// Calls the function asynchronously, with an event like those of the bucket.
pub(crate) fn invoke(client: &mut Client, key: &str) -> anyhow::Result<Told> {
    let event = serde_json::json!({ "Records": [{ "s3": { "object": { "key": key } } }] }).to_string();
    let target = format!("{FUNCTIONS}/{FUNCTION}/invocations");
    let headers = [JSON, ("x-amz-invocation-type", "Event")];
    client.attempt(Request { headers: &headers, ..lambda("POST", &target, event.as_bytes()) })
}
