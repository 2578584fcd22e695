//! What a lane has read and not handled yet.

use std::collections::VecDeque;
use std::sync::Arc;

use lambent_base::Arn;
use lambent_patterns::Pattern;

use crate::error::MappingError;
use crate::event::bytes_of;
use crate::room::Share;
use crate::source::{Lane, Record, StreamSource, Wanted};

/// How many records are asked for at once.
const READ_MAX: usize = 1_000;
/// No more is read ahead once so much lies here.
const AHEAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Reads ahead, and leaves out what no filter lets pass.
pub(crate) struct Reader {
    pub(crate) source: Arc<dyn StreamSource>,
    pub(crate) stream: Arn,
    pub(crate) shard: String,
    pub(crate) lane: Lane,
    filters: Vec<Pattern>,
    ahead: VecDeque<Record>,
    ahead_bytes: usize,
    /// Of the batch that was taken last.
    taken_bytes: usize,
    share: Share,
    /// Everything before it was read.
    read_to: String,
    is_over: bool,
}

/// What is taken together.
pub(crate) struct Bounds<'a> {
    pub(crate) most: usize,
    pub(crate) bytes: usize,
    /// Records from this position on are left.
    pub(crate) end: Option<&'a str>,
    /// Records that were put from this time on are left, in milliseconds since 1970.
    pub(crate) before_ms: Option<i64>,
}

/// How much there is for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// It cannot grow.
    Full,
    /// More may come.
    Partly,
    /// Nothing is there, and more may come.
    Empty,
    /// Nothing is there, and nothing will come.
    Over,
}

impl Reader {
    /// A reader of some of a shard's keys, from its beginning on.
    pub(crate) fn new(
        source: Arc<dyn StreamSource>,
        (stream, shard, lane): (Arn, String, Lane),
        filters: Vec<Pattern>,
        share: Share,
    ) -> Self {
        Self {
            source,
            stream,
            shard,
            lane,
            filters,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            taken_bytes: 0,
            share,
            read_to: String::new(),
            is_over: false,
        }
    }

    /// Reads from this position on, and lets go of what was read.
    pub(crate) fn begin_at(&mut self, position: &str) {
        self.ahead = VecDeque::new();
        (self.ahead_bytes, self.taken_bytes, self.is_over) = (0, 0, false);
        position.clone_into(&mut self.read_to);
        self.share.set(0);
    }

    /// The batch that was taken last is done with.
    pub(crate) fn let_go(&mut self) {
        self.taken_bytes = 0;
        self.share.set(self.ahead_bytes);
    }

    /// Reads until a batch is full, nothing more is there for now, or there is no room for more.
    pub(crate) async fn fill(&mut self, bounds: &Bounds<'_>) -> Result<Fill, MappingError> {
        loop {
            if let Some(fill) = self.is_enough(bounds) {
                return Ok(fill);
            }
            if !self.is_over {
                if self.ahead.is_empty() {
                    self.share.wait_for_page().await;
                } else if self.ahead_bytes >= AHEAD_BYTES_MAX || !self.share.has_page() {
                    return Ok(Fill::Full);
                }
            }
            if self.is_over || self.read().await? {
                let fill = match (self.ahead.is_empty(), self.is_over) {
                    (true, true) => Fill::Over,
                    (true, false) => Fill::Empty,
                    (false, true) => Fill::Full,
                    (false, false) => Fill::Partly,
                };
                return Ok(self.is_enough(bounds).unwrap_or(fill));
            }
        }
    }

    /// What there is for a batch, if nothing that may come could be a part of it.
    fn is_enough(&self, bounds: &Bounds<'_>) -> Option<Fill> {
        let (count, is_full) = self.fitting(bounds);
        let is_whole = bounds.end.is_some_and(|end| *self.read_to >= *end);
        match (is_full, is_whole, count) {
            (true, ..) => Some(Fill::Full),
            (false, true, 0) => Some(Fill::Empty),
            (false, true, _) => Some(Fill::Full),
            (false, false, _) => None,
        }
    }

    /// Takes what is there of a batch, and gives where the next one begins.
    pub(crate) fn take(&mut self, bounds: &Bounds<'_>) -> (Vec<Record>, String) {
        let (count, _) = self.fitting(bounds);
        let records: Vec<Record> = self.ahead.drain(..count).collect();
        self.taken_bytes = records.iter().map(bytes_of).sum();
        self.ahead_bytes -= self.taken_bytes;
        let end = match records.last() {
            _ if self.ahead.is_empty() => self.passed().to_owned(),
            Some(last) => last.next.clone(),
            None => bounds.end.unwrap_or_default().to_owned(),
        };
        (records, end)
    }

    /// Before this, nothing is left that was read.
    pub(crate) fn passed(&self) -> &str {
        &self.read_to
    }

    /// Whether something was read and not taken.
    pub(crate) fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// When the next record was put.
    pub(crate) fn next_arrived_ms(&self) -> Option<i64> {
        self.ahead.front().map(|record| record.arrived_ms)
    }

    /// How many records a batch has now, and whether the next one does not fit.
    fn fitting(&self, bounds: &Bounds<'_>) -> (usize, bool) {
        let mut bytes = 0;
        for (count, record) in self.ahead.iter().enumerate() {
            bytes += bytes_of(record);
            let is_beyond = bounds.end.is_some_and(|end| *record.next > *end)
                || bounds.before_ms.is_some_and(|before_ms| record.arrived_ms >= before_ms);
            // One that is too long by itself goes alone.
            if count >= bounds.most || is_beyond || (bytes > bounds.bytes && count > 0) {
                return (count, true);
            }
        }
        (self.ahead.len(), self.ahead.len() >= bounds.most)
    }

    /// Reads one page; whether it was the last for now.
    async fn read(&mut self) -> Result<bool, MappingError> {
        let wanted = Wanted {
            stream: &self.stream,
            shard: &self.shard,
            from: &self.read_to,
            lane: self.lane,
            most: READ_MAX,
        };
        let page = self.source.read(wanted).await;
        let page = page.inspect_err(|_| self.share.set(self.ahead_bytes + self.taken_bytes))?;
        for record in page.records {
            if self.lets_pass(&record) {
                self.ahead_bytes += bytes_of(&record);
                self.ahead.push_back(record);
            }
        }
        self.share.set(self.ahead_bytes + self.taken_bytes);
        self.read_to = page.next;
        self.is_over = page.is_over;
        Ok(page.is_last || page.is_over)
    }

    fn lets_pass(&self, record: &Record) -> bool {
        if self.filters.is_empty() {
            return true;
        }
        let seen = self.source.filtered_as(record);
        seen.is_some_and(|seen| self.filters.iter().any(|filter| filter.matches(&seen)))
    }
}
