//! FilterLogEvents: the streams of a group together, in the order of their events' times.

use std::collections::BTreeSet;

use lambent_api::Call;
use lambent_model_logs::errors::invalid_parameter_exception;
use lambent_model_logs::{FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent};

use crate::page::{self, PAGE_EVENTS_MAX, Query, Streams};
use crate::pattern::Pattern;
use crate::tokens::{self, Direction, Position};
use crate::{Logs, LogsError, names, rows};

/// Newest-first pages must start on or after 2024-01-01T00:00:00Z. Source: API reference, FilterLogEvents.
const NEWEST_FIRST_SINCE_MS: i64 = 1_704_067_200_000;

impl Logs {
    /// A page of the events that match; it may be short or empty and still have a token.
    pub(crate) async fn filter_log_events(
        &self,
        call: &Call,
        input: FilterLogEventsRequest,
    ) -> Result<FilterLogEventsResponse, LogsError> {
        let place = call.place();
        check(&input)?;
        let name = &names::group_of(place, input.log_group_name, input.log_group_identifier)?;
        let pattern = &Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default())?;
        let wanted: &BTreeSet<String> = &input.log_stream_names.unwrap_or_default().into_iter().collect();
        let prefix = input.log_stream_name_prefix.as_deref();
        let token = input.next_token.as_deref();
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_EVENTS_MAX);
        // An event at the end time itself is still returned, unlike with GetLogEvents.
        let end_ms = input.end_time.unwrap_or(i64::MAX).saturating_add(1);
        let start_ms = input.start_time.unwrap_or(0);
        let head = input.start_from_head.unwrap_or(true);
        let now_ms = self.clock.unix_ms();
        let read = |txn| async move {
            let group = rows::group(&txn, place, name).await?;
            for stream in wanted {
                rows::stream(&txn, group.id, stream).await?;
            }
            let streams = match prefix {
                Some(prefix) => Streams::Prefix(prefix),
                None if wanted.is_empty() => Streams::All,
                None => wanted
                    .first()
                    .filter(|_| wanted.len() == 1)
                    .map_or(Streams::Named(wanted), |one| Streams::One(one)),
            };
            let from = Position::at(start_ms.max(group.expired_before_ms(now_ms)).max(0));
            let to = Position::at(end_ms);
            let (direction, from, to) =
                match token.map(|token| tokens::read_group_token(token, group.id)).transpose()? {
                    Some((Direction::Forward, at)) => (Direction::Forward, from.max(at), to),
                    Some((Direction::Backward, at)) => (Direction::Backward, from, to.min(at)),
                    None if head => (Direction::Forward, from, to),
                    None => (Direction::Backward, from, to),
                };
            let query = Query { group: group.id, streams, from, to, direction, limit, pattern };
            let found = page::read(&txn, &query).await?;
            Ok::<_, LogsError>((group.id, direction, found))
        };
        let (group, direction, found) = self.rows.of(call).read(read).await?;
        let events = found.events.into_iter().map(|(position, event)| FilteredLogEvent {
            event_id: Some(position.event_id()),
            ingestion_time: Some(event.ingested_ms),
            message: Some(event.message),
            timestamp: Some(position.time_ms),
            log_stream_name: Some(position.stream),
        });
        let events = match direction {
            Direction::Forward => events.collect(),
            Direction::Backward => events.rev().collect(),
        };
        Ok(FilterLogEventsResponse {
            events: Some(events),
            next_token: found.rest.map(|rest| tokens::group_token(direction, group, &rest)),
            // AWS has given an empty list since 2020.
            searched_log_streams: Some(Vec::new()),
        })
    }
}

fn check(input: &FilterLogEventsRequest) -> Result<(), LogsError> {
    let refuse = |message: &str| Err(invalid_parameter_exception(message).into());
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return refuse("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.");
    }
    if let (Some(start), Some(end)) = (input.start_time, input.end_time)
        && start > end
    {
        return refuse("endTime must be greater than or equal to startTime.");
    }
    let early = input.start_time.is_some_and(|start| start < NEWEST_FIRST_SINCE_MS);
    if input.start_from_head == Some(false) && early {
        return refuse("startFromHead can be false only when startTime is on or after January 1, 2024.");
    }
    Ok(())
}
