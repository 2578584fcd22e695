//! Data that nothing names any more: remembered in the transaction that let go of it, deleted by the
//! [`crate::sweeper`] after a grace in which readers that had begun can finish.

use std::collections::HashSet;

use lambent_blobs::BlobId;
use lambent_store::{StoreError, Txn};

use crate::errors::S3Error;
use crate::rows::{self, Data, DeadRow, ObjectRow};
use crate::{keys, limits};

/// Remembers that this may be deleted once the grace is over; `id` tells it from others of the same millisecond.
pub(crate) fn bury(txn: &Txn, now_unix_ms: i64, id: &str, dead: &DeadRow) -> Result<(), S3Error> {
    txn.put(&keys::dead(now_unix_ms + limits::GC_GRACE_MS, id), &rows::encode(dead)?);
    txn.on_commit(keys::DEAD_TOPIC);
    Ok(())
}

/// Lets go of the data of an object that is replaced or deleted. The time is that of the transaction and not of a request
/// that may have begun long before: readers rely on the grace after it.
pub(crate) fn bury_object(txn: &Txn, now_unix_ms: i64, object: &ObjectRow) -> Result<(), S3Error> {
    match &object.data {
        Data::Inline => Ok(()),
        // The sequencer tells this reference to a shared blob from the others.
        Data::Blob(blob) => {
            let id = format!("{blob}/{}", object.sequencer);
            bury(txn, now_unix_ms, &id, &DeadRow::Blob(blob.clone()))
        }
        Data::Spans { upload, .. } => bury(txn, now_unix_ms, upload, &DeadRow::Spans(upload.clone())),
    }
}

/// Those of the blobs that a row of this service names, or that wait for the end of their grace, or whose count of
/// references was found damaged: for the blob store's sweep of orphans.
pub async fn referenced(db: &lambent_store::Db, blobs: &[BlobId]) -> Result<HashSet<BlobId>, StoreError> {
    db.read(|txn| async move {
        let mut found = HashSet::new();
        for blob in blobs {
            let count = keys::blob_references(&blob.to_string());
            if txn.get(&count).await?.is_some() || txn.get(&keys::damaged(&count)).await?.is_some() {
                found.insert(*blob);
            }
        }
        Ok(found)
    })
    .await
}
