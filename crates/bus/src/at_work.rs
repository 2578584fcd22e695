//! Whether nodes work on a store, for who does not work on it himself.

use std::time::Duration;

use bytes::Bytes;
use lambent_store::{Db, ScanOptions, StoreError};

use crate::keys;

/// Longer than a node lets pass without a word.
const LISTEN_FOR: Duration = Duration::from_millis(2_500);
/// More nodes than this are not looked at.
const NODES_MAX: usize = 1_000;

/// Whether any node says that it is alive; takes some seconds where there were any. What died without a word is not at
/// work.
pub async fn is_any_node_at_work(db: &Db) -> Result<bool, StoreError> {
    let before = beats(db).await?;
    if before.is_empty() {
        return Ok(false);
    }
    tokio::time::sleep(LISTEN_FOR).await;
    let after = beats(db).await?;
    Ok(after.iter().any(|row| !before.contains(row)))
}

async fn beats(db: &Db) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
    let (range, options) = (&keys::nodes(), ScanOptions::rows(NODES_MAX));
    Ok(db.read(|txn| async move { txn.scan(range, options).await }).await?.rows)
}
