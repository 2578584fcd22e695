//! Events, looked up: the newest first.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use lambent_store::{Db, KeyRange, ScanOptions};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::keys::{self, Events};
use crate::{Audit, AuditError};

/// Rows that are read for one page at most, whether anything in them fits or not.
const PAGE_CHUNKS: usize = 200;
/// Rows that one scan fetches.
const SCAN_CHUNKS: usize = 20;

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub account: String,
    /// Only those in which something was denied.
    pub is_denied: bool,
    /// Only that of this request.
    pub request_id: Option<String>,
    /// Only those of this principal: its ARN, its name, or the ARN of its role.
    pub principal: Option<String>,
    /// Only those with this action, as `s3:PutObject`, or with one that begins so, as `s3:`.
    pub action: Option<String>,
    /// Only those since this time, milliseconds since 1970.
    pub since_ms: Option<i64>,
}

/// Some events, and where the older ones begin.
#[derive(Clone, Debug)]
pub struct Page {
    /// The newest first, as far as the clocks of several nodes agree.
    pub events: Vec<Event>,
    /// `None` when there are no older ones.
    pub next: Option<Mark>,
}

/// A place in the log; written as `1795282400120.18446744073709551615`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mark {
    time_ms: i64,
    number: u64,
}

/// Why a text is not a mark.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a mark that an earlier page of the audit log gave, got `{0}`")]
pub struct MarkError(String);

impl Audit {
    /// The newest events that are older than `before`: at least `least` of them if there are so many within what one
    /// call reads; a page may be empty and not the last.
    pub async fn events(
        &self,
        wanted: &Wanted,
        least: usize,
        before: Option<Mark>,
    ) -> Result<Page, AuditError> {
        self.flush().await?;
        let of = match wanted.is_denied {
            true => [Events::Denied, Events::ForeignDenied],
            false => [Events::All, Events::Foreign],
        };
        let mut sources = of.map(|of| Source::new(of, &wanted.account, before));
        let (mut events, mut next, mut read) = (Vec::new(), None, 0);
        loop {
            for source in &mut sources {
                source.fill(&self.0.db).await?;
            }
            // The newest of both.
            let [own, foreign] = &mut sources;
            let source = if own.mark() >= foreign.mark() { own } else { foreign };
            let Some((mark, key, row)) = source.rows.pop_front() else {
                return Ok(Page { events, next: None });
            };
            if events.len() >= least || read >= PAGE_CHUNKS {
                return Ok(Page { events, next });
            }
            (next, read) = (Some(mark), read + 1);
            let of_row = wanted.chosen(&key, &row);
            // Rows are by their last event: those before hold nothing younger.
            if of_row.is_past {
                return Ok(Page { events, next: None });
            }
            events.extend(of_row.events);
        }
    }
}

/// Rows of one kind, the newest first.
struct Source {
    of: Events,
    rows: VecDeque<(Mark, Bytes, Bytes)>,
    /// What is not in `rows` yet.
    left: Option<KeyRange>,
}

impl Source {
    fn new(of: Events, account: &str, before: Option<Mark>) -> Self {
        let range = keys::chunks(of, account).range();
        let left = match before {
            Some(Mark { time_ms, number }) => range.before(&keys::chunk(of, account, time_ms, number)),
            None => range,
        };
        Self { of, rows: VecDeque::new(), left: Some(left) }
    }

    /// Where the newest of its rows is.
    fn mark(&self) -> Option<Mark> {
        self.rows.front().map(|(mark, ..)| *mark)
    }

    /// Sees to it that there is a row, unless there are no more.
    async fn fill(&mut self, db: &Db) -> Result<(), AuditError> {
        while self.rows.is_empty()
            && let Some(range) = self.left.take()
        {
            let (range, options) = (&range, ScanOptions::rows(SCAN_CHUNKS).reverse());
            let scanned =
                db.read(|txn| async move { Ok::<_, AuditError>(txn.scan_snapshot(range, options).await?) });
            let page = scanned.await?;
            self.left = range.rest(&page, true);
            for (key, row) in page.rows {
                let Ok((_, time_ms, number)) = keys::read(self.of, &key) else { continue };
                self.rows.push_back((Mark { time_ms, number }, key, row));
            }
        }
        Ok(())
    }
}

/// What a row has of what is wanted.
struct Chosen {
    events: Vec<Event>,
    /// Whether all of the row is too old.
    is_past: bool,
}

impl Wanted {
    fn chosen(&self, key: &Bytes, row: &Bytes) -> Chosen {
        let read = serde_json::from_slice::<Vec<Event>>(row);
        let Ok(mut events) = read.inspect_err(|error| {
            tracing::warn!(%error, row = %key.escape_ascii(), "events cannot be read; see `lambent check`");
        }) else {
            return Chosen { events: Vec::new(), is_past: false };
        };
        let newest = events.iter().map(|event| event.time_ms).max();
        let is_past = self.since_ms.zip(newest).is_some_and(|(since, newest)| newest < since);
        events.retain(|event| self.fits(event));
        events.sort_by_key(|event| std::cmp::Reverse(event.time_ms));
        Chosen { events, is_past }
    }

    fn fits(&self, event: &Event) -> bool {
        let who = &event.who;
        let is_who = |wanted: &String| {
            *wanted == who.arn || who.name.as_ref() == Some(wanted) || who.role_arn.as_ref() == Some(wanted)
        };
        let is_action = |wanted: &String| {
            event.decisions.iter().any(|decided| match wanted.strip_suffix(['*', ':']) {
                Some(_) => decided.action.starts_with(wanted.trim_end_matches('*')),
                None => decided.action.eq_ignore_ascii_case(wanted),
            })
        };
        self.request_id.as_ref().is_none_or(|wanted| *wanted == event.request_id)
            && self.since_ms.is_none_or(|since| event.time_ms >= since)
            && self.principal.as_ref().is_none_or(is_who)
            && self.action.as_ref().is_none_or(is_action)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time_ms, self.number)
    }
}

impl FromStr for Mark {
    type Err = MarkError;

    fn from_str(text: &str) -> Result<Self, MarkError> {
        let read = || {
            let (time, number) = text.split_once('.')?;
            Some(Self { time_ms: time.parse().ok()?, number: number.parse().ok()? })
        };
        read().ok_or_else(|| MarkError(text.to_owned()))
    }
}

impl TryFrom<String> for Mark {
    type Error = MarkError;

    fn try_from(text: String) -> Result<Self, MarkError> {
        text.parse()
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        mark.to_string()
    }
}
