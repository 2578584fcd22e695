//! Streams, with items changed as every writer changes them.

use std::time::Duration;

use lambent_model_dynamodb as model;
use lambent_model_dynamodbstreams::{
    DescribeStreamInput, GetRecordsInput, GetShardIteratorInput, ListStreamsInput, Record, ShardIteratorType,
};

use crate::testing::{Bench, item};

const DAY: Duration = Duration::from_secs(86_400);

async fn with_stream(view: &str) -> (Bench, String) {
    let bench = Bench::new().await;
    let specification =
        model::StreamSpecification { stream_enabled: true, stream_view_type: Some(view.into()) };
    let arn = bench.table("tab", Some(specification)).await.latest_stream_arn.unwrap();
    (bench, arn)
}

impl Bench {
    async fn shards(&self, arn: &str) -> Vec<String> {
        let input = DescribeStreamInput { stream_arn: arn.to_owned(), ..Default::default() };
        let described = self.dynamo.describe_stream(&self.call(), input).await.unwrap();
        let shards = described.stream_description.unwrap().shards.unwrap();
        shards.into_iter().map(|shard| shard.shard_id.unwrap()).collect()
    }

    async fn iterator(
        &self,
        arn: &str,
        shard: &str,
        kind: ShardIteratorType,
        number: Option<&str>,
    ) -> Result<String, String> {
        let input = GetShardIteratorInput {
            stream_arn: arn.to_owned(),
            shard_id: shard.to_owned(),
            shard_iterator_type: kind,
            sequence_number: number.map(str::to_owned),
            timestamp: None,
        };
        let output = self.dynamo.get_shard_iterator(&self.call(), input).await;
        output.map(|output| output.shard_iterator.unwrap()).map_err(|error| error.to_string())
    }

    async fn records(&self, iterator: &str, limit: i32) -> Result<(Vec<Record>, Option<String>), String> {
        let input = GetRecordsInput { shard_iterator: iterator.to_owned(), limit: Some(limit) };
        let output = self.dynamo.get_records(&self.call(), input).await.map_err(|error| error.to_string())?;
        Ok((output.records.unwrap(), output.next_shard_iterator))
    }

    /// All records of the first shard.
    async fn all(&self, arn: &str) -> Vec<Record> {
        let shard = &self.shards(arn).await[0];
        let iterator = self.iterator(arn, shard, ShardIteratorType::TrimHorizon, None).await.unwrap();
        self.records(&iterator, 1000).await.unwrap().0
    }
}

fn names(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event_name.as_ref().unwrap().as_str()).collect()
}

fn number(record: &Record) -> String {
    record.dynamodb.as_ref().unwrap().sequence_number.clone().unwrap()
}

#[tokio::test]
async fn records_say_what_happened_and_nothing_of_what_did_not() {
    let (bench, arn) = with_stream("NEW_AND_OLD_IMAGES").await;
    bench.put("tab", item("NewKey", "")).await;
    bench.put("tab", item("NewKey", "")).await;
    bench.put("tab", item("NewKey", "x")).await;
    bench.delete("tab", "NewKey").await;
    bench.delete("tab", "NewKey").await;
    let records = bench.all(&arn).await;
    assert_eq!(names(&records), ["INSERT", "MODIFY", "REMOVE"]);
    let sizes: Vec<_> = records.iter().map(|record| record.dynamodb.as_ref().unwrap().size_bytes).collect();
    // `id` and `NewKey` are 8 bytes, `v` and its text 1 and 2.
    assert_eq!(sizes, [Some(17), Some(27), Some(18)]);
    let images = records.iter().map(|record| {
        let change = record.dynamodb.as_ref().unwrap();
        (change.old_image.is_some(), change.new_image.is_some())
    });
    assert_eq!(images.collect::<Vec<_>>(), [(false, true), (true, true), (true, false)]);
    assert!(records.is_sorted_by_key(number));
}

#[tokio::test]
async fn a_view_decides_what_records_carry() {
    for (view, old, new) in [
        ("KEYS_ONLY", false, false),
        ("NEW_IMAGE", false, true),
        ("OLD_IMAGE", true, false),
        ("NEW_AND_OLD_IMAGES", true, true),
    ] {
        let (bench, arn) = with_stream(view).await;
        bench.put("tab", item("a", "1")).await;
        bench.put("tab", item("a", "2")).await;
        let change = bench.all(&arn).await.remove(1).dynamodb.unwrap();
        assert_eq!((change.old_image.is_some(), change.new_image.is_some()), (old, new), "{view}");
        assert_eq!(change.stream_view_type.unwrap().as_str(), view);
        assert!(change.keys.unwrap().contains_key("id"));
    }
}

#[tokio::test]
async fn large_images_come_back_whole() {
    let (bench, arn) = with_stream("NEW_AND_OLD_IMAGES").await;
    let long = "x".repeat(390_000);
    bench.put("tab", item("a", &long)).await;
    bench.put("tab", item("a", "short")).await;
    bench.put("tab", item("b", &long)).await;
    let records = bench.all(&arn).await;
    // A megabyte ends the answer, and the record that reaches it is there.
    assert_eq!(names(&records), ["INSERT", "MODIFY", "INSERT"]);
    let old = records[1].dynamodb.as_ref().unwrap().old_image.as_ref().unwrap();
    assert!(old["v"].s.as_deref() == Some(&long));
}

#[tokio::test]
async fn iterators_begin_where_they_are_told() {
    let (bench, arn) = with_stream("KEYS_ONLY").await;
    let shard = &bench.shards(&arn).await[0];
    let latest = bench.iterator(&arn, shard, ShardIteratorType::Latest, None).await.unwrap();
    for id in ["a", "b", "c"] {
        bench.put("tab", item(id, "")).await;
    }
    let all = bench.all(&arn).await;
    let (found, next) = bench.records(&latest, 2).await.unwrap();
    assert_eq!(found, all[..2]);
    let (found, next) = bench.records(&next.unwrap(), 1000).await.unwrap();
    assert_eq!(found, all[2..]);
    let (found, _) = bench.records(&next.unwrap(), 1000).await.unwrap();
    assert!(found.is_empty());
    let second = number(&all[1]);
    for (kind, from) in
        [(ShardIteratorType::AtSequenceNumber, 1), (ShardIteratorType::AfterSequenceNumber, 2)]
    {
        let iterator = bench.iterator(&arn, shard, kind, Some(&second)).await.unwrap();
        assert_eq!(bench.records(&iterator, 1000).await.unwrap().0, all[from..]);
    }
}

#[tokio::test]
async fn iterators_expire_and_cannot_be_made_up() {
    let (bench, arn) = with_stream("KEYS_ONLY").await;
    let shard = &bench.shards(&arn).await[0];
    let iterator = bench.iterator(&arn, shard, ShardIteratorType::TrimHorizon, None).await.unwrap();
    let forged = iterator.replace("/tab/", "/tub/");
    assert_eq!(bench.records(&forged, 1).await.unwrap_err(), "ValidationException: Invalid ShardIterator");
    bench.hand.advance(Duration::from_secs(15 * 60));
    bench.records(&iterator, 1).await.unwrap();
    bench.hand.advance(Duration::from_millis(1));
    assert!(bench.records(&iterator, 1).await.unwrap_err().starts_with("ExpiredIteratorException"));
    let missing =
        bench.iterator(&arn, "shardId-00000000000000000000-00000000", ShardIteratorType::Latest, None);
    assert!(missing.await.unwrap_err().contains("Shard does not exist"));
}

#[tokio::test]
async fn records_live_for_a_day() {
    let (bench, arn) = with_stream("NEW_IMAGE").await;
    let shard = &bench.shards(&arn).await[0];
    bench.put("tab", item("a", &"x".repeat(100_000))).await;
    bench.hand.advance(DAY / 2);
    bench.put("tab", item("b", "")).await;
    let first = number(&bench.all(&arn).await[0]);
    assert_eq!(bench.dynamo.sweep_streams(&bench.work).await.unwrap(), Some(bench.now_ms() + 43_200_000));
    assert_eq!(bench.all(&arn).await.len(), 2);
    bench.hand.advance(DAY / 2);
    bench.dynamo.sweep_streams(&bench.work).await.unwrap();
    assert_eq!(bench.all(&arn).await.len(), 1);
    assert_eq!(bench.rows(b"dynamodb/stream/").await, 1);
    let trimmed = bench.iterator(&arn, shard, ShardIteratorType::AtSequenceNumber, Some(&first)).await;
    assert!(trimmed.unwrap_err().starts_with("TrimmedDataAccessException"));
}

#[tokio::test]
async fn streams_outlive_their_tables_by_a_day() {
    let (bench, arn) = with_stream("NEW_IMAGE").await;
    bench.put("tab", item("a", "")).await;
    let shard = bench.shards(&arn).await.remove(0);
    let input = model::DeleteTableInput { table_name: "tab".to_owned() };
    bench.dynamo.delete_table(&bench.call(), input).await.unwrap();
    let iterator = bench.iterator(&arn, &shard, ShardIteratorType::TrimHorizon, None).await.unwrap();
    let (records, next) = bench.records(&iterator, 1000).await.unwrap();
    assert_eq!((records.len(), next), (1, None), "a closed shard ends");
    let list = || async {
        let input = ListStreamsInput { table_name: Some("tab".to_owned()), ..Default::default() };
        bench.dynamo.list_streams(&bench.call(), input).await.unwrap().streams.unwrap().len()
    };
    assert_eq!(list().await, 1);
    bench.hand.advance(DAY);
    assert_eq!(list().await, 0);
    assert_eq!(bench.dynamo.sweep_streams(&bench.work).await.unwrap(), None);
    for prefix in [&b"dynamodb/stream/"[..], b"dynamodb/streams/", b"dynamodb/trimmed/"] {
        assert_eq!(bench.rows(prefix).await, 0);
    }
}
