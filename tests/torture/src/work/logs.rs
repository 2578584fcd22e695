//! Log events: batches on a stream of the worker's own, a new one in each round.

use anyhow::bail;
use lambent_base::Random;

use super::{Round, Worker};
use crate::client::{Client, Told, logs, logs_operation};
use crate::content::below;
use crate::pulse::Pulse;
use crate::setup::LOG_GROUP;
use crate::verify;

const BATCH_EVENTS_MAX: usize = 40;
const FILLER_BYTES_MAX: usize = 400;

/// A stream and the batches that were sent to it, in order.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    /// Whether its creation was acknowledged.
    pub(crate) created: bool,
    pub(crate) batches: Vec<Batch>,
}

#[derive(Clone, Debug)]
pub(crate) struct Batch {
    number: usize,
    seed: u64,
    events: usize,
    pub(crate) acknowledged: bool,
}

impl Batch {
    /// What its events say.
    pub(crate) fn messages(&self, stream: &str) -> Vec<String> {
        let random = Random::seeded(self.seed);
        let message = |event| {
            let filler = "x".repeat(below(&random, FILLER_BYTES_MAX));
            format!("{stream} batch {} event {event} of {} {filler}.", self.number, self.events)
        };
        (0..self.events).map(message).collect()
    }
}

/// One client that writes log events.
pub(crate) struct LogWorker {
    name: String,
    pub(crate) streams: Vec<Stream>,
}

impl LogWorker {
    pub(crate) fn new(name: String) -> Self {
        Self { name, streams: Vec::new() }
    }
}

impl Worker for LogWorker {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, client: &mut Client, round: &Round, pulse: &Pulse) -> anyhow::Result<()> {
        let random = round.random(&self.name);
        let name = format!("{}-{:04}", self.name, round.number);
        let body = serde_json::json!({ "logGroupName": LOG_GROUP, "logStreamName": name }).to_string();
        self.streams.push(Stream { name, created: false, batches: Vec::new() });
        let stream = self.streams.last_mut().expect("pushed just before");
        match client.attempt(logs(logs_operation!("CreateLogStream"), body.as_bytes()))? {
            Told::Done(_) => stream.created = true,
            Told::Refused(answer) => bail!("CreateLogStream: {}", answer.text()),
            Told::Unknown => return Ok(()),
        }
        while !client.is_over()? {
            let events = 1 + below(&random, BATCH_EVENTS_MAX);
            let batch =
                Batch { number: stream.batches.len(), seed: random.u64(), events, acknowledged: false };
            if send(client, round, stream, batch)? {
                pulse.beat();
            }
        }
        Ok(())
    }

    fn verify(&mut self, client: &mut Client, round: &Round) -> anyhow::Result<()> {
        let newest = self.streams.len().saturating_sub(1);
        // And one of those before, as none may be lost later.
        let other = below(&round.random(&self.name), self.streams.len().max(1));
        for (index, stream) in self.streams.iter_mut().enumerate() {
            if index == newest || index == other {
                verify::stream(stream, client)?;
            }
        }
        Ok(())
    }

    fn verify_all(&mut self, client: &mut Client) -> anyhow::Result<()> {
        self.streams.iter_mut().try_for_each(|stream| verify::stream(stream, client))
    }

    fn open_attempts(&self) -> usize {
        let open =
            |stream: &&Stream| !stream.created || stream.batches.iter().any(|batch| !batch.acknowledged);
        // Those of earlier rounds were settled after them.
        self.streams.last().filter(open).map_or(0, |_| 1)
    }
}

/// Sends a batch; says whether it was acknowledged.
fn send(client: &mut Client, round: &Round, stream: &mut Stream, mut batch: Batch) -> anyhow::Result<bool> {
    let timestamp = round.clock.unix_ms();
    let messages = batch.messages(&stream.name);
    let event = |message| serde_json::json!({ "timestamp": timestamp, "message": message });
    let events: Vec<_> = messages.into_iter().map(event).collect();
    let body = serde_json::json!({
        "logGroupName": LOG_GROUP,
        "logStreamName": stream.name,
        "logEvents": events,
    });
    stream.batches.push(batch.clone());
    match client.attempt(logs(logs_operation!("PutLogEvents"), body.to_string().as_bytes()))? {
        Told::Done(answer) => {
            let text = String::from_utf8_lossy(&answer.body);
            if text.contains("rejectedLogEventsInfo") {
                bail!("PutLogEvents rejected events: {text}");
            }
            batch.acknowledged = true;
            *stream.batches.last_mut().expect("pushed just before") = batch;
            Ok(true)
        }
        Told::Refused(answer) => bail!("PutLogEvents: {}", answer.text()),
        Told::Unknown => Ok(false),
    }
}
