//! One task that makes batches of the commits that wait, and writes each as a swap of the head: see the crate's
//! page.

use std::sync::Arc;

use bytes::Bytes;
use lambent_store::StoreError;
use lambent_store::engine::{Commit, Op, Version, Window};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::connection::Connection;
use crate::engine::Shared;
use crate::error::{PgError, unreachable};
use crate::head::{self, Head};
use crate::plan::{Check, Known, Plan};
use crate::pool::Retries;
use crate::settle;

/// The most commits that one batch takes.
const MAX_BATCH_COMMITS: usize = 512;
/// A batch takes no further commit once it holds this many bytes.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// Commits that may wait for the batch after the present one; more wait before the queue.
const MAX_WAITING_COMMITS: usize = 4 * MAX_BATCH_COMMITS;
/// What may wait, in KiB, each commit counting as one at least.
const MAX_WAITING_KIB: usize = 64 * 1024;
/// How often a batch is tried anew because other nodes were first. Nodes take turns, so few are enough.
const MAX_TURNS: u32 = 100;

type Reply = oneshot::Sender<Result<Version, StoreError>>;

struct Waiting {
    commit: Commit,
    bytes: usize,
    reply: Reply,
    _room: OwnedSemaphorePermit,
}

/// Commits on their way to the task.
pub(crate) struct Queue {
    sender: Mutex<Option<mpsc::Sender<Waiting>>>,
    room: Arc<Semaphore>,
    ended: watch::Sender<bool>,
}

impl Queue {
    /// Starts the task at `head`.
    pub(crate) fn start(shared: Arc<Shared>, head: Head) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING_COMMITS);
        let room = Arc::new(Semaphore::new(MAX_WAITING_KIB));
        let queue =
            Arc::new(Self { sender: Mutex::new(Some(sender)), room, ended: watch::Sender::new(false) });
        let window = Window::new(head.version);
        let batcher = Batcher { shared, head, window, connection: None };
        let ended = Ended(queue.clone());
        tokio::spawn(async move {
            let _ended = ended;
            batcher.run(receiver).await;
        });
        queue
    }

    /// Hands a commit over and waits until it is decided and durable.
    pub(crate) async fn submit(&self, commit: Commit) -> Result<Version, StoreError> {
        let id = commit.id;
        let bytes = commit.ops.iter().map(op_bytes).sum::<usize>();
        let kib = u32::try_from((bytes / 1024 + 1).min(MAX_WAITING_KIB)).expect("bounded just before");
        let room = self.room.clone().acquire_many_owned(kib).await.map_err(|_| closed())?;
        let sender = self.sender.lock().clone().ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(Waiting { commit, bytes, reply, _room: room }).await.map_err(|_| closed())?;
        drop(sender);
        // Without an answer the task has died half-way; the database knows.
        answer.await.unwrap_or(Err(StoreError::UnknownOutcome(id)))
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.sender.lock().is_none() || *self.ended.borrow() { Err(closed()) } else { Ok(()) }
    }

    /// Takes no more commits; those that wait are still decided.
    pub(crate) fn close(&self) {
        self.sender.lock().take();
    }

    /// Returns once the task has ended.
    pub(crate) async fn stopped(&self) {
        // The sender lives in `self`, so the wait can only end by the value.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

/// Says that the task has ended, however it did.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.close();
        self.0.ended.send_replace(true);
    }
}

/// Why a step did not settle a batch.
enum Setback {
    /// Another node was first.
    Behind,
    Lost(String),
    /// The database refuses the batch as it is.
    Refused(StoreError),
}

impl From<PgError> for Setback {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Lost(reason) => Self::Lost(reason),
            PgError::Serialization | PgError::Refused(StoreError::SnapshotTooOld) => Self::Behind,
            PgError::Refused(error) => Self::Refused(error),
        }
    }
}

struct Batcher {
    shared: Arc<Shared>,
    /// The newest head that is known; the window holds what was written up to it.
    head: Head,
    window: Window,
    connection: Option<Connection>,
}

impl Batcher {
    async fn run(mut self, mut receiver: mpsc::Receiver<Waiting>) {
        while let Some(first) = receiver.recv().await {
            let mut bytes = first.bytes;
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH_COMMITS && bytes < MAX_BATCH_BYTES {
                let Ok(next) = receiver.try_recv() else { break };
                bytes += next.bytes;
                batch.push(next);
            }
            self.decide(batch).await;
        }
    }

    /// Brings a batch to its end, whatever that is, and answers everybody.
    async fn decide(&mut self, batch: Vec<Waiting>) {
        let mut retries = Retries::new();
        // What was sent and not answered.
        let mut in_doubt = None;
        let mut turns = 0;
        loop {
            let connection = self.connection.take().filter(Connection::is_usable);
            let setback = match self.step(connection, &batch, &mut in_doubt, turns > 0).await {
                Ok(plan) => return self.answer(batch, plan),
                Err(setback) => setback,
            };
            match setback {
                Setback::Behind if turns < MAX_TURNS => turns += 1,
                Setback::Behind => return refuse(batch, &StoreError::Conflict),
                Setback::Lost(reason) => {
                    self.shared.health.failed(unreachable(&reason));
                    if retries.pause(&reason).await.is_err() {
                        return self.give_up(batch, in_doubt, &reason);
                    }
                }
                Setback::Refused(error) if batch.len() == 1 || in_doubt.is_some() => {
                    return match in_doubt {
                        Some(_) => self.give_up(batch, in_doubt, &error.to_string()),
                        None => refuse(batch, &error),
                    };
                }
                // One of them may be at fault.
                Setback::Refused(_) => {
                    for one in batch {
                        Box::pin(self.decide(vec![one])).await;
                    }
                    return;
                }
            }
        }
    }

    /// Tries once; `in_doubt` keeps the plan while it is not known whether it was written. The connection is kept only
    /// when everything on it has ended well.
    async fn step(
        &mut self,
        connection: Option<Connection>,
        batch: &[Waiting],
        in_doubt: &mut Option<Plan>,
        in_turn: bool,
    ) -> Result<Plan, Setback> {
        let shared = self.shared.clone();
        let connection = match connection {
            Some(connection) => connection,
            None => Connection::open(shared.pool.config()).await?,
        };
        if let Some(plan) = &*in_doubt
            && settle::has_landed(&connection, &shared.writer, &shared.random, plan).await?
        {
            self.connection = Some(connection);
            return in_doubt.take().ok_or(Setback::Behind);
        }
        let was_in_doubt = in_doubt.take().is_some();
        if in_turn {
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            head::lock(&connection).await?;
        }
        if in_turn || was_in_doubt {
            head::catch_up(&connection, &mut self.head, &mut self.window).await?;
        }
        let plan = self.plan(&connection, batch).await?;
        if plan.ids.is_empty() {
            if in_turn {
                connection.execute("ROLLBACK").await?;
            }
            self.connection = Some(connection);
            return Ok(plan);
        }
        let plan = in_doubt.insert(plan);
        let mut written = head::swap(&connection, &shared.writer, plan).await;
        if in_turn && matches!(written, Ok(true)) {
            written = connection.execute("COMMIT").await.map(|()| true);
        }
        match written {
            Ok(true) => {
                self.connection = Some(connection);
                self.record(plan);
                in_doubt.take().ok_or(Setback::Behind)
            }
            Ok(false) => {
                in_doubt.take();
                // In turn the head was locked, and still it was another: the connection's transaction ends with it.
                self.connection = (!in_turn).then_some(connection);
                Err(Setback::Behind)
            }
            Err(PgError::Lost(reason)) => Err(Setback::Lost(reason)),
            Err(error) => {
                in_doubt.take();
                Err(error.into())
            }
        }
    }

    async fn plan(&self, connection: &Connection, batch: &[Waiting]) -> Result<Plan, PgError> {
        let commits = || batch.iter().map(|waiting| &waiting.commit);
        let known = Known::read(connection, commits(), &self.head).await?;
        let mut plan = Plan::new(self.head.clone(), self.shared.random.bytes());
        let check = Check::Window(&self.window);
        for commit in commits() {
            plan.add(commit, &check, &known);
        }
        Ok(plan)
    }

    /// Moves on to the head that the plan has made.
    fn record(&mut self, plan: &Plan) {
        for key in plan.rows.keys() {
            self.window.record(plan.head.version, key);
        }
        self.window.trim(0);
        self.head = plan.head.clone();
    }

    fn answer(&self, batch: Vec<Waiting>, plan: Plan) {
        self.shared.health.works();
        let committed = !plan.ids.is_empty();
        for (waiting, verdict) in batch.into_iter().zip(plan.verdicts) {
            // Nobody listens when the caller has gone: the answer may be dropped.
            drop(waiting.reply.send(verdict));
        }
        if committed {
            self.shared.committed(&plan.topics);
        }
    }

    /// The database cannot be asked for too long.
    fn give_up(&self, batch: Vec<Waiting>, in_doubt: Option<Plan>, reason: &str) {
        let Some(plan) = in_doubt else { return refuse(batch, &unreachable(reason)) };
        for (waiting, verdict) in batch.into_iter().zip(plan.verdicts) {
            let id = waiting.commit.id;
            let verdict = verdict.and_then(|_| {
                self.shared.in_doubt.add(id, plan.before.version);
                Err(StoreError::UnknownOutcome(id))
            });
            drop(waiting.reply.send(verdict));
        }
    }
}

fn refuse(batch: Vec<Waiting>, error: &StoreError) {
    for waiting in batch {
        drop(waiting.reply.send(Err(error.clone())));
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it was closed".to_owned())
}

fn op_bytes(op: &Op) -> usize {
    let of = |parts: &[&Bytes]| parts.iter().map(|part| part.len()).sum::<usize>();
    match op {
        Op::Put(key, value) => of(&[key, value]),
        Op::Delete(key) => of(&[key]),
        Op::DeleteRange(range) => of(&[&range.start, &range.end]),
        Op::Add(key, _) | Op::Max(key, _) => of(&[key]) + 8,
        Op::PutStamped { prefix, suffix, value } => of(&[prefix, suffix, value]) + 12,
    }
}
