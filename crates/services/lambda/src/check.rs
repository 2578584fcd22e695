//! What a check or a backup of the whole cloud needs to know of Lambda's rows.

use lambent_blobs::BlobId;

use crate::keys;

/// Which blob the key of a row names. Every package has a row for its blob.
pub fn named_blob(key: &[u8]) -> Option<BlobId> {
    keys::read_code_blob(key)
}
