//! Restoring a backup, into an empty place.

use lambent_blobs::BlobStore;
use lambent_store::{Db, StoreError};

use crate::CareError;
use crate::backup::Backups;
use crate::copy::{Copied, all_ids, copy_blobs};
use crate::manifest::{DumpEntry, Manifest};
use crate::rows::import_dump;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub dump: DumpEntry,
    pub cloud_id: String,
    pub copied: Copied,
}

/// Which part of a restore is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreStep {
    Rows { done: u64, total: u64 },
    Blobs { done: u64, total: u64 },
}

impl Backups {
    /// Brings a dump, the newest unless one is named, into an empty store, and its blobs into an empty place for them. Every
    /// byte is checked on the way. The store refuses to be used until all is there; a restore that was cut off is begun
    /// anew by the next. `settle` comes last, while the store still refuses; when it fails, the restore does.
    pub async fn restore(
        &self,
        wanted: Option<&str>,
        db: &Db,
        blobs: &BlobStore,
        progress: impl Fn(RestoreStep),
        settle: impl AsyncFnOnce() -> Result<(), CareError>,
    ) -> Result<Restored, CareError> {
        let manifest = Manifest::read(&*self.shelf).await?;
        let manifest = manifest.ok_or_else(|| CareError::NoBackup { place: self.shelf.name() })?;
        let dump = manifest.choose(&*self.shelf, wanted)?.clone();
        let file = self.fetch(&dump).await?;
        let (header, totals, named) = self.read(&file).await?;
        let half = matches!(db.check_whole().await, Err(StoreError::HalfImported));
        check_blobs(blobs, &header.cloud_id, half).await?;
        let (count, mut copied) = (named.len() as u64, Copied::default());
        let rows = |done| progress(RestoreStep::Rows { done, total: totals.rows });
        import_dump(db, &file, rows, async || {
            let step = |done| progress(RestoreStep::Blobs { done, total: count });
            copied = copy_blobs(&self.blobs, blobs, &named, step).await?;
            // What the backup could not have is no reason to keep back all the rest.
            let known = |id: &lambent_blobs::BlobId| dump.missing.contains(&id.to_string());
            let lacking: Vec<_> = copied.unreadable.iter().filter(|(id, _)| !known(id)).collect();
            if let Some((first, _)) = lacking.first() {
                let (name, count) = (dump.name.clone(), lacking.len());
                return Err(CareError::Lacking { name, count, first: *first });
            }
            if !header.cloud_id.is_empty() {
                blobs.set_mark(&header.cloud_id).await?;
            }
            settle().await
        })
        .await?;
        Ok(Restored { dump, cloud_id: header.cloud_id, copied })
    }
}

/// Whether blobs may be brought there: nobody's, or this cloud's when a restore was cut off.
async fn check_blobs(blobs: &BlobStore, cloud_id: &str, again: bool) -> Result<(), CareError> {
    if let Some(found) = blobs.mark().await?.filter(|found| found != cloud_id) {
        return Err(CareError::OtherBlobs { found, wanted: cloud_id.to_owned() });
    }
    match all_ids(blobs).await?.into_iter().next() {
        Some(id) if !again => Err(CareError::BlobsNotEmpty(id)),
        _ => Ok(()),
    }
}
