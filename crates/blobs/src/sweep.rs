//! Removing blobs that no row names: their uploads were cut off before the transaction that publishes them, or their
//! row was deleted and the deletion of the blob was cut off.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use crate::error::{BlobError, blocking};
use crate::id::BlobId;
use crate::limits::SWEEP_BATCH;
use crate::store::BlobStore;

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
        let before_ms = self.0.clock.unix_ms().saturating_sub(older_than_ms);
        for number in 0..=u8::MAX {
            let ids = self.list(number).await?;
            report.seen += ids.len() as u64;
            let old: Vec<BlobId> = ids.into_iter().filter(|id| id.created_ms() < before_ms).collect();
            for batch in old.chunks(SWEEP_BATCH) {
                let kept = referenced(batch.to_vec()).await;
                let kept = kept.map_err(|e| BlobError::References(e.to_string()))?;
                for orphan in batch.iter().filter(|id| !kept.contains(id)) {
                    let (inner, orphan) = (self.0.clone(), *orphan);
                    report.freed_bytes += blocking(move || inner.remove(orphan)).await?;
                    report.removed += 1;
                }
            }
        }
        Ok(report)
    }

    /// The blobs of one directory.
    async fn list(&self, number: u8) -> Result<Vec<BlobId>, BlobError> {
        let path = self.0.directory(number);
        blocking(move || {
            let entries = match std::fs::read_dir(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                other => other.map_err(|e| BlobError::io("list", &path, e))?,
            };
            let mut ids = Vec::new();
            for entry in entries {
                let name = entry.map_err(|e| BlobError::io("list", &path, e))?.file_name();
                match name.to_str().and_then(|name| name.parse().ok()) {
                    Some(id) => ids.push(id),
                    None => tracing::warn!(?name, directory = %path.display(), "not a blob: left alone"),
                }
            }
            Ok(ids)
        })
        .await
    }
}
