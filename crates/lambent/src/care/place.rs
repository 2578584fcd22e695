//! Where backups lie: a directory, or a bucket.

use std::path::Path;
use std::str::FromStr;

use lambent_base::{Clock, Random};
use lambent_blobs::BlobStore;
use lambent_care::{BLOBS_NAME, Backups, CareError, DirectoryShelf, NamedBlob, Shelf};
use lambent_store::DataLock;

use super::CommandError;
use super::far_shelf::FarShelf;
use crate::blobs::{BlobPlace, PlaceError};

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
                let mut blobs = address.clone();
                blobs.prefix = format!("{}/{BLOBS_NAME}", blobs.prefix).trim_start_matches('/').to_owned();
                (Box::new(FarShelf::open(address)?), BlobPlace::S3(blobs), None)
            }
        };
        let blobs = blobs.open(Clock::system(), Random::system())?;
        Ok(OpenPlace { backups: Backups { shelf, blobs, named: &NAMED }, _lock: lock })
    }
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
