//! Rows with all the versions that an open snapshot may still see.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;

use bytes::Bytes;

use crate::engine::{Commit, TxnId, Version};
use crate::error::StoreError;
use crate::range::{KeyRange, Page, ScanOptions};
use crate::resolve::{Before, resolve};

/// How many transaction ids are remembered.
const REMEMBERED_OUTCOMES: usize = 10_000;

#[derive(Default)]
pub(super) struct State {
    version: u64,
    /// By key, versions ascending; `None` is a deletion.
    rows: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    /// Deletions to forget once no snapshot is older.
    deletions: VecDeque<(u64, Bytes)>,
    outcomes: HashMap<TxnId, Version>,
    outcome_order: VecDeque<TxnId>,
    closed: bool,
}

impl State {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The rows and what a real engine keeps with them, for the process after this one.
    pub(super) fn survivor(&self) -> Self {
        Self {
            version: self.version,
            rows: self.rows.clone(),
            deletions: self.deletions.clone(),
            outcomes: self.outcomes.clone(),
            outcome_order: self.outcome_order.clone(),
            closed: false,
        }
    }

    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed { Err(StoreError::Unavailable("it was closed".to_owned())) } else { Ok(()) }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn get(&self, key: &[u8], at: u64) -> Option<Bytes> {
        visible(self.rows.get(key)?, at).cloned()
    }

    pub(super) fn scan(&self, range: &KeyRange, options: ScanOptions, at: u64) -> Page {
        if range.is_empty() {
            return Page::default();
        }
        let rows = self.rows.range(range.start.clone()..range.end.clone());
        let rows = rows.filter_map(|(key, versions)| Some((key, visible(versions, at)?)));
        if options.reverse { page(rows.rev(), options) } else { page(rows, options) }
    }

    pub(super) fn outcome(&self, id: TxnId) -> Option<Version> {
        self.outcomes.get(&id).copied()
    }

    /// Applies a commit; `oldest` is the version of the oldest open snapshot.
    pub(super) fn commit(&mut self, commit: Commit, oldest: u64) -> Result<Version, StoreError> {
        self.check_open()?;
        if self.conflicts(&commit) {
            return Err(StoreError::Conflict);
        }
        let version = commit.version_after(self.version, true)?;
        let rows = resolve(commit.ops, version, self)?;
        self.version = version.0;
        for (key, value) in rows {
            if value.is_none() {
                self.deletions.push_back((version.0, key.clone()));
            }
            let versions = self.rows.entry(key).or_default();
            versions.push((version.0, value));
            forget(versions, oldest);
        }
        self.forget_deletions(oldest);
        self.remember(commit.id, version);
        Ok(version)
    }

    fn conflicts(&self, commit: &Commit) -> bool {
        let read_version = commit.read_version().0;
        let changed = |versions: &[(u64, Option<Bytes>)]| {
            versions.last().is_some_and(|(version, _)| *version > read_version)
        };
        commit.read_keys.iter().any(|key| self.rows.get(key).is_some_and(|v| changed(v)))
            || commit.read_ranges.iter().filter(|range| !range.is_empty()).any(|range| {
                self.rows.range(range.start.clone()..range.end.clone()).any(|(_, versions)| changed(versions))
            })
    }

    fn forget_deletions(&mut self, oldest: u64) {
        while self.deletions.front().is_some_and(|(version, _)| *version <= oldest) {
            let Some((_, key)) = self.deletions.pop_front() else { return };
            if let Some(versions) = self.rows.get_mut(&key) {
                forget(versions, oldest);
                // A deletion that every snapshot sees is the same as no row.
                if matches!(versions.as_slice(), [(version, None)] if *version <= oldest) {
                    self.rows.remove(&key);
                }
            }
        }
    }

    fn remember(&mut self, id: TxnId, version: Version) {
        self.outcomes.insert(id, version);
        self.outcome_order.push_back(id);
        if self.outcome_order.len() > REMEMBERED_OUTCOMES
            && let Some(old) = self.outcome_order.pop_front()
        {
            self.outcomes.remove(&old);
        }
    }
}

impl Before for State {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(State::get(self, key, self.version))
    }

    fn keys(&self, range: &KeyRange, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        let rows = self.rows.range(range.start.clone()..range.end.clone());
        let live = rows.filter(|(_, versions)| visible(versions, self.version).is_some());
        Ok(live.map(|(key, _)| key.clone()).take(limit).collect())
    }
}

fn visible(versions: &[(u64, Option<Bytes>)], at: u64) -> Option<&Bytes> {
    versions.iter().rev().find(|(version, _)| *version <= at).and_then(|(_, value)| value.as_ref())
}

/// Drops the versions that the snapshots from `oldest` on cannot see.
fn forget(versions: &mut Vec<(u64, Option<Bytes>)>, oldest: u64) {
    let hidden = versions.iter().rposition(|(version, _)| *version <= oldest).unwrap_or(0);
    versions.drain(..hidden);
}

fn page<'a>(rows: impl Iterator<Item = (&'a Bytes, &'a Bytes)>, options: ScanOptions) -> Page {
    let Ok(page) = Page::fill(rows, options, |(key, value)| {
        let value = if options.keys_only { Bytes::new() } else { value.clone() };
        Ok::<_, Infallible>((key.clone(), value))
    });
    page
}
