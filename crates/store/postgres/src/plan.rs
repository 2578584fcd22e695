//! A batch of commits, checked and turned into rows against one head.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_store::engine::{Before, Commit, Op, Rows, TxnId, Version, Window, resolve};
use lambent_store::{KeyRange, StoreError, limits};

use crate::connection::Connection;
use crate::error::PgError;
use crate::head::Head;
use crate::reads;

pub(crate) const TOKEN_BYTES: usize = 16;

/// What a batch writes, and the verdict on each of its commits.
pub(crate) struct Plan {
    /// The head that everything was checked against.
    pub(crate) before: Head,
    /// The head that it makes.
    pub(crate) head: Head,
    pub(crate) rows: Rows,
    /// Of the accepted commits, in their order.
    pub(crate) ids: Vec<TxnId>,
    pub(crate) topics: Vec<Bytes>,
    /// For each commit in the order given; what is accepted counts once the batch is written.
    pub(crate) verdicts: Vec<Result<Version, StoreError>>,
}

/// What the operations of a batch need to know of the rows at its head.
#[derive(Default)]
pub(crate) struct Known {
    values: BTreeMap<Bytes, Option<Bytes>>,
    ranges: Vec<(KeyRange, Vec<Bytes>)>,
}

/// How the reads of a commit are checked against what is committed.
pub(crate) enum Check<'a> {
    Window(&'a Window),
    /// The database was asked.
    Done,
}

impl Known {
    /// Reads what the commits need, at `head`.
    pub(crate) async fn read(
        connection: &Connection,
        commits: impl Iterator<Item = &Commit>,
        head: &Head,
    ) -> Result<Self, PgError> {
        let mut known = Self::default();
        let mut ranges = Vec::new();
        for op in commits.flat_map(|commit| &commit.ops) {
            match op {
                Op::Add(key, _) | Op::Max(key, _) => drop(known.values.insert(key.clone(), None)),
                Op::DeleteRange(range) if !range.is_empty() => ranges.push(range.clone()),
                Op::DeleteRange(_) | Op::Put(..) | Op::Delete(_) | Op::PutStamped { .. } => {}
            }
        }
        reads::fill_at(connection, &mut known.values, head.version).await?;
        for range in ranges {
            let limit = limits::MAX_RANGE_DELETE_ROWS + 1;
            let keys = reads::keys_at(connection, &range, limit, head.at()).await?;
            known.ranges.push((range, keys));
        }
        Ok(known)
    }
}

impl Plan {
    /// Nothing yet; `token` names the head that it will make.
    pub(crate) fn new(before: Head, token: [u8; TOKEN_BYTES]) -> Self {
        let head = Head { version: before.version, token: token.to_vec(), long_keys: before.long_keys };
        let (rows, ids, topics, verdicts) = (Rows::new(), Vec::new(), Vec::new(), Vec::new());
        Self { before, head, rows, ids, topics, verdicts }
    }

    /// A batch without commits: it makes a new head, so that nothing made for the old one can be written any more.
    pub(crate) fn fence(before: Head, token: [u8; TOKEN_BYTES]) -> Self {
        let mut plan = Self::new(before, token);
        plan.head.version += 1;
        plan
    }

    /// Decides one more commit.
    pub(crate) fn add(&mut self, commit: &Commit, check: &Check<'_>, known: &Known) {
        let verdict = self.decide(commit, check, known);
        if let Ok(version) = &verdict {
            self.head.version = version.0;
            self.ids.push(commit.id);
            for topic in &commit.topics {
                if !self.topics.contains(topic) {
                    self.topics.push(topic.clone());
                }
            }
        }
        self.verdicts.push(verdict);
    }

    fn decide(&mut self, commit: &Commit, check: &Check<'_>, known: &Known) -> Result<Version, StoreError> {
        if let Check::Window(window) = check {
            window.check(commit)?;
        }
        if self.touches(commit) {
            return Err(StoreError::Conflict);
        }
        let version = commit.version_after(self.head.version, self.ids.is_empty())?;
        let rows = resolve(commit.ops.clone(), version, &Overlay { rows: &self.rows, known })?;
        for (key, value) in rows {
            self.head.long_keys |= key.len() > crate::schema::LONG_KEY_BYTES;
            self.rows.insert(key, value);
        }
        Ok(version)
    }

    /// Whether a commit of this batch wrote what this one has read: its snapshot is older than all of them.
    fn touches(&self, commit: &Commit) -> bool {
        let in_range = |range: &KeyRange| {
            !range.is_empty() && self.rows.range(range.start.clone()..range.end.clone()).next().is_some()
        };
        commit.read_keys.iter().any(|key| self.rows.contains_key(key))
            || commit.read_ranges.iter().any(in_range)
    }
}

/// The rows at the head, with the batch so far laid over them.
struct Overlay<'a> {
    rows: &'a Rows,
    known: &'a Known,
}

impl Before for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.rows.get(key).or_else(|| self.known.values.get(key)) {
            Some(value) => Ok(value.clone()),
            None => {
                Err(StoreError::Unavailable("a counter was not read before its batch was made".to_owned()))
            }
        }
    }

    fn keys(&self, range: &KeyRange, _: usize) -> Result<Vec<Bytes>, StoreError> {
        let ours = self.rows.range(range.start.clone()..range.end.clone());
        let mut keys: Vec<Bytes> = ours.map(|(key, _)| key.clone()).collect();
        let stored = self.known.ranges.iter().find(|(known, _)| known == range);
        // Keys that this batch has deleted already are deleted once more: no harm.
        keys.extend(stored.into_iter().flat_map(|(_, keys)| keys.iter().cloned()));
        Ok(keys)
    }
}
