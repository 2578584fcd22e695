//! The whole content of a store: out of one, and into an empty one of any engine.

use std::sync::Arc;

use bytes::Bytes;

use crate::db::Db;
use crate::engine::{Commit, Op, Snapshot, TxnId, Version};
use crate::error::StoreError;
use crate::large;
use crate::limits::{FIRST_ENGINE_BYTE, FIRST_RESERVED_BYTE, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::range::{KeyRange, Page, ScanOptions};
use crate::txn::Txn;

/// Stands in a store while rows are brought into it, and holds the id of the import that does so: every step of an import
/// depends on its own id there, so of two imports the later one goes on alone. Below it lie the chunks of values whose keys start with a byte that
/// no key starts with, so there are none.
const IMPORTING: &[u8] = &[FIRST_RESERVED_BYTE, 0xff, b'i'];
/// One commit of an import takes no further row once it holds this many bytes.
const STEP_BYTES: usize = 3 * 1024 * 1024;
/// How often a commit of an import is tried when something else commits too.
const ATTEMPTS_MAX: u32 = 100;
/// The same in rows.
const STEP_ROWS: usize = 20_000;
/// How many rows of a cut-off import are removed in one commit.
const CLEAR_STEP_ROWS: usize = 4_000;

/// All rows of one version. A cheap handle; it may be held for minutes.
#[derive(Clone)]
pub struct Export(Arc<dyn Snapshot>);

impl Export {
    /// The version whose rows these are.
    pub fn version(&self) -> Version {
        self.0.version()
    }

    /// The range of all content: the rows of the services, and the chunks of large values.
    pub fn all() -> KeyRange {
        KeyRange::new(&[][..], &[FIRST_ENGINE_BYTE][..])
    }

    /// The value of `key`.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key).await
    }

    /// Shows every row of a range, in order.
    pub async fn for_each(
        &self,
        range: KeyRange,
        mut see: impl FnMut(&Bytes, &Bytes),
    ) -> Result<(), StoreError> {
        let mut left = Some(range);
        while let Some(range) = left {
            let page = self.page(&range, ScanOptions::default()).await?;
            page.rows.iter().for_each(|(key, row)| see(key, row));
            left = range.rest(&page, false);
        }
        Ok(())
    }

    /// How many chunks the value of a row has; 0 also when it is no large value, or not there.
    pub async fn chunk_count(&self, key: &[u8]) -> Result<u32, StoreError> {
        let row = self.get(key).await?;
        Ok(large::chunk_count(row.as_deref()).unwrap_or(0))
    }

    /// Completes a row of a large value, as [`crate::load_large`] does.
    ///
    /// Errors: `Corrupt` when the row is no large value, or a chunk of it is missing.
    pub async fn load_large(&self, key: &[u8], row: &Bytes) -> Result<Bytes, StoreError> {
        let count = large::chunk_count(Some(row))?;
        if count == 0 {
            return Ok(row.slice(1..));
        }
        let mut value = Vec::new();
        for index in 0..count {
            let chunk = self.get(&large::chunk_key(key, index)).await?;
            let missing = || StoreError::Corrupt(format!("chunk {index} of {count} is missing"));
            value.extend_from_slice(&chunk.ok_or_else(missing)?);
        }
        Ok(value.into())
    }

    /// One page of rows.
    pub async fn page(&self, range: &KeyRange, options: ScanOptions) -> Result<Page, StoreError> {
        self.0.scan(range, options.clamped()).await
    }
}

/// Brings rows into a store that is empty; [`Import::finish`] makes it whole. Until then the store refuses to be used.
pub struct Import {
    db: Db,
    /// What the mark holds as long as no other import has begun.
    id: Bytes,
    ops: Vec<Op>,
    bytes: usize,
}

/// Fails while an import is under way, or was cut off. The transaction depends on it: for the first one that writes to a
/// store, since an import may begin in the moment after [`Db::check_whole`].
///
/// Errors: `HalfImported`.
pub async fn expect_whole(txn: &Txn) -> Result<(), StoreError> {
    if txn.get(IMPORTING).await?.is_some() { Err(StoreError::HalfImported) } else { Ok(()) }
}

impl Db {
    /// The newest state, for as long as it takes to read all of it.
    ///
    /// Errors: `HalfImported`, `Unavailable`.
    pub async fn export(&self) -> Result<Export, StoreError> {
        let export = Export(self.engine().export().await?);
        match export.get(IMPORTING).await? {
            Some(_) => Err(StoreError::HalfImported),
            None => Ok(export),
        }
    }

    /// Whether the store holds all rows that it should, and not those of an import that was cut off.
    ///
    /// Errors: `HalfImported`.
    pub async fn check_whole(&self) -> Result<(), StoreError> {
        self.read(|txn| async move { expect_whole(&txn).await }).await
    }

    /// Whether there is no content at all.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let (all, options) = (&Export::all(), ScanOptions::rows(1).keys_only());
        let page = self.read(|txn| async move { txn.scan(all, options).await }).await?;
        Ok(page.rows.is_empty())
    }

    /// Begins to fill an empty store; what an import that was cut off has left is removed first. One that is still under
    /// way fails at its next step.
    ///
    /// Errors: `NotEmpty`, `ImportReplaced`.
    pub async fn import(&self) -> Result<Import, StoreError> {
        let id = Bytes::copy_from_slice(&self.new_id().0.to_be_bytes());
        let import = Import { db: self.clone(), id, ops: Vec::new(), bytes: 0 };
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.engine().snapshot().await?;
            let is_again = snapshot.get(IMPORTING).await?.is_some();
            let page = snapshot.scan(&Export::all(), ScanOptions::rows(1).keys_only()).await?;
            if !is_again && !page.rows.is_empty() {
                return Err(StoreError::NotEmpty);
            }
            let mut commit =
                plain(self.new_id(), vec![Op::Put(Bytes::from_static(IMPORTING), import.id.clone())]);
            commit.snapshot = Some(snapshot);
            if is_again {
                commit.read_keys = vec![Bytes::from_static(IMPORTING)];
            } else {
                // Depends on every row, so nobody can put one in before this commit.
                commit.read_ranges = vec![Export::all()];
            }
            match self.settle(commit).await {
                Err(failure) if failure.is_retriable() => tokio::task::yield_now().await,
                Err(failure) => return Err(failure),
                Ok(()) if is_again => return import.clear().await,
                Ok(()) => return Ok(import),
            }
        }
        Err(StoreError::Contended { attempts: ATTEMPTS_MAX })
    }

    /// Removes a chunk that no large value has: for repairs. Gives `false` when its row has it by now, or cannot be read as
    /// a large value, and leaves it there.
    ///
    /// Errors: `KeyReserved` when the key is none of a chunk.
    pub async fn remove_chunk(&self, key: &[u8]) -> Result<bool, StoreError> {
        if key.first() != Some(&FIRST_RESERVED_BYTE) || key == IMPORTING {
            return Err(StoreError::KeyReserved);
        }
        self.run(|txn| async move {
            if let Some((row, index)) = large::chunk_owner(key) {
                match large::chunk_count(txn.get(row).await?.as_deref()) {
                    Ok(count) if index >= count => {}
                    Ok(_) | Err(StoreError::Corrupt(_)) => return Ok(false),
                    Err(failure) => return Err(failure),
                }
            }
            txn.change_own(key, None);
            Ok(true)
        })
        .await
    }
}

impl Import {
    /// Adds a row of an export, a chunk of a large value included.
    ///
    /// Errors: `KeyReserved`, `KeyTooLong`, `ValueTooLong` for rows that no export gives, and what a commit meets.
    pub async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), StoreError> {
        // The key of a chunk is that of its row, and five bytes more.
        if key.len() > MAX_KEY_BYTES + 5 {
            return Err(StoreError::KeyTooLong { length: key.len() });
        }
        if key.is_empty() || key[0] >= FIRST_ENGINE_BYTE || key == IMPORTING {
            return Err(StoreError::KeyReserved);
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::ValueTooLong { length: value.len() });
        }
        self.bytes += key.len() + value.len();
        self.ops.push(Op::Put(key, value));
        if self.bytes >= STEP_BYTES || self.ops.len() >= STEP_ROWS {
            self.flush().await?;
        }
        Ok(())
    }

    /// Makes the store whole, and its version at least `version`: keys that carry one must go on growing.
    ///
    /// Errors: `ImportReplaced`.
    pub async fn finish(mut self, version: Version) -> Result<(), StoreError> {
        self.flush().await?;
        self.step(vec![Op::Delete(Bytes::from_static(IMPORTING))], version).await
    }

    /// Brings the rows that were added so far into the store.
    ///
    /// Errors: `ImportReplaced`.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        let ops = std::mem::take(&mut self.ops);
        if ops.is_empty() { Ok(()) } else { self.step(ops, Version(0)).await }
    }

    /// Removes all rows but the mark.
    async fn clear(self) -> Result<Self, StoreError> {
        let options = ScanOptions::rows(CLEAR_STEP_ROWS).keys_only();
        loop {
            let page = self.db.engine().snapshot().await?.scan(&Export::all(), options.clamped()).await?;
            let keys = page.rows.iter().map(|(key, _)| key.clone());
            let rest: Vec<Op> = keys.filter(|key| key != IMPORTING).map(Op::Delete).collect();
            if rest.is_empty() {
                return Ok(self);
            }
            self.step(rest, Version(0)).await?;
        }
    }

    /// Commits, if the store is still this import's.
    async fn step(&self, ops: Vec<Op>, at_least: Version) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.db.engine().snapshot().await?;
            if snapshot.get(IMPORTING).await?.as_ref() != Some(&self.id) {
                return Err(StoreError::ImportReplaced);
            }
            let commit = Commit {
                at_least,
                snapshot: Some(snapshot),
                read_keys: vec![Bytes::from_static(IMPORTING)],
                ..plain(self.db.new_id(), ops.clone())
            };
            match self.db.settle(commit).await {
                Err(failure) if failure.is_retriable() => tokio::task::yield_now().await,
                other => return other,
            }
        }
        Err(StoreError::Contended { attempts: ATTEMPTS_MAX })
    }
}

/// A commit that depends on nothing.
fn plain(id: TxnId, ops: Vec<Op>) -> Commit {
    Commit {
        id,
        snapshot: None,
        read_keys: Vec::new(),
        read_ranges: Vec::new(),
        ops,
        topics: Vec::new(),
        frees_space: false,
        at_least: Version(0),
    }
}
