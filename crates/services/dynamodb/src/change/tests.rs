//! Whatever happens to items and indexes, every index holds what its table says it must.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_expressions::{Item, Number, Value, decode_item, item_bytes};
use lambent_model_dynamodb as model;
use lambent_store::{ScanOptions, Txn, load_large};
use proptest::prelude::*;

use super::{Origin, change, projected};
use crate::keys::{self, ItemKey};
use crate::table::{IndexState, Table};
use crate::testing::Bench;
use crate::{DynamoError, rows};

const TABLE: &str = "indexed";

/// What happens to the table.
#[derive(Clone, Debug)]
enum Event {
    Put(Item),
    Delete {
        id: u8,
        sort: u8,
    },
    /// Creates this index, unless it is there, or one is under way.
    Create(usize),
    Drop(usize),
    /// Lets jobs take a step.
    Step,
}

/// Name, partition key, sort key and projection of the indexes that come and go.
const INDEXES: [(&str, &str, Option<&str>, &str); 3] =
    [("whole", "g", None, "ALL"), ("keys", "g", Some("n"), "KEYS_ONLY"), ("some", "s", Some("g"), "INCLUDE")];

fn text(text: impl Into<String>) -> Value {
    Value::S(text.into())
}

fn number(value: u8) -> Value {
    Value::N(Number::parse(&value.to_string()).unwrap())
}

/// Few keys, so that much happens to each item; attributes of indexes are missing, or of the wrong type, now and then.
fn item() -> impl Strategy<Value = Item> {
    let loose = || {
        prop_oneof![
            1 => Just(None),
            3 => (0..3u8).prop_map(|value| Some(text(value.to_string()))),
            3 => (0..3u8).prop_map(|value| Some(number(value))),
        ]
    };
    let filler = prop_oneof![8 => 0..20usize, 1 => 60_000..90_000usize];
    (0..4u8, 0..2u8, [loose(), loose(), loose()], filler, 0..3u8).prop_map(|(id, sort, loose, filler, x)| {
        let mut item = key(id, sort);
        for (name, value) in ["g", "n", "s"].into_iter().zip(loose) {
            item.extend(value.map(|value| (name.to_owned(), value)));
        }
        item.insert("x".to_owned(), number(x));
        item.insert("filler".to_owned(), text("f".repeat(filler)));
        item
    })
}

fn key(id: u8, sort: u8) -> Item {
    Item::from([("id".to_owned(), text(id.to_string())), ("r".to_owned(), number(sort))])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => item().prop_map(Event::Put),
        4 => (0..4u8, 0..2u8).prop_map(|(id, sort)| Event::Delete { id, sort }),
        2 => (0..INDEXES.len()).prop_map(Event::Create),
        1 => (0..INDEXES.len()).prop_map(Event::Drop),
        3 => Just(Event::Step),
    ]
}

fn definition(name: &str, kind: &str) -> model::AttributeDefinition {
    model::AttributeDefinition { attribute_name: name.to_owned(), attribute_type: kind.into() }
}

fn element(name: &str, kind: &str) -> model::KeySchemaElement {
    model::KeySchemaElement { attribute_name: name.to_owned(), key_type: kind.into() }
}

async fn create_table(bench: &Bench) {
    let input = model::CreateTableInput {
        table_name: TABLE.to_owned(),
        attribute_definitions: Some(vec![definition("id", "S"), definition("r", "N"), definition("s", "S")]),
        key_schema: Some(vec![element("id", "HASH"), element("r", "RANGE")]),
        billing_mode: Some("PAY_PER_REQUEST".into()),
        local_secondary_indexes: Some(vec![model::LocalSecondaryIndex {
            index_name: "local".to_owned(),
            key_schema: vec![element("id", "HASH"), element("s", "RANGE")],
            projection: model::Projection {
                non_key_attributes: Some(vec!["x".to_owned()]),
                projection_type: Some("INCLUDE".into()),
            },
        }]),
        ..Default::default()
    };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
}

/// Creates or drops an index; what is refused (there already, not there, another under way) changes nothing.
async fn update(bench: &Bench, update: model::GlobalSecondaryIndexUpdate) {
    let definitions = match &update.create {
        Some(create) => {
            let names = create.key_schema.iter().map(|element| element.attribute_name.as_str());
            Some(names.map(|name| definition(name, if name == "n" { "N" } else { "S" })).collect())
        }
        None => None,
    };
    let input = model::UpdateTableInput {
        table_name: TABLE.to_owned(),
        attribute_definitions: definitions,
        global_secondary_index_updates: Some(vec![update]),
        ..Default::default()
    };
    let _ = bench.dynamo.update_table(&bench.call(), input).await;
}

fn create(which: usize) -> model::GlobalSecondaryIndexUpdate {
    let (name, hash, range, projection) = INDEXES[which];
    let mut key_schema = vec![element(hash, "HASH")];
    key_schema.extend(range.map(|range| element(range, "RANGE")));
    let names = (projection == "INCLUDE").then(|| vec!["x".to_owned(), "filler".to_owned()]);
    model::GlobalSecondaryIndexUpdate {
        create: Some(model::CreateGlobalSecondaryIndexAction {
            index_name: name.to_owned(),
            key_schema,
            projection: model::Projection {
                non_key_attributes: names,
                projection_type: Some(projection.into()),
            },
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn drop_index(which: usize) -> model::GlobalSecondaryIndexUpdate {
    let delete = model::DeleteGlobalSecondaryIndexAction { index_name: INDEXES[which].0.to_owned() };
    model::GlobalSecondaryIndexUpdate { delete: Some(delete), ..Default::default() }
}

async fn write(bench: &Bench, keys: &Item, new: Option<&Item>) {
    let call = &bench.call();
    let run = |txn: Txn| async move {
        let table = bench.dynamo.table(&txn, call.place(), TABLE).await?;
        let key = table.key_of(keys).unwrap();
        let old = rows::item(&txn, &key).await?;
        change(&txn, &table, &key, old.as_ref(), new, Origin::User, bench.now_ms()).await
    };
    bench.db.run(run).await.unwrap();
}

/// The rows of an index as they are.
async fn found(txn: &Txn, index: u64) -> Result<BTreeMap<Bytes, Item>, DynamoError> {
    let page = txn.scan_snapshot(&keys::index_rows(index), ScanOptions::rows(10_000)).await?;
    let mut found = BTreeMap::new();
    for (key, row) in page.rows {
        let whole = load_large(txn, &key, row).await?;
        found.insert(key, decode_item(&whole)?);
    }
    Ok(found)
}

async fn check(bench: &Bench) {
    let call = &bench.call();
    let read = |txn: Txn| async move {
        let table: std::sync::Arc<Table> = bench.dynamo.table(&txn, call.place(), TABLE).await?;
        let page = txn.scan_snapshot(&keys::items(table.id), ScanOptions::rows(10_000)).await?;
        let mut items = Vec::new();
        for (key, row) in page.rows {
            items.push((ItemKey::found(key.clone()), rows::stored(&txn, &key, row).await?.item));
        }
        let bytes = |items: &mut dyn Iterator<Item = &Item>| -> i64 {
            items.map(|item| i64::try_from(item_bytes(item)).unwrap()).sum()
        };
        let counted = crate::tables::counted(&txn, table.id).await?;
        let total = bytes(&mut items.iter().map(|(_, item)| item));
        assert_eq!(counted, (i64::try_from(items.len()).unwrap(), total));
        for index in table.indexes() {
            assert_eq!(index.status, IndexState::Active, "all jobs are done");
            let rows = items.iter().filter_map(|(key, item)| {
                Some((Bytes::from(index.row_key(item, key)?), projected(&table, index, item)))
            });
            let expected: BTreeMap<Bytes, Item> = rows.collect();
            assert_eq!(found(&txn, index.id).await?, expected, "index {}", index.name);
            let total = bytes(&mut expected.values());
            let counted = crate::tables::counted(&txn, index.id).await?;
            assert_eq!(counted, (i64::try_from(expected.len()).unwrap(), total), "index {}", index.name);
        }
        Ok::<_, DynamoError>(())
    };
    bench.db.read(read).await.unwrap();
    assert_eq!(problems(bench).await, Vec::<String>::new());
}

/// What `lambent check` has to say.
async fn problems(bench: &Bench) -> Vec<String> {
    let mut findings = lambent_care::Findings::default();
    crate::check(&bench.db.export().await.unwrap(), &mut findings).await.unwrap();
    findings.problems.into_iter().map(|problem| problem.what).collect()
}

#[tokio::test]
async fn a_check_finds_what_does_not_fit() {
    let bench = Bench::new().await;
    create_table(&bench).await;
    let mut item = key(1, 1);
    item.insert("s".to_owned(), text("sorted"));
    write(&bench, &item, Some(&item)).await;
    assert_eq!(problems(&bench).await, Vec::<String>::new());
    let (bench, call) = (&bench, &bench.call());
    let tamper = |txn: Txn| async move {
        let table = bench.dynamo.table(&txn, call.place(), TABLE).await?;
        let index = &table.locals[0];
        let page = txn.scan_snapshot(&keys::index_rows(index.id), ScanOptions::rows(1)).await?;
        let (row_key, row) = &page.rows[0];
        txn.delete(row_key);
        txn.put(&[&row_key[..], b"x"].concat(), row);
        txn.add(&keys::count(table.id), 3);
        Ok::<_, DynamoError>(())
    };
    bench.db.run(tamper).await.unwrap();
    let mut found = problems(bench).await;
    found.sort();
    assert_eq!(
        found,
        [
            "a row of index local of table indexed is of no item that it must hold",
            "index local of table indexed has 0 bytes, but 13 are counted",
            "index local of table indexed has 0 items, but 1 are counted",
            "index local of table indexed lacks an item",
            "table indexed has 1 items, but 4 are counted",
        ]
    );
}

#[tokio::test]
async fn items_whose_values_are_no_keys_are_not_in_a_new_index() {
    let bench = Bench::new().await;
    create_table(&bench).await;
    let values = ["kept".to_owned(), String::new(), "h".repeat(2_049), "h".repeat(5_000)];
    let puts = || values.iter().zip(0..).map(|(value, id)| (key(id, 1), text(value.clone())));
    for (mut item, value) in puts() {
        item.insert("g".to_owned(), value);
        write(&bench, &item, Some(&item)).await;
    }
    update(&bench, create(0)).await;
    bench.dynamo.finish_jobs().await;
    check(&bench).await;
    assert_eq!(bench.rows(b"dynamodb/index/").await, 1);
    // Such items change like others.
    for (mut item, value) in puts() {
        item.extend([("g".to_owned(), value), ("x".to_owned(), number(2))]);
        write(&bench, &item, Some(&item)).await;
    }
    check(&bench).await;
}

async fn history(events: Vec<Event>) {
    let bench = Bench::new().await;
    create_table(&bench).await;
    for event in events {
        match event {
            Event::Put(item) => write(&bench, &item, Some(&item)).await,
            Event::Delete { id, sort } => write(&bench, &key(id, sort), None).await,
            Event::Create(which) => update(&bench, create(which)).await,
            Event::Drop(which) => update(&bench, drop_index(which)).await,
            Event::Step => bench.dynamo.step_jobs().await,
        }
    }
    bench.dynamo.finish_jobs().await;
    check(&bench).await;
    // Nothing outlives the table but what streams keep for a day.
    let input = model::DeleteTableInput { table_name: TABLE.to_owned() };
    bench.dynamo.delete_table(&bench.call(), input).await.unwrap();
    bench.dynamo.finish_jobs().await;
    assert_eq!(bench.rows(b"dynamodb/").await, 0);
    assert_eq!(bench.rows(&[lambent_store::limits::FIRST_RESERVED_BYTE]).await, 0, "parts of items are left");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_index_equals_its_table_after_any_history(events in prop::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(history(events));
    }
}
