//! Whatever happens to items, each index holds what it must, and counters say what there is.

use lambent_expressions::{Item, Value, item_bytes};
use lambent_model_dynamodb as model;
use lambent_store::{ScanOptions, Txn};
use proptest::prelude::*;

use crate::change::projected;
use crate::testing::Bench;
use crate::{DynamoError, keys, rows};

mod bounds;
mod many;

const TABLE: &str = "songs";

/// One request.
#[derive(Clone, Debug)]
enum Op {
    Put {
        key: (u8, u8),
        at: Option<u8>,
        kind: Option<u8>,
        note: u16,
    },
    Update {
        key: (u8, u8),
        at: Option<u8>,
        kind: Option<u8>,
    },
    Delete {
        key: (u8, u8),
    },
    /// A put and a delete in one transaction.
    Both {
        put: (u8, u8),
        delete: (u8, u8),
        kind: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let key = || (0..3u8, 0..4u8);
    let maybe = || prop::option::of(0..3u8);
    prop_oneof![
        3 => (key(), maybe(), maybe(), 0..600u16)
            .prop_map(|(key, at, kind, note)| Op::Put { key, at, kind, note }),
        3 => (key(), maybe(), maybe()).prop_map(|(key, at, kind)| Op::Update { key, at, kind }),
        2 => key().prop_map(|key| Op::Delete { key }),
        1 => (key(), key(), 0..3u8).prop_map(|(put, delete, kind)| Op::Both { put, delete, kind }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn indexes_equal_their_table_after_any_history(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(ops));
    }
}

async fn play(ops: Vec<Op>) {
    let bench = Bench::new().await;
    create(&bench).await;
    for op in ops {
        run(&bench, op).await;
    }
    check(&bench).await;
}

async fn create(bench: &Bench) {
    let element = |name: &str, kind: &str| model::KeySchemaElement {
        attribute_name: name.to_owned(),
        key_type: kind.into(),
    };
    let projection =
        |kind: &str| model::Projection { projection_type: Some(kind.into()), ..model::Projection::default() };
    let definition = |(name, kind): (&str, &str)| model::AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: kind.into(),
    };
    let input = model::CreateTableInput {
        table_name: TABLE.to_owned(),
        attribute_definitions: Some(
            [("pk", "S"), ("sk", "N"), ("at", "N"), ("kind", "S")].map(definition).to_vec(),
        ),
        key_schema: Some(vec![element("pk", "HASH"), element("sk", "RANGE")]),
        billing_mode: Some("PAY_PER_REQUEST".into()),
        local_secondary_indexes: Some(vec![model::LocalSecondaryIndex {
            index_name: "own".to_owned(),
            key_schema: vec![element("pk", "HASH"), element("at", "RANGE")],
            projection: projection("ALL"),
        }]),
        global_secondary_indexes: Some(vec![
            model::GlobalSecondaryIndex {
                index_name: "all".to_owned(),
                key_schema: vec![element("kind", "HASH"), element("at", "RANGE")],
                projection: projection("KEYS_ONLY"),
                ..model::GlobalSecondaryIndex::default()
            },
            model::GlobalSecondaryIndex {
                index_name: "many".to_owned(),
                key_schema: [("kind", "HASH"), ("pk", "HASH"), ("at", "RANGE"), ("sk", "RANGE")]
                    .map(|(name, kind)| element(name, kind))
                    .to_vec(),
                projection: projection("ALL"),
                ..model::GlobalSecondaryIndex::default()
            },
        ]),
        ..model::CreateTableInput::default()
    };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
}

type Wire = std::collections::BTreeMap<String, model::AttributeValue>;

fn text(text: String) -> model::AttributeValue {
    model::AttributeValue { s: Some(text), ..model::AttributeValue::default() }
}

fn number(number: u8) -> model::AttributeValue {
    model::AttributeValue { n: Some(number.to_string()), ..model::AttributeValue::default() }
}

fn key_of((pk, sk): (u8, u8)) -> Wire {
    Wire::from([("pk".to_owned(), text(format!("p{pk}"))), ("sk".to_owned(), number(sk))])
}

async fn run(bench: &Bench, op: Op) {
    let (dynamo, call) = (&bench.dynamo, &bench.call());
    let table_name = TABLE.to_owned();
    match op {
        Op::Put { key, at, kind, note } => {
            let mut item = key_of(key);
            item.extend(at.map(|at| ("at".to_owned(), number(at))));
            item.extend(kind.map(|kind| ("kind".to_owned(), text(format!("k{kind}")))));
            // Some are too large for one row of the store.
            item.insert("note".to_owned(), text("x".repeat(usize::from(note) * 200)));
            let input = model::PutItemInput { table_name, item, ..Default::default() };
            dynamo.put_item(call, input).await.unwrap();
        }
        Op::Update { key, at, kind } => {
            let change = |value| model::AttributeValueUpdate { action: value_action(&value), value };
            let updates = [("at", at.map(number)), ("kind", kind.map(|kind| text(format!("k{kind}"))))];
            let updates = updates.map(|(name, value)| (name.to_owned(), change(value)));
            let input = model::UpdateItemInput {
                table_name,
                key: key_of(key),
                attribute_updates: Some(updates.into_iter().collect()),
                ..Default::default()
            };
            dynamo.update_item(call, input).await.unwrap();
        }
        Op::Delete { key } => {
            let input = model::DeleteItemInput { table_name, key: key_of(key), ..Default::default() };
            dynamo.delete_item(call, input).await.unwrap();
        }
        Op::Both { put, delete, kind } => {
            let mut item = key_of(put);
            item.insert("kind".to_owned(), text(format!("k{kind}")));
            let put_part = model::Put { table_name: table_name.clone(), item, ..Default::default() };
            let delete_part = model::Delete { table_name, key: key_of(delete), ..Default::default() };
            let items = vec![
                model::TransactWriteItem { put: Some(put_part), ..Default::default() },
                model::TransactWriteItem { delete: Some(delete_part), ..Default::default() },
            ];
            let input = model::TransactWriteItemsInput { transact_items: items, ..Default::default() };
            let done = dynamo.transact_write_items(call, input).await;
            assert_eq!(done.is_ok(), put != delete, "{:?}", done.err());
        }
    }
}

fn value_action(value: &Option<model::AttributeValue>) -> Option<model::AttributeAction> {
    let action = if value.is_some() { "PUT" } else { "DELETE" };
    Some(action.into())
}

async fn check(bench: &Bench) {
    let call = &bench.call();
    let read = |txn: Txn| async move {
        let table = bench.dynamo.table(&txn, call.place(), TABLE).await?;
        let items = all(&txn, keys::items(table.id)).await?;
        for index in table.indexes() {
            let held = |(_, item): &(_, Item)| {
                let key = table.key_of(item).unwrap();
                Some((index.row_key(item, &key)?, projected(&table, index, item)))
            };
            let mut expected: Vec<_> = items.iter().filter_map(held).collect();
            expected.sort();
            let found = all(&txn, keys::index_rows(index.id)).await?;
            assert_eq!(found, expected, "rows of {}", index.name);
            counters(&txn, index.id, &found).await?;
        }
        counters(&txn, table.id, &items).await?;
        let mut collections = 0;
        let rows = txn.scan(&keys::collections(table.id), ScanOptions::rows(1_000)).await?.rows;
        for (_, row) in rows {
            collections += i64::from_le_bytes(row.as_ref().try_into().unwrap());
        }
        let own = all(&txn, keys::index_rows(table.locals[0].id)).await?;
        assert_eq!(collections, bytes(&items) + bytes(&own), "collections");
        Ok::<_, DynamoError>(())
    };
    bench.db.read(read).await.unwrap();
}

async fn all(txn: &Txn, range: lambent_store::KeyRange) -> Result<Vec<(Vec<u8>, Item)>, DynamoError> {
    let page = txn.scan(&range, ScanOptions::rows(1_000)).await?;
    let mut found = Vec::new();
    for (key, row) in page.rows {
        let item = rows::stored(txn, &key, row).await?.item;
        assert!(item.values().all(|value| *value != Value::Null));
        found.push((key.to_vec(), item));
    }
    Ok(found)
}

async fn counters(txn: &Txn, id: u64, rows: &[(Vec<u8>, Item)]) -> Result<(), DynamoError> {
    for (key, expected) in
        [(keys::count(id), i64::try_from(rows.len()).unwrap()), (keys::bytes(id), bytes(rows))]
    {
        let row = txn.get(&key).await?;
        let counted = row.map_or(0, |row| i64::from_le_bytes(row.as_ref().try_into().unwrap()));
        assert_eq!(counted, expected, "{key:?}");
    }
    Ok(())
}

fn bytes(rows: &[(Vec<u8>, Item)]) -> i64 {
    rows.iter().map(|(_, item)| i64::try_from(item_bytes(item)).unwrap()).sum()
}
