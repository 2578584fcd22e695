//! Single runs of one function, looked up.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use lambent_base::Place;
use lambent_store::{KeyRange, ScanOptions};
use serde::{Deserialize, Serialize};

use crate::keys::{self, Runs};
use crate::{Meter, MeterError, RunRecord};

/// The most records in one page.
pub const LISTED_MAX: usize = 1_000;
/// Among how many of a function's last runs the slowest are looked for.
pub const SLOWEST_OF: usize = 10_000;

/// Whose runs are wanted, and which.
#[derive(Clone, Debug)]
pub struct RunsWanted {
    pub place: Place,
    /// The function's name.
    pub function: String,
    /// Only those that failed.
    pub failed: bool,
    /// How many, at most [`LISTED_MAX`].
    pub limit: usize,
}

/// Runs of a function, and where those before them begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPage {
    /// The newest first.
    pub runs: Vec<RunRecord>,
    /// For [`Meter::runs`]; `None` when there are no older ones.
    pub next: Option<RunMark>,
}

/// A run's place among those of its function; written as `1795282400120.REQUEST-ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunMark {
    started_unix_ms: i64,
    request_id: String,
}

/// Why a text is not the mark of a run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a mark that an earlier page of runs gave, got `{0}`")]
pub struct RunMarkError(String);

impl Meter {
    /// The newest runs of a function that are older than `before`, with everything that has ended on this node until now.
    pub async fn runs(&self, wanted: &RunsWanted, before: Option<&RunMark>) -> Result<RunPage, MeterError> {
        self.flush().await?;
        let RunsWanted { place, function, .. } = wanted;
        let of = wanted.of();
        let mut range = keys::runs(of, place, function).range();
        if let Some(mark) = before {
            range = range.before(&keys::run(of, place, function, mark.started_unix_ms, &mark.request_id));
        }
        let found = self.page(of, &range, wanted.limit.clamp(1, LISTED_MAX)).await?;
        Ok(RunPage { runs: found.runs, next: found.last.filter(|_| found.left.is_some()) })
    }

    /// The slowest of the last [`SLOWEST_OF`] runs of a function, the slowest first. What counts is
    /// [`RunRecord::whole_us`].
    pub async fn slowest(&self, wanted: &RunsWanted) -> Result<Vec<RunRecord>, MeterError> {
        self.flush().await?;
        let mut slowest: Vec<RunRecord> = Vec::new();
        let mut left = Some(keys::runs(wanted.of(), &wanted.place, &wanted.function).range());
        let mut seen = 0;
        while let Some(range) = left.filter(|_| seen < SLOWEST_OF) {
            let found = self.page(wanted.of(), &range, LISTED_MAX.min(SLOWEST_OF - seen)).await?;
            seen += found.rows;
            slowest.extend(found.runs);
            slowest.sort_by_key(|run| Reverse(run.whole_us()));
            slowest.truncate(wanted.limit.clamp(1, LISTED_MAX));
            left = found.left;
        }
        Ok(slowest)
    }

    /// The last records of a range. Those that cannot be read are passed over.
    async fn page(&self, of: Runs, range: &KeyRange, limit: usize) -> Result<Found, MeterError> {
        let options = ScanOptions::rows(limit).reverse();
        let read = self
            .0
            .db
            .read(|txn| async move { Ok::<_, MeterError>(txn.scan_snapshot(range, options).await?) });
        let page = read.await?;
        Ok(Found {
            runs: page.rows.iter().filter_map(|(key, row)| record(key, row)).collect(),
            rows: page.rows.len(),
            last: page.rows.iter().rev().find_map(|(key, _)| RunMark::at(of, key)),
            left: range.rest(&page, true),
        })
    }
}

/// A page of a range.
struct Found {
    /// Those that can be read, the newest first.
    runs: Vec<RunRecord>,
    /// How many there are with those that cannot.
    rows: usize,
    /// The place of the oldest, whether it can be read or not; `None` on an empty page.
    last: Option<RunMark>,
    /// The range without them, if it has more.
    left: Option<KeyRange>,
}

impl RunsWanted {
    fn of(&self) -> Runs {
        if self.failed { Runs::Failed } else { Runs::All }
    }
}

fn record(key: &Bytes, row: &Bytes) -> Option<RunRecord> {
    let read = serde_json::from_slice(row);
    read.inspect_err(|error| {
        tracing::warn!(%error, row = %key.escape_ascii(), "the record of a run cannot be read; see `lambent check`");
    })
    .ok()
}

impl RunMark {
    fn at(of: Runs, key: &[u8]) -> Option<Self> {
        let (started_unix_ms, request_id) = keys::read_mark(of, key).ok()?;
        Some(Self { started_unix_ms, request_id })
    }
}

impl fmt::Display for RunMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started_unix_ms, self.request_id)
    }
}

impl FromStr for RunMark {
    type Err = RunMarkError;

    fn from_str(text: &str) -> Result<Self, RunMarkError> {
        let read = || {
            let (started, request_id) = text.split_once('.')?;
            Some(Self { started_unix_ms: started.parse().ok()?, request_id: request_id.to_owned() })
        };
        read().ok_or_else(|| RunMarkError(text.to_owned()))
    }
}

impl TryFrom<String> for RunMark {
    type Error = RunMarkError;

    fn try_from(text: String) -> Result<Self, RunMarkError> {
        text.parse()
    }
}

impl From<RunMark> for String {
    fn from(mark: RunMark) -> Self {
        mark.to_string()
    }
}
