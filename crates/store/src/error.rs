//! What can go wrong in the store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::TxnId;
use crate::limits;

/// Every failure of the store; cheap to clone, because one failed sync answers many waiting commits.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another transaction changed what this one read; [`crate::Db::run`] tries again.
    #[error("another transaction changed a row that this one read; run it again")]
    Conflict,
    /// The engine no longer knows what changed since the snapshot; [`crate::Db::run`] tries again.
    #[error("the transaction's snapshot is too old to be checked; run it again, in smaller steps")]
    SnapshotTooOld,
    /// The engine cannot say whether the commit was applied; [`crate::Db::run`] finds out by the id.
    #[error("the outcome of transaction {0} is unknown; ask for it by its id before running it again")]
    UnknownOutcome(TxnId),
    /// Conflicts did not end within [`limits::MAX_TXN_AGE`].
    #[error("gave up after {attempts} attempts that met conflicts; spread the load over more keys")]
    Contended { attempts: u32 },
    /// One attempt took longer than [`limits::MAX_TXN_AGE`].
    #[error("a transaction may take {} s, this one took longer; do the work in smaller steps", limits::MAX_TXN_AGE.as_secs())]
    TransactionTooSlow,
    #[error("a key may have {} bytes, got {length}", limits::MAX_KEY_BYTES)]
    KeyTooLong { length: usize },
    #[error(
        "a key must not be empty and must start below byte {:#x}, which is the store's own",
        limits::FIRST_RESERVED_BYTE
    )]
    KeyReserved,
    #[error("a value may have {} bytes, got {length}; use put_large", limits::MAX_VALUE_BYTES)]
    ValueTooLong { length: usize },
    #[error(
        "a transaction of this kind may write {at_most} bytes to this store, this one has {bytes}; split it"
    )]
    TransactionTooLarge { bytes: usize, at_most: usize },
    #[error(
        "a transaction may read {} keys and ranges and write {} rows; split it",
        limits::MAX_TXN_READS,
        limits::MAX_TXN_OPS
    )]
    TransactionTooComplex,
    #[error(
        "delete_range may hit {} rows, this range has more; use Db::clear",
        limits::MAX_RANGE_DELETE_ROWS
    )]
    RangeTooLarge,
    #[error("expected an 8-byte counter under a key, got a value of {length} bytes")]
    NotACounter { length: usize },
    #[error("a transaction was used after its closure had returned")]
    TransactionEnded,
    #[error("a read-only transaction tried to write; use Db::run")]
    ReadOnly,
    /// Bytes that were written by us do not read back as what they should be.
    #[error("the store is damaged: {0}; restore it from a backup")]
    Corrupt(String),
    /// The database was written by another version of this program.
    #[error(
        "the store has format {found}, this program knows {known}; run the version of Lambent that wrote it"
    )]
    Format { found: i32, known: i32 },
    /// An import ended before its last row.
    #[error(
        "an import into this store was cut off, so it holds a part of the rows only; run the import again"
    )]
    HalfImported,
    /// Two imports must not mix their rows.
    #[error(
        "another import into this store has begun since, so this one stopped; let that one end, or run this one again"
    )]
    ImportReplaced,
    #[error(
        "an import goes into an empty store, and this one holds rows; give another directory or database"
    )]
    NotEmpty,
    #[error("expected postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE: {reason}")]
    InvalidUrl { reason: String },
    #[error("{holder} has the data directory {} open; stop it first", directory.display())]
    Locked { directory: PathBuf, holder: String },
    #[error("the disk of {} has {free_bytes} bytes left, too few for this write beside the reserve of {reserve_bytes}; free some space", directory.display())]
    DiskFull { directory: PathBuf, free_bytes: u64, reserve_bytes: u64 },
    #[error("cannot {step} {}: {source}", path.display())]
    Io { step: &'static str, path: PathBuf, source: Arc<std::io::Error> },
    /// The engine cannot work now, for a reason that it names.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// Whether running the transaction again from its start can help.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Conflict | Self::SnapshotTooOld)
    }

    pub(crate) fn io(step: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { step, path: path.to_owned(), source: Arc::new(source) }
    }
}
