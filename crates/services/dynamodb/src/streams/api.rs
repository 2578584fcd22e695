//! The operations of DynamoDB Streams.

use lambent_api::Call;
use lambent_model_dynamodbstreams::errors::{resource_not_found_exception, trimmed_data_access_exception};
use lambent_model_dynamodbstreams::{
    DescribeStreamInput, DescribeStreamOutput, GetRecordsInput, GetRecordsOutput, GetShardIteratorInput,
    GetShardIteratorOutput, KeySchemaElement, ListStreamsInput, ListStreamsOutput, SequenceNumberRange,
    Shard, ShardIteratorType, Stream, StreamDescription,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::{ApiError, Timestamp};

use super::iterators::ShardIterator;
use super::read::{self, FoundStream, RECORDS_MAX, ReadError};
use super::{StreamName, keys, names, rows, wire};
use crate::error::validation;
use crate::stamped::Position;
use crate::{Dynamo, DynamoError};

/// The most streams, or shards, of one answer. Source: API reference, ListStreams and DescribeStream.
const LISTED_MAX: usize = 100;

impl Dynamo {
    pub(super) async fn list_streams(
        &self,
        call: &Call,
        input: ListStreamsInput,
    ) -> Result<ListStreamsOutput, DynamoError> {
        let (place, now_ms) = (call.place(), call.time_ms());
        let all = match input.table_name.as_deref() {
            Some(table) => {
                let (place, table) = crate::names::table_ref(call, table)?;
                keys::of_table(&place, &table).range()
            }
            None => keys::of_place(place).range(),
        };
        let after = input.exclusive_start_stream_arn.as_deref();
        let after = after.map(|arn| stream_name(call, arn));
        let range = match after.transpose()? {
            Some(name) => all.after(&keys::row(&name.place, &name.table, &name.label)),
            None => all,
        };
        let limit = limit(input.limit, LISTED_MAX)?;
        let range = &range;
        let read = |txn: Txn| async move { list(&txn, range.clone(), limit, now_ms).await };
        let (names, is_last) = self.rows.of(call).read(read).await?;
        let last_evaluated_stream_arn = names.last().filter(|_| !is_last).map(StreamName::arn);
        let streams = names.into_iter().map(|name| Stream {
            stream_arn: Some(name.arn()),
            table_name: Some(name.table),
            stream_label: Some(name.label),
        });
        Ok(ListStreamsOutput { streams: Some(streams.collect()), last_evaluated_stream_arn })
    }

    pub(super) async fn describe_stream(
        &self,
        call: &Call,
        input: DescribeStreamInput,
    ) -> Result<DescribeStreamOutput, DynamoError> {
        let limit = limit(input.limit, LISTED_MAX)?;
        let (name, now_ms) = (&stream_name(call, &input.stream_arn)?, call.time_ms());
        let after = input.exclusive_start_shard_id.as_deref();
        // No shard of ours has children: they are never split.
        let children_only = input.shard_filter.is_some();
        let read = |txn: Txn| async move {
            let stream = find(&txn, name, now_ms).await?;
            let row = &stream.row;
            let mut shards = Vec::new();
            for shard in (0..row.shards).filter(|_| !children_only) {
                let id = names::shard_id(row, shard);
                if after.is_none_or(|after| id.as_str() > after) {
                    shards.push(describe_shard(&txn, &stream, shard, id).await?);
                }
                if shards.len() > limit {
                    break;
                }
            }
            Ok::<_, DynamoError>((stream, shards))
        };
        let (stream, mut shards) = self.rows.of(call).read(read).await?;
        let is_more = shards.len() > limit;
        shards.truncate(limit);
        let last = shards.last().filter(|_| is_more).and_then(|shard| shard.shard_id.clone());
        Ok(DescribeStreamOutput { stream_description: Some(describe(stream, shards, last)) })
    }

    pub(super) async fn get_shard_iterator(
        &self,
        call: &Call,
        input: GetShardIteratorInput,
    ) -> Result<GetShardIteratorOutput, DynamoError> {
        let (stream, now_ms) = (stream_name(call, &input.stream_arn)?, call.time_ms());
        let (name, input) = (&stream, &input);
        let read = |txn: Txn| async move {
            let stream = find(&txn, name, now_ms).await?;
            let shard = names::shard_of_id(&stream.row, &input.shard_id).ok_or_else(no_shard)?;
            Ok::<_, DynamoError>((shard, start(&txn, &stream, shard, input).await?))
        };
        let (shard, from) = self.rows.of(call).read(read).await?;
        let iterator = ShardIterator { stream, shard, from }.seal(&self.identity, now_ms);
        Ok(GetShardIteratorOutput { shard_iterator: Some(iterator) })
    }

    pub(super) async fn get_records(
        &self,
        call: &Call,
        input: GetRecordsInput,
    ) -> Result<GetRecordsOutput, DynamoError> {
        let limit = limit(input.limit, RECORDS_MAX)?;
        let now_ms = call.time_ms();
        let iterator = &ShardIterator::open(&self.identity, &input.shard_iterator, now_ms)?;
        crate::names::check_region(call.place(), &iterator.stream.place, "ShardIterator")?;
        let read = |txn: Txn| async move {
            let stream = find(&txn, &iterator.stream, now_ms).await?;
            let records = read::read(&txn, &stream, iterator.shard, iterator.from, limit).await;
            Ok::<_, DynamoError>((stream, records.map_err(refusal)?))
        };
        let (stream, found) = self.rows.of(call).read(read).await?;
        let next = found.next.map(|from| ShardIterator { from, ..iterator.clone() });
        let records = found.records.into_iter().map(|record| wire::to_model(record, &stream)).collect();
        Ok(GetRecordsOutput {
            next_shard_iterator: next.map(|next| next.seal(&self.identity, now_ms)),
            records: Some(records),
        })
    }
}

/// Where an iterator begins.
async fn start(
    txn: &Txn,
    stream: &FoundStream,
    shard: u16,
    input: &GetShardIteratorInput,
) -> Result<Position, DynamoError> {
    let number = || -> Result<Position, ApiError> {
        let number = input.sequence_number.as_deref();
        let number = number
            .ok_or_else(|| validation("SequenceNumber must be specified for this ShardIteratorType"))?;
        Position::parse(number).ok_or_else(|| validation("Invalid SequenceNumber"))
    };
    let from = match input.shard_iterator_type {
        ShardIteratorType::TrimHorizon => return Ok(Position::START),
        ShardIteratorType::Latest => return read::latest(txn, stream, shard).await,
        ShardIteratorType::AtTimestamp => {
            let at = input.timestamp.ok_or_else(|| {
                validation("Timestamp must be specified for ShardIteratorType AT_TIMESTAMP")
            })?;
            return read::at_time(txn, stream, shard, at.as_ms()).await;
        }
        ShardIteratorType::AtSequenceNumber => number()?,
        ShardIteratorType::AfterSequenceNumber => number()?.after(),
        _ => return Err(validation("Invalid ShardIteratorType").into()),
    };
    let first = read::first(txn, stream, shard).await?;
    if from < first { Err(refusal(ReadError::Trimmed { first })) } else { Ok(from) }
}

/// Names of streams that are there, and whether there are no more.
async fn list(
    txn: &Txn,
    range: lambent_store::KeyRange,
    limit: usize,
    now_ms: i64,
) -> Result<(Vec<StreamName>, bool), DynamoError> {
    let mut names = Vec::new();
    let mut left = Some(range);
    while let Some(range) = left {
        let page = txn.scan_snapshot(&range, ScanOptions::rows(LISTED_MAX + 1)).await?;
        for (key, row) in &page.rows {
            if rows::decode(row)?.is_gone(now_ms) {
                continue;
            }
            if names.len() == limit {
                return Ok((names, false));
            }
            let (place, table, label) = keys::read_row(key)?;
            names.push(StreamName { place, table, label });
        }
        left = range.rest(&page, false);
    }
    Ok((names, true))
}

async fn find(txn: &Txn, name: &StreamName, now_ms: i64) -> Result<FoundStream, DynamoError> {
    read::find(txn, name, now_ms).await?.ok_or_else(|| no_stream(&name.arn()).into())
}

async fn describe_shard(
    txn: &Txn,
    stream: &FoundStream,
    shard: u16,
    id: String,
) -> Result<Shard, DynamoError> {
    let first = read::first(txn, stream, shard).await?;
    let end = match stream.is_on() {
        true => None,
        false => Some(read::last(txn, stream, shard).await?.unwrap_or(first)),
    };
    let range = SequenceNumberRange {
        starting_sequence_number: Some(first.sequence_number()),
        ending_sequence_number: end.map(Position::sequence_number),
    };
    Ok(Shard { shard_id: Some(id), sequence_number_range: Some(range), parent_shard_id: None })
}

fn describe(stream: FoundStream, shards: Vec<Shard>, last: Option<String>) -> StreamDescription {
    let arn = stream.arn();
    let FoundStream { table, label, row, .. } = stream;
    let key = [("HASH", Some(row.key.hash)), ("RANGE", row.key.range)].into_iter();
    let key = key.filter_map(|(kind, attribute)| {
        Some(KeySchemaElement { attribute_name: attribute?.name, key_type: kind.into() })
    });
    let status = if row.ended_ms.is_none() { "ENABLED" } else { "DISABLED" };
    StreamDescription {
        creation_request_date_time: Some(Timestamp::from_ms(row.created_ms)),
        key_schema: Some(key.collect()),
        last_evaluated_shard_id: last,
        shards: Some(shards),
        stream_arn: Some(arn),
        stream_label: Some(label),
        stream_status: Some(status.into()),
        stream_view_type: Some(row.view.name().into()),
        table_name: Some(table),
    }
}

fn stream_name(call: &Call, arn: &str) -> Result<StreamName, ApiError> {
    let name = StreamName::parse(arn).ok_or_else(|| validation(format!("Invalid StreamArn: {arn}")))?;
    crate::names::check_region(call.place(), &name.place, "StreamArn")?;
    Ok(name)
}

fn limit(asked: Option<i32>, max: usize) -> Result<usize, ApiError> {
    let Some(asked) = asked else { return Ok(max) };
    match usize::try_from(asked) {
        Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(validation(format!(
            "1 validation error detected: Value '{asked}' at 'limit' failed to satisfy constraint: Member must have value less than or equal to {max}"
        ))),
    }
}

fn no_stream(arn: &str) -> ApiError {
    resource_not_found_exception(format!("Requested resource not found: Stream: {arn} not found"))
}

fn no_shard() -> ApiError {
    resource_not_found_exception("Requested resource not found: Shard does not exist")
}

fn refusal(error: ReadError) -> DynamoError {
    match error {
        ReadError::NoStream => {
            resource_not_found_exception("Requested resource not found: Stream does not exist").into()
        }
        ReadError::NoShard => no_shard().into(),
        ReadError::Trimmed { .. } => {
            let message = "The operation attempted to read past the oldest stream record in a shard.";
            trimmed_data_access_exception(message).into()
        }
        ReadError::Failed(error) => error,
    }
}
