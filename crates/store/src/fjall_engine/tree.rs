//! fjall's keyspace as the committer and the snapshots use it.
//!
//! Rows of the store's own, beside the chunks of [`crate::large`]:
//!
//! | key | value |
//! |---|---|
//! | 0xfe `v` | the newest version, `u64` big-endian |
//! | 0xfe `t`, slot as `u16` big-endian | the first version of a batch as `u64` big-endian, then the 16-byte ids of its commits, whose versions follow one another |

use std::path::Path;

use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use crate::engine::{TxnId, Version};
use crate::error::StoreError;
use crate::range::{KeyRange, Page, ScanOptions};
use crate::resolve::Rows;

const KEYSPACE: &str = "rows";
pub(super) const VERSION_KEY: &[u8] = &[0xfe, b'v'];
const OUTCOME_PREFIX: &[u8] = &[0xfe, b't'];
/// How many batches' transaction ids are remembered.
const OUTCOME_SLOTS: u64 = 1024;
/// When the memtable is written out: bounds memory, and the time to replay a journal.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;
/// Threads that write tables out and merge them.
const WORKER_THREADS: usize = 1;
const ID_BYTES: usize = 16;

/// What a new keyspace is like; one that is there keeps what it was made with.
fn keyspace_options() -> KeyspaceCreateOptions {
    // Whole, the filter and the index of one table are of half a megabyte each: a read that finds them in no cache would
    // read and check both (of 4 million rows, with 8 MiB of cache: 79 us of CPU, in parts 16 us).
    let in_parts = || PartitioningPolicy::all(true);
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .filter_block_partitioning_policy(in_parts())
        .index_block_partitioning_policy(in_parts())
}

/// The one keyspace of a database.
pub(super) struct Tree {
    database: Database,
    rows: Keyspace,
}

impl Tree {
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        // fjall asserts some of what it reads from a journal: to us, a failed assertion is damage as any other.
        let opened = std::panic::catch_unwind(|| Self::open_sound(directory, cache_bytes));
        opened.unwrap_or_else(|_| {
            Err(StoreError::Corrupt(format!("fjall gave up on the files in {}", directory.display())))
        })
    }

    fn open_sound(directory: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let builder = Database::builder(directory).cache_size(cache_bytes).worker_threads(WORKER_THREADS);
        // The committer flushes each batch together with its sync.
        let builder = builder.manual_journal_persist(true);
        let database = builder.open().map_err(|e| open_error(&e, directory))?;
        let rows = database.keyspace(KEYSPACE, keyspace_options).map_err(|e| open_error(&e, directory))?;
        Ok(Self { database, rows })
    }

    /// The newest version that the files hold.
    pub(super) fn version(&self) -> Result<u64, StoreError> {
        read_version(self.get(VERSION_KEY)?)
    }

    /// The version that a snapshot shows.
    pub(super) fn version_at(&self, snapshot: &fjall::Snapshot) -> Result<u64, StoreError> {
        read_version(self.get_at(snapshot, VERSION_KEY)?)
    }

    pub(super) fn snapshot(&self) -> fjall::Snapshot {
        self.database.snapshot()
    }

    /// The newest value.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.rows.get(key).map_err(|e| read_error(&e))?.map(Bytes::from))
    }

    /// The value at a snapshot.
    pub(super) fn get_at(&self, snapshot: &fjall::Snapshot, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(snapshot.get(&self.rows, key).map_err(|e| read_error(&e))?.map(Bytes::from))
    }

    /// One page at a snapshot.
    pub(super) fn scan_at(
        &self,
        snapshot: &fjall::Snapshot,
        range: &KeyRange,
        options: ScanOptions,
    ) -> Result<Page, StoreError> {
        if range.is_empty() {
            return Ok(Page::default());
        }
        let found = snapshot.range(&self.rows, range.start.clone()..range.end.clone());
        if options.reverse { page(found.rev(), options) } else { page(found, options) }
    }

    /// The newest keys of a range, at most `limit`.
    pub(super) fn keys(&self, range: &KeyRange, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        let found = self.rows.range(range.start.clone()..range.end.clone()).take(limit);
        found.map(|row| row.key().map(Bytes::from).map_err(|e| read_error(&e))).collect()
    }

    /// Writes a batch whose commits have the versions from `first` on, and returns when it is on disk and visible.
    pub(super) fn write(
        &self,
        rows: Rows,
        first: u64,
        ids: &[TxnId],
        batch_number: u64,
    ) -> Result<(), StoreError> {
        let batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), rows.len() + 2);
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(&self.rows, key, value),
                None => batch.remove(&self.rows, key),
            }
        }
        let newest = first + ids.len() as u64 - 1;
        batch.insert(&self.rows, VERSION_KEY, newest.to_be_bytes());
        let mut outcomes = Vec::with_capacity(8 + ids.len() * ID_BYTES);
        outcomes.extend_from_slice(&first.to_be_bytes());
        for id in ids {
            outcomes.extend_from_slice(&id.0.to_be_bytes());
        }
        batch.insert(&self.rows, outcome_key(batch_number), outcomes);
        batch.commit().map_err(|e| StoreError::Unavailable(format!("a batch could not be written: {e}")))
    }

    /// What is in the journal only, beyond the one memtable for which any sensible reserve has room.
    pub(super) fn unflushed_bytes(&self) -> u64 {
        self.database.write_buffer_size().saturating_sub(MEMTABLE_BYTES)
    }

    /// The version under which a commit of the last [`OUTCOME_SLOTS`] batches was applied.
    pub(super) fn outcome(&self, id: TxnId) -> Result<Option<Version>, StoreError> {
        let wanted = id.0.to_be_bytes();
        for row in self.rows.prefix(OUTCOME_PREFIX) {
            let row = row.value().map_err(|e| read_error(&e))?;
            let Some((first, ids)) = row.split_first_chunk() else { continue };
            if let Some(at) = ids.chunks(ID_BYTES).position(|id| id == wanted) {
                return Ok(Some(Version(u64::from_be_bytes(*first) + at as u64)));
            }
        }
        Ok(None)
    }
}

fn read_version(row: Option<Bytes>) -> Result<u64, StoreError> {
    let Some(row) = row else { return Ok(0) };
    let number = row.as_ref().try_into().map(u64::from_be_bytes);
    number.map_err(|_| StoreError::Corrupt("the row that holds the version is not a number".to_owned()))
}

fn outcome_key(batch_number: u64) -> Vec<u8> {
    let slot = u16::try_from(batch_number % OUTCOME_SLOTS).expect("there are fewer slots than 2^16");
    [OUTCOME_PREFIX, &slot.to_be_bytes()].concat()
}

fn page(rows: impl Iterator<Item = fjall::Guard>, options: ScanOptions) -> Result<Page, StoreError> {
    Page::fill(rows, options, |row| {
        if options.keys_only {
            let key = row.key().map_err(|e| read_error(&e))?;
            return Ok((key.into(), Bytes::new()));
        }
        let (key, value) = row.into_inner().map_err(|e| read_error(&e))?;
        Ok((key.into(), value.into()))
    })
}

fn read_error(error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Poisoned => StoreError::Unavailable("an earlier write to disk failed".to_owned()),
        fjall::Error::Io(e) => StoreError::Unavailable(format!("a read from disk failed: {e}")),
        fjall::Error::Storage(fjall::LsmError::Io(e)) => {
            StoreError::Unavailable(format!("a read from disk failed: {e}"))
        }
        other => StoreError::Corrupt(format!("{other:?}")),
    }
}

fn open_error(error: &fjall::Error, directory: &Path) -> StoreError {
    match error {
        fjall::Error::Locked => {
            StoreError::Locked { directory: directory.to_owned(), holder: "another process".to_owned() }
        }
        fjall::Error::Io(e) => {
            StoreError::io("open the database in", directory, std::io::Error::new(e.kind(), e.to_string()))
        }
        other => StoreError::Corrupt(format!("opening {} found {other:?}", directory.display())),
    }
}
