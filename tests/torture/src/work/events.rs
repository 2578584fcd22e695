//! Events: objects that a function is told of, and asynchronous calls of it.

use std::collections::BTreeSet;

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
    /// Every key that was ever attempted.
    pub(crate) attempted: BTreeSet<String>,
    /// Acknowledged in this round.
    pub(crate) acknowledged: Vec<Event>,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// What the function prints.
    pub(crate) key: String,
    /// The object of that key; `None` for an asynchronous call.
    pub(crate) object: Option<Content>,
}

impl EventWorker {
    pub(crate) fn new(name: String, heard: bool) -> Self {
        Self { name, heard, attempted: BTreeSet::new(), acknowledged: Vec::new() }
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
        self.acknowledged.clear();
        for number in 0..EVENTS_MAX {
            if client.is_over()? {
                break;
            }
            let key = format!("{}{:04}.{number}", self.prefix(), round.number);
            self.attempted.insert(key.clone());
            let (told, object) = if self.heard && below(&random, 3) == 0 {
                (invoke(client, &key)?, None)
            } else {
                let (content, body) = Content::plain(random.u64(), size(&random));
                let target = format!("/{TOLD_BUCKET}/{key}");
                (client.attempt(Request { body: &body, ..s3("PUT", &target) })?, Some(content))
            };
            match told {
                Told::Done(_) => {
                    self.acknowledged.push(Event { key, object });
                    pulse.beat();
                }
                Told::Refused(answer) => bail!("the event {key} was refused: {}", answer.text()),
                Told::Unknown => {}
            }
        }
        Ok(())
    }

    fn verify(&mut self, client: &mut Client, round: &Round) -> anyhow::Result<()> {
        verify::events(self, client, round)
    }

    fn verify_all(&mut self, _client: &mut Client) -> anyhow::Result<()> {
        Ok(())
    }

    fn open_attempts(&self) -> usize {
        0
    }
}

/// Calls the function asynchronously, with an event like those of the bucket.
fn invoke(client: &mut Client, key: &str) -> anyhow::Result<Told> {
    let event = serde_json::json!({ "Records": [{ "s3": { "object": { "key": key } } }] }).to_string();
    let target = format!("{FUNCTIONS}/{FUNCTION}/invocations");
    let headers = [JSON, ("x-amz-invocation-type", "Event")];
    client.attempt(Request { headers: &headers, ..lambda("POST", &target, event.as_bytes()) })
}
