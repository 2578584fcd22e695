//! The sweeper: really deletes what has expired or belonged to deleted groups. It sleeps until the oldest event of a
//! group with a retention policy expires, or until somebody deletes a group or sets a policy; else it costs nothing.

use std::time::Duration;

use lambent_api::PlatformWork;
use lambent_store::{ScanOptions, Txn};

use crate::chunk::{self, SPAN_MAX_MS};
use crate::rows::{self, MS_PER_DAY, StreamRow};
use crate::{Logs, LogsError, keys};

/// Expiries that are closer together than this are swept together.
const PAUSE_MIN: Duration = Duration::from_secs(600);
/// How many chunks or streams one transaction deletes.
const STEP_ROWS: usize = 200;
/// How many groups are looked up at once.
const GROUPS_ROWS: usize = 1_000;

impl Logs {
    /// Sweeps until the future is dropped.
    pub async fn run_sweeper(&self, work: &PlatformWork) {
        let mut watch = self.rows.of_platform(work).watch(keys::SWEEP_TOPIC);
        loop {
            let next_ms = self.sweep(work).await.unwrap_or_else(|error| {
                tracing::error!(%error, "expired log events could not be deleted; trying again later");
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

    /// Deletes everything that is due, and returns when the next event will be (milliseconds since 1970); `None` when
    /// no group has a retention policy.
    pub async fn sweep(&self, work: &PlatformWork) -> Result<Option<i64>, LogsError> {
        self.clear_dead_groups(work).await?;
        let now_ms = self.clock.unix_ms();
        let mut next_ms: Option<i64> = None;
        let mut left = Some(keys::all_retained());
        while let Some(range) = left {
            let range = &range;
            let page = self
                .rows
                .of_platform(work)
                .read(|txn| async move {
                    Ok::<_, LogsError>(txn.scan_snapshot(range, ScanOptions::rows(GROUPS_ROWS)).await?)
                })
                .await?;
            for (key, value) in &page.rows {
                let days = value[..].try_into().map(u32::from_be_bytes).unwrap_or(0);
                if days == 0 {
                    continue;
                }
                let kept_ms = i64::from(days) * MS_PER_DAY;
                let oldest_ms = self.expire(work, keys::read_retained(key)?, now_ms - kept_ms).await?;
                let due_ms = oldest_ms.map_or(now_ms, |oldest_ms| oldest_ms + SPAN_MAX_MS) + kept_ms;
                next_ms = Some(next_ms.map_or(due_ms, |next_ms| next_ms.min(due_ms)));
            }
            left = range.rest(&page, false);
        }
        Ok(next_ms)
    }

    /// Deletes the chunks and streams of a group that ended before a time; returns the start of the oldest chunk left.
    async fn expire(
        &self,
        work: &PlatformWork,
        group: u64,
        before_ms: i64,
    ) -> Result<Option<i64>, LogsError> {
        let db = self.rows.of_platform(work);
        let last_start_ms = before_ms.saturating_sub(SPAN_MAX_MS + 1);
        while db.run(|txn| async move { expire_chunks(&txn, group, last_start_ms).await }).await? {}
        while db.run(|txn| async move { expire_streams(&txn, group, before_ms).await }).await? {}
        db.read(|txn| async move {
            let range = keys::group_chunks(group, i64::MIN, i64::MAX);
            let page = txn.scan_snapshot(&range, ScanOptions::rows(1).keys_only()).await?;
            Ok(page
                .rows
                .first()
                .map(|(key, _)| keys::read_time(key))
                .transpose()?
                .map(|chunk| chunk.first_ms))
        })
        .await
    }

    async fn clear_dead_groups(&self, work: &PlatformWork) -> Result<(), LogsError> {
        let db = self.rows.of_platform(work);
        loop {
            let range = &keys::all_dead();
            let page = db
                .read(|txn| async move {
                    Ok::<_, LogsError>(txn.scan_snapshot(range, ScanOptions::rows(GROUPS_ROWS)).await?)
                })
                .await?;
            if page.rows.is_empty() {
                return Ok(());
            }
            for (key, _) in &page.rows {
                let group = keys::read_dead(key)?;
                for range in &keys::contents(group) {
                    db.clear(range).await?;
                }
                db.run(|txn| async move {
                    txn.delete(&keys::bytes(group));
                    txn.delete(&keys::dead(group));
                    Ok::<_, LogsError>(())
                })
                .await?;
            }
        }
    }
}

/// One step; `true` when there may be more.
async fn expire_chunks(txn: &Txn, group: u64, last_start_ms: i64) -> Result<bool, LogsError> {
    let range = keys::group_chunks(group, i64::MIN, last_start_ms);
    let page = txn.scan(&range, ScanOptions::rows(STEP_ROWS).keys_only()).await?;
    let mut freed = 0;
    for (key, _) in &page.rows {
        let chunk = keys::read_time(key)?;
        if let Some(stored) = chunk::load(txn, group, &chunk).await? {
            freed += stored.stored_bytes;
            for part in 0..stored.parts {
                txn.delete(&keys::chunk_part(group, &chunk, part));
            }
        }
        txn.delete(key);
    }
    if freed > 0 {
        txn.add(&keys::bytes(group), -freed);
    }
    Ok(page.more.is_some())
}

/// Streams whose events have all expired are deleted too, or each environment of a function would leave one for ever.
async fn expire_streams(txn: &Txn, group: u64, before_ms: i64) -> Result<bool, LogsError> {
    let range = keys::recents_before(group, before_ms.saturating_sub(SPAN_MAX_MS + 1));
    let page = txn.scan(&range, ScanOptions::rows(STEP_ROWS).keys_only()).await?;
    let mut deleted = 0;
    for (key, _) in &page.rows {
        let (_, name) = keys::read_recent(key)?;
        let row: StreamRow = rows::stream(txn, group, &name).await?;
        if row.created_ms < before_ms {
            txn.delete(&keys::stream(group, &name));
            txn.delete(key);
            deleted += 1;
        }
    }
    // A page of young streams without events must not be read again and again.
    Ok(page.more.is_some() && deleted > 0)
}
