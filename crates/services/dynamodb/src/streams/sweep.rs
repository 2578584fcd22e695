//! The sweeper: deletes records that are a day old, and streams that have been over for a day. It sleeps until the oldest
//! record is due, and costs nothing while there is no stream.

use std::time::Duration;

use lambent_api::PlatformWork;
use lambent_store::{Db, ScanOptions};

use super::keys;
use super::rows::{self, RETENTION_MS, StreamRow};
use crate::stamped::{self, Trimmed};
use crate::{Dynamo, DynamoError, policies};

/// What is due closer together than this is swept together.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// How many streams are looked up at once.
const STREAMS_ROWS: usize = 1_000;

impl Dynamo {
    /// Sweeps streams until the future is dropped.
    pub async fn run_stream_sweeper(&self, work: &PlatformWork) {
        let mut watch = self.rows.of_platform(work).watch(keys::SWEEP_TOPIC);
        loop {
            let next_ms = self.sweep_streams(work).await.unwrap_or_else(|error| {
                tracing::error!(%error, "old stream records could not be deleted; trying again later");
                Some(self.clock.unix_ms())
            });
            let Some(next_ms) = next_ms else {
                watch.changed().await;
                continue;
            };
            let pause_ms = u64::try_from(next_ms - self.clock.unix_ms()).unwrap_or(0);
            tokio::select! {
                () = watch.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(pause_ms).max(PAUSE_MIN)) => {}
            }
        }
    }

    /// Deletes what is due, and returns when the next record or stream will be (milliseconds since 1970); `None` when
    /// there is no stream.
    pub async fn sweep_streams(&self, work: &PlatformWork) -> Result<Option<i64>, DynamoError> {
        let db = self.rows.of_platform(work);
        let now_ms = self.clock.unix_ms();
        let mut next_ms: Option<i64> = None;
        let mut left = Some(keys::all());
        while let Some(range) = left {
            let range = &range;
            let page = db
                .read(|txn| async move {
                    Ok::<_, DynamoError>(txn.scan_snapshot(range, ScanOptions::rows(STREAMS_ROWS)).await?)
                })
                .await?;
            for (key, row) in &page.rows {
                let row = rows::decode(row)?;
                let swept = if row.is_gone(now_ms) {
                    remove(db, key, row.id).await.map(|()| None)
                } else {
                    trim(db, &row, now_ms).await.map(Some)
                };
                let due_ms = swept.unwrap_or_else(|error| {
                    // No other stream has to wait for that.
                    tracing::warn!(%error, stream = row.id, "old records of a stream could not be deleted; trying again");
                    Some(now_ms)
                });
                next_ms = next_ms.into_iter().chain(due_ms).min();
            }
            left = range.rest(&page, false);
        }
        Ok(next_ms)
    }
}

/// Removes a stream and all that is left of it.
async fn remove(db: &Db, key: &[u8], stream: u64) -> Result<(), DynamoError> {
    db.clear(&keys::records(stream)).await?;
    db.clear(&keys::all_trimmed(stream)).await?;
    db.run(|txn| async move {
        txn.delete(key);
        policies::drop_policy(&txn, stream);
        Ok(())
    })
    .await
}

/// Deletes the stream's old records, and returns when it is due again.
async fn trim(db: &Db, row: &StreamRow, now_ms: i64) -> Result<i64, DynamoError> {
    let mut due_ms = row.ended_ms.unwrap_or(now_ms) + RETENTION_MS;
    for shard in 0..row.shards {
        let (prefix, start) = (&keys::shard(row.id, shard), &keys::trimmed(row.id, shard));
        let oldest_ms = loop {
            let step = |txn| async move { stamped::trim(&txn, prefix, start, now_ms - RETENTION_MS).await };
            match db.run(step).await? {
                Trimmed::More => {}
                Trimmed::Done { oldest_ms } => break oldest_ms,
            }
        };
        due_ms = due_ms.min(oldest_ms.map_or(due_ms, |oldest_ms| oldest_ms + RETENTION_MS));
    }
    Ok(due_ms)
}
