//! Whether the meter's rows can be read, and whether the records of failed runs are kept twice.

use bytes::Bytes;
use lambent_care::{Findings, Mend};
use lambent_store::{Export, KeyRange, ScanOptions, StoreError};

use crate::keys::{self, Runs};
use crate::usage::RunRecord;

const SERVICE: &str = "meter";
/// Bytes of a counter.
const SUM_BYTES: usize = 8;

/// Reads all sums and records of runs.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    view.for_each(keys::all_damaged(), |key, _| findings.set_aside_before(SERVICE, key)).await?;
    view.for_each(keys::all_sums(), |key, row| {
        if row.len() != SUM_BYTES {
            let what =
                format!("the sum {} has {} bytes, expected {SUM_BYTES}", key.escape_ascii(), row.len());
            findings.unreadable(SERVICE, what, (key, row), Some(keys::damaged(key).into_bytes()));
        }
    })
    .await?;
    view.for_each(keys::all_old_runs(), |key, row| drop(record(findings, key, row))).await?;
    for of in Runs::BOTH {
        check_runs(view, findings, of).await?;
    }
    Ok(())
}

async fn check_runs(view: &Export, findings: &mut Findings, of: Runs) -> Result<(), StoreError> {
    let twins = if of == Runs::All { Runs::Failed } else { Runs::All };
    let mut left: Option<KeyRange> = Some(keys::all_runs(of));
    while let Some(range) = left {
        let page = view.page(&range, ScanOptions::default()).await?;
        for (key, row) in &page.rows {
            let Some(run) = record(findings, key, row) else { continue };
            if of == Runs::All && !run.has_failed() {
                continue;
            }
            let Ok(twin) = keys::run_among(of, key, twins) else { continue };
            let seen = view.get(&twin).await?;
            if let Some(mend) = mend(of, (key, row), twin.into_bytes(), seen) {
                let what = format!("the record of a failed run, {}, is not kept twice", key.escape_ascii());
                findings.problem(SERVICE, what, vec![mend]);
            }
        }
        left = range.rest(&page, false);
    }
    Ok(())
}

/// What makes the two records of a failed run agree. Where they differ, the one among all runs counts.
fn mend(of: Runs, (key, row): (&Bytes, &Bytes), twin: Bytes, seen: Option<Bytes>) -> Option<Mend> {
    let Some(seen) = seen else {
        return Some(Mend::Row { key: twin, seen: None, to: Some(row.clone()) });
    };
    // What cannot be read is found where it is, and missing here once it is set aside.
    let other: RunRecord = serde_json::from_slice(&seen).ok()?;
    match of {
        Runs::All if seen == *row => None,
        Runs::All => Some(Mend::Row { key: twin, seen: Some(seen), to: Some(row.clone()) }),
        Runs::Failed if other.has_failed() => None,
        Runs::Failed => Some(Mend::Row { key: key.clone(), seen: Some(row.clone()), to: None }),
    }
}

/// The record of a run, if it can be read.
fn record(findings: &mut Findings, key: &Bytes, row: &Bytes) -> Option<RunRecord> {
    let read = serde_json::from_slice(row);
    read.map_err(|why| {
        let what = format!("the record of a run {} cannot be read: {why}", key.escape_ascii());
        findings.unreadable(SERVICE, what, (key, row), Some(keys::damaged(key).into_bytes()));
    })
    .ok()
}
