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
        let (runs, left) = self.page(&range, wanted.limit.clamp(1, LISTED_MAX)).await?;
        let next = runs.last().filter(|_| left.is_some()).map(RunMark::of);
        Ok(RunPage { runs, next })
    }

    /// The slowest of the last [`SLOWEST_OF`] runs of a function, the slowest first. What counts is
    /// [`RunRecord::whole_us`].
    pub async fn slowest(&self, wanted: &RunsWanted) -> Result<Vec<RunRecord>, MeterError> {
        self.flush().await?;
        let mut slowest: Vec<RunRecord> = Vec::new();
        let mut left = Some(keys::runs(wanted.of(), &wanted.place, &wanted.function).range());
        let mut seen = 0;
        while let Some(range) = left.filter(|_| seen < SLOWEST_OF) {
            let page = self.page(&range, LISTED_MAX.min(SLOWEST_OF - seen)).await?;
            seen += page.0.len();
            slowest.extend(page.0);
            slowest.sort_by_key(|run| Reverse(run.whole_us()));
            slowest.truncate(wanted.limit.clamp(1, LISTED_MAX));
            left = page.1;
        }
        Ok(slowest)
    }

    /// The last records of a range, the newest first, and the range without them if it has more. Those that cannot be read
    /// are passed over.
    async fn page(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<(Vec<RunRecord>, Option<KeyRange>), MeterError> {
        let options = ScanOptions::rows(limit).reverse();
        let read = self
            .0
            .db
            .read(|txn| async move { Ok::<_, MeterError>(txn.scan_snapshot(range, options).await?) });
        let page = read.await?;
        let runs = page.rows.iter().filter_map(|(key, row)| record(key, row)).collect();
        Ok((runs, range.rest(&page, true)))
    }
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
    fn of(run: &RunRecord) -> Self {
        Self { started_unix_ms: run.started_unix_ms, request_id: run.request_id.clone() }
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
