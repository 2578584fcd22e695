//! The task that brings the records of one lane to the function, batch after batch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::Arn;
use lambent_bus::{BusError, NewEvent};
use lambent_store::Watch;
use tokio::sync::watch;

use crate::discard::{self, Discarded, Reason};
use crate::engine::Inner;
use crate::error::MappingError;
use crate::event;
use crate::outcome::{self, Outcome, Response};
use crate::reader::{Bounds, Fill, Reader};
use crate::rows::{LaneRow, Segment, WindowRow, check_holder};
use crate::source::{Reading, Record, SourceError};
use crate::window;
use crate::{Mapping, keys};

/// The pause after a failure; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long it is not asked again whether the function's role may read the source.
const PERMISSION_KEPT: Duration = Duration::from_secs(5);
/// How often it is kept, at most, that nothing but records that no filter lets pass were read.
const PASSED_KEPT_EVERY: Duration = Duration::from_secs(60);

const OK: &str = "OK";
const CALL_FAILED: &str = "PROBLEM: Function call failed";
const NO_STREAM: &str = "PROBLEM: Stream not found";

/// Why a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its shard has no more.
    Over,
    Stopped,
}

/// What the lanes of a mapping have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) engine: Arc<Inner>,
    pub(crate) mapping: Arc<Mapping>,
    /// Whose transactions count.
    pub(crate) holder: [u8; 8],
    pub(crate) function: Arn,
    /// Set when lanes are to end as soon as they may.
    pub(crate) stop: watch::Receiver<bool>,
}

pub(crate) struct LaneTask {
    common: Common,
    reader: Reader,
    row: LaneRow,
    more: Watch,
    permissions: Vec<(&'static str, String)>,
    /// Who may read, and when it was found out, on the monotonic clock.
    role: Option<(String, Duration)>,
    /// When the first record of the batch that is waiting was read, on the monotonic clock.
    batch_began: Option<Duration>,
    /// Failures one after another.
    streak: u32,
    result: String,
    /// When only the position was kept last, on the monotonic clock.
    passed_kept: Duration,
}

enum Step {
    Go,
    End(End),
}

/// A batch that was tried.
struct Tried {
    records: Vec<Record>,
    /// Where the next batch begins.
    end: String,
    /// Before this one.
    attempts: u32,
    request_id: String,
    event: Bytes,
}

impl LaneTask {
    pub(crate) fn new(common: Common, reader: Reader, row: LaneRow, more: Watch) -> Self {
        let permissions = reader.source.permissions(&reader.stream);
        let streak = row.segments.first().map_or(0, |segment| segment.attempts);
        let passed_kept = common.engine.clock.monotonic();
        let (role, batch_began, result) = (None, None, String::new());
        Self { common, reader, row, more, permissions, role, batch_began, streak, result, passed_kept }
    }

    /// Works until the lane is over or is to stop.
    ///
    /// Errors: `Deposed`.
    pub(crate) async fn run(mut self) -> Result<End, MappingError> {
        loop {
            match self.step().await {
                Ok(Step::Go) => {}
                Ok(Step::End(end)) => return Ok(end),
                Err(error @ MappingError::Deposed) => return Err(error),
                Err(MappingError::Source(SourceError::NotFound)) => {
                    self.commit(None, NO_STREAM).await?;
                    return Ok(End::Over);
                }
                Err(error) => {
                    tracing::warn!(%error, mapping = self.common.mapping.uuid, "a lane could not go on; trying again");
                    self.streak = self.streak.saturating_add(1);
                    self.pause(None).await;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Step, MappingError> {
        if *self.common.stop.borrow() {
            self.keep_passed().await?;
            return Ok(Step::End(End::Stopped));
        }
        if self.row.is_over {
            return Ok(Step::End(End::Over));
        }
        let is_left = self.row.count != self.common.mapping.settings.parallelization_factor;
        if is_left && self.row.window.is_none() {
            // Other lanes take its place.
            return Ok(Step::End(End::Stopped));
        }
        let Some(role) = self.role().await? else { return Ok(Step::Go) };
        let settings = &self.common.mapping.settings;
        if let Some(window) = &mut self.row.window {
            // What is left of a batch that failed is in none any more, or in one of another lane.
            let is_last = is_left || settings.tumbling_window_s == 0;
            window.is_early |= is_last;
            if window.is_early && (is_last || self.row.segments.is_empty()) {
                self.finish_window(&role).await?;
                return Ok(Step::Go);
            }
        }
        let bounds = bounds(settings.batch_size, settings.tumbling_window_s, &self.row);
        let fill = self.reader.fill(&bounds).await?;
        let has_segment = !self.row.segments.is_empty();
        match fill {
            Fill::Over if self.row.window.is_some() => self.end_window_early(),
            Fill::Over => {
                self.row = LaneRow { is_over: true, ..self.row.clone() };
                self.pass_segments();
                self.commit(None, "").await?;
            }
            Fill::Empty if has_segment => self.drop_segment().await?,
            Fill::Empty if self.is_window_over() => self.finish_window(&role).await?,
            Fill::Empty => self.wait_for_more().await?,
            Fill::Partly if !has_segment && self.is_to_wait() => {
                let window = Duration::from_secs(settings.batching_window_s.into());
                let began = *self.batch_began.get_or_insert(self.common.engine.clock.monotonic());
                self.wait(Some(began + window)).await;
            }
            Fill::Full | Fill::Partly => self.handle(&role).await?,
        }
        Ok(Step::Go)
    }

    /// Whether a batch that is not full waits still.
    fn is_to_wait(&self) -> bool {
        let window = Duration::from_secs(self.common.mapping.settings.batching_window_s.into());
        let now = self.common.engine.clock.monotonic();
        !window.is_zero() && self.batch_began.is_none_or(|began| now < began + window)
    }

    /// Tries the batch that was read.
    async fn handle(&mut self, role: &str) -> Result<(), MappingError> {
        self.batch_began = None;
        let settings = &self.common.mapping.settings;
        if settings.tumbling_window_s > 0
            && let Some(arrived_ms) = self.reader.next_arrived_ms()
        {
            let start_ms = window::start_of(arrived_ms, settings.tumbling_window_s);
            match &self.row.window {
                None => self.row.window = Some(WindowRow::new(start_ms)),
                // What is left of a batch that failed may be beyond it, if windows were made shorter since.
                Some(open) if start_ms > open.start_ms => {
                    return self.finish_window(role).await;
                }
                Some(_) => {}
            }
        }
        let bounds = bounds(settings.batch_size, settings.tumbling_window_s, &self.row);
        let (mut records, end) = self.reader.take(&bounds);
        if records.is_empty() {
            return self.drop_segment().await;
        }
        let attempts = self.row.segments.first().map_or(0, |segment| segment.attempts);
        let now_ms = self.common.engine.clock.unix_ms();
        let expired =
            records.iter().take_while(|record| is_expired(record, settings.age_max_s, now_ms)).count();
        if expired > 0 {
            let rest = records.split_off(expired);
            let end = if rest.is_empty() { end } else { records[expired - 1].next.clone() };
            self.reader.put_back(rest);
            let request_id = self.common.engine.random.uuid();
            let tried = Tried { records, end, attempts: attempts.max(1), request_id, event: Bytes::new() };
            return self.give_up(role, tried, Reason::RecordAgeExceeded, &Response::default()).await;
        }
        self.attempt(role, records, end, attempts).await
    }

    async fn attempt(
        &mut self,
        role: &str,
        records: Vec<Record>,
        end: String,
        attempts: u32,
    ) -> Result<(), MappingError> {
        let Common { engine, mapping, function, .. } = &self.common;
        let settings = &mapping.settings;
        let window =
            self.row.window.as_ref().map(|window| window.invocation(settings.tumbling_window_s, false));
        let event = event::compose(&records, window.as_ref(), &self.reader.shard, &mapping.source_arn);
        let request_id = engine.random.uuid();
        let answer = engine.invoke(function, &request_id, event.clone(), attempts).await;
        let outcome = outcome::judge(&answer, &records, settings.reports_item_failures, window.is_some());
        let mut tried = Tried { records, end, attempts: attempts.saturating_add(1), request_id, event };
        match outcome {
            Outcome::Done { state } => {
                if let Some(window) = &mut self.row.window {
                    window.keep(state);
                }
                self.advance(tried.end);
                self.streak = 0;
                self.commit(None, OK).await
            }
            Outcome::DoneBefore { index, state, response } => {
                if index > 0 {
                    self.row.position.clone_from(&tried.records[index - 1].next);
                    if let Some(window) = &mut self.row.window {
                        window.keep(state);
                    }
                    tried.records.drain(..index);
                    (tried.attempts, self.streak) = (1, 0);
                }
                match (settings.bisects && tried.records.len() > 1, index) {
                    (true, 0) => self.bisect(tried).await,
                    (true, _) => self.split_off(tried).await,
                    (false, _) => self.fail(role, tried, &response).await,
                }
            }
            Outcome::Failed(_) if settings.bisects && tried.records.len() > 1 => self.bisect(tried).await,
            Outcome::Failed(response) => self.fail(role, tried, &response).await,
            Outcome::Busy(why) => {
                tracing::debug!(why, mapping = mapping.uuid, "a batch has to wait for its function");
                let expires = self.expires_ms(&tried.records);
                self.reader.put_back(tried.records);
                self.streak = self.streak.saturating_add(1);
                self.commit_result(CALL_FAILED).await?;
                self.pause(expires).await;
                Ok(())
            }
        }
    }

    /// A batch failed: it is tried again, or given up.
    async fn fail(&mut self, role: &str, tried: Tried, response: &Response) -> Result<(), MappingError> {
        let retries_max = u32::try_from(self.common.mapping.settings.retries_max);
        if retries_max.is_ok_and(|most| tried.attempts > most) {
            return self.give_up(role, tried, Reason::RetryAttemptsExhausted, response).await;
        }
        self.row.set_first(Segment { end: tried.end, attempts: tried.attempts });
        let expires = self.expires_ms(&tried.records);
        self.reader.put_back(tried.records);
        self.streak = self.streak.saturating_add(1);
        self.commit(None, CALL_FAILED).await?;
        self.pause(expires).await;
        Ok(())
    }

    /// What comes from the first failure on is a batch of its own: that is no attempt of its.
    async fn split_off(&mut self, tried: Tried) -> Result<(), MappingError> {
        self.row.set_first(Segment { end: tried.end, attempts: 0 });
        self.reader.put_back(tried.records);
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
        self.reader.put_back(tried.records);
        self.commit(None, CALL_FAILED).await
    }

    /// Passes over a batch, and tells whoever wants to know.
    async fn give_up(
        &mut self,
        role: &str,
        tried: Tried,
        reason: Reason,
        response: &Response,
    ) -> Result<(), MappingError> {
        let Common { engine, mapping, .. } = &self.common;
        let event = if tried.event.is_empty() {
            event::compose(&tried.records, None, &self.reader.shard, &mapping.source_arn)
        } else {
            tried.event
        };
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
        let record = discard::record(&discarded, self.reader.source.batch_info(), role, &event);
        self.advance(tried.end);
        self.streak = 0;
        self.commit(record, CALL_FAILED).await
    }

    /// The final invocation of the window that is open.
    async fn finish_window(&mut self, role: &str) -> Result<(), MappingError> {
        let Common { engine, mapping, function, .. } = &self.common;
        let settings = &mapping.settings;
        let Some(open) = &mut self.row.window else { return Ok(()) };
        let window = open.invocation(settings.tumbling_window_s, true);
        let event = event::compose(&[], Some(&window), &self.reader.shard, &mapping.source_arn);
        let request_id = engine.random.uuid();
        let answer = engine.invoke(function, &request_id, event.clone(), open.attempts).await;
        match outcome::judge(&answer, &[], false, false) {
            Outcome::Done { .. } | Outcome::DoneBefore { .. } => {
                self.row.window = None;
                self.streak = 0;
                self.commit(None, OK).await
            }
            Outcome::Failed(response) => {
                open.attempts = open.attempts.saturating_add(1);
                let attempts = open.attempts;
                if u32::try_from(settings.retries_max).is_ok_and(|most| attempts > most) {
                    self.row.window = None;
                    let end = self.row.position.clone();
                    let tried = Tried { records: Vec::new(), end, attempts, request_id, event };
                    return self.give_up(role, tried, Reason::RetryAttemptsExhausted, &response).await;
                }
                self.streak = self.streak.saturating_add(1);
                self.commit(None, CALL_FAILED).await?;
                self.pause(None).await;
                Ok(())
            }
            Outcome::Busy(_) => {
                self.streak = self.streak.saturating_add(1);
                self.commit_result(CALL_FAILED).await?;
                self.pause(None).await;
                Ok(())
            }
        }
    }

    /// Whether the clock has closed the window that is open; what was put before its end has to be handled first.
    fn is_window_over(&self) -> bool {
        let length_s = self.common.mapping.settings.tumbling_window_s;
        let now_ms = self.common.engine.clock.unix_ms();
        let is_closed = |window: &WindowRow| now_ms >= window.closes_ms(length_s);
        self.row.window.as_ref().is_some_and(is_closed)
    }

    fn end_window_early(&mut self) {
        if let Some(window) = &mut self.row.window {
            window.is_early = true;
        }
        self.pass_segments();
    }

    /// Everything before this is done.
    fn advance(&mut self, end: String) {
        self.row.position = end;
        while self.row.segments.first().is_some_and(|segment| segment.end <= self.row.position) {
            self.row.segments.remove(0);
        }
    }

    /// The records of the first segment are gone, or no filter lets them pass any more.
    async fn drop_segment(&mut self) -> Result<(), MappingError> {
        if let Some(segment) = self.row.segments.first() {
            let end = segment.end.clone();
            self.advance(end);
        }
        self.commit(None, "").await
    }

    fn pass_segments(&mut self) {
        self.row.segments.clear();
        self.row.position = self.reader.passed().to_owned();
    }

    /// Who may read; none when nobody may now.
    async fn role(&mut self) -> Result<Option<String>, MappingError> {
        let Common { engine, mapping, function, .. } = &self.common;
        let now = engine.clock.monotonic();
        if let Some((role, asked)) = &self.role
            && now < *asked + PERMISSION_KEPT
        {
            return Ok(Some(role.clone()));
        }
        let reading = engine.functions.may_read(&mapping.arn(), function, &self.permissions).await;
        match reading.map_err(|error| SourceError::Failed(error.to_string()))? {
            Reading::Allowed { role_arn } => {
                self.role = Some((role_arn.clone(), now));
                Ok(Some(role_arn))
            }
            Reading::Refused(why) => {
                self.role = None;
                self.streak = self.streak.saturating_add(1);
                self.commit_result(&why).await?;
                self.pause(None).await;
                Ok(None)
            }
        }
    }

    /// Nothing is there: keeps that now and then, and sleeps.
    async fn wait_for_more(&mut self) -> Result<(), MappingError> {
        let now = self.common.engine.clock.monotonic();
        if now >= self.passed_kept + PASSED_KEPT_EVERY {
            self.passed_kept = now;
            self.keep_passed().await?;
        }
        let length_s = self.common.mapping.settings.tumbling_window_s;
        let closes = self.row.window.as_ref().map(|window| {
            let left_ms = window.closes_ms(length_s).saturating_sub(self.common.engine.clock.unix_ms());
            now + Duration::from_millis(left_ms.max(0).unsigned_abs())
        });
        self.wait(closes).await;
        Ok(())
    }

    /// Keeps how far it has read, if everything that was read is done.
    async fn keep_passed(&mut self) -> Result<(), MappingError> {
        let is_done = !self.reader.has_more() && self.row.segments.is_empty();
        if is_done && self.row.position != self.reader.passed() {
            self.row.position = self.reader.passed().to_owned();
            self.commit(None, "").await?;
        }
        Ok(())
    }

    /// Sleeps until there may be more, it is to stop, or a time on the monotonic clock.
    async fn wait(&mut self, until: Option<Duration>) {
        let left = until.map(|until| until.saturating_sub(self.common.engine.clock.monotonic()));
        tokio::select! {
            () = self.more.changed() => {}
            _ = self.common.stop.changed() => {}
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
        }
    }

    /// Sleeps after a failure, but no longer than until a record is too old.
    async fn pause(&mut self, expires_ms: Option<i64>) {
        let doublings = self.streak.saturating_sub(1).min(16);
        let mut pause = PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX);
        if let Some(expires_ms) = expires_ms {
            let left_ms = expires_ms.saturating_sub(self.common.engine.clock.unix_ms()).max(0);
            pause = pause.min(Duration::from_millis(left_ms.unsigned_abs()));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.common.stop.changed() => {}
        }
    }

    /// When the first of these is too old.
    fn expires_ms(&self, records: &[Record]) -> Option<i64> {
        let age_max_s = self.common.mapping.settings.age_max_s;
        let first = records.first().filter(|_| age_max_s >= 0)?;
        Some(first.arrived_ms + i64::from(age_max_s) * 1000)
    }

    /// Keeps what the lane's row is now, with what follows from it; again until the store takes it, as the batch has happened.
    ///
    /// Errors: `Deposed`.
    async fn commit(&mut self, event: Option<NewEvent>, result: &str) -> Result<(), MappingError> {
        loop {
            match self.try_commit(event.as_ref(), result).await {
                Ok(()) => break,
                Err(MappingError::Store(error) | MappingError::Bus(BusError::Store(error))) => {
                    tracing::error!(%error, mapping = self.common.mapping.uuid, "a checkpoint cannot be kept; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        if !result.is_empty() {
            result.clone_into(&mut self.result);
        }
        Ok(())
    }

    async fn try_commit(&self, event: Option<&NewEvent>, result: &str) -> Result<(), MappingError> {
        let Common { engine, mapping, holder, .. } = &self.common;
        let Reader { shard, lane, .. } = &self.reader;
        engine
            .db
            .run(|txn| async move {
                check_holder(&txn, &mapping.uuid, *holder).await?;
                self.row.put(&txn, &mapping.uuid, shard, lane.index).await?;
                if let Some(event) = event {
                    engine.outbox.put(&txn, event.clone()).await?;
                }
                if !result.is_empty() && result != self.result {
                    txn.put(&keys::result(&mapping.uuid), result.as_bytes());
                }
                Ok(())
            })
            .await
    }

    /// Keeps how the last batch ended, and nothing else.
    async fn commit_result(&mut self, result: &str) -> Result<(), MappingError> {
        if result != self.result {
            self.commit(None, result).await?;
        }
        Ok(())
    }
}

fn bounds(batch_size: usize, tumbling_window_s: u32, row: &LaneRow) -> Bounds<'_> {
    let invocation = row.window.as_ref().map(|window| window.invocation(tumbling_window_s, false));
    Bounds {
        most: batch_size,
        bytes: event::room(invocation.as_ref()),
        end: row.segments.first().map(|segment| segment.end.as_str()),
        before_ms: invocation.map(|invocation| invocation.end_ms),
    }
}

fn is_expired(record: &Record, age_max_s: i32, now_ms: i64) -> bool {
    age_max_s >= 0 && record.arrived_ms + i64::from(age_max_s) * 1000 <= now_ms
}
