//! How the window of a lane ends.
//! Source: Lambda Developer Guide, "Implementing stateful DynamoDB stream processing in Lambda": nothing else is done until the
//! final invocation has succeeded. Here that ends when it has failed as often as a batch may, or the window is older than
//! records may be: it is given up as a batch is.

use bytes::Bytes;

use crate::batch::Tried;
use crate::discard::Reason;
use crate::error::MappingError;
use crate::event;
use crate::lane::{CALL_FAILED, Common, End, LaneTask, Step};
use crate::outcome::{self, OK, Outcome, Response};

impl LaneTask {
    /// The final invocation of the window that is open.
    pub(crate) async fn finish_window(&mut self, role: &str) -> Result<Step, MappingError> {
        let Common { engine, mapping, function, .. } = &self.common;
        let Some(open) = &self.row.window else { return Ok(Step::Go) };
        let window = open.invocation(true);
        let event = event::compose(&[], Some(&window), &self.reader.shard, &mapping.source_arn);
        let request_id = engine.random.uuid();
        let expires_ms = self.expires_ms(open.end_ms());
        if expires_ms <= self.common.engine.clock.unix_ms() {
            // Its function was throttled or stopped all the time.
            let (given, none) = ((request_id, event), Response::default());
            self.give_window_up(role, given, Reason::RecordAgeExceeded, &none).await?;
            return Ok(Step::Go);
        }
        let answer = engine.invoke(function, &request_id, event.clone(), open.attempts).await;
        match outcome::judge(&answer, &[], false, false) {
            Outcome::Done { .. } | Outcome::DoneBefore { .. } => {
                self.row.window = None;
                self.streak = 0;
                self.commit(None, OK).await?;
            }
            Outcome::Failed(response) => {
                if let Some(open) = &mut self.row.window {
                    open.attempts = open.attempts.saturating_add(1);
                }
                self.window_failed(role, (request_id, event), &response).await?;
            }
            Outcome::Busy(why) => {
                tracing::debug!(
                    why,
                    mapping = mapping.uuid,
                    "the end of a window has to wait for its function"
                );
                self.read_again();
                self.commit_result(CALL_FAILED).await?;
                self.pause_longer(Some(expires_ms)).await;
            }
            Outcome::Stopped(why) => {
                self.read_again();
                self.commit_result(&format!("PROBLEM: {why}")).await?;
                self.pause_until_changed(Some(expires_ms)).await;
            }
            Outcome::NotHere(why) => return Ok(Step::End(End::NotHere(why))),
        }
        Ok(Step::Go)
    }

    async fn window_failed(
        &mut self,
        role: &str,
        (request_id, event): (String, Bytes),
        response: &Response,
    ) -> Result<(), MappingError> {
        let Some(open) = &self.row.window else { return Ok(()) };
        let (attempts, ends_ms) = (open.attempts, open.end_ms());
        let now_ms = self.common.engine.clock.unix_ms();
        let reason = if self.is_tried_enough(attempts) {
            Some(Reason::RetryAttemptsExhausted)
        } else if self.expires_ms(ends_ms) <= now_ms {
            Some(Reason::RecordAgeExceeded)
        } else {
            None
        };
        let Some(reason) = reason else {
            self.read_again();
            self.commit(None, CALL_FAILED).await?;
            self.pause_longer(Some(self.expires_ms(ends_ms))).await;
            return Ok(());
        };
        self.give_window_up(role, (request_id, event), reason, response).await
    }

    async fn give_window_up(
        &mut self,
        role: &str,
        (request_id, event): (String, Bytes),
        reason: Reason,
        response: &Response,
    ) -> Result<(), MappingError> {
        let attempts = self.row.window.take().map_or(1, |open| open.attempts.max(1));
        let end = self.row.position.clone();
        let tried = Tried { records: Vec::new(), end, attempts, request_id, event };
        self.give_up(role, tried, reason, response).await
    }

    /// Whether the clock has closed the window that is open; what was put before its end has to be handled first.
    pub(crate) fn is_window_over(&self) -> bool {
        let now_ms = self.common.engine.clock.unix_ms();
        self.row.window.as_ref().is_some_and(|window| now_ms >= window.closes_ms())
    }

    pub(crate) fn end_window_early(&mut self) {
        if let Some(window) = &mut self.row.window {
            window.is_early = true;
        }
        self.pass_segments();
    }
}
