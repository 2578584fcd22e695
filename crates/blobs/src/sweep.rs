//! Removing blobs that no row names: their uploads were cut off before the transaction that publishes them, or their
//! row was deleted and the deletion of the blob was cut off.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use crate::error::{BlobError, blocking};
use crate::id::BlobId;
use crate::limits::SWEEP_BATCH;
use crate::place::Stored;
use crate::store::{BlobStore, Kind};

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Blobs of any age.
    pub seen: u64,
    pub removed: u64,
    /// Size of the files removed.
    pub freed_bytes: u64,
}

impl BlobStore {
    /// Removes the blobs older than `older_than` ([`crate::limits::ORPHAN_AGE`] unless a test knows better) that
    /// `referenced` does not return from the ids it is given, at most [`SWEEP_BATCH`] at once.
    pub async fn sweep<F, Fut, E>(
        &self,
        mut referenced: F,
        older_than: Duration,
    ) -> Result<SweepReport, BlobError>
    where
        F: FnMut(Vec<BlobId>) -> Fut,
        Fut: Future<Output = Result<HashSet<BlobId>, E>>,
        E: Display,
    {
        let mut report = SweepReport::default();
        let older_than_ms = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.clock.unix_ms().saturating_sub(older_than_ms);
        self.remove_old_drafts(older_than).await?;
        for number in 0..=u8::MAX {
            let stored = self.list(number).await?;
            report.seen += stored.len() as u64;
            let old: Vec<Stored> = stored.into_iter().filter(|one| since_ms(one) < before_ms).collect();
            for batch in old.chunks(SWEEP_BATCH) {
                let kept = referenced(batch.iter().map(|one| one.id).collect()).await;
                let kept = kept.map_err(|e| BlobError::References(e.to_string()))?;
                for orphan in batch.iter().filter(|one| !kept.contains(&one.id)) {
                    report.freed_bytes += self.remove(orphan).await?;
                    report.removed += 1;
                }
            }
        }
        Ok(report)
    }

    async fn remove_old_drafts(&self, older_than: Duration) -> Result<(), BlobError> {
        let Kind::Disk(disk) = &self.kind else { return Ok(()) };
        let disk = disk.clone();
        blocking(move || disk.remove_old_drafts(older_than)).await
    }

    /// The blobs of one directory.
    async fn list(&self, number: u8) -> Result<Vec<Stored>, BlobError> {
        match &self.kind {
            // Ids on disk are made when their files are whole, and to look at each file would be dear.
            Kind::Disk(_) => {
                let stored = |id: BlobId| Stored { id, file_bytes: 0, modified_ms: id.created_ms() };
                Ok(self.ids(number).await?.into_iter().map(stored).collect())
            }
            Kind::Far(far) => far.place.list(number).await,
        }
    }

    /// Removes a blob and says how many bytes its file had; 0 when it was gone.
    async fn remove(&self, orphan: &Stored) -> Result<u64, BlobError> {
        let Stored { id, file_bytes, .. } = *orphan;
        match &self.kind {
            Kind::Disk(disk) => {
                let disk = disk.clone();
                blocking(move || disk.remove(id)).await
            }
            Kind::Far(far) => far.place.remove(id).await.map(|()| file_bytes),
        }
    }
}

/// From when on a blob may have waited for its transaction: an upload in parts takes its id when it begins.
fn since_ms(stored: &Stored) -> i64 {
    stored.id.created_ms().max(stored.modified_ms)
}
