//! Who reads an object's data right now: the sweeper leaves it alone, however long the reading takes.
//!
//! The parts of an object are looked up and opened one by one while the answer streams, and a blob in an object store is
//! read by many requests. A small object lies in the row that was read.
//!
//! Each node counts its own readers. Where several share a store, reads that last are told to the others, see
//! [`crate::reading`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use lambent_base::Clock;
use lambent_bus::Nodes;
use lambent_store::{Db, StoreError, Txn};
use parking_lot::Mutex;

use crate::errors::{self, S3Error};
use crate::limits;
use crate::reading::{Reading, Told};
use crate::rows::{Data, ObjectRow};

/// How often a reader looks again at an object that is replaced under its eyes.
const LOOKS: u32 = 8;

/// Counts the readers of each blob and each completed upload in this process. Clone it freely.
#[derive(Clone)]
pub struct OpenReaders(Arc<Inner>);

struct Inner {
    clock: Clock,
    /// Where others may sweep what is read here.
    reading: Option<Reading>,
    held: Mutex<HashMap<String, Readers>>,
}

struct Readers {
    count: usize,
    _told: Option<Told>,
}

/// Keeps the data of an object until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    readers: OpenReaders,
    /// A blob or a completed upload.
    name: String,
}

/// An object whose data stays readable while this lives.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub row: ObjectRow,
    /// Of objects whose data must be held to stay.
    pub hold: Option<Hold>,
}

impl OpenReaders {
    /// Of a node among those that share a store.
    pub fn new(db: &Db, nodes: &Nodes, clock: Clock) -> Self {
        let reading = db.is_shared().then(|| Reading::new(db.clone(), nodes.clone()));
        Self(Arc::new(Inner { clock, reading, held: Mutex::default() }))
    }

    /// Of the only process on its store.
    pub fn alone(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, reading: None, held: Mutex::default() }))
    }

    #[cfg(test)]
    pub(crate) fn telling(reading: Reading, clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, reading: Some(reading), held: Mutex::default() }))
    }

    /// Whether somebody reads this blob or completed upload. The transaction depends on what other nodes say.
    pub(crate) async fn reads(&self, txn: &Txn, name: &str) -> Result<bool, StoreError> {
        if self.reads_here(name) {
            return Ok(true);
        }
        match &self.0.reading {
            Some(reading) => reading.elsewhere(txn, name).await,
            None => Ok(false),
        }
    }

    /// Holds the object that `look` finds, each time on a snapshot of its own.
    ///
    /// Between the look at the row and the hold the object may be replaced. Its data then stays for a grace, so a hold
    /// that comes soon after the look is in time. If this process slept in between, it looks again: a row that still
    /// names the data after it is held was not let go of before.
    ///
    /// Errors: those of `look`; `SlowDown` when the object never stays the same for two looks.
    pub(crate) async fn hold<Fut>(&self, mut look: impl FnMut() -> Fut) -> Result<Option<Held>, S3Error>
    where
        Fut: Future<Output = Result<Option<ObjectRow>, S3Error>>,
    {
        let mut hold: Option<Hold> = None;
        for _ in 0..LOOKS {
            let looked_ms = self.0.clock.unix_ms();
            let Some(row) = look().await? else { return Ok(None) };
            let name = match &row.data {
                Data::Inline => return Ok(Some(Held { row, hold: None })),
                Data::Blob(name) | Data::Spans { upload: name, .. } => name,
            };
            let was_held = hold.as_ref().is_some_and(|hold| hold.name == *name);
            if !was_held {
                hold = Some(self.enter(name));
            }
            let took_ms = self.0.clock.unix_ms().saturating_sub(looked_ms);
            if was_held || (0..limits::HOLD_WITHIN_MS).contains(&took_ms) {
                return Ok(Some(Held { row, hold }));
            }
        }
        Err(errors::slow_down().into())
    }

    pub(crate) fn reads_here(&self, name: &str) -> bool {
        self.0.held.lock().contains_key(name)
    }

    fn enter(&self, name: &str) -> Hold {
        let mut held = self.0.held.lock();
        match held.get_mut(name) {
            Some(readers) => readers.count += 1,
            None => {
                let told = self.0.reading.as_ref().map(|reading| reading.begin(name));
                held.insert(name.to_owned(), Readers { count: 1, _told: told });
            }
        }
        Hold { readers: self.clone(), name: name.to_owned() }
    }
}

impl fmt::Debug for OpenReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenReaders").field("held", &self.0.held.lock().len()).finish_non_exhaustive()
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        self.readers.enter(&self.name)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.readers.0.held.lock();
        match held.get_mut(&self.name) {
            Some(readers) if readers.count > 1 => readers.count -= 1,
            _ => {
                held.remove(&self.name);
            }
        }
    }
}
