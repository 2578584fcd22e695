//! Old records of runs go; the sums that they were added to stay.

use lambent_store::{Db, KeyRange, ScanOptions, StoreError};

use crate::keys::{self, Runs};

/// How long single records are kept. Sums are kept for ever.
const RECORDS_KEPT_MS: i64 = 35 * 86_400_000;

/// How many records one transaction removes.
const STEP_ROWS: usize = 2_000;

/// Removes the records of runs that started too long ago, function by function: a function whose records are all young
/// costs two reads.
pub(crate) async fn old_records(db: &Db, now_ms: i64) -> Result<(), StoreError> {
    let until_ms = now_ms - RECORDS_KEPT_MS;
    let mut left = keys::all_runs(Runs::All);
    while let Some(key) = first_key(db, &left).await? {
        left = match keys::read_run(Runs::All, &key) {
            Ok((place, function)) => {
                clear(db, keys::runs_before(Runs::All, &place, &function, until_ms)).await?;
                let own = keys::runs(Runs::All, &place, &function).range();
                KeyRange::new(own.end, left.end)
            }
            // For `lambent check` to find.
            Err(_) => left.after(&key),
        };
    }
    db.clear(&keys::old_runs_before(until_ms)).await?;
    Ok(())
}

/// Removes records, and in the same transaction those of them that are kept twice.
async fn clear(db: &Db, range: KeyRange) -> Result<(), StoreError> {
    let mut left = Some(range);
    while let Some(step) = left {
        let step = &step;
        let cleared = db.run(|txn| async move {
            txn.frees_space();
            let page = txn.scan_snapshot(step, ScanOptions::rows(STEP_ROWS).keys_only()).await?;
            for (key, _) in &page.rows {
                txn.delete(key);
                if let Ok(twin) = keys::run_among(Runs::All, key, Runs::Failed) {
                    txn.delete(&twin);
                }
            }
            Ok::<_, StoreError>(page)
        });
        left = step.rest(&cleared.await?, false);
    }
    Ok(())
}

async fn first_key(db: &Db, range: &KeyRange) -> Result<Option<bytes::Bytes>, StoreError> {
    if range.is_empty() {
        return Ok(None);
    }
    let read = db.read(|txn| async move { txn.scan(range, ScanOptions::rows(1).keys_only()).await });
    Ok(read.await?.rows.into_iter().next().map(|(key, _)| key))
}
