//! PutLogEvents: a batch of events of one stream.

use lambent_api::Call;
use lambent_model_logs::errors::invalid_parameter_exception;
use lambent_model_logs::{InputLogEvent, PutLogEventsRequest, PutLogEventsResponse, RejectedLogEventsInfo};
use lambent_store::Txn;

use crate::chunk::{self, Line, counted_bytes};
use crate::rows::{self, EventTimes, GroupRow, MS_PER_DAY, StreamRow};
use crate::{Logs, LogsError, keys};

/// The most bytes of a batch, with 26 for each event. Source: API reference, PutLogEvents (all limits here).
const BATCH_BYTES_MAX: usize = 1_048_576;
/// The most bytes of one event, with its 26.
const EVENT_BYTES_MAX: usize = 1_048_576;
const BATCH_SPAN_MAX_MS: i64 = MS_PER_DAY;
const FUTURE_MAX_MS: i64 = 2 * 3_600_000;
const PAST_MAX_MS: i64 = 14 * MS_PER_DAY;

impl Logs {
    /// Stores the events that are neither too old nor too new, and says which were not stored. Sequence tokens are
    /// ignored, as AWS does.
    pub(crate) async fn put_log_events(
        &self,
        call: &Call,
        input: PutLogEventsRequest,
    ) -> Result<PutLogEventsResponse, LogsError> {
        let place = call.place();
        let (name, stream, events) = (&input.log_group_name, &input.log_stream_name, &input.log_events);
        check(events)?;
        let now_ms = self.clock.unix_ms();
        self.rows
            .of(call)
            .run(|txn| async move {
                let group = rows::group(&txn, place, name).await?;
                let mut row = rows::stream(&txn, group.id, stream).await?;
                let (accepted, rejected) = judge(events, &group, now_ms);
                check_span(accepted)?;
                let lines: Vec<Line<'_>> = accepted.iter().map(line).collect();
                append(&txn, group.id, stream, &mut row, &lines, now_ms);
                Ok(PutLogEventsResponse {
                    next_sequence_token: Some(sequence_token(&row)),
                    rejected_entity_info: None,
                    rejected_log_events_info: rejected,
                })
            })
            .await
    }
}

/// Adds events, ascending by time, to a stream: its chunks, its row, its place among the recent ones, the group's bytes.
pub(crate) fn append(
    txn: &Txn,
    group: u64,
    stream: &str,
    row: &mut StreamRow,
    lines: &[Line<'_>],
    now_ms: i64,
) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let before_ms = row.recent_ms();
    row.sequence = chunk::store(txn, group, stream, row.sequence, lines, now_ms);
    row.events = Some(EventTimes {
        first_ms: row.events.map_or(first.time_ms, |events| events.first_ms.min(first.time_ms)),
        last_ms: row.events.map_or(last.time_ms, |events| events.last_ms.max(last.time_ms)),
        ingested_ms: now_ms,
    });
    if row.recent_ms() != before_ms {
        txn.delete(&keys::recent(group, before_ms, stream));
    }
    rows::put_stream(txn, group, stream, row);
    let bytes: usize = lines.iter().map(|line| counted_bytes(line.message)).sum();
    txn.add(&keys::bytes(group), i64::try_from(bytes).unwrap_or(i64::MAX));
}

/// What AWS gives as the next sequence token: no longer needed by anybody, never absent.
pub(crate) fn sequence_token(row: &StreamRow) -> String {
    format!("49{:054}", row.sequence)
}

fn line(event: &InputLogEvent) -> Line<'_> {
    Line { time_ms: event.timestamp, message: &event.message }
}

/// What is refused whatever the group and the time.
fn check(events: &[InputLogEvent]) -> Result<(), LogsError> {
    let refuse = |message: String| Err(invalid_parameter_exception(message).into());
    if events.windows(2).any(|pair| pair[0].timestamp > pair[1].timestamp) {
        return refuse(
            "Log events in a single PutLogEvents request must be in chronological order.".to_owned(),
        );
    }
    let sizes = || events.iter().map(|event| counted_bytes(&event.message));
    if let Some(bytes) = sizes().find(|bytes| *bytes > EVENT_BYTES_MAX) {
        return refuse(format!("Log event too large: {bytes} bytes exceeds limit of {EVENT_BYTES_MAX}"));
    }
    let bytes: usize = sizes().sum();
    if bytes > BATCH_BYTES_MAX {
        return refuse(format!("Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES_MAX}"));
    }
    Ok(())
}

/// The span of the events that are stored; the others do not count.
fn check_span(events: &[InputLogEvent]) -> Result<(), LogsError> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
    if last.timestamp - first.timestamp > BATCH_SPAN_MAX_MS {
        let message =
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.";
        return Err(invalid_parameter_exception(message).into());
    }
    Ok(())
}

/// The events to store, and what to say of the others.
fn judge<'a>(
    events: &'a [InputLogEvent],
    group: &GroupRow,
    now_ms: i64,
) -> (&'a [InputLogEvent], Option<RejectedLogEventsInfo>) {
    let before = |time_ms: i64| events.partition_point(|event| event.timestamp < time_ms);
    let too_old = before(now_ms - PAST_MAX_MS);
    let expired = before(group.expired_before_ms(now_ms));
    let too_new = before(now_ms + FUTURE_MAX_MS + 1);
    let start = too_old.max(expired);
    if start == 0 && too_new == events.len() {
        return (events, None);
    }
    let index = |at: usize| i32::try_from(at).ok();
    let rejected = RejectedLogEventsInfo {
        expired_log_event_end_index: index(expired).filter(|_| expired > too_old),
        too_new_log_event_start_index: index(too_new).filter(|_| too_new < events.len()),
        too_old_log_event_end_index: index(too_old).filter(|_| too_old > 0),
    };
    (&events[start.min(too_new)..too_new], Some(rejected))
}
