//! The sweeper: deletes items that have expired. It sleeps until the next one is due, and costs nothing while time to live is
//! on nowhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_api::PlatformWork;
use lambent_base::Place;
use lambent_store::{Db, ScanOptions, Txn};

use super::{SOON_S, TOO_OLD_S, TtlRow, fill, keys};
use crate::change::{Origin, change};
use crate::table::Table;
use crate::{Dynamo, DynamoError, rows};

/// What is due closer together than this is swept together.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// When a table that could not be swept is tried again.
const AGAIN_AFTER_S: i64 = 5;
/// How many items one transaction deletes, and about how many bytes it may write for them: the item's stream record and
/// journal have its image, too.
const STEP_ROWS: usize = 100;
/// How many it deletes where that was too much, or met writers.
const FEW_ROWS: usize = 3;
const STEP_BYTES: usize = 1 << 20;
/// How many tables are looked up at once.
const TABLES_ROWS: usize = 1_000;
/// Marks may be put a little behind the time that was swept: clocks of nodes differ, and transactions take time.
const SLACK_S: i64 = 60;

/// Up to when the marks were swept, by the number of the time to live: what was deleted need not be walked over again.
pub(super) type Swept = HashMap<u64, i64>;

impl Dynamo {
    /// Deletes what expires until the future is dropped.
    pub async fn run_ttl_sweeper(&self, work: &PlatformWork) {
        let mut watch = self.rows.of_platform(work).watch(keys::SWEEP_TOPIC);
        let mut swept = Swept::new();
        loop {
            let pause = match self.sweep_expired(work, &mut swept).await {
                Ok(None) => {
                    watch.changed().await;
                    continue;
                }
                Ok(Some(next_s)) => {
                    let left_s = (next_s - self.clock.unix_s()).clamp(0, SOON_S);
                    Duration::from_secs(left_s.unsigned_abs()).max(PAUSE_MIN)
                }
                Err(error) => {
                    tracing::error!(%error, "expired items could not be deleted; trying again");
                    PAUSE_AFTER_FAILURE
                }
            };
            tokio::select! {
                () = watch.changed() => tokio::time::sleep(PAUSE_MIN).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Deletes everything that is due, and returns when something may be due next (seconds since 1970); `None` when time to
    /// live is on nowhere.
    pub(super) async fn sweep_expired(
        &self,
        work: &PlatformWork,
        swept: &mut Swept,
    ) -> Result<Option<i64>, DynamoError> {
        let db = self.rows.of_platform(work);
        let mut next_s: Option<i64> = None;
        let mut left = Some(keys::all_expiring());
        while let Some(range) = left {
            let range = &range;
            let page = db
                .read(|txn| async move {
                    Ok::<_, DynamoError>(txn.scan_snapshot(range, ScanOptions::rows(TABLES_ROWS)).await?)
                })
                .await?;
            for (key, row) in &page.rows {
                let (ttl, row) = match read(key, row) {
                    Ok(read) => read,
                    Err(error) => {
                        skipped(key, &error, "a table's time to live");
                        continue;
                    }
                };
                match self.sweep_table(db, ttl, row, swept).await {
                    Ok(due_s) => next_s = Some(next_s.map_or(due_s, |next_s| next_s.min(due_s))),
                    Err(Ended::Off) => drop(swept.remove(&ttl)),
                    // No other table has to wait for that.
                    Err(Ended::Failed(error)) => {
                        tracing::warn!(%error, ttl, "a table's expired items could not be deleted; trying again");
                        let again_s = self.clock.unix_s() + AGAIN_AFTER_S;
                        next_s = Some(next_s.map_or(again_s, |next_s| next_s.min(again_s)));
                    }
                }
            }
            left = range.rest(&page, false);
        }
        Ok(next_s)
    }

    /// Returns when the table's next item is due; forgets a time to live that is over.
    async fn sweep_table(&self, db: &Db, ttl: u64, row: TtlRow, swept: &mut Swept) -> Result<i64, Ended> {
        match self.sweep_kept(db, ttl, row, swept).await {
            Err(Ended::Off) => {
                forget(db, ttl).await?;
                Err(Ended::Off)
            }
            ended => ended,
        }
    }

    async fn sweep_kept(&self, db: &Db, ttl: u64, row: TtlRow, swept: &mut Swept) -> Result<i64, Ended> {
        let place = &Place { account: row.account.clone(), region: row.region.clone() };
        let name = &row.table.clone();
        if !row.filled {
            self.fill(db, ttl, (place, name)).await?;
        }
        loop {
            let now_s = self.clock.unix_s();
            let from_s = swept.get(&ttl).map_or(now_s - TOO_OLD_S, |swept_s| swept_s - SLACK_S);
            let range = &keys::marks_from(ttl, from_s);
            let page = db
                .read(|txn| async move {
                    let options = ScanOptions::rows(STEP_ROWS).keys_only();
                    Ok::<_, DynamoError>(txn.scan_snapshot(range, options).await?)
                })
                .await?;
            let marks: Vec<_> = page.rows.into_iter().map(|(key, _)| key).collect();
            let due = due(&marks, now_s);
            if due == 0 {
                // A table that was deleted, or lost its time to live, has no due marks for ever.
                let read =
                    |txn: Txn| async move { self.expiring_table(&txn, place, name, ttl).await.map(drop) };
                db.read(read).await?;
                swept.insert(ttl, now_s);
                let next = marks.first().map(|mark| keys::read_mark(mark)).transpose();
                return Ok(next.map_err(DynamoError::from)?.map_or(now_s + SOON_S, |(due_s, _)| due_s));
            }
            let marks = &marks[..due];
            let mut done = 0;
            while done < marks.len() {
                let step = |marks| {
                    db.run(move |txn: Txn| async move {
                        let table = self.expiring_table(&txn, place, name, ttl).await?;
                        Ok::<_, Ended>(expire(&txn, &table, marks, now_s).await?)
                    })
                };
                let marks = &marks[done..];
                done += match step(marks).await {
                    Err(Ended::Failed(error)) if error.asks_for_less() => {
                        step(&marks[..marks.len().min(FEW_ROWS)]).await?
                    }
                    done => done?,
                };
            }
        }
    }

    async fn fill(&self, db: &Db, ttl: u64, (place, name): (&Place, &String)) -> Result<(), Ended> {
        let now_s = self.clock.unix_s();
        let step = |is_crowded| {
            db.run(move |txn: Txn| async move {
                let table = self.expiring_table(&txn, place, name, ttl).await?;
                let row = txn.get(&keys::expiring(ttl)).await?.ok_or(Ended::Off)?;
                let row: TtlRow = rows::decode("time to live", &row)?;
                Ok::<_, Ended>(!row.filled && fill::step(&txn, &table, ttl, &row, (now_s, is_crowded)).await?)
            })
        };
        loop {
            let is_more = match step(false).await {
                Err(Ended::Failed(error)) if error.asks_for_less() => step(true).await?,
                stepped => stepped?,
            };
            if !is_more {
                break;
            }
        }
        self.known.forget(place, name);
        Ok(())
    }

    /// The table, as long as it has this very time to live.
    async fn expiring_table(
        &self,
        txn: &Txn,
        place: &Place,
        name: &str,
        ttl: u64,
    ) -> Result<Arc<Table>, Ended> {
        let table = rows::find_table(&self.known, txn, place, name).await?;
        let has_it = |table: &Arc<Table>| table.ttl.as_ref().is_some_and(|one| one.id == ttl);
        table.filter(has_it).ok_or(Ended::Off)
    }
}

/// Why a table is not swept any further.
enum Ended {
    /// Its time to live is off, or the table is gone.
    Off,
    Failed(DynamoError),
}

impl From<DynamoError> for Ended {
    fn from(error: DynamoError) -> Self {
        Self::Failed(error)
    }
}

impl From<lambent_store::StoreError> for Ended {
    fn from(error: lambent_store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

fn read(key: &[u8], row: &[u8]) -> Result<(u64, TtlRow), DynamoError> {
    Ok((keys::read_expiring(key)?, rows::decode("time to live", row)?))
}

/// How many of the marks are due.
fn due(marks: &[Bytes], now_s: i64) -> usize {
    let is_due = |mark: &&Bytes| keys::read_mark(mark).map_or(true, |(due_s, _)| due_s <= now_s);
    marks.iter().take_while(is_due).count()
}

/// Tells the operator of a row that nothing can be made of; others must not wait for it.
pub(super) fn skipped(key: &[u8], error: &DynamoError, what: &str) {
    tracing::error!(key = %key.escape_ascii(), %error, "{what} could not be read and is left out; run `lambent check`");
}

/// Deletes the items of some marks if they have really expired, and says how many marks are done: at least one.
async fn expire(txn: &Txn, table: &Table, marks: &[Bytes], now_s: i64) -> Result<usize, DynamoError> {
    let Some(ttl) = &table.ttl else { return Ok(marks.len()) };
    let mut bytes = 0;
    for (index, mark) in marks.iter().enumerate() {
        if bytes >= STEP_BYTES {
            return Ok(index);
        }
        // Also one whose item has changed, or was clamped to the time of its writing, or cannot be read.
        txn.delete(mark);
        let key = match keys::read_mark(mark) {
            Ok((_, key)) => key,
            Err(error) => {
                skipped(mark, &error.into(), "the mark of an item that expires");
                continue;
            }
        };
        let stored = match rows::item(txn, &key).await {
            Ok(Some(stored)) => stored,
            Ok(None) => continue,
            Err(error) if error.is_damage() => {
                skipped(key.as_bytes(), &error, "an item that expires");
                continue;
            }
            Err(error) => return Err(error),
        };
        if ttl.is_due(&stored.item, now_s) {
            let changed = change(txn, table, &key, Some(&stored), None, Origin::Ttl, now_s * 1000).await?;
            bytes += 2 * changed.old_bytes;
        }
    }
    Ok(marks.len())
}

/// Removes what a time to live that is over leaves behind.
async fn forget(db: &Db, ttl: u64) -> Result<(), DynamoError> {
    db.clear(&keys::marks(ttl)).await?;
    db.run(|txn| async move {
        txn.delete(&keys::expiring(ttl));
        Ok(())
    })
    .await
}
