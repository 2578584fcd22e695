//! Streams of tables as sources of event source mappings.

use std::time::Duration;

use lambent_api::BoxFuture;
use lambent_base::Arn;
use lambent_dynamodb::Position;
use lambent_dynamodb::streams::{FoundStream, RETENTION, ReadError, StreamName, StreamReader, to_event};
use lambent_mappings::source::{BatchInfo, From, Page, Record, Shard, SourceError, StreamSource, Wanted};
use lambent_store::Watch;

/// What a role must be allowed. Source: Lambda Developer Guide, "Process DynamoDB records with Lambda".
const ACTIONS: [&str; 4] =
    ["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream", "dynamodb:ListStreams"];

/// So long before records are deleted a batch of them is given up: what became of it is to be told with what they were.
/// That is longer than a mapping rests at most before it looks again (15 minutes) and a function runs at most after that
/// (15 minutes) together.
const TRIM_MARGIN: Duration = Duration::from_secs(35 * 60);

/// The streams of DynamoDB's tables.
pub(crate) struct TableStreams(pub(crate) StreamReader);

impl TableStreams {
    async fn find(&self, stream: &Arn) -> Result<FoundStream, SourceError> {
        let name = StreamName::parse(&stream.to_string()).ok_or(SourceError::NotFound)?;
        let found = self.0.find(&name).await.map_err(failed)?;
        found.ok_or(SourceError::NotFound)
    }

    async fn page(&self, wanted: Wanted<'_>) -> Result<Page, SourceError> {
        let stream = self.find(wanted.stream).await?;
        let shard = stream.shard_of_id(wanted.shard).ok_or(SourceError::NotFound)?;
        let from = match wanted.from {
            "" => Position::START,
            from => Position::parse(from).ok_or_else(|| failed(format!("`{from}` is no position")))?,
        };
        let mut read = self.0.read(&stream, shard, from, wanted.most).await;
        if let Err(ReadError::Trimmed { first }) = read {
            let (arn, id) = (wanted.stream, wanted.shard);
            tracing::warn!(%arn, id, "records were deleted before a function had them");
            read = self.0.read(&stream, shard, first, wanted.most).await;
        }
        let read = match read {
            Err(ReadError::NoStream | ReadError::NoShard) => return Err(SourceError::NotFound),
            other => other.map_err(failed)?,
        };
        let last = read.records.last().map(|last| last.at.after());
        let next = read.next.or(last).unwrap_or(from);
        let own = read.records.iter().filter(|record| wanted.lane.has(stream.hash_of(record).into()));
        let records = own.map(|record| Record {
            sequence: record.at.sequence_number(),
            next: record.at.after().sequence_number(),
            arrived_ms: record.at_ms,
            json: to_event(record, &stream).to_string().into(),
        });
        Ok(Page {
            records: records.collect(),
            next: next.sequence_number(),
            is_last: read.is_last,
            is_over: read.next.is_none(),
        })
    }
}

impl StreamSource for TableStreams {
    fn permissions(&self, stream: &Arn) -> Vec<(&'static str, String)> {
        ACTIONS.iter().map(|action| (*action, stream.to_string())).collect()
    }

    fn retention(&self) -> Duration {
        RETENTION - TRIM_MARGIN
    }

    fn batch_info(&self) -> BatchInfo {
        BatchInfo { name: "DDBStreamBatchInfo", has_millis: false }
    }

    fn shards<'a>(&'a self, stream: &'a Arn) -> BoxFuture<'a, Result<Vec<Shard>, SourceError>> {
        Box::pin(async move {
            let stream = self.find(stream).await?;
            let shard =
                |shard| Shard { id: stream.shard_id(shard), parents: Vec::new(), is_closed: !stream.is_on() };
            Ok((0..stream.shards()).map(shard).collect())
        })
    }

    fn position<'a>(
        &'a self,
        stream: &'a Arn,
        shard: &'a str,
        from: From,
    ) -> BoxFuture<'a, Result<String, SourceError>> {
        Box::pin(async move {
            let stream = self.find(stream).await?;
            let shard = stream.shard_of_id(shard).ok_or(SourceError::NotFound)?;
            let position = match from {
                From::Latest => self.0.latest(&stream, shard).await,
                From::Time(time_ms) => self.0.at_time(&stream, shard, time_ms).await,
            };
            Ok(position.map_err(failed)?.sequence_number())
        })
    }

    fn read<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Page, SourceError>> {
        Box::pin(self.page(wanted))
    }

    fn watch<'a>(&'a self, stream: &'a Arn, shard: &'a str) -> BoxFuture<'a, Result<Watch, SourceError>> {
        Box::pin(async move {
            let stream = self.find(stream).await?;
            let shard = stream.shard_of_id(shard).ok_or(SourceError::NotFound)?;
            Ok(self.0.watch(&stream, shard))
        })
    }
}

fn failed(error: impl std::fmt::Display) -> SourceError {
    SourceError::Failed(error.to_string())
}
