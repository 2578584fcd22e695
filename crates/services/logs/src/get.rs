//! GetLogEvents: one stream, page by page, in both directions.

use lambent_api::Call;
use lambent_model_logs::{GetLogEventsRequest, GetLogEventsResponse, OutputLogEvent};

use crate::page::{self, Found, PAGE_EVENTS_MAX, Query, Streams};
use crate::pattern::Pattern;
use crate::tokens::{self, Direction, Position};
use crate::{Logs, LogsError, names, rows};

impl Logs {
    /// The newest page (or, with startFromHead, the oldest), and tokens for its neighbours. At either end the token that
    /// was given comes back.
    pub(crate) async fn get_log_events(
        &self,
        call: &Call,
        input: GetLogEventsRequest,
    ) -> Result<GetLogEventsResponse, LogsError> {
        let place = call.place();
        let name = names::group_of(place, input.log_group_name, input.log_group_identifier)?;
        let (name, stream) = (&name, &input.log_stream_name);
        let token =
            input.next_token.as_deref().map(|token| tokens::read_stream_token(token, stream)).transpose()?;
        let token = &token;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_EVENTS_MAX);
        let (start_ms, end_ms) = (input.start_time.unwrap_or(0), input.end_time.unwrap_or(i64::MAX));
        let head = input.start_from_head.unwrap_or(false);
        let now_ms = self.clock.unix_ms();
        let read = |txn| async move {
            let group = rows::group(&txn, place, name).await?;
            rows::stream(&txn, group.id, stream).await?;
            let from = Position::at(start_ms.max(group.expired_before_ms(now_ms)).max(0));
            let to = Position::at(end_ms);
            let (direction, from, to) = match token {
                Some((Direction::Forward, at)) => (Direction::Forward, from.max(at.clone()), to),
                Some((Direction::Backward, at)) => (Direction::Backward, from, to.min(at.clone())),
                None if head => (Direction::Forward, from, to),
                None => (Direction::Backward, from, to),
            };
            let streams = Streams::One(stream);
            let query =
                Query { group: group.id, streams, from, to, direction, limit, pattern: &Pattern::default() };
            let found = page::read(&txn, &query).await?;
            let at = token.as_ref().map_or_else(|| query.from.clone(), |(_, at)| at.clone());
            Ok::<_, LogsError>((direction, at, found))
        };
        let (direction, at, found) = self.rows.of(call).read(read).await?;
        Ok(answer(direction, &at, found))
    }
}

/// `at` is where the reader stands when there are no events.
fn answer(direction: Direction, at: &Position, found: Found) -> GetLogEventsResponse {
    let Found { events, rest } = found;
    let mut forward = events.last_key_value().map_or_else(|| at.clone(), |(last, _)| last.after());
    let mut backward = events.first_key_value().map_or_else(|| at.clone(), |(first, _)| first.clone());
    if let Some(rest) = rest {
        match direction {
            Direction::Forward => forward = rest,
            Direction::Backward => backward = rest,
        }
    }
    let events = events.into_iter().map(|(position, event)| OutputLogEvent {
        ingestion_time: Some(event.ingested_ms),
        message: Some(event.message),
        timestamp: Some(position.time_ms),
    });
    GetLogEventsResponse {
        events: Some(events.collect()),
        next_forward_token: Some(tokens::stream_token(Direction::Forward, &forward)),
        next_backward_token: Some(tokens::stream_token(Direction::Backward, &backward)),
    }
}
