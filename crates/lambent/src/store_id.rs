//! Ties a store to the place of its blobs: the rows name blobs that lie there, and only there.
//!
//! Rows and blobs of two clouds must never meet, since what no row names is swept. So the first start writes one random
//! name into both: as the row `cloud/id`, then as the mark of the blobs' place. As long as the row `cloud/unmarked` stands
//! beside it nobody knows whether the mark is there: whoever starts then makes sure. Every node that finds the two
//! together may join.

use lambent_base::Random;
use lambent_base::text::hex;
use lambent_blobs::{BlobError, BlobStore};
use lambent_store::{Db, StoreError, expect_whole};

pub(crate) const ROW: &[u8] = b"cloud/id";
const UNMARKED: &[u8] = b"cloud/unmarked";
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

/// Where a store and its blobs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// In one data directory: they can belong to nothing else.
    Together,
    Apart,
}

/// What a store says of its blobs.
struct Said {
    id: String,
    /// Whether the mark may not be there yet.
    unmarked: bool,
}

/// Refuses a store that was used with other blobs; joins the two if both are new.
pub(crate) async fn join(
    db: &Db,
    blobs: &BlobStore,
    random: &Random,
    places: Places,
) -> Result<(), JoinError> {
    let mark = blobs.mark().await?;
    let said = said(db, random, mark.is_none()).await?;
    match (said, mark) {
        (Some(Said { id, unmarked }), Some(mark)) if id == mark => {
            if unmarked {
                marked(db).await?;
            }
            Ok(())
        }
        (Some(Said { id, unmarked }), None) if unmarked || places == Places::Together => {
            // Somebody else may be first, with the same one.
            blobs.set_mark(&id).await?;
            match blobs.mark().await? {
                Some(mark) if mark == id => Ok(marked(db).await?),
                mark => Err(JoinError::Other { wanted: mark.unwrap_or_default(), found: id }),
            }
        }
        (Some(Said { id, .. }), None) => Err(JoinError::New { found: id }),
        (Some(Said { id, .. }), Some(mark)) => Err(JoinError::Other { wanted: mark, found: id }),
        (None, mark) => {
            Err(JoinError::Other { wanted: mark.unwrap_or_default(), found: "a new one".to_owned() })
        }
    }
}

/// What the store says; a new one is given a name first if it `may` have one.
async fn said(db: &Db, random: &Random, may: bool) -> Result<Option<Said>, StoreError> {
    let fresh = &hex(&random.bytes::<ID_BYTES>());
    db.run(|txn| async move {
        // An import may have begun since it was looked for.
        expect_whole(&txn).await?;
        if let Some(row) = txn.get(ROW).await? {
            let id = String::from_utf8_lossy(&row).into_owned();
            return Ok(Some(Said { id, unmarked: txn.get(UNMARKED).await?.is_some() }));
        }
        if may {
            txn.put(ROW, fresh.as_bytes());
            txn.put(UNMARKED, b"");
        }
        Ok(may.then(|| Said { id: fresh.clone(), unmarked: true }))
    })
    .await
}

async fn marked(db: &Db) -> Result<(), StoreError> {
    db.run(|txn| async move {
        txn.delete(UNMARKED);
        Ok(())
    })
    .await
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
            join(&db, &blobs(&at), &random, Places::Apart).await.unwrap();
        }
        let empty = join(&store(), &blobs(&at), &random, Places::Apart).await.unwrap_err();
        assert!(matches!(&empty, JoinError::Other { found, .. } if found == "a new one"), "{empty}");
        let (other, elsewhere) = (store(), tempfile::tempdir().unwrap());
        join(&other, &blobs(&elsewhere), &random, Places::Apart).await.unwrap();
        let swapped = join(&other, &blobs(&at), &random, Places::Apart).await.unwrap_err();
        assert!(matches!(swapped, JoinError::Other { .. }), "{swapped}");
    }

    #[tokio::test]
    async fn a_new_place_is_joined_to_a_used_store_only_if_that_lies_beside_it() {
        let (db, random) = (store(), Random::system());
        join(&db, &blobs(&tempfile::tempdir().unwrap()), &random, Places::Apart).await.unwrap();
        let new = tempfile::tempdir().unwrap();
        let refused = join(&db, &blobs(&new), &random, Places::Apart).await.unwrap_err();
        assert!(matches!(refused, JoinError::New { .. }), "{refused}");
        join(&db, &blobs(&new), &random, Places::Together).await.unwrap();
        join(&db, &blobs(&new), &random, Places::Apart).await.unwrap();
    }

    #[tokio::test]
    async fn a_first_start_that_was_cut_off_is_gone_on_with() {
        let (db, random, at) = (store(), Random::system(), tempfile::tempdir().unwrap());
        // After the row and before the mark.
        let first = said(&db, &random, true).await.unwrap().unwrap();
        join(&db, &blobs(&at), &random, Places::Apart).await.unwrap();
        assert_eq!(blobs(&at).mark().await.unwrap(), Some(first.id.clone()));
        let then = said(&db, &random, false).await.unwrap().unwrap();
        assert!(then.id == first.id && !then.unmarked);
    }
}
