//! What an engine does for [`crate::Db`]. Services never see this; a new engine implements it and must pass
//! the conformance suite in `tests/`. [`resolve`] and [`Window`] are what the engines share.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use lambent_base::BoxFuture;

use crate::error::StoreError;
use crate::limits;
use crate::range::{KeyRange, Page, ScanOptions};
pub use crate::resolve::{Before, Rows, resolve};
pub use crate::wakes::Wakes;
pub use crate::window::Window;

/// A place in the order of commits: strictly increasing, 0 before the first commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// Names one attempt to commit, so that an unknown outcome can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u128);

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One ordered, transactional key-value store.
pub trait Engine: Send + Sync + 'static {
    /// A short name for messages: `memory`, `fjall`.
    fn name(&self) -> &'static str;

    /// Whether other processes may be at work on the same store: if not, whoever has it open is alone.
    fn is_shared(&self) -> bool {
        false
    }

    /// The most bytes that [`crate::Db::run_large`] lets one transaction write: what the engine surely commits in well
    /// less than [`limits::MAX_TXN_AGE`], since the commits of all others wait meanwhile. At least
    /// [`limits::MAX_TXN_BYTES`], at most [`limits::MAX_LARGE_TXN_BYTES`], and always the same.
    fn max_large_txn_bytes(&self) -> usize {
        limits::MAX_LARGE_TXN_BYTES
    }

    /// The newest committed state.
    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>>;

    /// A view of the newest committed state for an export: it may be held for minutes, while others commit, and
    /// [`Snapshot::version`] is exactly the one that it shows. It holds up no commit; what it shows stays on disk.
    fn export(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>>;

    /// Applies the commit if nothing that it read has changed; returns when it is durable.
    ///
    /// Errors: `Conflict`, `SnapshotTooOld`, `UnknownOutcome`, `NotACounter`, `RangeTooLarge`, `DiskFull`,
    /// `Unavailable`; after any of them but `UnknownOutcome` nothing was applied.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>>;

    /// Whether the commit with this id was applied, for ids of the last seconds. An answer of `None` is final: the
    /// commit will not be applied later either.
    fn outcome(&self, id: TxnId) -> BoxFuture<'_, Result<Option<Version>, StoreError>>;

    /// Where commits announce their topics.
    fn wakes(&self) -> &Wakes;

    /// `Ok` when reads and writes work.
    fn health(&self) -> Result<(), StoreError>;

    /// Stops background work after everything accepted is durable; further commits fail with `Unavailable`.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A consistent, unchanging view.
pub trait Snapshot: Send + Sync {
    /// The commits up to this version, and none that a reader could miss, are visible. Later ones may be: an
    /// engine names a version that is at most the one it shows, which makes conflict checks stricter, never laxer.
    fn version(&self) -> Version;
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>>;
    /// One page; `options` are already within the limits.
    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        options: ScanOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;
}

/// Everything a transaction read and wants to change.
#[derive(Clone)]
pub struct Commit {
    pub id: TxnId,
    /// What the transaction read from, kept open until the commit is decided; `None` when it read nothing.
    pub snapshot: Option<Arc<dyn Snapshot>>,
    pub read_keys: Vec<Bytes>,
    pub read_ranges: Vec<KeyRange>,
    /// Applied in order; [`crate::Txn`] puts range deletions first and then at most one operation for each key.
    pub ops: Vec<Op>,
    /// Topics to wake when the commit is visible.
    pub topics: Vec<Bytes>,
    /// It leads to more free space than it takes: see [`crate::Txn::frees_space`].
    pub frees_space: bool,
    /// Its version is at least this one: an import goes on where the rows' first store was. 0 for all others.
    pub at_least: Version,
}

impl Commit {
    /// The version that the reads saw at least; nothing was read when there is none.
    pub fn read_version(&self) -> Version {
        self.snapshot.as_ref().map_or(Version(u64::MAX), |snapshot| snapshot.version())
    }

    /// The version of this commit, `newest` being that of the one before it. Engines count the commits of a batch from
    /// its first, so only that one, `leads`, may leave versions out.
    ///
    /// Errors: `Conflict`, after which it will lead a batch some time.
    pub fn version_after(&self, newest: u64, leads: bool) -> Result<Version, StoreError> {
        let next = Version(newest + 1);
        match self.at_least > next {
            true if leads => Ok(self.at_least),
            true => Err(StoreError::Conflict),
            false => Ok(next),
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put(Bytes, Bytes),
    Delete(Bytes),
    DeleteRange(KeyRange),
    /// Adds to an `i64` (8 bytes, little-endian; absent is 0; saturating).
    Add(Bytes, i64),
    /// Raises a `u64` (8 bytes, little-endian; absent is 0).
    Max(Bytes, u64),
    /// Puts under [`stamped_key`].
    PutStamped {
        prefix: Bytes,
        suffix: Bytes,
        value: Bytes,
    },
}

/// Bytes that a stamp adds to a key: the commit version, then the index of the row within its commit.
pub const STAMP_BYTES: usize = 8 + 4;

/// `prefix`, the version as 8 and the index as 4 bytes big-endian, `suffix`.
pub fn stamped_key(prefix: &[u8], version: Version, index: u32, suffix: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(prefix.len() + STAMP_BYTES + suffix.len());
    key.extend_from_slice(prefix);
    key.extend_from_slice(&version.0.to_be_bytes());
    key.extend_from_slice(&index.to_be_bytes());
    key.extend_from_slice(suffix);
    key.into()
}

/// The value of a counter row.
///
/// Errors: `NotACounter` when the row has another length than 8.
pub fn read_counter(row: Option<&[u8]>) -> Result<[u8; 8], StoreError> {
    match row {
        None => Ok([0; 8]),
        Some(bytes) => bytes.try_into().map_err(|_| StoreError::NotACounter { length: bytes.len() }),
    }
}

/// `row + delta` as a counter row.
pub fn add_to(row: Option<&[u8]>, delta: i64) -> Result<Bytes, StoreError> {
    let old = i64::from_le_bytes(read_counter(row)?);
    Ok(Bytes::copy_from_slice(&old.saturating_add(delta).to_le_bytes()))
}

/// The larger of `row` and `floor` as a counter row.
pub fn raise_to(row: Option<&[u8]>, floor: u64) -> Result<Bytes, StoreError> {
    let old = u64::from_le_bytes(read_counter(row)?);
    Ok(Bytes::copy_from_slice(&old.max(floor).to_le_bytes()))
}
