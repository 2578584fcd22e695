//! Old events go.

use lambent_store::{Db, KeyRange, ScanOptions, StoreError};

use crate::keys::{self, Events};

/// How long events are kept. Source: AWS CloudTrail User Guide, "Working with CloudTrail event history": 90 days.
const KEPT_MS: i64 = 90 * 86_400_000;

/// Removes the events that are too old, account by account: one whose events are all young costs two reads.
pub(crate) async fn old_events(db: &Db, now_ms: i64) -> Result<(), StoreError> {
    for of in Events::BOTH {
        let mut left = keys::all(of);
        while let Some(key) = first_key(db, &left).await? {
            left = match keys::read(of, &key) {
                Ok((account, _, _)) => {
                    db.clear(&keys::chunks_before(of, &account, now_ms - KEPT_MS)).await?;
                    KeyRange::new(keys::chunks(of, &account).range().end, left.end)
                }
                // For `lambent check` to find.
                Err(_) => left.after(&key),
            };
        }
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
