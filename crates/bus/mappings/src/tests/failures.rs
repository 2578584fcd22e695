use lambent_bus::ports::InvokeError;
use serde_json::{Value, json};

use super::fakes::{RETENTION, World, numbers, settings, until};
use crate::Settings;

const BUCKET: &str = "arn:aws:s3:::failed";

/// What was put into the outbox.
pub(super) async fn told(world: &World) -> Vec<Value> {
    let range = &lambent_store::KeyRange::prefix(b"bus/ready/");
    let read = world.db.read(|txn| async move { txn.scan(range, Default::default()).await });
    let rows = read.await.unwrap().rows;
    let mut told = Vec::new();
    for (_, row) in rows {
        let length = usize::try_from(u32::from_be_bytes(row[..4].try_into().unwrap())).unwrap();
        let head: Value = serde_json::from_slice(&row[4..4 + length]).unwrap();
        let Some(id) = head["body"].as_array() else {
            told.push(serde_json::from_slice(&row[4 + length..]).unwrap());
            continue;
        };
        // A long one lies in a row of its own.
        let id: Vec<u8> = id.iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect();
        let key = &[&b"bus/body/"[..], &id].concat();
        let read = world.db.read(|txn| async move { lambent_store::get_large(&txn, key).await });
        told.push(serde_json::from_slice(&read.await.unwrap().unwrap()).unwrap());
    }
    told
}

fn poisoned_by(poison: u64) -> impl Fn(&Value, usize) -> Result<Value, InvokeError> + Send + Sync + 'static {
    move |event, _| Ok(if numbers(event).contains(&poison) { Value::from("boom") } else { Value::Null })
}

#[tokio::test]
async fn what_fails_is_tried_again_before_anything_else() {
    let mut world = World::new();
    world.stream.put("a", 0..4, 1).await;
    world.function.answers(|_, nth| Ok(if nth < 2 { Value::from("boom") } else { Value::Null }));
    world.map(settings(2)).await;
    world.start().await;
    let batches = world.until_handled(8).await;
    assert_eq!(batches, [[0, 1], [0, 1], [0, 1], [2, 3]]);
}

#[tokio::test]
async fn a_batch_that_is_given_up_is_told_of() {
    let mut world = World::new();
    world.stream.put("a", 0..3, 1).await;
    world.function.answers(poisoned_by(1));
    let on_failure = Some(BUCKET.to_owned());
    let mapping = world.map(Settings { retries_max: 1, on_failure, ..settings(1) }).await;
    world.start().await;
    assert_eq!(world.until_handled(4).await.concat(), [0, 1, 1, 2]);
    let told = &told(&world).await[0];
    assert_eq!(told["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(
        told["responseContext"],
        json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" })
    );
    assert_eq!(told["FakeBatchInfo"]["startSequenceNumber"], "seq-1");
    assert_eq!(told["FakeBatchInfo"]["batchSize"], 1);
    assert_eq!(told["FakeBatchInfo"]["streamArn"], mapping.source_arn);
    assert_eq!(told["payload"]["Records"][0]["n"], 1);
    assert_eq!(told["version"], "1.0");
}

#[tokio::test]
async fn retries_are_counted_across_a_kill() {
    let mut world = World::new();
    world.stream.put("a", 0..2, 1).await;
    world.function.answers(poisoned_by(0));
    world.map(Settings { retries_max: 2, on_failure: Some(BUCKET.to_owned()), ..settings(1) }).await;
    world.start().await;
    world.until_handled(2).await;
    world.start().await;
    until(&world, || async { world.function.batches().concat().contains(&1) }).await;
    let told = &told(&world).await[0];
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 3);
}

#[tokio::test]
async fn a_bisected_batch_loses_one_record() {
    let mut world = World::new();
    world.stream.put("a", 0..10, 1).await;
    world.function.answers(poisoned_by(6));
    let on_failure = Some(BUCKET.to_owned());
    world.map(Settings { bisects: true, retries_max: 0, on_failure, ..settings(8) }).await;
    world.start().await;
    until(&world, || async { world.function.batches().concat().contains(&9) }).await;
    let batches = world.function.batches();
    let expected: [&[u64]; 8] =
        [&[0, 1, 2, 3, 4, 5, 6, 7], &[0, 1, 2, 3], &[4, 5, 6, 7], &[4, 5], &[6, 7], &[6], &[7], &[8, 9]];
    assert_eq!(batches, expected);
    let told = told(&world).await;
    assert_eq!((told.len(), &told[0]["FakeBatchInfo"]["startSequenceNumber"]), (1, &json!("seq-6")));
}

#[tokio::test]
async fn partial_failures_go_on_from_the_first() {
    let mut world = World::new();
    world.stream.put("a", 0..6, 1).await;
    world.function.answers(|event, nth| {
        let failed = numbers(event).contains(&2) && nth < 3;
        let failures = if failed { json!([{ "itemIdentifier": "seq-2" }]) } else { json!([]) };
        Ok(json!({ "batchItemFailures": failures }))
    });
    world.map(Settings { reports_item_failures: true, ..settings(4) }).await;
    world.start().await;
    until(&world, || async { world.function.batches().concat().contains(&5) }).await;
    let expected: [&[u64]; 5] = [&[0, 1, 2, 3], &[2, 3], &[2, 3], &[2, 3], &[4, 5]];
    assert_eq!(world.function.batches(), expected);
}

#[tokio::test]
async fn old_records_are_given_up() {
    let mut world = World::new();
    world.stream.put("a", 0..3, 1).await;
    world.stream.shards.lock()[0].records[..2].iter_mut().for_each(|record| record.1 -= 100_000);
    world.map(Settings { age_max_s: 60, on_failure: Some(BUCKET.to_owned()), ..settings(10) }).await;
    world.start().await;
    assert_eq!(world.until_handled(1).await, [[2]]);
    let told = &told(&world).await[0];
    assert_eq!(told["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(told["FakeBatchInfo"]["batchSize"], 2);
    assert!(told.get("responseContext").is_none());
}

#[tokio::test]
async fn a_busy_function_costs_no_attempts() {
    let mut world = World::new();
    world.stream.put("a", 0..1, 1).await;
    let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
    world.function.answers(move |_, nth| {
        if nth < 2 { Err(InvokeError::Throttled(function.parse().unwrap())) } else { Ok(Value::Null) }
    });
    let mapping =
        world.map(Settings { retries_max: 0, on_failure: Some(BUCKET.to_owned()), ..settings(1) }).await;
    world.start().await;
    world.until_handled(3).await;
    until(&world, || async { world.state(&mapping).await.unwrap().1 == "OK" }).await;
    assert!(told(&world).await.is_empty());
}

/// Whatever a mapping is set to, each record is handled or told of, in the order of the shard.
#[tokio::test]
async fn nothing_is_lost_and_nothing_is_passed_over() {
    for seed in 0..40 {
        let random = lambent_base::Random::seeded(seed);
        let draw = |below: u64| random.u64() % below;
        let poisons: Vec<u64> = (0..30).filter(|_| draw(8) == 0).collect();
        let (is_partial, batch_size) = (draw(2) == 0, usize::try_from(1 + draw(9)).unwrap());
        let mut world = World::new();
        world.stream.put("a", 0..30, 3).await;
        let poisonous = poisons.clone();
        world.function.answers(move |event, _| {
            let found = numbers(event).into_iter().find(|number| poisonous.contains(number));
            Ok(match found {
                None => Value::Null,
                Some(found) if is_partial => {
                    json!({ "batchItemFailures": [{ "itemIdentifier": format!("seq-{found}") }] })
                }
                Some(_) => Value::from("boom"),
            })
        });
        let settings = Settings {
            bisects: true,
            retries_max: 0,
            reports_item_failures: is_partial,
            on_failure: Some(BUCKET.to_owned()),
            ..settings(batch_size)
        };
        world.map(settings).await;
        world.start().await;
        let done = |world: &World| world.function.batches().last().is_some_and(|last| last.contains(&29));
        until(&world, || async { done(&world) && told(&world).await.len() == poisons.len() }).await;
        let lost: Vec<String> = told(&world)
            .await
            .iter()
            .map(|one| one["FakeBatchInfo"]["startSequenceNumber"].as_str().unwrap().to_owned())
            .collect();
        let expected: Vec<String> = poisons.iter().map(|number| format!("seq-{number}")).collect();
        assert_eq!(lost, expected, "seed {seed}");
        let mut next = 0;
        for number in world.function.batches().concat() {
            assert!(number <= next, "seed {seed}: {number} came before {next}");
            next = next.max(number + 1);
        }
    }
}

/// AWS's buckets get the whole of what the function was sent.
#[tokio::test]
async fn a_bucket_gets_batches_of_six_megabytes() {
    let mut world = World::new();
    world.stream.put("a", 0..3, 1).await;
    world.stream.text.lock().push_str(&"x".repeat(1_900_000));
    world.function.answers(|_, _| Ok(Value::from("boom")));
    world.map(Settings { retries_max: 0, on_failure: Some(BUCKET.to_owned()), ..settings(3) }).await;
    world.start().await;
    until(&world, || async { !told(&world).await.is_empty() }).await;
    let told = &told(&world).await[0];
    assert_eq!(numbers(&told["payload"]), [0, 1, 2]);
    assert_eq!(told["payload"]["Records"][2]["text"].as_str().unwrap().len(), 1_900_000);
}

#[tokio::test]
async fn what_stops_a_function_is_not_asked_again_and_again() {
    let mut world = World::new();
    world.stream.put("a", 0..8, 8).await;
    let function: lambent_base::Arn = "arn:aws:lambda:us-east-1:000000000000:function:f".parse().unwrap();
    world.function.answers(move |_, _| Err(InvokeError::NoConcurrency(function.clone())));
    let mapping = world.map(settings(10)).await;
    world.start().await;
    until(&world, || async { world.state(&mapping).await.unwrap().1.starts_with("PROBLEM: function arn:") })
        .await;
    // As often as it is tried until the pauses are longer than this test: a change makes it try at once.
    world.function.answers(|_, _| Ok(Value::Null));
    world.function.change("has some");
    until(&world, || async { world.state(&mapping).await.unwrap().1 == "OK" }).await;
    assert_eq!(world.function.batches().last().unwrap().len(), 8);
}

#[tokio::test]
async fn what_the_stream_forgets_soon_is_told_of() {
    let mut world = World::new();
    world.stream.put("a", 0..3, 1).await;
    let day_ms = i64::try_from(RETENTION.as_millis()).unwrap();
    world.stream.shards.lock()[0].records[..2].iter_mut().for_each(|record| record.1 -= day_ms);
    world.map(Settings { on_failure: Some(BUCKET.to_owned()), ..settings(10) }).await;
    world.start().await;
    assert_eq!(world.until_handled(1).await, [[2]]);
    let told = &told(&world).await[0];
    assert_eq!(told["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(told["FakeBatchInfo"]["batchSize"], 2);
}

/// It fails when it is too old: nobody can read it a second time.
#[tokio::test]
async fn what_the_stream_forgets_while_it_is_tried_is_told_of() {
    let (mut world, hand) = World::with_manual_clock();
    world.stream.put("a", 0..2, 1).await;
    let stream = world.stream.clone();
    world.function.answers(move |_, nth| {
        if nth > 0 {
            return Ok(Value::Null);
        }
        hand.advance(RETENTION);
        let now_ms = stream.clock.unix_ms();
        stream.shards.lock()[0].records = vec![(0, now_ms, 7), (0, now_ms, 8), (0, now_ms, 2)];
        Ok(Value::from("boom"))
    });
    world.map(Settings { on_failure: Some(BUCKET.to_owned()), ..settings(2) }).await;
    world.start().await;
    assert_eq!(world.until_handled(3).await, [vec![0, 1], vec![2]]);
    let told = &told(&world).await[0];
    assert_eq!(told["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(numbers(&told["payload"]), [0, 1]);
}
