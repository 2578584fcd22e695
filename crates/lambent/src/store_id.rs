//! Ties a data directory to its store: the rows name blobs that lie in the directory, and only there.
//!
//! Rows and blobs of two clouds must never meet, since what no row names is swept. So the first start writes one random
//! name into both: as the row `cloud/id`, then as the file `store-id`.

use lambent_base::Random;
use lambent_base::text::hex;
use lambent_store::{Db, StoreError};

use crate::data_dir::{DataDir, DataDirError};

const ROW: &[u8] = b"cloud/id";
const ID_BYTES: usize = 16;

/// Why a store and a data directory were not joined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Directory(#[from] DataDirError),
    #[error(
        "expected the store that {directory} belongs to (its file `store-id` says {wanted}), but this one is {found}: \
         give the --store that the directory was used with, or another --data"
    )]
    Other { directory: String, wanted: String, found: String },
    #[error(
        "expected the data directory of this store, which is {found}, but {directory} is new: give the --data that it was \
         used with, as its blobs lie there (if they were moved to {directory}, write {found} into its file `store-id`)"
    )]
    New { directory: String, found: String },
}

/// Refuses a store that was used with another directory; joins the two if both are new. `own` says that the store lies
/// in the directory, and can belong to no other.
pub(crate) async fn join(db: &Db, directory: &DataDir, random: &Random, own: bool) -> Result<(), JoinError> {
    let kept = directory.store_id()?;
    let fresh = hex(&random.bytes::<ID_BYTES>());
    let (made, may_make) = (&fresh, kept.is_none());
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
    let at = || directory.root().display().to_string();
    match (row, kept) {
        (Some((row, _)), Some(kept)) if row == kept => Ok(()),
        (Some((found, made)), None) if made || own => Ok(directory.keep_store_id(&found)?),
        (Some((found, _)), None) => Err(JoinError::New { directory: at(), found }),
        (Some((found, _)), Some(wanted)) => Err(JoinError::Other { directory: at(), wanted, found }),
        (None, kept) => Err(JoinError::Other {
            directory: at(),
            wanted: kept.unwrap_or_default(),
            found: "a new one".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use lambent_base::Clock;

    use super::*;

    fn store() -> Db {
        Db::memory(Clock::system(), Random::system())
    }

    fn directory(at: &tempfile::TempDir) -> DataDir {
        DataDir::open(at.path()).unwrap()
    }

    #[tokio::test]
    async fn a_store_and_a_directory_stay_together() {
        let (db, random, at) = (store(), Random::system(), tempfile::tempdir().unwrap());
        for _ in 0..2 {
            join(&db, &directory(&at), &random, false).await.unwrap();
        }
        let empty = join(&store(), &directory(&at), &random, false).await.unwrap_err();
        assert!(matches!(&empty, JoinError::Other { found, .. } if found == "a new one"), "{empty}");
        let (other, elsewhere) = (store(), tempfile::tempdir().unwrap());
        join(&other, &directory(&elsewhere), &random, false).await.unwrap();
        let swapped = join(&other, &directory(&at), &random, false).await.unwrap_err();
        assert!(matches!(swapped, JoinError::Other { .. }), "{swapped}");
    }

    #[tokio::test]
    async fn a_new_directory_is_joined_to_a_used_store_only_if_that_lies_in_it() {
        let (db, random) = (store(), Random::system());
        join(&db, &directory(&tempfile::tempdir().unwrap()), &random, false).await.unwrap();
        let new = tempfile::tempdir().unwrap();
        let refused = join(&db, &directory(&new), &random, false).await.unwrap_err();
        assert!(matches!(refused, JoinError::New { .. }), "{refused}");
        // A crash at the first start, after the row and before the file.
        join(&db, &directory(&new), &random, true).await.unwrap();
        join(&db, &directory(&new), &random, false).await.unwrap();
    }
}
