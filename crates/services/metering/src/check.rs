//! Whether the meter's rows can be read.

use bytes::Bytes;
use lambent_care::Findings;
use lambent_store::{Export, StoreError};

use crate::keys;
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
    view.for_each(keys::all_runs(), |key: &Bytes, row: &Bytes| {
        if let Err(why) = serde_json::from_slice::<RunRecord>(row) {
            let what = format!("the record of a run {} cannot be read: {why}", key.escape_ascii());
            findings.unreadable(SERVICE, what, (key, row), Some(keys::damaged(key).into_bytes()));
        }
    })
    .await
}
