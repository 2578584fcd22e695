//! Log streams.

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_logs::errors::{invalid_parameter_exception, resource_already_exists_exception};
use lambent_model_logs::{
    CreateLogStreamRequest, DescribeLogStreamsRequest, DescribeLogStreamsResponse, LogStream, OrderBy,
};
use lambent_store::{KeyRange, Page, ScanOptions, Txn};
use lambent_wire::Empty;

use crate::groups::LIST_MAX;
use crate::rows::{self, StreamRow};
use crate::{Logs, LogsError, keys, names, put, tokens};

impl Logs {
    pub(crate) async fn create_log_stream(
        &self,
        call: &Call,
        input: CreateLogStreamRequest,
    ) -> Result<Empty, LogsError> {
        let place = call.place();
        let (group, stream) = (&input.log_group_name, &input.log_stream_name);
        let created_ms = self.clock.unix_ms();
        self.rows
            .of(call)
            .run(|txn| async move {
                let group = rows::group(&txn, place, group).await?;
                if rows::find_stream(&txn, group.id, stream).await?.is_some() {
                    return Err(
                        resource_already_exists_exception("The specified log stream already exists").into()
                    );
                }
                let row = StreamRow { created_ms, ..StreamRow::default() };
                rows::put_stream(&txn, group.id, stream, &row);
                Ok(Empty {})
            })
            .await
    }

    pub(crate) async fn describe_log_streams(
        &self,
        call: &Call,
        input: DescribeLogStreamsRequest,
    ) -> Result<DescribeLogStreamsResponse, LogsError> {
        let place = call.place();
        let by_time = input.order_by == Some(OrderBy::LastEventTime);
        if by_time && input.log_stream_name_prefix.is_some() {
            let message = "Cannot order by LastEventTime with a logStreamNamePrefix.";
            return Err(invalid_parameter_exception(message).into());
        }
        let name = &names::group_of(place, input.log_group_name, input.log_group_identifier)?;
        let prefix = &input.log_stream_name_prefix.unwrap_or_default();
        let after = input.next_token.as_deref().map(tokens::read_name_token).transpose()?;
        let after = after.as_deref();
        let reverse = input.descending.unwrap_or(false);
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_MAX);
        let read = |txn: Txn| async move {
            let group = rows::group(&txn, place, name).await?;
            let range = if by_time { keys::recents(group.id) } else { keys::streams(group.id, prefix) };
            let page = scan(&txn, range, after, reverse, limit).await?;
            let mut streams = Vec::with_capacity(page.rows.len());
            for (key, value) in &page.rows {
                let (stream, row) = if by_time {
                    let (_, stream) = keys::read_recent(key)?;
                    let row = rows::stream(&txn, group.id, &stream).await?;
                    (stream, row)
                } else {
                    (keys::stream_name(key)?, rows::decode("a log stream", value)?)
                };
                streams.push(describe(place, name, stream, &row));
            }
            let last = page.rows.last().filter(|_| page.more.is_some());
            let next_token = last.map(|(key, _)| tokens::name_token(key));
            Ok::<_, LogsError>(DescribeLogStreamsResponse { log_streams: Some(streams), next_token })
        };
        self.rows.of(call).read(read).await
    }
}

/// The rows that come after the key of a token, which must lie in the range.
async fn scan(
    txn: &Txn,
    range: KeyRange,
    after: Option<&[u8]>,
    reverse: bool,
    limit: usize,
) -> Result<Page, LogsError> {
    let range = match after {
        Some(key) if !range.contains(key) => return Err(tokens::invalid()),
        Some(key) if reverse => range.before(key),
        Some(key) => range.after(key),
        None => range,
    };
    let options = ScanOptions::rows(limit);
    Ok(txn.scan_snapshot(&range, if reverse { options.reverse() } else { options }).await?)
}

fn describe(place: &Place, group: &str, stream: String, row: &StreamRow) -> LogStream {
    LogStream {
        arn: Some(names::stream_arn(place, group, &stream)),
        creation_time: Some(row.created_ms),
        first_event_timestamp: row.events.map(|events| events.first_ms),
        last_event_timestamp: row.events.map(|events| events.last_ms),
        last_ingestion_time: row.events.map(|events| events.ingested_ms),
        log_stream_name: Some(stream),
        // AWS has given zero for streams since 2019.
        stored_bytes: Some(0),
        upload_sequence_token: row.events.map(|_| put::sequence_token(row)),
    }
}
