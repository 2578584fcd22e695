//! Bounds of blobs and of the memory that moving them takes.

use std::time::Duration;

/// The longest blob: above S3's 5 GiB for one upload or part.
pub const MAX_BLOB_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// What one checksum covers. A range read checks, and therefore reads, whole blocks.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// How many bytes a reader hands out at once: whole blocks. It holds one such piece and reads the next ahead.
pub const READ_BYTES: usize = 2 * BLOCK_BYTES;
/// [`READ_BYTES`] of places that take longer to answer than a disk.
pub const FAR_READ_BYTES: usize = 8 * BLOCK_BYTES;
/// How much of a file's end is read to begin with elsewhere than on disk: the checksums of all but the longest blobs, and
/// the whole of small ones.
pub const TAIL_BYTES: u64 = 64 * 1024;
/// How many bytes a writer gathers before it hands them to the disk. It gathers the next while the disk works.
pub const WRITE_BYTES: usize = 1024 * 1024;
/// [`WRITE_BYTES`] of places where files come in parts: a writer holds two at most. Shorter files go there in one. S3 wants
/// 5 MiB at least.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
/// How old an unreferenced blob must be to be an orphan: no upload waits this long for its transaction.
pub const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many ids [`crate::BlobStore::sweep`] asks about at once.
pub const SWEEP_BATCH: usize = 256;
