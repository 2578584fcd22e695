//! Ties a store to the place of its blobs: the rows name blobs that lie there, and only there.
//!
//! Rows and blobs of two clouds must never meet, since what no row names is swept. So the first start writes one random
//! name into both: as the row `cloud/id`, then as the mark of the blobs' place. Every node that finds the two together
//! may join.

use lambent_base::Random;
use lambent_base::text::hex;
use lambent_blobs::{BlobError, BlobStore};
use lambent_store::{Db, StoreError};

/// The store's name.
pub(crate) const ROW: &[u8] = b"cloud/id";
const ID_BYTES: usize = 16;

/// Why a store and a place of blobs were not joined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(
        "expected the store that the blobs belong to (their mark `cloud-id` says {wanted}), but this one is {found}: give \
         the --store that they were written with, or other --blobs or --data"
    )]
    Other { wanted: String, found: String },
    #[error(
        "expected the blobs of this store, which is {found}, but there is no mark where they should be: give the --blobs \
         or --data that it was used with (if the blobs were moved, write {found} into a file `cloud-id` beside them)"
    )]
    New { found: String },
}

/// Refuses a store that was used with other blobs; joins the two if both are new. `own` says that both lie in one data
/// directory, and can belong to nothing else.
pub(crate) async fn join(db: &Db, blobs: &BlobStore, random: &Random, own: bool) -> Result<(), JoinError> {
    let mark = blobs.mark().await?;
    let fresh = hex(&random.bytes::<ID_BYTES>());
    let (made, may_make) = (&fresh, mark.is_none());
    let row: Option<(String, bool)> = db
        .run(|txn| async move {
            if let Some(row) = txn.get(ROW).await? {
                return Ok(Some((String::from_utf8_lossy(&row).into_owned(), false)));
            }
            if may_make {
                txn.put(ROW, made.as_bytes());
            }
            Ok::<_, StoreError>(may_make.then(|| (made.clone(), true)))
        })
        .await?;
    match (row, mark) {
        (Some((found, _)), Some(mark)) if found == mark => Ok(()),
        (Some((found, true)), None) => {
            let marked = set_mark(blobs, found).await;
            if marked.is_err() {
                // As if nothing had been tried: a later start, with what it takes to write, finds both new.
                forget(db).await?;
            }
            marked
        }
        (Some((found, false)), None) if own => set_mark(blobs, found).await,
        (Some((found, _)), None) => wait_for_mark(blobs, found).await,
        (Some((found, _)), Some(wanted)) => Err(JoinError::Other { wanted, found }),
        (None, mark) => {
            Err(JoinError::Other { wanted: mark.unwrap_or_default(), found: "a new one".to_owned() })
        }
    }
}

async fn forget(db: &Db) -> Result<(), StoreError> {
    db.run(|txn| async move {
        txn.delete(ROW);
        Ok(())
    })
    .await
}

/// Marks the blobs as this store's, unless somebody else was first.
async fn set_mark(blobs: &BlobStore, id: String) -> Result<(), JoinError> {
    if blobs.set_mark(&id).await? {
        return Ok(());
    }
    wait_for_mark(blobs, id).await
}

/// Looks once more: another node may have made the row a moment ago, and the mark by now.
async fn wait_for_mark(blobs: &BlobStore, found: String) -> Result<(), JoinError> {
    match blobs.mark().await? {
        Some(mark) if mark == found => Ok(()),
        Some(wanted) => Err(JoinError::Other { wanted, found }),
        None => Err(JoinError::New { found }),
    }
}

#[cfg(test)]
mod tests {
    use lambent_base::Clock;
    use lambent_blobs::BlobOptions;

    use super::*;

    fn store() -> Db {
        Db::memory(Clock::system(), Random::system())
    }

    fn blobs(at: &tempfile::TempDir) -> BlobStore {
        BlobStore::open(at.path(), BlobOptions::default(), Clock::system(), Random::system()).unwrap()
    }

    #[tokio::test]
    async fn a_store_and_its_blobs_stay_together() {
        let (db, random, at) = (store(), Random::system(), tempfile::tempdir().unwrap());
        for _ in 0..2 {
            join(&db, &blobs(&at), &random, false).await.unwrap();
        }
        let empty = join(&store(), &blobs(&at), &random, false).await.unwrap_err();
        assert!(matches!(&empty, JoinError::Other { found, .. } if found == "a new one"), "{empty}");
        let (other, elsewhere) = (store(), tempfile::tempdir().unwrap());
        join(&other, &blobs(&elsewhere), &random, false).await.unwrap();
        let swapped = join(&other, &blobs(&at), &random, false).await.unwrap_err();
        assert!(matches!(swapped, JoinError::Other { .. }), "{swapped}");
    }

    #[tokio::test]
    async fn a_new_place_is_joined_to_a_used_store_only_if_that_lies_beside_it() {
        let (db, random) = (store(), Random::system());
        join(&db, &blobs(&tempfile::tempdir().unwrap()), &random, false).await.unwrap();
        let new = tempfile::tempdir().unwrap();
        let refused = join(&db, &blobs(&new), &random, false).await.unwrap_err();
        assert!(matches!(refused, JoinError::New { .. }), "{refused}");
        // A crash at the first start, after the row and before the mark.
        join(&db, &blobs(&new), &random, true).await.unwrap();
        join(&db, &blobs(&new), &random, false).await.unwrap();
    }
}
