//! Many clients, one item.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lambent_expressions::{Item, Number, Value};
use lambent_model_dynamodb as model;
use lambent_store::{Faults, Txn};
use lambent_wire::ApiError;

use super::hot::{Entered, QUEUE_BYTES_MAX, Waiting};
use super::{Lead, Target, Wish, Written};
use crate::table::Table;
use crate::testing::Bench;
use crate::{Dynamo, DynamoError, keys};

const TABLE: &str = "counters";
const CLIENTS: i64 = 64;
const ROUNDS: i64 = 20;

fn number(value: i64) -> Value {
    Value::N(Number::parse(&value.to_string()).unwrap())
}

fn count_of(item: Option<&Item>) -> i64 {
    match item.and_then(|item| item.get("count")) {
        Some(Value::N(number)) => number.as_i64().unwrap(),
        _ => 0,
    }
}

fn id() -> Item {
    Item::from([("id".to_owned(), Value::S("one".to_owned()))])
}

/// Adds one to the counter; gives what it was.
async fn raise(dynamo: &Dynamo, call: &lambent_api::Call) -> Result<(Written, i64), DynamoError> {
    dynamo
        .write(
            call,
            (call.place(), TABLE),
            |table: &Table| Ok(table.key_of(&id()).unwrap()),
            (0, |_: &Table, old: Option<&Item>| {
                let was = count_of(old);
                let mut new = id();
                new.insert("count".to_owned(), number(was + 1));
                Ok((Wish::Put(new), was))
            }),
        )
        .await
}

/// A write of nothing.
struct Nothing;

impl Waiting for Nothing {
    fn decide(&mut self, _: &Table, _: Option<&Item>) -> Result<Wish, DynamoError> {
        Ok(Wish::Keep)
    }

    fn note(&mut self, _: Result<Written, DynamoError>) {}

    fn answer(self: Box<Self>, _: Result<(), DynamoError>) {}

    fn bytes(&self) -> usize {
        0
    }

    fn is_given_up(&self) -> bool {
        false
    }
}

/// Takes an item as its writer does: whoever comes for it waits, until the lead is dropped.
async fn lead(bench: &Bench, item: &Item) -> Lead {
    let call = bench.call();
    let table = bench.dynamo.schema(call.place(), TABLE).await.unwrap().unwrap();
    let key = table.key_of(item).unwrap();
    assert!(matches!(bench.dynamo.hot.enter(key.bytes(), Nothing), Entered::First(_)), "somebody writes it");
    let target = Target { id: table.id, place: table.place.clone(), name: table.name.clone(), key };
    Lead { dynamo: bench.dynamo.clone(), db: bench.db.clone(), target }
}

/// Lets `count` writes come before they run, so that they are one batch.
async fn run_together(lead: Lead, count: usize) {
    let (hot, key) = (lead.dynamo.hot.clone(), lead.target.key.bytes().clone());
    while hot.waiting(&key) < count {
        tokio::task::yield_now().await;
    }
    drop(lead);
}

/// Refuses the next commit, and none after it: gives an operation that says so in its first run.
fn conflict_once(bench: &Bench) -> impl FnMut() -> usize + use<> {
    let (engine, mut runs) = (bench.engine.clone(), 0);
    move || {
        let conflicts = if runs == 0 { 1_000 } else { 0 };
        engine.set_faults(Faults { conflicts, ..Faults::default() });
        runs += 1;
        runs
    }
}

#[tokio::test]
async fn each_update_of_one_counter_counts_once() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
    let clients = (0..CLIENTS).map(|_| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..ROUNDS {
                let (written, was) = raise(&bench.dynamo, &bench.call()).await.unwrap();
                assert_eq!(count_of(written.new.as_ref()), was + 1);
                assert_eq!(count_of(written.old.as_ref()), was);
                seen.push(was);
            }
            seen
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut seen = Vec::new();
    for client in clients {
        seen.extend(client.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..CLIENTS * ROUNDS).collect::<Vec<_>>());
    assert_eq!(count_of(bench.items(TABLE).await.first()), CLIENTS * ROUNDS);
    assert!(bench.dynamo.hot.is_idle(), "a queue is left over");
}

#[tokio::test]
async fn a_refused_write_is_refused_alone() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
    let held = lead(&bench, &id()).await;
    let clients = (0..CLIENTS).map(|client| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            if client % 2 == 0 {
                return raise(&bench.dynamo, &bench.call()).await.map(|_| ());
            }
            let (call, refusal) = (bench.call(), ApiError::client("ConditionalCheckFailedException", "No."));
            let refuse = move |_: &Table, _: Option<&Item>| -> Result<(Wish, ()), DynamoError> {
                Err(refusal.clone().into())
            };
            let key = |table: &Table| Ok(table.key_of(&id()).unwrap());
            bench.dynamo.write(&call, (call.place(), TABLE), key, (0, refuse)).await.map(|_| ())
        })
    });
    let clients: Vec<_> = clients.collect();
    run_together(held, clients.len()).await;
    for (client, ended) in clients.into_iter().enumerate() {
        let ended = ended.await.unwrap();
        assert_eq!(ended.is_ok(), client % 2 == 0, "{ended:?}");
    }
    assert_eq!(count_of(bench.items(TABLE).await.first()), CLIENTS / 2);
}

#[tokio::test]
async fn a_write_that_its_collection_has_no_room_for_is_refused_alone() {
    let bench = Arc::new(Bench::new().await);
    create_collections(&bench).await;
    let first = bench.call();
    let table = bench.dynamo.schema(first.place(), TABLE).await.unwrap().unwrap();
    let full = &keys::collection(table.id, &id()["id"]);
    let fill = |txn: Txn| async move {
        txn.add(full, 1 << 40);
        Ok::<_, DynamoError>(())
    };
    bench.db.run(fill).await.unwrap();
    let held = lead(&bench, &sorted()).await;
    let clients = (0..CLIENTS).map(|client| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let call = bench.call();
            let key = |table: &Table| Ok(table.key_of(&sorted()).unwrap());
            let op = move |_: &Table, _: Option<&Item>| {
                Ok((if client % 2 == 0 { Wish::Keep } else { Wish::Put(sorted()) }, ()))
            };
            bench.dynamo.write(&call, (call.place(), TABLE), key, (0, op)).await.map(|_| ())
        })
    });
    let clients: Vec<_> = clients.collect();
    run_together(held, clients.len()).await;
    for (client, ended) in clients.into_iter().enumerate() {
        let ended = ended.await.unwrap();
        assert_eq!(ended.is_ok(), client % 2 == 0, "{ended:?}");
    }
    assert_eq!(bench.items(TABLE).await, Vec::<Item>::new());
}

fn sorted() -> Item {
    let mut item = id();
    item.insert("r".to_owned(), number(1));
    item
}

/// A table that has a local index.
async fn create_collections(bench: &Bench) {
    let element = |name: &str, kind: &str| model::KeySchemaElement {
        attribute_name: name.to_owned(),
        key_type: kind.into(),
    };
    let definition = |(name, kind): (&str, &str)| model::AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: kind.into(),
    };
    let input = model::CreateTableInput {
        table_name: TABLE.to_owned(),
        attribute_definitions: Some([("id", "S"), ("r", "N"), ("s", "S")].map(definition).into()),
        key_schema: Some(vec![element("id", "HASH"), element("r", "RANGE")]),
        billing_mode: Some("PAY_PER_REQUEST".into()),
        local_secondary_indexes: Some(vec![model::LocalSecondaryIndex {
            index_name: "local".to_owned(),
            key_schema: vec![element("id", "HASH"), element("s", "RANGE")],
            projection: model::Projection { projection_type: Some("ALL".into()), ..Default::default() },
        }]),
        ..Default::default()
    };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_loses_nobody_elses_write() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(|client| {
        let (bench, answered) = (Arc::clone(&bench), Arc::clone(&answered));
        tokio::spawn(async move {
            let call = bench.call();
            let write = raise(&bench.dynamo, &call);
            if client % 3 == 0 {
                // Polled once, so that it leads or waits, and then dropped.
                let mut write = std::pin::pin!(write);
                let _ = futures_poll(write.as_mut()).await;
                return;
            }
            write.await.unwrap();
            answered.fetch_add(1, Ordering::Relaxed);
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let answered = i64::try_from(answered.load(Ordering::Relaxed)).unwrap();
    let counted = count_of(bench.items(TABLE).await.first());
    assert_eq!(answered, (0..CLIENTS).filter(|client| client % 3 != 0).count() as i64);
    assert!((answered..=CLIENTS).contains(&counted), "{answered} answers, {counted} updates");
    raise(&bench.dynamo, &bench.call()).await.unwrap();
}

/// Polls a future once.
async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn a_table_made_anew_is_written_to_as_what_it_is_now() {
    let bench = Bench::new().await;
    bench.table(TABLE, None).await;
    raise(&bench.dynamo, &bench.call()).await.unwrap();
    let call = bench.call();
    let input = lambent_model_dynamodb::DeleteTableInput { table_name: TABLE.to_owned() };
    bench.dynamo.delete_table(&call, input).await.unwrap();
    let missing = raise(&bench.dynamo, &call).await.unwrap_err();
    assert_eq!(ApiError::from(missing).code, "ResourceNotFoundException");
    bench.table(TABLE, None).await;
    let (_, was) = raise(&bench.dynamo, &call).await.unwrap();
    assert_eq!(was, 0);
}

#[tokio::test]
async fn a_batch_that_meets_a_conflict_runs_again_as_a_whole() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
    let held = lead(&bench, &id()).await;
    let clients = (0..CLIENTS).map(|client| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let call = bench.call();
            let mut run = conflict_once(&bench);
            let op = move |_: &Table, old: Option<&Item>| {
                let was = count_of(old);
                let mut new = id();
                new.insert("count".to_owned(), number(was + 1));
                // The last one decides what becomes of the commit.
                Ok((Wish::Put(new), (was, run())))
            };
            let key = |table: &Table| Ok(table.key_of(&id()).unwrap());
            let (_, told) = bench.dynamo.write(&call, (call.place(), TABLE), key, (0, op)).await.unwrap();
            assert_eq!(told.1, 2, "client {client} ran once in each of two attempts");
            told.0
        })
    });
    let clients: Vec<_> = clients.collect();
    let before = bench.db.export().await.unwrap().version();
    run_together(held, clients.len()).await;
    let mut seen = Vec::new();
    for client in clients {
        seen.push(client.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..CLIENTS).collect::<Vec<_>>());
    assert_eq!(count_of(bench.items(TABLE).await.first()), CLIENTS);
    let after = bench.db.export().await.unwrap().version();
    assert_eq!(after.0 - before.0, 1, "they share one commit");
}

#[tokio::test]
async fn an_item_is_changed_at_the_time_of_the_attempt_that_counts() {
    let bench = Bench::new().await;
    let stream =
        model::StreamSpecification { stream_enabled: true, stream_view_type: Some("KEYS_ONLY".into()) };
    bench.table(TABLE, Some(stream)).await;
    let (call, hand, before_ms) = (bench.call(), bench.hand.clone(), bench.now_ms());
    let mut run = conflict_once(&bench);
    let op = move |_: &Table, _: Option<&Item>| {
        hand.advance(std::time::Duration::from_secs(1));
        run();
        Ok((Wish::Put(id()), ()))
    };
    let key = |table: &Table| Ok(table.key_of(&id()).unwrap());
    bench.dynamo.write(&call, (call.place(), TABLE), key, (0, op)).await.unwrap();
    assert_eq!(bench.record_times().await, [before_ms + 2_000]);
}

#[tokio::test]
async fn writers_of_one_item_wait_with_so_many_bytes_and_no_more() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
    let held = lead(&bench, &id()).await;
    let write = |bytes: usize| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let call = bench.call();
            let key = |table: &Table| Ok(table.key_of(&id()).unwrap());
            let op = |_: &Table, _: Option<&Item>| Ok((Wish::Put(id()), ()));
            bench.dynamo.write(&call, (call.place(), TABLE), key, (bytes, op)).await.map(drop)
        })
    };
    let waiting = [write(QUEUE_BYTES_MAX / 2), write(QUEUE_BYTES_MAX / 2)];
    while bench.dynamo.hot.waiting(held.target.key.bytes()) < waiting.len() {
        tokio::task::yield_now().await;
    }
    let refused = ApiError::from(write(1).await.unwrap().unwrap_err());
    assert_eq!(refused.code, "ThrottlingException");
    assert!(refused.message.starts_with("Throughput exceeds the current capacity of your table"));
    let room = write(0);
    run_together(held, waiting.len() + 1).await;
    for ended in waiting.into_iter().chain([room]) {
        ended.await.unwrap().unwrap();
    }
    write(QUEUE_BYTES_MAX).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_batch_takes_no_more_than_so_many_bytes_of_items() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
    let held = lead(&bench, &id()).await;
    let clients = (0..6).map(|client| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let call = bench.call();
            let key = |table: &Table| Ok(table.key_of(&id()).unwrap());
            let op = move |_: &Table, _: Option<&Item>| {
                let mut new = id();
                new.insert("text".to_owned(), Value::S(client.to_string().repeat(200_000)));
                Ok((Wish::Put(new), ()))
            };
            bench.dynamo.write(&call, (call.place(), TABLE), key, (0, op)).await.unwrap();
        })
    });
    let clients: Vec<_> = clients.collect();
    let before = bench.db.export().await.unwrap().version();
    run_together(held, clients.len()).await;
    for client in clients {
        client.await.unwrap();
    }
    // 200 KB, then 400 KB for each: before and after.
    let after = bench.db.export().await.unwrap().version();
    assert_eq!(after.0 - before.0, 3, "two share each commit");
}

#[tokio::test]
async fn a_refused_write_costs_once_however_often_it_is_tried() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
    let call = bench.call();
    let table = bench.dynamo.schema(call.place(), TABLE).await.unwrap().unwrap();
    let mut large = id();
    large.insert("text".to_owned(), Value::S("x".repeat(400_000)));
    bench.put(TABLE, large).await;
    let held = lead(&bench, &id()).await;
    let input = model::DeleteItemInput {
        table_name: TABLE.to_owned(),
        key: [("id".to_owned(), model::AttributeValue { s: Some("one".to_owned()), ..Default::default() })]
            .into(),
        condition_expression: Some("attribute_not_exists(id)".to_owned()),
        ..Default::default()
    };
    let refused = tokio::spawn({
        let (bench, call) = (Arc::clone(&bench), call.clone());
        async move { bench.dynamo.delete_item(&call, input).await }
    });
    let others = tokio::spawn({
        let (bench, call) = (Arc::clone(&bench), call.clone());
        async move {
            let mut run = conflict_once(&bench);
            let op = move |_: &Table, _: Option<&Item>| Ok((Wish::Put(id()), run()));
            let key = |table: &Table| Ok(table.key_of(&id()).unwrap());
            bench.dynamo.write(&call, (call.place(), TABLE), key, (0, op)).await.unwrap().1
        }
    });
    run_together(held, 2).await;
    assert_eq!(ApiError::from(refused.await.unwrap().unwrap_err()).code, "ConditionalCheckFailedException");
    assert_eq!(others.await.unwrap(), 2);
    // Five units a second for 300 seconds, less 391.
    let (id, direction) = (table.id, crate::items::Direction::Write);
    bench.dynamo.throttle.take(id, direction, 5, 1_108.0);
    assert!(bench.dynamo.throttle.has_room(id, direction, 5), "it was charged more than once");
    bench.dynamo.throttle.take(id, direction, 5, 1.0);
    assert!(!bench.dynamo.throttle.has_room(id, direction, 5), "it was not charged");
}
