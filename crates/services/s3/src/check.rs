//! What a check or a backup of the whole cloud needs to know of S3's rows.

use lambent_blobs::BlobId;

use crate::keys;

/// Which blob the key of a row names. Every blob that any row of S3 names has a row that counts how many do.
pub fn named_blob(key: &[u8]) -> Option<BlobId> {
    keys::blob_of_references(key)
}
