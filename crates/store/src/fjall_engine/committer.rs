//! Decides, orders and writes commits, a batch at a time.
//!
//! It checks each commit of a batch against the window, writes all that pass as one batch with one sync, then makes
//! them visible and answers. Who calls it, and what a batch is made of, is [`super::queue`]'s.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::Clock;

use super::high_water::HighWater;
use super::queue::{Reply, Verdict, Waiting};
use super::recent::Recent;
use super::space::Space;
use super::tree::Tree;
use crate::active::ActiveReads;
use crate::engine::{Commit, Op, TxnId};
use crate::error::StoreError;
use crate::range::KeyRange;
use crate::resolve::{Before, Rows, resolve};
use crate::wakes::Wakes;
use crate::window::Window;

/// More than a row costs on disk beside its key and value.
const ENTRY_BYTES: u64 = 64;

/// All that commits change.
pub(super) struct Committer {
    pub(super) tree: Arc<Tree>,
    pub(super) reads: Arc<ActiveReads>,
    pub(super) recent: Arc<Recent>,
    pub(super) wakes: Arc<Wakes>,
    pub(super) high_water: HighWater,
    pub(super) space: Space,
    pub(super) window: Window,
    pub(super) clock: Clock,
    pub(super) version: u64,
    pub(super) batch_number: u64,
    /// Why nothing can be written any more.
    pub(super) broken: Option<StoreError>,
    /// How long the last batch took to reach the disk.
    pub(super) last_write: Duration,
}

/// A batch in the making.
struct Batch<'a> {
    tree: &'a Tree,
    recent: &'a Recent,
    /// The newest version that is visible: that before the batch.
    visible: u64,
    rows: Rows,
    /// The version of the first commit.
    first: u64,
    ids: Vec<TxnId>,
    topics: Vec<Bytes>,
}

impl Committer {
    /// Decides a batch; gives what is to be answered.
    pub(super) fn decide(&mut self, waiting: Vec<Waiting>) -> Vec<(Reply, Verdict)> {
        let (tree, recent) = (self.tree.clone(), self.recent.clone());
        let mut batch = Batch {
            tree: &tree,
            recent: &recent,
            visible: self.version,
            rows: Rows::new(),
            first: 0,
            ids: Vec::new(),
            topics: Vec::new(),
        };
        let broken = self.broken.clone().or_else(|| self.space.look(self.tree.unflushed_bytes()).err());
        self.window.trim(self.reads.oldest());
        let mut decided = Vec::with_capacity(waiting.len());
        for Waiting { commit, reply, .. } in waiting {
            let id = commit.id;
            let verdict = match &broken {
                Some(failure) => Err(failure.clone()),
                None => self.accept(commit, &mut batch),
            };
            decided.push((reply, id, verdict));
        }
        let Batch { rows, first, ids, topics, .. } = batch;
        let often_read = self.forget(&rows);
        let written = if ids.is_empty() { Ok(()) } else { self.write(rows, first, &ids) };
        if let Err(failure) = &written {
            self.fail(failure);
        } else {
            self.publish(&topics, often_read);
        }
        let answer = |(reply, id, verdict): (Reply, TxnId, Verdict)| {
            let unknown = verdict.is_ok() && written.is_err();
            (reply, if unknown { Err(StoreError::UnknownOutcome(id)) } else { verdict })
        };
        decided.into_iter().map(answer).collect()
    }

    /// Checks one commit against everything before it, and adds its rows to the batch.
    fn accept(&mut self, commit: Commit, batch: &mut Batch<'_>) -> Verdict {
        let writes = commit.ops.iter().any(|op| !matches!(op, Op::Delete(_) | Op::DeleteRange(_)));
        let grows = writes && !commit.frees_space;
        self.window.check(&commit)?;
        let version = commit.version_after(self.version, batch.ids.is_empty())?;
        let rows = resolve(commit.ops, version, &*batch)?;
        self.space.promise(rows.iter().map(row_bytes).sum(), grows)?;
        if batch.ids.is_empty() {
            batch.first = version.0;
        }
        self.version = version.0;
        for (key, value) in rows {
            self.window.record(version.0, &key);
            batch.rows.insert(key, value);
        }
        batch.ids.push(commit.id);
        batch.topics.extend(commit.topics);
        Ok(version)
    }

    fn write(&mut self, rows: Rows, first: u64, ids: &[TxnId]) -> Result<(), StoreError> {
        self.batch_number += 1;
        let begun = self.clock.monotonic();
        self.tree.write(rows, first, ids, self.batch_number)?;
        let now = self.clock.monotonic();
        self.last_write = now.saturating_sub(begun);
        self.high_water.mark(self.version, now)
    }

    /// Before any of these rows is visible: lets go of what was kept of them; gives those that are asked for.
    fn forget(&self, rows: &Rows) -> Rows {
        let kept = rows.iter().filter(|(key, _)| self.recent.forget(key, self.version));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn publish(&mut self, topics: &[Bytes], often_read: Rows) {
        for (key, value) in often_read {
            self.recent.put(&key, self.version, value.as_ref());
        }
        self.reads.publish(self.version);
        self.wakes.wake(topics);
    }

    /// After a failed write nobody knows what is on disk: nothing more is accepted until a restart has looked.
    fn fail(&mut self, failure: &StoreError) {
        tracing::error!(%failure, "the store stops accepting writes; restart after the disk is mended");
        self.broken = Some(failure.clone());
    }

    /// When [`Committer::sync_mark`] is due, in monotonic time.
    pub(super) fn mark_due(&self) -> Option<Duration> {
        self.high_water.sync_due()
    }

    /// Brings the high-water mark to disk.
    pub(super) fn sync_mark(&mut self) {
        if let Err(failure) = self.high_water.sync() {
            tracing::error!(%failure, "the high-water mark is not on disk; damage after a power cut may go unnoticed");
        }
    }
}

/// What a row takes in the journal, and once more in a table.
fn row_bytes((key, value): (&Bytes, &Option<Bytes>)) -> u64 {
    ENTRY_BYTES + (key.len() + value.as_ref().map_or(0, Bytes::len)) as u64
}

impl Batch<'_> {
    /// What stands there without this batch.
    fn before(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(known) = self.recent.get(key, self.visible) {
            return Ok(known);
        }
        let row = self.tree.get(key)?;
        // A counter, which the next commits will ask for, too.
        self.recent.put(key, self.visible, row.as_ref());
        Ok(row)
    }
}

impl Before for Batch<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.rows.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.before(key),
        }
    }

    fn keys(&self, range: &KeyRange, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        let ours = self.rows.range(range.start.clone()..range.end.clone());
        let mut keys: Vec<Bytes> = ours.map(|(key, _)| key.clone()).collect();
        // Keys that this batch has deleted already are deleted once more: no harm.
        keys.extend(self.tree.keys(range, limit)?);
        Ok(keys)
    }
}
