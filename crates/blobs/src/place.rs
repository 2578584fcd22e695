//! What a place for blobs other than this host's disk must be able to do.

use std::fmt::Debug;
use std::ops::Range;

use bytes::Bytes;
use lambent_base::BoxFuture;

use crate::error::BlobError;
use crate::id::BlobId;

/// Whole files under the names of blobs, each written once. They have the format of files on disk, so that they can be
/// moved between places as they are.
///
/// Implementations bound how long each call takes and how often it is tried. Errors: `NotFound` of reads; `Full`,
/// `Unreachable` and `Refused` of all.
pub trait Place: Debug + Send + Sync + 'static {
    /// What operators call it, as in `s3://bucket/prefix`.
    fn name(&self) -> &str;

    /// Writes a small file. It is durable, and visible as a whole, when this returns.
    fn put(&self, id: BlobId, pieces: Vec<Bytes>) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Begins a file that comes in parts.
    fn begin(&self, id: BlobId) -> BoxFuture<'_, Result<Box<dyn Upload>, BlobError>>;

    /// Reads a piece of a file; less of it where the file ends before.
    fn read(&self, id: BlobId, wanted: Wanted) -> BoxFuture<'_, Result<Piece, BlobError>>;

    /// Removes a file; no harm when it is gone already.
    fn remove(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>>;

    /// The files whose ids end with this byte.
    fn list(&self, directory: u8) -> BoxFuture<'_, Result<Vec<Stored>, BlobError>>;

    /// See [`crate::BlobStore::mark`].
    fn mark(&self) -> BoxFuture<'_, Result<Option<String>, BlobError>>;

    /// See [`crate::BlobStore::set_mark`].
    fn set_mark(&self, mark: String) -> BoxFuture<'_, Result<bool, BlobError>>;
}

/// A file that comes in parts; nobody sees it before it is complete.
pub trait Upload: Send {
    /// Adds a part, of [`crate::limits::PART_BYTES`] unless it is the last.
    fn part(&mut self, pieces: Vec<Bytes>) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Makes the file durable and visible.
    fn complete(&mut self) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Removes what was written.
    fn abort(&mut self) -> BoxFuture<'_, Result<(), BlobError>>;
}

/// What is to be read of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// From a byte to before another.
    Bytes(Range<u64>),
    /// So many bytes at its end.
    Tail(u64),
}

/// What was read of a file.
#[derive(Clone, Debug)]
pub struct Piece {
    pub bytes: Bytes,
    /// The size of the whole file.
    pub file_bytes: u64,
}

/// A file in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub id: BlobId,
    pub file_bytes: u64,
    /// When it became visible, in milliseconds since 1970.
    pub modified_ms: i64,
}
