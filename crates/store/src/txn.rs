//! One attempt of a transaction.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::Clock;
use parking_lot::Mutex;

use crate::engine::{Commit, Engine, Op, STAMP_BYTES, Snapshot, TxnId, Version};
use crate::error::StoreError;
use crate::limits;
use crate::overlay::{self, Merge, Overlay, Seen};
use crate::range::{KeyRange, Page, ScanOptions, successor};

/// Reads see the snapshot of the first read and the transaction's own writes; writes are buffered until the
/// closure of [`crate::Db::run`] returns `Ok`. A cheap handle: clone it freely within its closure.
///
/// Writes do not fail at once: the first one that breaks a limit fails the transaction's next read and its commit.
#[derive(Clone)]
pub struct Txn(Arc<Shared>);

struct Shared {
    engine: Arc<dyn Engine>,
    clock: Clock,
    started: Duration,
    mode: Mode,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    snapshot: Option<Arc<dyn Snapshot>>,
    overlay: Overlay,
    stamped: Vec<Op>,
    read_keys: Vec<Bytes>,
    read_ranges: Vec<KeyRange>,
    topics: Vec<Bytes>,
    frees_space: bool,
    written_bytes: usize,
    failure: Option<StoreError>,
}

/// What a transaction may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    /// Write, so many bytes at most.
    Write {
        at_most: usize,
    },
}

/// Whether a read makes the commit depend on what it saw.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depend {
    Yes,
    No,
}

impl Txn {
    pub(crate) fn new(engine: Arc<dyn Engine>, clock: Clock, mode: Mode) -> Self {
        let started = clock.monotonic();
        Self(Arc::new(Shared { engine, clock, started, mode, state: Mutex::default() }))
    }

    /// The value of `key`; the commit fails if another transaction changes it meanwhile.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let read = self.get_row(key, Depend::Yes).await;
        self.note(read)
    }

    /// The value of `key` in the snapshot (and own writes), whatever happens to it before the commit.
    pub async fn get_snapshot(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let read = self.get_row(key, Depend::No).await;
        self.note(read)
    }

    /// One page of rows; the commit depends on the part of the range that the page covers, and on no more.
    pub async fn scan(&self, range: &KeyRange, options: ScanOptions) -> Result<Page, StoreError> {
        let read = self.scan_rows(range, options, Depend::Yes).await;
        self.note(read)
    }

    /// One page of rows of the snapshot (and own writes), whatever happens to them before the commit.
    pub async fn scan_snapshot(&self, range: &KeyRange, options: ScanOptions) -> Result<Page, StoreError> {
        let read = self.scan_rows(range, options, Depend::No).await;
        self.note(read)
    }

    /// Writes a row.
    pub fn put(&self, key: &[u8], value: &[u8]) {
        self.write(key, value.len(), |state| {
            check_value(value)?;
            state.overlay.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            Ok(())
        });
    }

    /// Deletes a row; no harm when there is none.
    pub fn delete(&self, key: &[u8]) {
        self.write(key, 0, |state| {
            state.overlay.delete(Bytes::copy_from_slice(key));
            Ok(())
        });
    }

    /// Deletes every row of the range, at most [`limits::MAX_RANGE_DELETE_ROWS`], also those that other
    /// transactions put there before this one commits.
    pub fn delete_range(&self, range: &KeyRange) {
        if range.is_empty() {
            return;
        }
        self.write(&range.start, 0, |state| {
            state.overlay.delete_range(range.clone());
            Ok(())
        });
    }

    /// Adds to a counter, without reading it and so without conflicts.
    /// The row holds an `i64` in 8 bytes little-endian; an absent row is 0; the sum saturates.
    pub fn add(&self, key: &[u8], delta: i64) {
        self.write(key, 8, |state| state.overlay.merge(key, Merge::Add(delta)));
    }

    /// Raises a number to at least `floor`, without reading it and so without conflicts.
    /// The row holds a `u64` in 8 bytes little-endian; an absent row is 0.
    pub fn max(&self, key: &[u8], floor: u64) {
        self.write(key, 8, |state| state.overlay.merge(key, Merge::Max(floor)));
    }

    /// Writes a row under `prefix`, the version of this commit (8 bytes), the row's index within the commit
    /// (4 bytes), `suffix`: rows of later commits sort after those of earlier ones. Not visible to own reads.
    pub fn put_stamped(&self, prefix: &[u8], suffix: &[u8], value: &[u8]) {
        self.write(prefix, STAMP_BYTES + suffix.len() + value.len(), |state| {
            let length = prefix.len() + STAMP_BYTES + suffix.len();
            if length > limits::MAX_KEY_BYTES {
                return Err(StoreError::KeyTooLong { length });
            }
            check_value(value)?;
            let copy = Bytes::copy_from_slice;
            state.stamped.push(Op::PutStamped {
                prefix: copy(prefix),
                suffix: copy(suffix),
                value: copy(value),
            });
            Ok(())
        });
    }

    /// Wakes the watchers of `topic` (see [`crate::Db::watch`]) once the commit is visible.
    pub fn on_commit(&self, topic: &[u8]) {
        let mut state = self.0.state.lock();
        if !state.topics.iter().any(|known| known == topic) {
            state.topics.push(Bytes::copy_from_slice(topic));
        }
    }

    /// Says that this transaction makes room, now or by what follows from it, though it may write some small rows: it
    /// is still accepted when the disk is too full for other writes. One that only deletes need not say so.
    pub fn frees_space(&self) {
        self.0.state.lock().frees_space = true;
    }

    /// What to commit, or `None` when nothing was written.
    pub(crate) fn into_commit(self, id: TxnId) -> Result<Option<Commit>, StoreError> {
        let mut state = std::mem::take(&mut *self.0.state.lock());
        // A limit that was broken says more than the time that it took.
        if let Some(failure) = state.failure {
            return Err(failure);
        }
        self.check_age()?;
        self.0.state.lock().failure = Some(StoreError::TransactionEnded);
        let mut ops = std::mem::take(&mut state.overlay).into_ops();
        ops.append(&mut state.stamped);
        if ops.is_empty() {
            // Nothing to make durable; the topics still say that somebody should look.
            self.0.engine.wakes().wake(&state.topics);
            return Ok(None);
        }
        let State { snapshot, read_keys, read_ranges, topics, frees_space, .. } = state;
        let at_least = Version(0);
        Ok(Some(Commit { id, snapshot, read_keys, read_ranges, ops, topics, frees_space, at_least }))
    }

    /// The retriable failure that one of its operations met, whatever the closure made of it.
    pub(crate) fn retriable_failure(&self) -> Option<StoreError> {
        self.0.state.lock().failure.clone().filter(StoreError::is_retriable)
    }

    async fn get_row(&self, key: &[u8], depend: Depend) -> Result<Option<Bytes>, StoreError> {
        let snapshot = self.snapshot().await?;
        let seen = {
            let mut state = self.0.state.lock();
            let seen = state.overlay.see(key);
            if depend == Depend::Yes && matches!(seen, Seen::Stored(_)) {
                self.depend_on_key(&mut state, key)?;
            }
            seen
        };
        match seen {
            Seen::Known(value) => Ok(value),
            Seen::Stored(merges) => {
                let stored = snapshot.get(key).await?;
                if merges.is_empty() { Ok(stored) } else { overlay::apply(stored, &merges).map(Some) }
            }
        }
    }

    async fn scan_rows(
        &self,
        range: &KeyRange,
        options: ScanOptions,
        depend: Depend,
    ) -> Result<Page, StoreError> {
        let options = options.clamped();
        let snapshot = self.snapshot().await?;
        let mut filling = Filling { page: Page::default(), bytes: 0, options };
        let mut left = range.clone();
        while !left.is_empty() {
            let stored = snapshot.scan(&left, filling.room()).await?;
            let rest = left.rest(&stored, options.reverse);
            let covered = covered(&left, rest.as_ref(), options.reverse);
            let rows = self.lay_over(stored.rows, &covered, options)?;
            if filling.take(rows, rest.as_ref()) {
                break;
            }
            let Some(rest) = rest else { break };
            left = rest;
        }
        let page = filling.page;
        if depend == Depend::Yes {
            let read = covered(range, range.rest(&page, options.reverse).as_ref(), options.reverse);
            self.depend_on_range(read)?;
        }
        Ok(page)
    }

    fn lay_over(
        &self,
        mut stored: Vec<(Bytes, Bytes)>,
        covered: &KeyRange,
        options: ScanOptions,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let state = self.0.state.lock();
        if state.overlay.is_empty() {
            return Ok(stored);
        }
        if options.reverse {
            stored.reverse();
        }
        let mut rows = state.overlay.lay_over(stored, covered, options.keys_only)?;
        if options.reverse {
            rows.reverse();
        }
        Ok(rows)
    }

    async fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StoreError> {
        self.check_age()?;
        {
            let state = self.0.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if let Some(snapshot) = &state.snapshot {
                return Ok(snapshot.clone());
            }
        }
        let fresh = self.0.engine.snapshot().await?;
        // Of two first reads that race, the first to get here decides for both.
        Ok(self.0.state.lock().snapshot.get_or_insert(fresh).clone())
    }

    fn check_age(&self) -> Result<(), StoreError> {
        if self.0.clock.monotonic().saturating_sub(self.0.started) > limits::MAX_TXN_AGE {
            return Err(StoreError::TransactionTooSlow);
        }
        Ok(())
    }

    fn depend_on_key(&self, state: &mut State, key: &[u8]) -> Result<(), StoreError> {
        if self.0.mode == Mode::Read {
            return Ok(());
        }
        state.read_keys.push(Bytes::copy_from_slice(key));
        check_reads(state)
    }

    fn depend_on_range(&self, range: KeyRange) -> Result<(), StoreError> {
        if self.0.mode == Mode::Read || range.is_empty() {
            return Ok(());
        }
        let mut state = self.0.state.lock();
        state.read_ranges.push(range);
        check_reads(&state)
    }

    fn write(
        &self,
        key: &[u8],
        more_bytes: usize,
        change: impl FnOnce(&mut State) -> Result<(), StoreError>,
    ) {
        let mut state = self.0.state.lock();
        if state.failure.is_some() {
            return;
        }
        if let Err(failure) = self.check_write(&mut state, key, more_bytes).and_then(|()| change(&mut state))
        {
            state.failure = Some(failure);
        }
    }

    fn check_write(&self, state: &mut State, key: &[u8], more_bytes: usize) -> Result<(), StoreError> {
        check_key(key)?;
        self.count_written(state, key.len() + more_bytes)?;
        if state.overlay.len() + state.stamped.len() >= limits::MAX_TXN_OPS {
            return Err(StoreError::TransactionTooComplex);
        }
        Ok(())
    }

    fn count_written(&self, state: &mut State, bytes: usize) -> Result<(), StoreError> {
        let Mode::Write { at_most } = self.0.mode else { return Err(StoreError::ReadOnly) };
        state.written_bytes += bytes;
        if state.written_bytes > at_most {
            return Err(StoreError::TransactionTooLarge { bytes: state.written_bytes, at_most });
        }
        Ok(())
    }

    fn note<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(failure) = &read {
            self.0.state.lock().failure.get_or_insert(failure.clone());
        }
        read
    }

    /// A write to a key of the store's own: for [`crate::large`].
    pub(crate) fn change_own(&self, key: &[u8], value: Option<&[u8]>) {
        let mut state = self.0.state.lock();
        let bytes = key.len() + value.map_or(0, <[u8]>::len);
        if let Err(failure) = self.count_written(&mut state, bytes) {
            state.failure.get_or_insert(failure);
            return;
        }
        let key = Bytes::copy_from_slice(key);
        match value {
            Some(value) => state.overlay.put(key, Bytes::copy_from_slice(value)),
            None => state.overlay.delete(key),
        }
    }
}

fn check_key(key: &[u8]) -> Result<(), StoreError> {
    match key.first() {
        _ if key.len() > limits::MAX_KEY_BYTES => Err(StoreError::KeyTooLong { length: key.len() }),
        Some(&first) if first < limits::FIRST_RESERVED_BYTE => Ok(()),
        _ => Err(StoreError::KeyReserved),
    }
}

fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > limits::MAX_VALUE_BYTES {
        return Err(StoreError::ValueTooLong { length: value.len() });
    }
    Ok(())
}

fn check_reads(state: &State) -> Result<(), StoreError> {
    if state.read_keys.len() + state.read_ranges.len() > limits::MAX_TXN_READS {
        return Err(StoreError::TransactionTooComplex);
    }
    Ok(())
}

/// The part of `range` that lies before `rest` in the order of the scan.
fn covered(range: &KeyRange, rest: Option<&KeyRange>, reverse: bool) -> KeyRange {
    match rest {
        None => range.clone(),
        Some(rest) if reverse => KeyRange { start: rest.end.clone(), end: range.end.clone() },
        Some(rest) => KeyRange { start: range.start.clone(), end: rest.start.clone() },
    }
}

/// A page that is being filled.
struct Filling {
    page: Page,
    bytes: usize,
    options: ScanOptions,
}

impl Filling {
    fn room(&self) -> ScanOptions {
        ScanOptions {
            max_rows: self.options.max_rows - self.page.rows.len(),
            max_bytes: self.options.max_bytes - self.bytes,
            ..self.options
        }
    }

    /// Takes rows until the page is full, and says whether it is. `rest` is what comes after `rows`.
    fn take(&mut self, rows: Vec<(Bytes, Bytes)>, rest: Option<&KeyRange>) -> bool {
        let mut rows = rows.into_iter().peekable();
        while let Some((key, value)) = rows.next() {
            self.bytes += key.len() + value.len();
            self.page.rows.push((key.clone(), value));
            if self.page.rows.len() < self.options.max_rows && self.bytes < self.options.max_bytes {
                continue;
            }
            if rows.peek().is_some() || rest.is_some() {
                self.page.more = Some(if self.options.reverse { key } else { successor(&key) });
            }
            return true;
        }
        false
    }
}
