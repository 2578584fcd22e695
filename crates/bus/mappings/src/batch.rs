//! What a lane does with a batch.

use bytes::Bytes;

use crate::discard::{self, Discarded, Reason};
use crate::error::MappingError;
use crate::event;
use crate::lane::{CALL_FAILED, Common, End, LaneTask, Step, bounds};
use crate::outcome::{self, OK, Outcome, Response};
use crate::rows::{Segment, WindowRow};
use crate::source::Record;

/// A batch that was tried.
pub(crate) struct Tried {
    /// Without what they say, which the event has.
    pub(crate) records: Vec<Record>,
    /// Where the next batch begins.
    pub(crate) end: String,
    /// With this one.
    pub(crate) attempts: u32,
    pub(crate) request_id: String,
    pub(crate) event: Bytes,
}

impl LaneTask {
    /// Tries the batch that was read.
    pub(crate) async fn handle(&mut self, role: &str) -> Result<Step, MappingError> {
        self.batch_began = None;
        let settings = &self.common.mapping.settings;
        if settings.tumbling_window_s > 0
            && let Some(arrived_ms) = self.reader.next_arrived_ms()
        {
            match &self.row.window {
                None => self.row.window = Some(WindowRow::of(arrived_ms, settings.tumbling_window_s)),
                Some(open) if arrived_ms >= open.end_ms() => return self.finish_window(role).await,
                Some(_) => {}
            }
        }
        let bounds = bounds(settings.batch_size, &self.row);
        let (mut records, end) = self.reader.take(&bounds);
        if records.is_empty() {
            self.drop_segment().await?;
            return Ok(Step::Go);
        }
        let attempts = self.row.segments.first().map_or(0, |segment| segment.attempts);
        let now_ms = self.common.engine.clock.unix_ms();
        let expired =
            records.iter().take_while(|record| self.expires_ms(record.arrived_ms) <= now_ms).count();
        if expired == 0 {
            return self.attempt(role, records, end, attempts).await;
        }
        let end = if expired == records.len() { end } else { records[expired - 1].next.clone() };
        records.truncate(expired);
        let event = event::compose(&records, None, &self.reader.shard, &self.common.mapping.source_arn);
        let request_id = self.common.engine.random.uuid();
        let tried = Tried { records, end, attempts: attempts.max(1), request_id, event };
        self.give_up(role, tried, Reason::RecordAgeExceeded, &Response::default()).await?;
        // What was taken with them.
        self.read_again();
        Ok(Step::Go)
    }

    async fn attempt(
        &mut self,
        role: &str,
        mut records: Vec<Record>,
        end: String,
        attempts: u32,
    ) -> Result<Step, MappingError> {
        let Common { engine, mapping, function, .. } = &self.common;
        let window = self.row.window.as_ref().map(|window| window.invocation(false));
        let event = event::compose(&records, window.as_ref(), &self.reader.shard, &mapping.source_arn);
        records.iter_mut().for_each(|record| record.json = Bytes::new());
        let request_id = engine.random.uuid();
        let answer = engine.invoke(function, &request_id, event.clone(), attempts).await;
        let reports_item_failures = mapping.settings.reports_item_failures;
        let outcome = outcome::judge(&answer, &records, reports_item_failures, window.is_some());
        drop(answer);
        let tried = Tried { records, end, attempts: attempts.saturating_add(1), request_id, event };
        if let Outcome::Done { state } = outcome {
            if let Some(window) = &mut self.row.window {
                window.keep(state);
            }
            self.advance(tried.end);
            self.streak = 0;
            self.reader.let_go();
            self.commit(None, OK).await?;
            return Ok(Step::Go);
        }
        self.not_done(role, tried, outcome).await
    }

    /// A batch is not done, or not all of it.
    async fn not_done(
        &mut self,
        role: &str,
        mut tried: Tried,
        outcome: Outcome,
    ) -> Result<Step, MappingError> {
        let bisects = self.common.mapping.settings.bisects;
        let expires_ms = tried.records.first().map(|first| self.expires_ms(first.arrived_ms));
        match outcome {
            Outcome::Done { .. } => {}
            Outcome::DoneBefore { index, state, response } => {
                if index > 0 {
                    self.row.position.clone_from(&tried.records[index - 1].next);
                    if let Some(window) = &mut self.row.window {
                        window.keep(state);
                    }
                    tried.records.drain(..index);
                    (tried.attempts, self.streak) = (1, 0);
                }
                match (bisects && tried.records.len() > 1, index) {
                    (true, 0) => self.bisect(tried).await?,
                    (true, _) => self.split_off(tried).await?,
                    (false, _) => self.fail(role, tried, &response).await?,
                }
            }
            Outcome::Failed(_) if bisects && tried.records.len() > 1 => self.bisect(tried).await?,
            Outcome::Failed(response) => self.fail(role, tried, &response).await?,
            Outcome::Busy(why) => {
                tracing::debug!(
                    why,
                    mapping = self.common.mapping.uuid,
                    "a batch has to wait for its function"
                );
                self.read_again();
                self.commit_result(CALL_FAILED).await?;
                self.pause_longer(expires_ms).await;
            }
            Outcome::Stopped(why) => {
                self.read_again();
                self.commit_result(&format!("PROBLEM: {why}")).await?;
                self.pause_until_changed(expires_ms).await;
            }
            Outcome::NotHere(why) => return Ok(Step::End(End::NotHere(why))),
        }
        Ok(Step::Go)
    }

    /// Lets go of what was read: it is read again when it is tried again, and others have the room until then.
    pub(crate) fn read_again(&mut self) {
        self.reader.begin_at(&self.row.position);
    }

    /// A batch failed: it is tried again, or given up.
    async fn fail(&mut self, role: &str, tried: Tried, response: &Response) -> Result<(), MappingError> {
        let reason = if self.is_tried_enough(tried.attempts) {
            Some(Reason::RetryAttemptsExhausted)
        } else if self.is_all_expired(&tried.records) {
            // What it was is at hand now: who reads it again may find it deleted.
            Some(Reason::RecordAgeExceeded)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.give_up(role, tried, reason, response).await?;
            self.read_again();
            return Ok(());
        }
        // If some are too old, they are given up without the others, at once.
        let expires_ms = tried.records.first().map(|first| self.expires_ms(first.arrived_ms));
        self.row.set_first(Segment { end: tried.end, attempts: tried.attempts });
        self.read_again();
        self.commit(None, CALL_FAILED).await?;
        self.pause_longer(expires_ms).await;
        Ok(())
    }

    /// What comes from the first failure on is a batch of its own: that is no attempt of its.
    async fn split_off(&mut self, tried: Tried) -> Result<(), MappingError> {
        self.row.set_first(Segment { end: tried.end, attempts: 0 });
        self.read_again();
        self.commit(None, CALL_FAILED).await
    }

    /// Splits a batch that failed: both halves are tried for themselves. That is no attempt of theirs.
    async fn bisect(&mut self, tried: Tried) -> Result<(), MappingError> {
        let middle = tried.records[tried.records.len() / 2 - 1].next.clone();
        let attempts = tried.attempts - 1;
        if !self.row.segments.is_empty() {
            self.row.segments.remove(0);
        }
        self.row.segments.insert(0, Segment { end: tried.end, attempts });
        self.row.segments.insert(0, Segment { end: middle, attempts });
        self.read_again();
        self.commit(None, CALL_FAILED).await
    }

    /// Passes over a batch, and tells whoever wants to know.
    pub(crate) async fn give_up(
        &mut self,
        role: &str,
        tried: Tried,
        reason: Reason,
        response: &Response,
    ) -> Result<(), MappingError> {
        let Common { engine, mapping, .. } = &self.common;
        let discarded = Discarded {
            mapping,
            shard: &self.reader.shard,
            records: &tried.records,
            reason,
            attempts: tried.attempts,
            request_id: &tried.request_id,
            response,
            now_ms: engine.clock.unix_ms(),
        };
        let record = discard::record(&discarded, self.reader.source.batch_info(), role, &tried.event);
        self.advance(tried.end);
        self.streak = 0;
        self.commit(record, CALL_FAILED).await
    }

    /// Whether what was tried so often, and failed, is given up.
    pub(crate) fn is_tried_enough(&self, attempts: u32) -> bool {
        u32::try_from(self.common.mapping.settings.retries_max).is_ok_and(|most| attempts > most)
    }

    fn is_all_expired(&self, records: &[Record]) -> bool {
        let now_ms = self.common.engine.clock.unix_ms();
        records.iter().all(|record| self.expires_ms(record.arrived_ms) <= now_ms)
    }

    /// When what was put at a time is too old, in milliseconds since 1970: at the age of the settings, or when the source may
    /// forget it.
    pub(crate) fn expires_ms(&self, arrived_ms: i64) -> i64 {
        let retention_ms = i64::try_from(self.reader.source.retention().as_millis()).unwrap_or(i64::MAX);
        let age_max_s = self.common.mapping.settings.age_max_s;
        let age_max_ms = if age_max_s < 0 { retention_ms } else { i64::from(age_max_s) * 1000 };
        arrived_ms.saturating_add(age_max_ms.min(retention_ms))
    }
}
