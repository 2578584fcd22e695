//! Objects: written, overwritten, deleted, copied, and made of parts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Random;
use lambent_test_client::Request;

use super::uploads::{Ending, Upload};
use super::{Round, Worker};
use crate::client::{Client, Told, bare_etag, element, s3};
use crate::content::{Content, below, size};
use crate::pulse::Pulse;
use crate::setup::BUCKET;
use crate::verify;

/// Few, so that they are overwritten often, and each can be read after every round.
const KEYS: usize = 30;

/// After a step without an acknowledgement.
const IDLE: Duration = Duration::from_millis(1);

/// What is known of a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    /// What the last acknowledged request left: an object or none.
    pub(crate) settled: Option<Content>,
    /// What a request that was not answered would leave.
    pub(crate) pending: Option<Pending>,
    /// The last requests, the newest last.
    pub(crate) history: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) state: Option<Content>,
}

/// How many requests a slot remembers for messages.
const HISTORY_MAX: usize = 6;

impl Slot {
    /// Notes what is about to be asked.
    pub(crate) fn attempt(&mut self, round: usize, what: String, state: Option<Content>) {
        if self.history.len() == HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(format!("round {round}: {what}"));
        self.pending = Some(Pending { state });
    }

    /// Notes that it was acknowledged.
    pub(crate) fn acknowledge(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.settled = pending.state;
        }
    }
}

/// One client and its keys.
pub(crate) struct ObjectWorker {
    name: String,
    pub(crate) slots: BTreeMap<String, Slot>,
    pub(crate) uploads: Vec<Upload>,
    pub(crate) random: Random,
    pub(crate) round: usize,
}

impl ObjectWorker {
    pub(crate) fn new(name: String) -> Self {
        Self { name, slots: BTreeMap::new(), uploads: Vec::new(), random: Random::seeded(0), round: 0 }
    }

    /// Begins all keys of the worker.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/", self.name)
    }

    pub(crate) fn slot(&mut self, key: &str) -> &mut Slot {
        self.slots.entry(key.to_owned()).or_default()
    }

    /// A key that no unanswered request is about.
    pub(crate) fn free_key(&self) -> Option<String> {
        let key = format!("{}/{:03}", self.name, below(&self.random, KEYS));
        let taken = self.slots.get(&key).is_some_and(|slot| slot.pending.is_some());
        (!taken).then_some(key)
    }

    /// One request; says whether it was acknowledged.
    fn step(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        match below(&self.random, 16) {
            0..=6 => self.put(client),
            7..=8 => self.delete(client),
            9..=10 => self.copy(client),
            _ => self.step_of_upload(client),
        }
    }

    fn put(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        let Some(key) = self.free_key() else { return Ok(false) };
        let (content, body) = Content::plain(self.random.u64(), size(&self.random));
        let etag = content.etag.clone();
        let (round, what) = (self.round, format!("put of {} bytes", body.len()));
        self.slot(&key).attempt(round, what, Some(content));
        let target = format!("/{BUCKET}/{key}");
        let told = client.attempt(Request { body: &body, ..s3("PUT", &target) })?;
        let Some(answer) = self.settle(&key, told)? else { return Ok(false) };
        let given = answer.header("etag").map(bare_etag);
        if given != etag {
            bail!("PUT {key}: expected the ETag {etag:?}, got {given:?}");
        }
        Ok(true)
    }

    fn delete(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        let Some(key) = self.free_key() else { return Ok(false) };
        let round = self.round;
        self.slot(&key).attempt(round, "delete".to_owned(), None);
        let told = client.attempt(s3("DELETE", &format!("/{BUCKET}/{key}")))?;
        Ok(self.settle(&key, told)?.is_some())
    }

    fn copy(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        let (Some(key), Some(source)) = (self.free_key(), self.free_key()) else { return Ok(false) };
        let content = self.slots.get(&source).and_then(|slot| slot.settled.as_ref());
        let Some(content) = content.filter(|_| source != key).map(Content::copied) else { return Ok(false) };
        let round = self.round;
        self.slot(&key).attempt(
            round,
            format!("copy of {source}, {} bytes", content.length()),
            Some(content),
        );
        let (target, source) = (format!("/{BUCKET}/{key}"), format!("/{BUCKET}/{source}"));
        let headers = [("x-amz-copy-source", source.as_str())];
        let told = client.attempt(Request { headers: &headers, ..s3("PUT", &target) })?;
        let Some(answer) = self.settle(&key, told)? else { return Ok(false) };
        let text = String::from_utf8_lossy(&answer.body);
        let etag = element(&text, "ETag").map(bare_etag);
        let etag = etag.with_context(|| format!("CopyObject gave no ETag: {}", answer.text()))?;
        if let Some(settled) = &mut self.slot(&key).settled {
            settled.etag = Some(etag);
        }
        Ok(true)
    }

    /// Notes an acknowledgement; `None` when there was none. Nothing that the load asks may be refused.
    pub(crate) fn settle(
        &mut self,
        key: &str,
        told: Told,
    ) -> anyhow::Result<Option<lambent_test_client::Answer>> {
        match told {
            Told::Done(answer) => {
                self.slot(key).acknowledge();
                Ok(Some(answer))
            }
            Told::Refused(answer) => {
                bail!("{key} was refused: {}\nledger: {:?}", answer.text(), self.slot(key))
            }
            Told::Unknown => Ok(None),
        }
    }
}

impl Worker for ObjectWorker {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, client: &mut Client, round: &Round, pulse: &Pulse) -> anyhow::Result<()> {
        self.random = round.random(&self.name);
        self.round = round.number;
        while !client.is_over()? {
            match self.step(client)? {
                true => pulse.beat(),
                // Perhaps there is nothing that can be asked for.
                false => std::thread::sleep(IDLE),
            }
        }
        Ok(())
    }

    fn verify(&mut self, client: &mut Client, _round: &Round) -> anyhow::Result<()> {
        verify::objects(self, client)?;
        verify::uploads(self, client)
    }

    fn verify_all(&mut self, client: &mut Client) -> anyhow::Result<()> {
        verify::objects(self, client)
    }

    fn open_attempts(&self) -> usize {
        // A completion is counted with its key.
        let is_open = |upload: &&Upload| upload.is_open() && upload.ending != Some(Ending::Complete);
        let uploads = self.uploads.iter().filter(is_open).count();
        self.slots.values().filter(|slot| slot.pending.is_some()).count() + uploads
    }
}
