//! The task that brings the records of one lane to the function, batch after batch: what it does next, and how it waits.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::Arn;
use lambent_store::Watch;
use tokio::sync::watch;

use crate::Mapping;
use crate::engine::Inner;
use crate::error::MappingError;
use crate::event;
use crate::reader::{Bounds, Fill, Reader};
use crate::rows::LaneRow;
use crate::source::{Reading, SourceError};
use crate::standing::Standing;

/// The pause after a failure; it doubles up to [`PAUSE_MAX`].
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a lane sleeps at most whose function cannot be run until somebody changes something, if nobody does.
const STOPPED_MAX: Duration = Duration::from_secs(15 * 60);
/// How often it is kept, at most, that nothing but records that no filter lets pass were read.
const PASSED_KEPT_EVERY: Duration = Duration::from_secs(60);

pub(crate) const CALL_FAILED: &str = "PROBLEM: Function call failed";
const NO_STREAM: &str = "PROBLEM: Stream not found";

/// Why a lane ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its shard has no more.
    Over,
    Stopped,
    /// This node cannot run the function.
    NotHere(String),
}

/// What the lanes of a mapping have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) engine: Arc<Inner>,
    pub(crate) mapping: Arc<Mapping>,
    /// Whose transactions count.
    pub(crate) holder: [u8; 8],
    pub(crate) function: Arn,
    pub(crate) standing: Arc<Standing>,
    /// Set when lanes are to end as soon as they may.
    pub(crate) stop: watch::Receiver<bool>,
}

pub(crate) struct LaneTask {
    pub(crate) common: Common,
    pub(crate) reader: Reader,
    pub(crate) row: LaneRow,
    more: Watch,
    /// Of functions, and of what roles may do.
    changes: watch::Receiver<u64>,
    /// How many lanes wait for room.
    crowd: watch::Receiver<usize>,
    permissions: Vec<(&'static str, String)>,
    /// When the first record of the batch that is waiting was read, on the monotonic clock.
    pub(crate) batch_began: Option<Duration>,
    /// Failures one after another.
    pub(crate) streak: u32,
    pub(crate) result: String,
    /// When only the position was kept last, on the monotonic clock.
    passed_kept: Duration,
}

/// What follows from a step.
pub(crate) enum Step {
    Go,
    End(End),
}

impl LaneTask {
    pub(crate) fn new(common: Common, mut reader: Reader, row: LaneRow, more: Watch) -> Self {
        let permissions = reader.source.permissions(&reader.stream);
        reader.begin_at(&row.position);
        let streak = row.segments.first().map_or(0, |segment| segment.attempts);
        let passed_kept = common.engine.clock.monotonic();
        let (changes, crowd) = (common.engine.functions.changes(), common.engine.room.waiting());
        let (batch_began, result) = (None, String::new());
        Self {
            common,
            reader,
            row,
            more,
            changes,
            crowd,
            permissions,
            batch_began,
            streak,
            result,
            passed_kept,
        }
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
                    // Others have the room of what it had read meanwhile.
                    self.read_again();
                    self.pause_longer(None).await;
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
        // What changes from here on, changes what comes out of it.
        self.changes.mark_unchanged();
        let Some(role) = self.role().await? else { return Ok(Step::Go) };
        let settings = &self.common.mapping.settings;
        if let Some(window) = &mut self.row.window {
            // What is left of a batch that failed is in none any more, or in one of another lane.
            let is_last = is_left || settings.tumbling_window_s == 0;
            window.is_early |= is_last;
            if window.is_early && (is_last || self.row.segments.is_empty()) {
                return self.finish_window(&role).await;
            }
        }
        let bounds = bounds(settings.batch_size, &self.row);
        let fill = tokio::select! {
            fill = self.reader.fill(&bounds) => fill?,
            _ = self.common.stop.changed() => return Ok(Step::Go),
        };
        let has_segment = !self.row.segments.is_empty();
        match fill {
            Fill::Over if self.row.window.is_some() => self.end_window_early(),
            Fill::Over => {
                self.row = LaneRow { is_over: true, ..self.row.clone() };
                self.pass_segments();
                self.commit(None, "").await?;
            }
            Fill::Empty if has_segment => self.drop_segment().await?,
            Fill::Empty if self.is_window_over() => return self.finish_window(&role).await,
            Fill::Empty => self.wait_for_more().await?,
            Fill::Partly if !has_segment && self.is_to_wait() => {
                let window = Duration::from_secs(settings.batching_window_s.into());
                let began = *self.batch_began.get_or_insert(self.common.engine.clock.monotonic());
                self.wait(Some(began + window)).await;
            }
            Fill::Full | Fill::Partly => return self.handle(&role).await,
        }
        Ok(Step::Go)
    }

    /// Whether a batch that is not full waits still: not where others wait for the room that it has.
    fn is_to_wait(&self) -> bool {
        let window = Duration::from_secs(self.common.mapping.settings.batching_window_s.into());
        let now = self.common.engine.clock.monotonic();
        !window.is_zero()
            && *self.crowd.borrow() == 0
            && self.batch_began.is_none_or(|began| now < began + window)
    }

    /// Who may read; none when nobody may now, after a while of waiting for that.
    async fn role(&mut self) -> Result<Option<String>, MappingError> {
        let Common { engine, mapping, function, standing, .. } = &self.common;
        let answer = standing.ask(engine, mapping, function, &self.permissions).await?;
        match answer.reading {
            Reading::Allowed { role_arn } => Ok(Some(role_arn)),
            Reading::Refused(why) => {
                let left = answer.until.saturating_sub(engine.clock.monotonic());
                self.read_again();
                self.commit_result(&why).await?;
                self.sleep(left, true).await;
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
        let closes = self.row.window.as_ref().map(|window| {
            let left_ms = window.closes_ms().saturating_sub(self.common.engine.clock.unix_ms());
            now + Duration::from_millis(left_ms.max(0).unsigned_abs())
        });
        self.wait(closes).await;
        Ok(())
    }

    /// Sleeps until there may be more, it is to stop, others want its room, or a time on the monotonic clock.
    async fn wait(&mut self, until: Option<Duration>) {
        let left = until.map(|until| until.saturating_sub(self.common.engine.clock.monotonic()));
        let has_records = self.reader.has_more();
        tokio::select! {
            () = self.more.changed() => {}
            _ = self.common.stop.changed() => {}
            _ = self.crowd.wait_for(|waiting| *waiting > 0), if has_records => {}
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
        }
    }

    /// Sleeps after one failure more, but no longer than until a time, in milliseconds since 1970.
    pub(crate) async fn pause_longer(&mut self, until_ms: Option<i64>) {
        self.streak = self.streak.saturating_add(1);
        let pause = self.backoff(PAUSE_MAX).min(self.left(until_ms));
        self.sleep(pause, false).await;
    }

    /// The same where nothing helps but a change: until there is one, or a long pause is over.
    pub(crate) async fn pause_until_changed(&mut self, until_ms: Option<i64>) {
        self.streak = self.streak.saturating_add(1);
        let pause = self.backoff(STOPPED_MAX).min(self.left(until_ms));
        self.sleep(pause, true).await;
    }

    fn backoff(&self, max: Duration) -> Duration {
        let doublings = self.streak.saturating_sub(1).min(16);
        PAUSE.saturating_mul(1 << doublings).min(max)
    }

    fn left(&self, until_ms: Option<i64>) -> Duration {
        let Some(until_ms) = until_ms else { return Duration::MAX };
        let left_ms = until_ms.saturating_sub(self.common.engine.clock.unix_ms()).max(0);
        Duration::from_millis(left_ms.unsigned_abs())
    }

    async fn sleep(&mut self, pause: Duration, wakes_on_changes: bool) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.common.stop.changed() => {}
            changed = self.changes.changed(), if wakes_on_changes => if changed.is_err() {
                // Who tells of changes is gone, and with it the platform.
                tokio::time::sleep(pause).await;
            },
        }
    }
}

/// What a batch may hold.
pub(crate) fn bounds(batch_size: usize, row: &LaneRow) -> Bounds<'_> {
    let invocation = row.window.as_ref().map(|window| window.invocation(false));
    Bounds {
        most: batch_size,
        bytes: event::room(invocation.as_ref()),
        end: row.segments.first().map(|segment| segment.end.as_str()),
        before_ms: invocation.map(|invocation| invocation.end_ms),
    }
}
