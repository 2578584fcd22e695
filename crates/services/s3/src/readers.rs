//! Who reads the parts of an object right now: the sweeper leaves those alone, however long the reading takes.
//!
//! Only objects of many parts need it: their parts are looked up and opened one by one while the answer streams. An
//! object in one blob is an open file from the moment its answer begins, which outlives the file's name: whoever finds
//! the file gone by then looks again (see [`until_open`]). A small object lies in the row that was read.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::errors::{self, S3Error};
use crate::rows::{Data, ObjectRow};

/// How often a reader looks again at an object that is replaced under its eyes.
const LOOKS: u32 = 8;

/// Counts the readers of each completed upload, in this process: the data directory belongs to one. Clone it freely.
#[derive(Clone, Debug, Default)]
pub struct OpenReaders(Arc<Mutex<HashMap<String, usize>>>);

/// Keeps the parts of a completed upload until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    readers: OpenReaders,
    upload: String,
}

/// An object whose data stays readable while this lives.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub row: ObjectRow,
    /// Of objects whose data must be held to stay.
    pub hold: Option<Hold>,
}

/// Looks at an object and opens it, as `attempt` does, until both are about the same state of it: between the look at
/// the row and the opening of its one blob the object may be replaced and, if this process slept, swept.
///
/// Errors: those of `attempt`; that the blob is not there when it never was for many looks.
pub(crate) async fn until_open<T, Fut>(mut attempt: impl FnMut() -> Fut) -> Result<T, S3Error>
where
    Fut: Future<Output = Result<T, S3Error>>,
{
    for _ in 1..LOOKS {
        match attempt().await {
            Err(error) if error.is_gone() => {}
            ended => return ended,
        }
    }
    attempt().await
}

impl OpenReaders {
    /// Whether somebody reads the parts of this upload.
    pub(crate) fn reads(&self, upload: &str) -> bool {
        self.0.lock().contains_key(upload)
    }

    /// Holds the object that `look` finds, each time on a snapshot of its own.
    ///
    /// Between the look at the row and the hold the object may be replaced and, if this process slept, swept. So it
    /// looks again: a row that still names the parts after they are held was not let go of before. Its parts are
    /// therefore not being swept, and whoever comes to sweep them later sees the hold.
    ///
    /// Errors: those of `look`; `SlowDown` when the object never stays the same for two looks.
    pub(crate) async fn hold<Fut>(&self, mut look: impl FnMut() -> Fut) -> Result<Option<Held>, S3Error>
    where
        Fut: Future<Output = Result<Option<ObjectRow>, S3Error>>,
    {
        let mut hold: Option<Hold> = None;
        for _ in 0..LOOKS {
            let Some(row) = look().await? else { return Ok(None) };
            match &row.data {
                Data::Inline | Data::Blob(_) => return Ok(Some(Held { row, hold: None })),
                Data::Spans { upload, .. } if hold.as_ref().is_some_and(|hold| hold.upload == *upload) => {
                    return Ok(Some(Held { row, hold }));
                }
                Data::Spans { upload, .. } => hold = Some(self.enter(upload.clone())),
            }
        }
        Err(errors::slow_down().into())
    }

    fn enter(&self, upload: String) -> Hold {
        *self.0.lock().entry(upload.clone()).or_default() += 1;
        Hold { readers: self.clone(), upload }
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        self.readers.enter(self.upload.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.readers.0.lock();
        match counts.get_mut(&self.upload) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.upload);
            }
        }
    }
}
