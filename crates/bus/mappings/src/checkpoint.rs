//! How far a lane is, and how that is kept.

use lambent_bus::{BusError, NewEvent};

use crate::error::MappingError;
use crate::lane::{Common, LaneTask, PAUSE};
use crate::reader::Reader;
use crate::rows::check_holder;

impl LaneTask {
    /// Everything before this is done.
    pub(crate) fn advance(&mut self, end: String) {
        self.row.position = end;
        while self.row.segments.first().is_some_and(|segment| segment.end <= self.row.position) {
            self.row.segments.remove(0);
        }
    }

    /// The records of the first segment are gone, or no filter lets them pass any more.
    pub(crate) async fn drop_segment(&mut self) -> Result<(), MappingError> {
        if let Some(segment) = self.row.segments.first() {
            let end = segment.end.clone();
            self.advance(end);
        }
        self.commit(None, "").await
    }

    pub(crate) fn pass_segments(&mut self) {
        self.row.segments.clear();
        self.row.position = self.reader.passed().to_owned();
    }

    /// Keeps how far it has read, if everything that was read is done.
    pub(crate) async fn keep_passed(&mut self) -> Result<(), MappingError> {
        let is_done = !self.reader.has_more() && self.row.segments.is_empty();
        if is_done && self.row.position != self.reader.passed() {
            self.row.position = self.reader.passed().to_owned();
            self.commit(None, "").await?;
        }
        Ok(())
    }

    /// Keeps what the lane's row is now, with what follows from it; again until the store takes it, as the batch has happened.
    ///
    /// Errors: `Deposed`.
    pub(crate) async fn commit(&mut self, event: Option<NewEvent>, result: &str) -> Result<(), MappingError> {
        loop {
            match self.try_commit(event.as_ref(), result).await {
                Ok(()) => break,
                Err(MappingError::Store(error) | MappingError::Bus(BusError::Store(error))) => {
                    tracing::error!(%error, mapping = self.common.mapping.uuid, "a checkpoint cannot be kept; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.common.engine.stepped();
        if !result.is_empty() {
            result.clone_into(&mut self.result);
        }
        Ok(())
    }

    async fn try_commit(&self, event: Option<&NewEvent>, result: &str) -> Result<(), MappingError> {
        let Common { engine, mapping, holder, .. } = &self.common;
        let Reader { shard, lane, .. } = &self.reader;
        engine
            .db
            .run(|txn| async move {
                check_holder(&txn, &mapping.uuid, *holder).await?;
                self.row.put(&txn, &mapping.uuid, shard, lane.index).await?;
                if let Some(event) = event {
                    engine.outbox.put(&txn, event.clone()).await?;
                }
                if !result.is_empty() && result != self.result {
                    mapping.put_result(&txn, result);
                }
                Ok(())
            })
            .await
    }

    /// Keeps how the last batch ended, and nothing else.
    pub(crate) async fn commit_result(&mut self, result: &str) -> Result<(), MappingError> {
        if result != self.result {
            self.commit(None, result).await?;
        }
        Ok(())
    }
}
