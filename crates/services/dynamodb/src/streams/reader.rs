//! Streams for other parts of the platform, as event source mappings.

use lambent_api::{Guarded, PlatformWork};
use lambent_base::Clock;
use lambent_store::{Db, Watch};

use super::StreamName;
use super::read::{self, FoundStream, ReadError, Records};
use crate::stamped::Position;
use crate::{Dynamo, DynamoError};

/// Reads streams for work of the platform's own: whoever asks for it was allowed to before.
#[derive(Clone)]
pub struct StreamReader {
    rows: Guarded<Db>,
    clock: Clock,
    work: PlatformWork,
}

impl StreamReader {
    pub fn new(dynamo: &Dynamo, work: PlatformWork) -> Self {
        Self { rows: dynamo.rows.clone(), clock: dynamo.clock.clone(), work }
    }

    /// The stream of a name; `None` when there is none, or it ended more than a day ago.
    pub async fn find(&self, name: &StreamName) -> Result<Option<FoundStream>, DynamoError> {
        let now_ms = self.clock.unix_ms();
        self.db().read(|txn| async move { read::find(&txn, name, now_ms).await }).await
    }

    /// Records of a shard from a place on: at most `limit`, 1,000 and a megabyte.
    pub async fn read(
        &self,
        stream: &FoundStream,
        shard: u16,
        from: Position,
        limit: usize,
    ) -> Result<Records, ReadError> {
        self.db().read(|txn| async move { read::read(&txn, stream, shard, from, limit).await }).await
    }

    /// Where the oldest record of a shard is, or will be.
    pub async fn horizon(&self, stream: &FoundStream, shard: u16) -> Result<Position, DynamoError> {
        self.db().read(|txn| async move { read::first(&txn, stream, shard).await }).await
    }

    /// After the newest record of a shard.
    pub async fn latest(&self, stream: &FoundStream, shard: u16) -> Result<Position, DynamoError> {
        self.db().read(|txn| async move { read::latest(&txn, stream, shard).await }).await
    }

    /// The first record of a shard that was made at a time (milliseconds since 1970) or later.
    pub async fn at_time(
        &self,
        stream: &FoundStream,
        shard: u16,
        at_ms: i64,
    ) -> Result<Position, DynamoError> {
        self.db().read(|txn| async move { read::at_time(&txn, stream, shard, at_ms).await }).await
    }

    /// Wakes after each commit that adds records to a shard, and when it is over.
    pub fn watch(&self, stream: &FoundStream, shard: u16) -> Watch {
        read::watch(self.db(), stream, shard)
    }

    fn db(&self) -> &Db {
        self.rows.of_platform(&self.work)
    }
}
