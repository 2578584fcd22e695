//! Mending what a check has found.

use bytes::Bytes;
use lambent_blobs::{BlobId, BlobStore};
use lambent_store::{Db, StoreError};

use super::findings::{Findings, Mend};
use crate::CareError;

/// What a repair did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Problems that are gone.
    pub problems: u64,
    /// Problems that could not be mended.
    pub left: u64,
    pub blobs_removed: u64,
}

pub(super) async fn mend(db: &Db, blobs: &BlobStore, findings: &Findings) -> Result<Mended, CareError> {
    let mut mended = Mended { left: findings.more, ..Mended::default() };
    let mut orphans: Vec<BlobId> = Vec::new();
    for problem in &findings.problems {
        let mut is_mended = !problem.mends.is_empty();
        for mend in &problem.mends {
            is_mended &= match mend {
                Mend::Row { key, seen, to } => replace(db, key, seen.as_ref(), to.as_ref(), None).await?,
                Mend::SetAside { key, seen, to } => {
                    replace(db, key, Some(seen), None, Some((to, seen))).await?
                }
                Mend::Chunk(key) => db.remove_chunk(key).await?,
                Mend::Blob(id) => {
                    orphans.push(*id);
                    true
                }
            };
        }
        if is_mended { mended.problems += 1 } else { mended.left += 1 }
    }
    // Last: rows that were mended above may have named them in vain, never the other way round.
    for id in orphans {
        blobs.delete(id).await?;
        mended.blobs_removed += 1;
    }
    Ok(mended)
}

/// Changes a row that still is what was seen; says whether it was.
async fn replace(
    db: &Db,
    key: &Bytes,
    seen: Option<&Bytes>,
    to: Option<&Bytes>,
    also: Option<(&Bytes, &Bytes)>,
) -> Result<bool, StoreError> {
    db.run(|txn| async move {
        if txn.get(key).await?.as_ref() != seen {
            return Ok(false);
        }
        match to {
            Some(row) => txn.put(key, row),
            None => txn.delete(key),
        }
        if let Some((key, row)) = also {
            txn.put(key, row);
        }
        Ok(true)
    })
    .await
}
