//! The work on one mapping: its lanes are begun and ended as its row says.

use std::collections::HashSet;
use std::sync::Arc;

use lambent_base::{Arn, Place};
use lambent_patterns::{InvalidPattern, Pattern};
use lambent_store::{Txn, Watch};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::engine::Inner;
use crate::error::MappingError;
use crate::keys;
use crate::lane::{Common, End, LaneTask};
use crate::reader::Reader;
use crate::rows::{self, LaneRow, Mapping, Phase, check_holder};
use crate::source::{Lane, Shard, SourceError, StreamSource};

/// The pause after the work on a mapping failed.
const PAUSE_AFTER_FAILURE: std::time::Duration = std::time::Duration::from_secs(1);

/// Before why a filter cannot be read.
const UNREADABLE_FILTER: &str = "PROBLEM: The filter criteria cannot be read: ";

/// A lane as it is kept: its shard, its index, its row.
type Kept = (String, u64, LaneRow);

impl Inner {
    /// Works on a mapping until another node does.
    pub(crate) async fn work(self: &Arc<Self>, place: &Place, uuid: &str) {
        let mut changed = self.db.watch(&keys::topic(uuid));
        loop {
            match self.work_once(place, uuid, &mut changed).await {
                Ok(()) => {}
                Err(MappingError::Deposed) => return,
                Err(error) => {
                    tracing::warn!(%error, mapping = uuid, "an event source mapping stands still; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE_AFTER_FAILURE) => {}
                        () = changed.changed() => {}
                    }
                }
            }
        }
    }

    /// Does what the row says, until it says something else.
    async fn work_once(
        self: &Arc<Self>,
        place: &Place,
        uuid: &str,
        changed: &mut Watch,
    ) -> Result<(), MappingError> {
        if *self.stop.borrow() {
            std::future::pending::<()>().await;
        }
        let Some(mapping) = self.row(place, uuid).await? else {
            changed.changed().await;
            return Ok(());
        };
        let mapping = &mapping;
        if mapping.phase == Phase::Deleting {
            let removed = self.db.run(|txn| async move { mapping.remove(&txn).await }).await;
            self.stepped();
            return removed;
        }
        if mapping.is_enabled {
            return self.serve(mapping.clone(), changed).await;
        }
        let is_current = self.db.run(|txn| async move { mapping.settle(&txn).await }).await?;
        self.stepped();
        if is_current {
            changed.changed().await;
        }
        Ok(())
    }

    async fn row(&self, place: &Place, uuid: &str) -> Result<Option<Mapping>, MappingError> {
        self.db.read(|txn| async move { Mapping::get(&txn, place, uuid).await }).await
    }

    /// Runs the lanes of a mapping until it is changed.
    async fn serve(self: &Arc<Self>, mapping: Mapping, changed: &mut Watch) -> Result<(), MappingError> {
        let stream: Arn =
            mapping.source_arn.parse().map_err(|_| MappingError::Source(SourceError::NotFound))?;
        let source = self.sources.of(&stream.service);
        let source = source.ok_or_else(|| MappingError::NoSource(stream.service.clone()))?;
        let function = mapping.function_arn.parse();
        let function = function.map_err(|_| MappingError::Source(SourceError::NotFound))?;
        let patterns = mapping.settings.filters.iter().map(|filter| Pattern::parse(filter)).collect();
        let filters: Vec<Pattern> = match patterns {
            Ok(filters) => filters,
            Err(error) => return self.stand_still(&mapping, &error, changed).await,
        };
        let (stop, stopped) = watch::channel(false);
        let counted = Counted::new(&self.serving);
        let (mapping, holder) = (Arc::new(mapping), self.random.bytes());
        let (engine, standing) = (self.clone(), Arc::default());
        let common = Common { engine, mapping, holder, function, standing, stop: stopped };
        let mut serving = Serving {
            common,
            source,
            stream,
            filters,
            lanes: JoinSet::new(),
            running: HashSet::new(),
            is_claimed: false,
        };
        let mut stopping = self.stop.subscribe();
        let served = tokio::select! {
            served = serving.run(changed) => served,
            _ = stopping.wait_for(|is_stopping| *is_stopping) => Ok(None),
        };
        // Whatever is under way ends first: so no two revisions are at work on one lane.
        stop.send_replace(true);
        while let Some(ended) = serving.lanes.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a lane of an event source mapping failed");
            }
        }
        drop(counted);
        match served? {
            Some(why) => self.hand_over(&serving.common, &why, changed).await,
            None => Ok(()),
        }
    }

    /// Says that the filters cannot be read, and waits for others: without them the function would be given what it must
    /// not have.
    async fn stand_still(
        &self,
        mapping: &Mapping,
        error: &InvalidPattern,
        changed: &mut Watch,
    ) -> Result<(), MappingError> {
        tracing::error!(%error, mapping = mapping.uuid, "a filter of an event source mapping cannot be read");
        let problem = &format!("{UNREADABLE_FILTER}{error}");
        let kept = self.db.run(|txn| async move {
            let is_current = mapping.settle(&txn).await?;
            if is_current {
                mapping.put_result(&txn, problem);
            }
            Ok::<_, MappingError>(is_current)
        });
        let is_current = kept.await?;
        self.stepped();
        if is_current {
            changed.changed().await;
        }
        Ok(())
    }
}

/// A mapping among those that have lanes, until it is dropped.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(serving: &'a watch::Sender<usize>) -> Self {
        serving.send_modify(|serving| *serving += 1);
        Self(serving)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|serving| *serving -= 1);
    }
}

/// The lanes of one revision of a mapping.
struct Serving {
    common: Common,
    source: Arc<dyn StreamSource>,
    stream: Arn,
    filters: Vec<Pattern>,
    lanes: JoinSet<(String, u64, Result<End, MappingError>)>,
    running: HashSet<(String, u64)>,
    is_claimed: bool,
}

impl Serving {
    /// Returns when the mapping's row is another one, or with the reason when this node cannot run the function.
    async fn run(&mut self, changed: &mut Watch) -> Result<Option<String>, MappingError> {
        while self.begin_lanes().await? {
            loop {
                tokio::select! {
                    () = changed.changed() => if !self.is_current().await? { return Ok(None) },
                    Some(ended) = self.lanes.join_next() => {
                        let (shard, index, ended) = ended?;
                        self.running.remove(&(shard, index));
                        if let End::NotHere(why) = ended? {
                            return Ok(Some(why));
                        }
                        // What comes after the shard may begin.
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    async fn is_current(&self) -> Result<bool, MappingError> {
        let Common { engine, mapping, .. } = &self.common;
        let row = engine.row(&mapping.place(), &mapping.uuid).await?;
        Ok(row.is_some_and(|row| row.revision == mapping.revision))
    }

    /// Begins the lanes that may be; whether the mapping is still the one that was read.
    async fn begin_lanes(&mut self) -> Result<bool, MappingError> {
        let shards = match self.source.shards(&self.stream).await {
            // What was read of it is done, and nothing will come.
            Err(SourceError::NotFound) => Vec::new(),
            other => other?,
        };
        let Some(kept) = self.claim(&shards).await? else { return Ok(false) };
        self.is_claimed = true;
        let factor = self.common.mapping.settings.parallelization_factor;
        for shard in &shards {
            let is_over = |parent: &String| {
                kept.iter().filter(|(shard, ..)| shard == parent).all(|(.., row)| row.is_over)
            };
            if !shard.parents.iter().all(is_over) {
                continue;
            }
            for (name, index, row) in kept.iter().filter(|(name, ..)| *name == shard.id) {
                let is_wanted = !row.is_over && (row.count == factor || row.window.is_some());
                if is_wanted && self.running.insert((name.clone(), *index)) {
                    self.begin(name, *index, row.clone()).await?;
                }
            }
        }
        Ok(true)
    }

    async fn begin(&mut self, shard: &str, index: u64, row: LaneRow) -> Result<(), MappingError> {
        // The watch begins before the first look.
        let more = self.source.watch(&self.stream, shard).await?;
        let lane = Lane { index, count: row.count };
        let of = (self.stream.clone(), shard.to_owned(), lane);
        let share = self.common.engine.room.share();
        let reader = Reader::new(self.source.clone(), of, self.filters.clone(), share);
        let task = LaneTask::new(self.common.clone(), reader, row, more);
        let shard = shard.to_owned();
        self.lanes.spawn(async move { (shard, index, task.run().await) });
        Ok(())
    }

    /// Makes this worker the one whose transactions count, and the lanes what the shards and the settings want; `None` if the
    /// mapping was changed since.
    async fn claim(&self, shards: &[Shard]) -> Result<Option<Vec<Kept>>, MappingError> {
        let Common { engine, mapping, holder, .. } = &self.common;
        let is_claimed = self.is_claimed;
        let claimed = engine.db.run(|txn| async move {
            if is_claimed {
                check_holder(&txn, &mapping.uuid, *holder).await?;
            } else {
                txn.put(&keys::holder(&mapping.uuid), holder);
            }
            if !mapping.settle(&txn).await? {
                return Ok(None);
            }
            arrange(&txn, mapping, shards).await.map(Some)
        });
        let claimed = claimed.await;
        engine.stepped();
        claimed
    }
}

/// Lanes for each shard, as many as the settings want. Where they want another number than there are, the new ones begin at
/// the first record that any of the old ones had before it.
async fn arrange(txn: &Txn, mapping: &Mapping, shards: &[Shard]) -> Result<Vec<Kept>, MappingError> {
    let (uuid, count) = (&mapping.uuid, mapping.settings.parallelization_factor);
    let mut old = rows::lanes(txn, uuid).await?;
    old.iter_mut().for_each(|(.., row)| row.fill_in(&mapping.settings));
    let mut kept = Vec::new();
    for (shard, index, _) in old.iter().filter(|(name, ..)| shards.iter().all(|shard| shard.id != *name)) {
        LaneRow::delete(txn, uuid, shard, *index).await?;
    }
    for Shard { id, .. } in shards {
        let own: Vec<&Kept> = old.iter().filter(|(shard, ..)| shard == id).collect();
        let is_fit = u64::try_from(own.len()) == Ok(count) && own.iter().all(|(.., row)| row.count == count);
        // A lane whose window is open ends it first: its function has the state of records before the position.
        if is_fit || own.iter().any(|(.., row)| row.window.is_some()) {
            kept.extend(own.into_iter().cloned());
            continue;
        }
        for (shard, index, _) in &own {
            LaneRow::delete(txn, uuid, shard, *index).await?;
        }
        let is_over = !own.is_empty() && own.iter().all(|(.., row)| row.is_over);
        let left = own.iter().filter(|(.., row)| !row.is_over).map(|(.., row)| &row.position).min();
        let position = left.cloned().unwrap_or_default();
        for index in 0..count {
            let row = LaneRow { position: position.clone(), count, is_over, ..LaneRow::default() };
            row.put(txn, uuid, id, index).await?;
            kept.push((id.clone(), index, row));
        }
    }
    Ok(kept)
}
