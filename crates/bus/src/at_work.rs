//! Whether nodes work on a store, for who does not work on it himself.

use bytes::Bytes;
use lambent_store::{Db, ScanOptions, StoreError};

use crate::keys;
use crate::nodes::{BEAT_EVERY, MISSED_MAX, NODES_MAX};

/// How many beats are listened for: one more than after which the others take a node for dead, as it may have beaten a
/// moment before the first.
const BEATS: u32 = MISSED_MAX + 2;

/// Whether any node says that it is alive; takes some seconds where there were any. What died without a word is not at
/// work.
pub async fn is_any_node_at_work(db: &Db) -> Result<bool, StoreError> {
    is_any_heard(db, async || tokio::time::sleep(BEAT_EVERY).await).await
}

/// `beat` is over when a node that is well has said that it is alive.
pub(crate) async fn is_any_heard(db: &Db, mut beat: impl AsyncFnMut()) -> Result<bool, StoreError> {
    let before = beats(db).await?;
    if before.is_empty() {
        return Ok(false);
    }
    for _ in 0..BEATS {
        beat().await;
        let after = beats(db).await?;
        if after.iter().any(|row| !before.contains(row)) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn beats(db: &Db) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
    let (range, options) = (&keys::nodes(), ScanOptions::rows(NODES_MAX));
    Ok(db.read(|txn| async move { txn.scan(range, options).await }).await?.rows)
}
