//! Where backups lie: a directory, or a bucket.

use std::path::Path;
use std::str::FromStr;

use lambent_base::{Clock, Random};
use lambent_blobs::{BlobStore, MARK_NAME};
use lambent_blobs_objects::S3Address;
use lambent_care::{BLOBS_NAME, Backups, CareError, DirectoryShelf, NamedBlob, Shelf};
use lambent_store::DataLock;

use super::CommandError;
use super::far_shelf::FarShelf;
use super::open::STORE_DIRECTORY;
use crate::blobs::{BlobPlace, PlaceError};
use crate::data_dir::{DataDir, MASTER_KEY, ROOT_KEY};

/// What tells which blobs rows name: one for each service that keeps blobs.
const NAMED: [NamedBlob; 2] = [lambent_s3::named_blob, lambent_lambda::named_blob];

/// A place of backups, as an operator names it.
#[derive(Clone, Debug)]
pub(crate) struct BackupPlace(BlobPlace);

/// An open place, which no other command uses meanwhile where that can be told.
pub(super) struct OpenPlace {
    pub(super) backups: Backups,
    _lock: Option<DataLock>,
}

/// Whether there must be something already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Anything,
    Backups,
}

impl FromStr for BackupPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        text.parse().map(Self)
    }
}

impl BackupPlace {
    /// Refuses the place of a cloud: what a backup there prunes would be the cloud's own blobs.
    pub(super) async fn expect_no_cloud(&self) -> Result<(), CommandError> {
        let own = || CommandError::CloudAsBackup(self.0.to_string());
        let (root, below) = match &self.0 {
            BlobPlace::Directory(path) => {
                let data = [STORE_DIRECTORY, MASTER_KEY, ROOT_KEY, MARK_NAME];
                if DataDir::check_format(path)? || data.iter().any(|name| path.join(name).exists()) {
                    return Err(own());
                }
                // What opens a directory makes it too.
                let below = path.join(BLOBS_NAME);
                (None, below.is_dir().then_some(BlobPlace::Directory(below)))
            }
            BlobPlace::S3(address) => (Some(self.0.clone()), Some(BlobPlace::S3(blobs_below(address)))),
        };
        for place in [root, below].into_iter().flatten() {
            if place.open(Clock::system(), Random::system())?.mark().await?.is_some() {
                return Err(own());
            }
        }
        Ok(())
    }

    pub(super) fn open(&self, expect: Expect) -> Result<OpenPlace, CommandError> {
        let (shelf, blobs, lock): (Box<dyn Shelf>, _, _) = match &self.0 {
            BlobPlace::Directory(path) => {
                if expect == Expect::Backups && !path.is_dir() {
                    return Err(CareError::NoBackup { place: path.display().to_string() }.into());
                }
                let lock = DataLock::acquire(path)?;
                let blobs = BlobPlace::Directory(path.join(BLOBS_NAME));
                (Box::new(DirectoryShelf::new(path)), blobs, Some(lock))
            }
            BlobPlace::S3(address) => {
                (Box::new(FarShelf::open(address)?), BlobPlace::S3(blobs_below(address)), None)
            }
        };
        let blobs = blobs.open(Clock::system(), Random::system())?;
        Ok(OpenPlace { backups: Backups { shelf, blobs, named: &NAMED }, _lock: lock })
    }
}

/// Where the blobs of a place in a bucket lie.
fn blobs_below(address: &S3Address) -> S3Address {
    let prefix = format!("{}/{BLOBS_NAME}", address.prefix).trim_start_matches('/').to_owned();
    S3Address { prefix, ..address.clone() }
}

/// Sees to it that blobs are those of a cloud: those of another would all be missing, or left over.
pub(super) async fn expect_blobs_of(blobs: &BlobStore, cloud_id: &str) -> Result<(), CommandError> {
    let mark = blobs.mark().await?;
    if mark.as_deref().unwrap_or_default() == cloud_id {
        return Ok(());
    }
    let found = mark.map_or_else(|| "nobody".to_owned(), |mark| format!("the cloud {mark}"));
    Err(CommandError::OtherBlobs { found, wanted: cloud_id.to_owned() })
}

/// The blobs of a cloud: in the place that was named, else in the data directory, which a running cloud may use too.
pub(super) fn blobs_of(data: &Path, place: Option<&BlobPlace>) -> Result<BlobStore, CommandError> {
    let own = || BlobPlace::Directory(data.join(BLOBS_NAME));
    let place = place.cloned().unwrap_or_else(own);
    Ok(place.open(Clock::system(), Random::system())?)
}

#[cfg(test)]
mod tests {
    use lambent_care::make_directory;

    use super::*;

    async fn refused(path: &Path) -> bool {
        let place: BackupPlace = path.to_str().unwrap().parse().unwrap();
        match place.expect_no_cloud().await {
            Ok(()) => false,
            Err(CommandError::CloudAsBackup(_)) => true,
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn the_place_of_a_cloud_takes_no_backup() {
        let at = tempfile::tempdir().unwrap();
        assert!(!refused(&at.path().join("new")).await && !at.path().join("new").exists());
        let place: BackupPlace = at.path().join("used").to_str().unwrap().parse().unwrap();
        drop(place.open(Expect::Anything).unwrap());
        assert!(!refused(&at.path().join("used")).await);

        let data = DataDir::open(&at.path().join("data")).unwrap();
        data.keep_format().unwrap();
        assert!(refused(data.root()).await);
        // Of the first format, which was noted nowhere.
        make_directory(&at.path().join("old").join(STORE_DIRECTORY)).unwrap();
        assert!(refused(&at.path().join("old")).await);
        let blobs = BlobPlace::Directory(at.path().join("far").join(BLOBS_NAME));
        let blobs = blobs.open(Clock::system(), Random::system()).unwrap();
        blobs.set_mark("one").await.unwrap();
        assert!(refused(&at.path().join("far")).await && refused(&at.path().join("far/blobs")).await);
    }
}
