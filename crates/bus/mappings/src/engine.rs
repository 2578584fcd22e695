//! The engine: begins and ends the work on mappings as their rows say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Arn, Clock, Random};
use lambent_bus::ports::KeepRuns;
use lambent_bus::{Nodes, Outbox};
use lambent_store::{Db, ScanOptions};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::error::MappingError;
use crate::room::{HELD_BYTES_MAX, Room};
use crate::source::{From, MappedFunctions, SourceError, Sources, StreamSource};
use crate::{Mapping, Start, keys, rows};

/// How long batches that are under way may take to end when the engine stops: beyond it they come again after the next start.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// The pause after the store failed, or a worker ended by itself.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the engine works with.
pub struct MappingsParts {
    pub db: Db,
    pub nodes: Nodes,
    /// Takes the records of batches that are given up.
    pub outbox: Outbox,
    pub clock: Clock,
    pub random: Random,
    pub sources: Arc<Sources>,
    pub functions: Arc<dyn MappedFunctions>,
    pub runs: Arc<dyn KeepRuns>,
}

/// The work on mappings; clone it freely.
#[derive(Clone)]
pub struct Mappings(pub(crate) Arc<Inner>);

/// See [`MappingsParts`].
pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) nodes: Nodes,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) sources: Arc<Sources>,
    pub(crate) functions: Arc<dyn MappedFunctions>,
    pub(crate) runs: Arc<dyn KeepRuns>,
    /// Whether it is stopping.
    pub(crate) stop: watch::Sender<bool>,
    /// How many mappings have lanes.
    pub(crate) serving: watch::Sender<usize>,
    pub(crate) room: Arc<Room>,
    /// How often something was kept: for tests, which wait for what is.
    pub(crate) steps: watch::Sender<u64>,
}

impl Inner {
    pub(crate) fn stepped(&self) {
        self.steps.send_modify(|steps| *steps += 1);
    }
}

impl Mappings {
    pub fn new(parts: MappingsParts) -> Self {
        Self::with_room(parts, Room::new(HELD_BYTES_MAX))
    }

    pub(crate) fn with_room(parts: MappingsParts, room: Arc<Room>) -> Self {
        let MappingsParts { db, nodes, outbox, clock, random, sources, functions, runs } = parts;
        Self(Arc::new(Inner {
            db,
            nodes,
            outbox,
            clock,
            random,
            sources,
            functions,
            runs,
            stop: watch::Sender::new(false),
            serving: watch::Sender::new(0),
            room,
            steps: watch::Sender::new(0),
        }))
    }

    /// Begins no further batch, and waits some seconds for those under way.
    pub async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        let mut serving = self.0.serving.subscribe();
        let ended = serving.wait_for(|serving| *serving == 0);
        if tokio::time::timeout(SHUTDOWN_GRACE, ended).await.is_err() {
            tracing::warn!(
                "batches of event source mappings are under way: they come again after the next start"
            );
        }
    }

    /// Works on all mappings, each under its lease, until it is dropped: then everything stops where it is, as in a crash.
    pub async fn run(&self) {
        let mut changed = self.0.db.watch(keys::CHANGED);
        let mut tasks = JoinSet::new();
        let mut running: HashMap<String, AbortHandle> = HashMap::new();
        loop {
            let looked = self.look(&mut tasks, &mut running).await;
            if let Err(error) = &looked {
                tracing::warn!(%error, "the event source mappings cannot be read; trying again");
            }
            tokio::select! {
                () = changed.changed() => {}
                () = tokio::time::sleep(PAUSE_AFTER_FAILURE), if looked.is_err() => {}
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    running.retain(|_, task| task.id() != id);
                }
            }
        }
    }

    /// Begins the work on mappings that have some, and ends it for those that have none any more.
    async fn look(
        &self,
        tasks: &mut JoinSet<()>,
        running: &mut HashMap<String, AbortHandle>,
    ) -> Result<(), MappingError> {
        let live = self.live().await?;
        running.retain(|uuid, task| {
            let is_live = live.contains_key(uuid);
            if !is_live {
                task.abort();
            }
            is_live
        });
        for (uuid, mapping) in live {
            running.entry(uuid).or_insert_with(|| {
                let engine = self.0.clone();
                tasks.spawn(async move {
                    let (place, uuid) = (mapping.place(), mapping.uuid);
                    let lease = keys::lease(&uuid);
                    engine.nodes.hold(&lease, || engine.work(&place, &uuid)).await;
                })
            });
        }
        Ok(())
    }

    async fn live(&self) -> Result<HashMap<String, Mapping>, MappingError> {
        let mut live = HashMap::new();
        let mut left = Some(keys::all_rows());
        while let Some(range) = left {
            let step = &range;
            let read = self.0.db.read(|txn| async move { txn.scan(step, ScanOptions::default()).await });
            let page: lambent_store::Page = read.await?;
            for (key, row) in &page.rows {
                match rows::read(row) {
                    Ok(mapping) if mapping.is_live() => {
                        live.insert(mapping.uuid.clone(), mapping);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let key = key.escape_ascii();
                        tracing::error!(%error, %key, "an unreadable event source mapping");
                    }
                }
            }
            left = range.rest(&page, false);
        }
        Ok(live)
    }
}

/// Where the shards of a source begin for a mapping that is made now: by their names, the position, or none for one that
/// has nothing for it. To be asked before the transaction of [`Mapping::create`].
///
/// Errors: `NotFound` when there is no such stream.
pub async fn starts(
    source: &dyn StreamSource,
    stream: &Arn,
    start: Start,
) -> Result<Vec<(String, Option<String>)>, SourceError> {
    let mut starts = Vec::new();
    for shard in source.shards(stream).await? {
        let position = match start {
            Start::TrimHorizon => Some(String::new()),
            Start::Latest if shard.is_closed => None,
            Start::Latest => Some(source.position(stream, &shard.id, From::Latest).await?),
            Start::At(time_ms) => Some(source.position(stream, &shard.id, From::Time(time_ms)).await?),
        };
        starts.push((shard.id, position));
    }
    Ok(starts)
}
