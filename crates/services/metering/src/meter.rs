//! Takes runs, makes them durable, forgets the old ones, answers for a month.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Clock, Place};
use lambent_store::{Db, ScanOptions, StoreError, Txn, engine};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::bill::{self, Totals};
use crate::keys::{self, Runs};
use crate::pending::Pending;
use crate::sweep;
use crate::usage::{self, ERROR_TYPE_BYTES, SumKey, Sums};
use crate::{Bill, MeterError, Month, Prices, RunRecord};

/// How long runs gather before they are written together.
const GATHER: Duration = Duration::from_millis(250);
/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How many records one transaction takes: as many as fit when all of them failed, and are written twice.
pub(crate) const TXN_RUNS: usize = 1_000;
/// How many sums one transaction changes.
const TXN_SUMS: usize = 4_000;
/// How often old records are looked for, while there are runs.
const SWEEP_EVERY_MS: i64 = 86_400_000;
/// How many sums one scan of a bill fetches.
const SCAN_ROWS: usize = 5_000;

/// The meter. Cheap to clone.
#[derive(Clone)]
pub struct Meter(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Db,
    clock: Clock,
    prices: Prices,
    aws: Prices,
    pending: Mutex<Pending>,
    arrived: Notify,
    /// One writer at a time; holds when old records were last looked for.
    writer: tokio::sync::Mutex<Option<i64>>,
}

impl Meter {
    /// A meter that bills at `prices`. [`Meter::run`] must run somewhere, or nothing becomes durable but by
    /// [`Meter::flush`].
    pub fn new(db: Db, clock: Clock, prices: Prices) -> Self {
        Self(Arc::new(Inner {
            db,
            clock,
            prices,
            aws: Prices::aws(),
            pending: Mutex::default(),
            arrived: Notify::new(),
            writer: tokio::sync::Mutex::default(),
        }))
    }

    /// Takes the record of a run; neither waits nor fails.
    pub fn record(&self, mut run: RunRecord) {
        if let Some(kind) = &mut run.error_type {
            kind.truncate(kind.floor_char_boundary(ERROR_TYPE_BYTES));
        }
        self.0.pending.lock().push(run);
        self.0.arrived.notify_one();
    }

    /// Writes what is recorded until the future is dropped; call [`Meter::flush`] after that.
    pub async fn run(&self) {
        loop {
            self.0.arrived.notified().await;
            tokio::time::sleep(GATHER).await;
            if let Err(error) = self.flush().await {
                tracing::error!(%error, "runs could not be recorded; trying again");
                tokio::time::sleep(RETRY).await;
                self.0.arrived.notify_one();
            }
        }
    }

    /// Makes everything recorded so far durable. What cannot be written is kept for the next time.
    pub async fn flush(&self) -> Result<(), MeterError> {
        // A task of its own, because a caller who goes away in the middle would leave runs neither written nor kept.
        let meter = self.clone();
        tokio::spawn(async move { meter.write_pending().await }).await.map_err(|_| MeterError::Stopped)?
    }

    /// The bill of a month, with everything that has ended until now.
    pub async fn bill(&self, place: &Place, month: Month) -> Result<Bill, MeterError> {
        self.flush().await?;
        let totals = self.totals(place, month).await?;
        Ok(bill::make(place, month, &totals, &self.0.prices, &self.0.aws))
    }

    /// The month that it is now.
    pub fn this_month(&self) -> Month {
        Month::of(self.0.clock.unix_ms())
    }

    async fn write_pending(&self) -> Result<(), MeterError> {
        let mut swept_ms = self.0.writer.lock().await;
        let mut taken = std::mem::take(&mut *self.0.pending.lock());
        if taken.is_empty() {
            return Ok(());
        }
        let written = self.write(&mut taken).await;
        if !taken.is_empty() {
            self.0.pending.lock().take_back(taken);
        }
        written?;
        let now_ms = self.0.clock.unix_ms();
        if swept_ms.is_none_or(|swept_ms| now_ms - swept_ms >= SWEEP_EVERY_MS) {
            *swept_ms = Some(now_ms);
            // Whoever waits for new records is not concerned.
            if let Err(error) = sweep::old_records(&self.0.db, now_ms).await {
                tracing::warn!(%error, "old records of runs stay for another day");
            }
        }
        Ok(())
    }

    /// Empties `taken` as far as it gets.
    async fn write(&self, taken: &mut Pending) -> Result<(), MeterError> {
        while !taken.runs.is_empty() {
            let count = taken.runs.len().min(TXN_RUNS);
            let runs = &taken.runs[..count];
            let mut sums = Sums::new();
            runs.iter().for_each(|run| usage::add(&mut sums, run));
            self.commit(&sums, runs).await?;
            taken.runs.drain(..count);
        }
        while !taken.sums.is_empty() {
            let mut now = std::mem::take(&mut taken.sums);
            let later = now.keys().nth(TXN_SUMS).cloned();
            taken.sums = later.map(|key| now.split_off(&key)).unwrap_or_default();
            if let Err(error) = self.commit(&now, &[]).await {
                now.append(&mut taken.sums);
                taken.sums = now;
                return Err(error);
            }
        }
        let lost = std::mem::take(&mut taken.records_lost);
        if lost > 0 {
            tracing::error!(
                lost,
                "the store was too slow to keep single records of runs; the bill has them all"
            );
        }
        Ok(())
    }

    /// Writes records and what they add to the sums; a sum that is damaged is set aside, and begins anew.
    async fn commit(&self, sums: &Sums, runs: &[RunRecord]) -> Result<(), MeterError> {
        match self.try_commit(sums, runs).await {
            Err(MeterError::Store(StoreError::NotACounter { .. })) => {}
            ended => return ended,
        }
        // No later try would do better, and deliveries wait for these records.
        self.set_damaged_aside(sums).await?;
        self.try_commit(sums, runs).await
    }

    /// Moves those of the sums that are no counters to where they are in nobody's way, their bytes as they are.
    async fn set_damaged_aside(&self, sums: &Sums) -> Result<(), MeterError> {
        let damaged = self.0.db.run(|txn| async move {
            txn.frees_space();
            let mut damaged = Vec::new();
            for key in sums.keys().flat_map(SumKey::rows) {
                let Some(value) = txn.get(&key).await? else { continue };
                if engine::read_counter(Some(&value)).is_err() {
                    txn.put(&keys::damaged(&key), &value);
                    txn.delete(&key);
                    damaged.push((key, value.len()));
                }
            }
            Ok::<_, MeterError>(damaged)
        });
        for (key, length) in damaged.await? {
            tracing::error!(
                row = %key.escape_ascii(),
                length,
                "a damaged sum was set aside below meter/damaged/, and its bill begins anew; restore it from a backup"
            );
        }
        Ok(())
    }

    /// All in one transaction.
    async fn try_commit(&self, sums: &Sums, runs: &[RunRecord]) -> Result<(), MeterError> {
        self.0
            .db
            .run(|txn| async move {
                // A few small rows. Deliveries wait for them, and what is delivered often makes room on a full disk.
                txn.frees_space();
                for run in runs {
                    let row = serde_json::to_vec(run)
                        .expect("a record is text and numbers, which JSON always holds");
                    let key =
                        |of| keys::run(of, &run.place(), &run.function, run.started_unix_ms, &run.request_id);
                    txn.put(&key(Runs::All), &row);
                    if run.has_failed() {
                        txn.put(&key(Runs::Failed), &row);
                    }
                }
                for (key, values) in sums {
                    for (row, value) in key.rows().iter().zip(values) {
                        if *value != 0 {
                            txn.add(row, *value);
                        }
                    }
                }
                Ok(())
            })
            .await
    }

    async fn totals(&self, place: &Place, month: Month) -> Result<Totals, MeterError> {
        self.0
            .db
            .read(|txn: Txn| async move {
                let mut totals = Totals::new();
                let mut left = Some(keys::sums(place, month));
                while let Some(range) = left {
                    let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS)).await?;
                    for (key, value) in &page.rows {
                        let (function, field) = keys::read_sum(place, month, key)?;
                        let value = i64::from_le_bytes(engine::read_counter(Some(value))?);
                        let sums = totals.entry(function).or_default();
                        // A field that a later version added is not ours to bill.
                        if let Some(sum) = usize::try_from(field).ok().and_then(|at| sums.get_mut(at)) {
                            *sum += u128::try_from(value).unwrap_or(0);
                        }
                    }
                    left = range.rest(&page, false);
                }
                Ok(totals)
            })
            .await
    }
}
