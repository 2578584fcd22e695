//! The engine of one machine: fjall (a log-structured tree) behind a committer of our own.
//!
//! Reads call fjall where they are, on the task's thread: a point read is a few microseconds from memory or from the
//! block cache, less than handing it to another thread costs; a page of a scan is bounded. A read that misses every
//! cache holds its thread for one disk read.
//!
//! A data directory holds `LOCK`, `high-water` (see [`high_water`]), fjall's own `fjall/`, and `making` while that is
//! made for the first time: a process that dies then leaves half a tree, which is made anew.

mod committer;
mod high_water;
mod journal;
mod manifest;
mod probe;
mod queue;
mod recent;
mod space;
mod tree;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{BoxFuture, Clock};
use parking_lot::Mutex;

use crate::active::{ActiveReads, ReadGuard};
use crate::data_lock::DataLock;
use crate::directory::{exists, sync_directories, sync_directory};
use crate::engine::{Commit, Engine, Snapshot, TxnId, Version};
use crate::error::StoreError;
use crate::range::{KeyRange, Page, ScanOptions};
use crate::wakes::Wakes;
use crate::window::Window;
use committer::Committer;
use high_water::HighWater;
use queue::Queue;
use recent::Recent;
use space::Space;
use tree::Tree;

/// Where fjall keeps its files, below the data directory.
const TREE_DIRECTORY: &str = "fjall";
const MAKING_FILE: &str = "making";
/// Where a copy is looked into, for a moment.
const PROBE_DIRECTORY: &str = "probe";

/// What an operator may tune.
#[derive(Clone, Copy, Debug)]
pub struct FjallOptions {
    /// Memory for blocks of tables that were read; filled only by use.
    pub cache_bytes: u64,
    /// Writes are refused that would leave the disk less than this; deletes, and transactions that
    /// [free space](crate::Txn::frees_space), go on to a quarter of it.
    pub reserve_bytes: u64,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self { cache_bytes: 16 * 1024 * 1024, reserve_bytes: 64 * 1024 * 1024 }
    }
}

/// See the module.
pub struct FjallEngine {
    queue: Arc<Queue>,
    wakes: Arc<Wakes>,
    reads: Arc<ActiveReads>,
    recent: Arc<Recent>,
    committer: Mutex<Option<std::thread::JoinHandle<()>>>,
    // The tree is let go before the lock.
    tree: Arc<Tree>,
    lock: Arc<DataLock>,
}

/// Holds nothing back but what fjall keeps for it on disk.
struct FjallExport {
    version: Version,
    snapshot: fjall::Snapshot,
    tree: Arc<Tree>,
    _lock: Arc<DataLock>,
}

struct FjallSnapshot {
    guard: ReadGuard,
    snapshot: fjall::Snapshot,
    recent: Arc<Recent>,
    tree: Arc<Tree>,
    _lock: Arc<DataLock>,
}

impl FjallEngine {
    /// Opens or makes the store in `directory`, replaying what a crash left; blocks while it does.
    ///
    /// Errors: `Locked`, `Corrupt` (also when fewer commits are found than were acknowledged), `Io`.
    pub fn open(directory: &Path, options: FjallOptions, clock: Clock) -> Result<Self, StoreError> {
        let lock = Arc::new(DataLock::acquire(directory)?);
        let tree_directory = directory.join(TREE_DIRECTORY);
        let has_tree = exists(&tree_directory)? && !exists(&directory.join(MAKING_FILE))?;
        let (high_water, promised) = HighWater::open(directory, has_tree)?;
        if promised > 0 && !has_tree {
            return Err(StoreError::Corrupt(format!("{} is missing", tree_directory.display())));
        }
        let tree = if has_tree {
            manifest::check(&tree_directory)?;
            journal::check(&tree_directory, promised, |journal, end| {
                probe::version_without(&tree_directory, journal, end, &directory.join(PROBE_DIRECTORY))
            })?;
            Tree::open(&tree_directory, options.cache_bytes)?
        } else {
            make_tree(directory, &tree_directory, options.cache_bytes)?
        };
        let tree = Arc::new(tree);
        let version = tree.version()?;
        if version < promised {
            return Err(StoreError::Corrupt(format!(
                "the journal in {} ends at commit {version}, but {promised} were acknowledged",
                tree_directory.display()
            )));
        }
        let (wakes, reads) = (Arc::<Wakes>::default(), ActiveReads::new(version));
        let recent = Arc::<Recent>::default();
        let committer = Committer {
            tree: tree.clone(),
            reads: reads.clone(),
            recent: recent.clone(),
            wakes: wakes.clone(),
            high_water,
            space: Space::open(directory, options.reserve_bytes)?,
            window: Window::new(version),
            clock: clock.clone(),
            version,
            // Slots that a former process used may be overwritten: nobody asks it for outcomes any more.
            batch_number: version,
            broken: None,
            last_write: Duration::ZERO,
        };
        let queue = Arc::new(Queue::new(committer, clock));
        let working = queue.clone();
        let thread = std::thread::Builder::new().name("store-committer".to_owned());
        let thread = thread.spawn(move || working.run());
        let thread = thread.map_err(|e| StoreError::io("start the committer of", directory, e))?;
        Ok(Self { queue, wakes, reads, recent, committer: Mutex::new(Some(thread)), tree, lock })
    }
}

impl Drop for FjallEngine {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.committer.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the store's committer had panicked");
        }
    }
}

impl Engine for FjallEngine {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        // In this order: the version may be older than the data, never newer.
        let guard = self.reads.open();
        let snapshot = self.tree.snapshot();
        let (recent, tree, lock) = (self.recent.clone(), self.tree.clone(), self.lock.clone());
        let opened: Arc<dyn Snapshot> =
            Arc::new(FjallSnapshot { guard, snapshot, recent, tree, _lock: lock });
        Box::pin(std::future::ready(Ok(opened)))
    }

    fn export(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        let snapshot = self.tree.snapshot();
        let (tree, lock) = (self.tree.clone(), self.lock.clone());
        let opened = self.tree.version_at(&snapshot).map(|version| {
            Arc::new(FjallExport { version: Version(version), snapshot, tree, _lock: lock })
                as Arc<dyn Snapshot>
        });
        Box::pin(std::future::ready(opened))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(self.queue.submit(commit))
    }

    fn outcome(&self, id: TxnId) -> BoxFuture<'_, Result<Option<Version>, StoreError>> {
        // After a failed write only a restart can tell.
        let outcome = self.queue.check().and_then(|()| self.tree.outcome(id));
        Box::pin(std::future::ready(outcome))
    }

    fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    fn health(&self) -> Result<(), StoreError> {
        self.queue.check()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.queue.close();
        Box::pin(self.queue.stopped())
    }
}

impl Snapshot for FjallSnapshot {
    fn version(&self) -> Version {
        Version(self.guard.version)
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(std::future::ready(self.row(key)))
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        options: ScanOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(std::future::ready(self.tree.scan_at(&self.snapshot, range, options)))
    }
}

impl Snapshot for FjallExport {
    fn version(&self) -> Version {
        self.version
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(std::future::ready(self.tree.get_at(&self.snapshot, key)))
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        options: ScanOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(std::future::ready(self.tree.scan_at(&self.snapshot, range, options)))
    }
}

impl FjallSnapshot {
    fn row(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(known) = self.recent.get(key, self.guard.version) {
            return Ok(known);
        }
        let row = self.tree.get_at(&self.snapshot, key)?;
        self.recent.put(key, self.guard.version, row.as_ref());
        Ok(row)
    }
}

/// Makes the tree for the first time; nothing was ever acknowledged here.
fn make_tree(directory: &Path, tree_directory: &Path, cache_bytes: u64) -> Result<Tree, StoreError> {
    let making = directory.join(MAKING_FILE);
    std::fs::write(&making, b"").map_err(|e| StoreError::io("write", &making, e))?;
    sync_directory(directory)?;
    if exists(tree_directory)? {
        std::fs::remove_dir_all(tree_directory).map_err(|e| StoreError::io("remove", tree_directory, e))?;
    }
    let tree = Tree::open(tree_directory, cache_bytes)?;
    // fjall syncs `keyspaces` before it makes the directories in it: a power cut could take them away for good.
    sync_directories(tree_directory)?;
    sync_directory(directory)?;
    std::fs::remove_file(&making).map_err(|e| StoreError::io("remove", &making, e))?;
    sync_directory(directory)?;
    Ok(tree)
}
