//! Blobs from one place to another, as they are.

use std::collections::{BTreeSet, HashSet};

use lambent_blobs::{BlobError, BlobId, BlobStore};
use tokio::task::JoinSet;

use crate::CareError;

/// Blobs under way at once.
const AT_ONCE: usize = 4;

/// Tells from the key of a row which blob it names, if it does. Each service that keeps blobs gives one.
pub type NamedBlob = fn(key: &[u8]) -> Option<BlobId>;

/// What was copied.
#[derive(Debug, Default)]
pub struct Copied {
    pub blobs: u64,
    /// Of whole files.
    pub bytes: u64,
    /// Were there before.
    pub present: u64,
    /// Could not be read, and why.
    pub unreadable: Vec<(BlobId, BlobError)>,
}

/// Copies those of `wanted` that are not there yet, or not as they should be; every byte is checked on the way. `progress` is told how many are done.
pub(crate) async fn copy_blobs(
    from: &BlobStore,
    to: &BlobStore,
    wanted: &BTreeSet<BlobId>,
    mut progress: impl FnMut(u64),
) -> Result<Copied, CareError> {
    let present = all_ids(to).await?;
    let mut copied = Copied::default();
    let mut left = wanted.iter().copied();
    let mut done = 0;
    progress(done);
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE {
            let Some(id) = left.next() else { break };
            let (from, to, is_there) = (from.clone(), to.clone(), present.contains(&id));
            running.spawn(async move { (id, copy(&from, &to, id, is_there).await) });
        }
        let Some(finished) = running.join_next().await else { return Ok(copied) };
        let (id, outcome) = finished.map_err(|_| CareError::CutOff)?;
        match outcome {
            Ok(None) => copied.present += 1,
            Ok(Some(bytes)) => {
                copied.blobs += 1;
                copied.bytes += bytes;
            }
            Err(error @ (BlobError::NotFound(_) | BlobError::Damaged { .. })) => {
                copied.unreadable.push((id, error));
            }
            Err(error) => return Err(error.into()),
        }
        done += 1;
        progress(done);
    }
}

/// Gives how many bytes were copied; `None` when the same blob was there.
async fn copy(
    from: &BlobStore,
    to: &BlobStore,
    id: BlobId,
    is_there: bool,
) -> Result<Option<u64>, BlobError> {
    if is_there && is_same(from, to, id).await? {
        return Ok(None);
    }
    to.write_raw(from.read_raw(id).await?).await.map(Some)
}

/// Whether a blob that is there already can stay: a name says nothing of the file under it.
async fn is_same(from: &BlobStore, to: &BlobStore, id: BlobId) -> Result<bool, BlobError> {
    let known = match to.trailer(id).await {
        Err(BlobError::NotFound(_) | BlobError::Damaged { .. }) => return Ok(false),
        known => known?,
    };
    match from.trailer(id).await {
        // Better than what it would be replaced with.
        Err(BlobError::NotFound(_) | BlobError::Damaged { .. }) => Ok(true),
        wanted => Ok(wanted? == known),
    }
}

/// Every blob of a place.
pub(crate) async fn all_ids(place: &BlobStore) -> Result<HashSet<BlobId>, CareError> {
    let mut all = HashSet::new();
    for directory in 0..=u8::MAX {
        all.extend(place.ids(directory).await?);
    }
    Ok(all)
}
