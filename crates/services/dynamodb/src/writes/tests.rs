//! Many clients, one item.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lambent_expressions::{Item, Number, Value};
use lambent_model_dynamodb as model;
use lambent_store::Txn;
use lambent_wire::ApiError;

use super::{Wish, Written};
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
            |_: &Table, old: Option<&Item>| {
                let was = count_of(old);
                let mut new = id();
                new.insert("count".to_owned(), number(was + 1));
                Ok((Wish::Put(new), was))
            },
        )
        .await
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
    assert!(bench.dynamo.hot.0.iter().all(|queues| queues.lock().is_empty()), "a queue is left over");
}

#[tokio::test]
async fn a_refused_write_is_refused_alone() {
    let bench = Arc::new(Bench::new().await);
    bench.table(TABLE, None).await;
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
            bench.dynamo.write(&call, (call.place(), TABLE), key, refuse).await.map(|_| ())
        })
    });
    let clients: Vec<_> = clients.collect();
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
    let clients = (0..CLIENTS).map(|client| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let call = bench.call();
            let key = |table: &Table| Ok(table.key_of(&sorted()).unwrap());
            let op = move |_: &Table, _: Option<&Item>| {
                Ok((if client % 2 == 0 { Wish::Keep } else { Wish::Put(sorted()) }, ()))
            };
            bench.dynamo.write(&call, (call.place(), TABLE), key, op).await.map(|_| ())
        })
    });
    for (client, ended) in clients.collect::<Vec<_>>().into_iter().enumerate() {
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
