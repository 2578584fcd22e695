//! Whose a place is: rows and blobs of two clouds must never meet, since blobs that no row names are swept.

use crate::error::{BlobError, blocking};
use crate::store::{BlobStore, Kind};

/// The name of the mark, at the root of a place.
pub const MARK_NAME: &str = "cloud-id";

impl BlobStore {
    /// The mark that was set on this place, if one was.
    pub async fn mark(&self) -> Result<Option<String>, BlobError> {
        match &self.kind {
            Kind::Disk(disk) => {
                let disk = disk.clone();
                blocking(move || disk.mark()).await
            }
            Kind::Far(far) => far.place.mark().await,
        }
    }

    /// Marks the place durably unless it has a mark; says whether it did. `mark` is one line.
    pub async fn set_mark(&self, mark: &str) -> Result<bool, BlobError> {
        let mark = mark.to_owned();
        match &self.kind {
            Kind::Disk(disk) => {
                let disk = disk.clone();
                blocking(move || disk.set_mark(&mark)).await
            }
            Kind::Far(far) => far.place.set_mark(mark).await,
        }
    }
}
