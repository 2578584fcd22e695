//! A stream and a function in memory, and an engine between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Arn, BoxFuture, Clock, ManualClock, Place, Random};
use lambent_bus::ports::{Invocation, InvokeError, InvokeFunction, Invoked, KeepRuns, PortError};
use lambent_bus::{Nodes, Outbox};
use lambent_store::{Db, MemoryEngine, StoreError, Watch};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::room::{HELD_BYTES_MAX, Room};
use crate::rows::{self, LaneRow};
use crate::source::{
    BatchInfo, From, Lane, MappedFunctions, Page, Reading, Record, Shard, SourceError, Sources, StreamSource,
    Wanted,
};
use crate::{Mapping, Mappings, MappingsParts, Phase, Settings, Start, starts};

pub(super) const STREAM: &str = "arn:aws:fake:us-east-1:000000000000:stream/s";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";
const TOPIC: &[u8] = b"fake";
pub(super) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(super) struct FakeShard {
    pub(super) shard: Shard,
    /// The key's hash, when it was put, its number.
    pub(super) records: Vec<(u64, i64, u64)>,
}

/// A stream whose records are numbers.
pub(super) struct FakeStream {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) shards: Mutex<Vec<FakeShard>>,
    /// What each record says beside its number, if anything.
    pub(super) text: Mutex<String>,
    /// Where each read began.
    pub(super) reads: Mutex<Vec<usize>>,
    /// The read that fails, as the first is 0.
    pub(super) failing: Mutex<Option<usize>>,
}

impl FakeStream {
    pub(super) async fn wake(&self) {
        let woken = self.db.read(|txn| async move {
            txn.on_commit(TOPIC);
            Ok::<_, StoreError>(())
        });
        woken.await.unwrap();
    }

    /// Puts records with keys of their own number modulo `keys`.
    pub(super) async fn put(&self, shard: &str, numbers: std::ops::Range<u64>, keys: u64) {
        let now_ms = self.clock.unix_ms();
        {
            let mut shards = self.shards.lock();
            let shard = shards.iter_mut().find(|one| one.shard.id == shard).unwrap();
            shard.records.extend(numbers.map(|number| (number % keys, now_ms, number)));
        }
        self.wake().await;
    }

    pub(super) async fn close(&self, shard: &str) {
        self.shards
            .lock()
            .iter_mut()
            .filter(|one| one.shard.id == shard)
            .for_each(|one| one.shard.is_closed = true);
        self.wake().await;
    }

    pub(super) fn add(&self, id: &str, parents: &[&str]) {
        let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
        let shard = Shard { id: id.to_owned(), parents, is_closed: false };
        self.shards.lock().push(FakeShard { shard, records: Vec::new() });
    }

    fn page(&self, wanted: Wanted<'_>) -> Result<Page, SourceError> {
        let shards = self.shards.lock();
        let shard = shards.iter().find(|one| one.shard.id == wanted.shard).ok_or(SourceError::NotFound)?;
        let from = if wanted.from.is_empty() { 0 } else { wanted.from.parse().unwrap() };
        let mut reads = self.reads.lock();
        reads.push(from);
        if *self.failing.lock() == Some(reads.len() - 1) {
            return Err(SourceError::Failed("this once".to_owned()));
        }
        let mut page = Page { next: format!("{from:08}"), ..Page::default() };
        for (index, (key, arrived_ms, number)) in shard.records.iter().enumerate().skip(from) {
            if page.records.len() == wanted.most {
                return Ok(page);
            }
            page.next = format!("{:08}", index + 1);
            if wanted.lane.has(*key) {
                page.records.push(Record {
                    sequence: format!("seq-{number}"),
                    next: page.next.clone(),
                    arrived_ms: *arrived_ms,
                    json: match &self.text.lock()[..] {
                        "" => json!({ "n": number, "key": key }),
                        text => json!({ "n": number, "key": key, "text": text }),
                    }
                    .to_string()
                    .into(),
                });
            }
        }
        (page.is_last, page.is_over) = (true, shard.shard.is_closed);
        Ok(page)
    }
}

impl StreamSource for FakeStream {
    fn permissions(&self, stream: &Arn) -> Vec<(&'static str, String)> {
        vec![("fake:Read", stream.to_string())]
    }

    fn retention(&self) -> Duration {
        RETENTION
    }

    fn batch_info(&self) -> BatchInfo {
        BatchInfo { name: "FakeBatchInfo", has_millis: false }
    }

    fn shards<'a>(&'a self, _stream: &'a Arn) -> BoxFuture<'a, Result<Vec<Shard>, SourceError>> {
        let shards = self.shards.lock().iter().map(|one| one.shard.clone()).collect();
        Box::pin(std::future::ready(Ok(shards)))
    }

    fn position<'a>(
        &'a self,
        _stream: &'a Arn,
        shard: &'a str,
        _from: From,
    ) -> BoxFuture<'a, Result<String, SourceError>> {
        let shards = self.shards.lock();
        let count = shards.iter().find(|one| one.shard.id == shard).unwrap().records.len();
        Box::pin(std::future::ready(Ok(format!("{count:08}"))))
    }

    fn read<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Page, SourceError>> {
        Box::pin(std::future::ready(self.page(wanted)))
    }

    fn watch<'a>(&'a self, _stream: &'a Arn, _shard: &'a str) -> BoxFuture<'a, Result<Watch, SourceError>> {
        Box::pin(std::future::ready(Ok(self.db.watch(TOPIC))))
    }
}

type Answer = Box<dyn Fn(&Value, usize) -> Result<Value, InvokeError> + Send + Sync>;

/// A function: notes its events, and answers each as it is told; an answer that is a text is an error of its code.
pub(super) struct FakeFunction {
    pub(super) events: Mutex<Vec<Value>>,
    pub(super) answer: Mutex<Answer>,
    pub(super) refused: Mutex<Option<String>>,
    /// How often it was asked whether its role may read.
    pub(super) asked: AtomicUsize,
    /// How often it was asked what it is.
    pub(super) looked: AtomicUsize,
    /// What it is.
    pub(super) basis: Mutex<String>,
    changes: watch::Sender<u64>,
    /// How many events it has.
    noted: watch::Sender<u64>,
    /// Taken while it runs.
    pub(super) gate: tokio::sync::Semaphore,
}

impl FakeFunction {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            answer: Mutex::new(Box::new(|_, _| Ok(Value::Null))),
            refused: Mutex::default(),
            asked: AtomicUsize::default(),
            looked: AtomicUsize::default(),
            basis: Mutex::default(),
            changes: watch::Sender::new(0),
            noted: watch::Sender::new(0),
            gate: tokio::sync::Semaphore::new(1_000),
        })
    }

    /// Says that it, or what its role may do, is another one.
    pub(super) fn change(&self, basis: &str) {
        basis.clone_into(&mut self.basis.lock());
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(super) fn answers(
        &self,
        answer: impl Fn(&Value, usize) -> Result<Value, InvokeError> + Send + Sync + 'static,
    ) {
        *self.answer.lock() = Box::new(answer);
    }

    /// The numbers of the records, event by event.
    pub(super) fn batches(&self) -> Vec<Vec<u64>> {
        self.events.lock().iter().map(numbers).collect()
    }
}

pub(super) fn numbers(event: &Value) -> Vec<u64> {
    event["Records"].as_array().unwrap().iter().map(|record| record["n"].as_u64().unwrap()).collect()
}

impl InvokeFunction for FakeFunction {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, InvokeError>> {
        Box::pin(async move {
            let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
            let nth = {
                let mut events = self.events.lock();
                events.push(event.clone());
                events.len() - 1
            };
            self.noted.send_modify(|noted| *noted += 1);
            let _permit = self.gate.acquire().await.unwrap();
            let answer = (self.answer.lock())(&event, nth)?;
            let function_error = answer.is_string().then(|| "Unhandled".to_owned());
            Ok(Invoked {
                payload: answer.to_string().into(),
                function_error,
                executed_version: "$LATEST".to_owned(),
                log_tail: Bytes::new(),
            })
        })
    }
}

impl MappedFunctions for FakeFunction {
    fn basis<'a>(&'a self, _function: &'a Arn) -> BoxFuture<'a, Result<String, PortError>> {
        self.looked.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(self.basis.lock().clone())))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn may_read<'a>(
        &'a self,
        _mapping: &'a Arn,
        _function: &'a Arn,
        _wanted: &'a [(&'static str, String)],
    ) -> BoxFuture<'a, Result<Reading, PortError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let reading = match &*self.refused.lock() {
            Some(why) => Reading::Refused(why.clone()),
            None => Reading::Allowed { role_arn: "arn:aws:iam::000000000000:role/r".to_owned() },
        };
        Box::pin(std::future::ready(Ok(reading)))
    }
}

struct NoBill;

impl KeepRuns for NoBill {
    fn keep_runs(&self) -> BoxFuture<'_, Result<(), PortError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// All of it, on a store in memory.
pub(super) struct World {
    pub(super) db: Db,
    pub(super) stream: Arc<FakeStream>,
    pub(super) function: Arc<FakeFunction>,
    pub(super) outbox: Outbox,
    sources: Arc<Sources>,
    random: Random,
    clock: Clock,
    /// For so many bytes of records.
    pub(super) room: usize,
    running: Option<(Mappings, JoinHandle<()>)>,
}

impl World {
    pub(super) fn new() -> Self {
        let (clock, random) = (Clock::system(), Random::seeded(7));
        Self::on(Db::memory(clock.clone(), random.clone()), clock, random)
    }

    /// The same with a clock that stands until it is moved.
    pub(super) fn with_manual_clock() -> (Self, ManualClock) {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let random = Random::seeded(7);
        (Self::on(Db::memory(clock.clone(), random.clone()), clock, random), hand)
    }

    /// The same as one of the nodes of a store.
    pub(super) fn of(engine: &MemoryEngine, seed: u64) -> Self {
        let (clock, random) = (Clock::system(), Random::seeded(seed));
        Self::on(Db::new(Arc::new(engine.clone()), clock.clone(), random.clone()), clock, random)
    }

    fn on(db: Db, clock: Clock, random: Random) -> Self {
        let stream = Arc::new(FakeStream {
            db: db.clone(),
            clock: clock.clone(),
            shards: Mutex::default(),
            text: Mutex::default(),
            reads: Mutex::default(),
            failing: Mutex::default(),
        });
        stream.add("a", &[]);
        let sources = Arc::new(Sources::default());
        sources.add("fake", stream.clone());
        let function = FakeFunction::new();
        let outbox = Outbox::new(db.clone(), clock.clone(), random.clone());
        let room = HELD_BYTES_MAX;
        Self { db, stream, function, outbox, sources, random, clock, room, running: None }
    }

    /// Starts the engine, after what ran before was killed.
    pub(super) async fn start(&mut self) {
        self.kill().await;
        let parts = MappingsParts {
            db: self.db.clone(),
            nodes: Nodes::join(self.db.clone(), self.random.clone()).await.unwrap(),
            outbox: self.outbox.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            sources: self.sources.clone(),
            functions: self.function.clone(),
            runs: Arc::new(NoBill),
        };
        let mappings = Mappings::with_room(parts, Room::new(self.room));
        let runs = mappings.clone();
        self.running = Some((mappings, tokio::spawn(async move { runs.run().await })));
    }

    /// Lets what is under way end, and stops it.
    pub(super) async fn stop(&mut self) {
        if let Some((mappings, _)) = &self.running {
            mappings.shutdown().await;
        }
        self.kill().await;
    }

    /// Drops it in the middle of whatever it does.
    pub(super) async fn kill(&mut self) {
        if let Some((_, running)) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    pub(super) async fn map(&self, settings: Settings) -> Mapping {
        let mapping = Mapping {
            uuid: self.random.uuid(),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            function_arn: FUNCTION.to_owned(),
            source_arn: STREAM.to_owned(),
            settings,
            is_enabled: true,
            phase: Phase::Creating,
            revision: 0,
            modified_ms: 0,
            tags: Default::default(),
        };
        let stream: Arn = STREAM.parse().unwrap();
        let begins = &starts(&*self.stream, &stream, mapping.settings.start).await.unwrap();
        let created = &mapping;
        self.db.run(|txn| async move { created.create(&txn, begins).await }).await.unwrap();
        mapping
    }

    pub(super) async fn change(&self, mapping: &mut Mapping, change: impl FnOnce(&mut Mapping)) {
        change(mapping);
        mapping.revision += 1;
        let changed = &*mapping;
        let put = self.db.run(|txn| async move {
            changed.put(&txn);
            Ok::<_, StoreError>(())
        });
        put.await.unwrap();
    }

    pub(super) async fn state(&self, mapping: &Mapping) -> Option<(&'static str, String)> {
        let (place, uuid) =
            (&Place { account: mapping.account.clone(), region: mapping.region.clone() }, &mapping.uuid);
        let read = self.db.read(|txn| async move {
            Ok::<_, crate::MappingError>(match Mapping::get(&txn, place, uuid).await? {
                None => None,
                Some(row) => Some((row.state(), row.result(&txn).await?)),
            })
        });
        read.await.unwrap()
    }

    /// How many rows the engine has.
    pub(super) async fn rows(&self) -> usize {
        let range = &lambent_store::KeyRange::prefix(b"mapping/");
        let read = self.db.read(|txn| async move { txn.scan(range, Default::default()).await });
        read.await.unwrap().rows.len()
    }

    /// The lanes as they are kept.
    pub(super) async fn lanes(&self, mapping: &Mapping) -> Vec<LaneRow> {
        let uuid = &mapping.uuid;
        let lanes = self.db.read(|txn| async move { rows::lanes(&txn, uuid).await }).await.unwrap();
        lanes.into_iter().map(|(.., row)| row).collect()
    }

    pub(super) async fn until_handled(&self, count: usize) -> Vec<Vec<u64>> {
        until(self, || async { self.function.batches().iter().map(Vec::len).sum::<usize>() >= count }).await;
        self.function.batches()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((_, running)) = &self.running {
            running.abort();
        }
    }
}

/// Looks again whenever the function was run, or the engine has kept something.
pub(super) async fn until<F: Future<Output = bool>>(world: &World, mut probe: impl FnMut() -> F) {
    let mut noted = world.function.noted.subscribe();
    let mut steps = world.running.as_ref().map(|(mappings, _)| mappings.0.steps.subscribe());
    let waited = tokio::time::timeout(PATIENCE, async {
        while !probe().await {
            let stepped = async {
                match &mut steps {
                    Some(steps) => steps.changed().await.expect("the engine is there"),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                noted = noted.changed() => noted.expect("the function is there"),
                () = stepped => {}
            }
        }
    });
    waited.await.expect("it came in time");
}

pub(super) fn settings(batch_size: usize) -> Settings {
    Settings {
        batch_size,
        batching_window_s: 0,
        start: Start::TrimHorizon,
        filters: Vec::new(),
        bisects: false,
        retries_max: -1,
        age_max_s: -1,
        reports_item_failures: false,
        parallelization_factor: 1,
        on_failure: None,
        tumbling_window_s: 0,
        metrics: Vec::new(),
    }
}

/// A lane of all keys.
pub(super) const WHOLE: Lane = Lane { index: 0, count: 1 };
