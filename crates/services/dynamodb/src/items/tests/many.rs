//! Global indexes whose keys have several attributes.

use lambent_expressions::{Item, item_from_wire};
use lambent_model_dynamodb as model;
use lambent_wire::ApiError;

use crate::testing::Bench;

const TABLE: &str = "matches";
const INDEX: &str = "by league";

type Wire = std::collections::BTreeMap<String, model::AttributeValue>;

fn text(text: &str) -> model::AttributeValue {
    model::AttributeValue { s: Some(text.to_owned()), ..Default::default() }
}

fn element(name: &str, kind: &str) -> model::KeySchemaElement {
    model::KeySchemaElement { attribute_name: name.to_owned(), key_type: kind.into() }
}

fn input(key: &[(&str, &str)]) -> model::CreateTableInput {
    let names = std::iter::once("id").chain(key.iter().map(|(name, _)| *name));
    let definition = |name: &str| model::AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: if name == "round" { "N" } else { "S" }.into(),
    };
    model::CreateTableInput {
        table_name: TABLE.to_owned(),
        attribute_definitions: Some(names.map(definition).collect()),
        key_schema: Some(vec![element("id", "HASH")]),
        billing_mode: Some("PAY_PER_REQUEST".into()),
        global_secondary_indexes: Some(vec![model::GlobalSecondaryIndex {
            index_name: INDEX.to_owned(),
            key_schema: key.iter().map(|(name, kind)| element(name, kind)).collect(),
            projection: model::Projection { projection_type: Some("ALL".into()), ..Default::default() },
            ..Default::default()
        }]),
        ..Default::default()
    }
}

const KEY: [(&str, &str); 4] = [("cup", "HASH"), ("league", "HASH"), ("round", "RANGE"), ("pitch", "RANGE")];

async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.dynamo.create_table(&bench.call(), input(&KEY)).await.unwrap();
    let rows = [
        ("a", "1999", "north", "2", "east"),
        ("b", "1999", "north", "10", "west"),
        ("c", "1999", "north", "10", "east"),
        ("d", "1999", "south", "2", "east"),
        ("e", "19", "99north", "2", "east"),
    ];
    for (id, cup, region, round, pitch) in rows {
        let round = model::AttributeValue { n: Some(round.to_owned()), ..Default::default() };
        let attributes = [text(id), text(cup), text(region), round, text(pitch)];
        put(&bench, ["id", "cup", "league", "round", "pitch"].into_iter().zip(attributes)).await;
    }
    put(&bench, [("id", text("f")), ("cup", text("1999")), ("league", text("north"))].into_iter()).await;
    bench
}

async fn put(bench: &Bench, attributes: impl Iterator<Item = (&'static str, model::AttributeValue)>) {
    let item = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
    let input = model::PutItemInput { table_name: TABLE.to_owned(), item, ..Default::default() };
    bench.dynamo.put_item(&bench.call(), input).await.unwrap();
}

/// The ids that a query finds, two in a page.
async fn found(bench: &Bench, condition: &str) -> Result<Vec<String>, String> {
    let number = model::AttributeValue { n: Some("10".to_owned()), ..Default::default() };
    let values = [(":cup", text("1999")), (":north", text("north")), (":ten", number), (":w", text("w"))];
    let values: Wire = values
        .into_iter()
        .filter(|(name, _)| condition.contains(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let mut start = None;
    let mut ids = Vec::new();
    loop {
        let input = model::QueryInput {
            table_name: TABLE.to_owned(),
            index_name: Some(INDEX.to_owned()),
            key_condition_expression: Some(condition.to_owned()),
            expression_attribute_values: Some(values.clone()),
            exclusive_start_key: start,
            limit: Some(2),
            ..Default::default()
        };
        let output = bench.dynamo.query(&bench.call(), input).await;
        let output = output.map_err(|error| ApiError::from(error).message)?;
        let items = output.items.unwrap().into_iter().map(|item| item_from_wire(item).unwrap());
        ids.extend(items.map(|item: Item| match &item["id"] {
            lambent_expressions::Value::S(id) => id.clone(),
            other => panic!("{other:?}"),
        }));
        start = output.last_evaluated_key;
        if start.is_none() {
            return Ok(ids);
        }
        assert_eq!(start.as_ref().unwrap().len(), 5, "the keys of the index and of the table");
    }
}

#[tokio::test]
async fn a_query_names_the_partition_and_the_beginning_of_the_sort_key() {
    let bench = bench().await;
    let partition = "cup = :cup AND league = :north";
    assert_eq!(found(&bench, partition).await.unwrap(), ["a", "c", "b"]);
    let cases: [(&str, &[&str]); 4] = [
        (" AND round = :ten", &["c", "b"]),
        (" AND round < :ten", &["a"]),
        (" AND round = :ten AND begins_with(pitch, :w)", &["b"]),
        (" AND round = :ten AND pitch < :w", &["c"]),
    ];
    for (more, expected) in cases {
        assert_eq!(found(&bench, &format!("{partition}{more}")).await.unwrap(), expected, "{more}");
    }
    for wrong in [
        "cup = :cup",
        "league = :north",
        "cup = :cup AND league > :north",
        "cup = :cup AND league = :north AND begins_with(pitch, :w)",
        "cup = :cup AND league = :north AND round < :ten AND pitch < :w",
        "cup = :cup AND league = :north AND id = :w",
    ] {
        found(&bench, wrong).await.unwrap_err();
    }
}

#[tokio::test]
async fn such_a_key_is_shown_as_it_was_asked_for() {
    let bench = bench().await;
    let input = model::DescribeTableInput { table_name: TABLE.to_owned() };
    let table = bench.dynamo.describe_table(&bench.call(), input).await.unwrap().table.unwrap();
    let index = &table.global_secondary_indexes.unwrap()[0];
    let expected: Vec<_> = KEY.iter().map(|(name, kind)| element(name, kind)).collect();
    assert_eq!(index.key_schema.as_ref(), Some(&expected));
    assert_eq!(index.item_count, Some(5), "one item lacks a part of the key");
    assert_eq!(table.attribute_definitions.unwrap().len(), 5);
}

#[tokio::test]
async fn a_key_has_four_attributes_of_each_kind_at_most() {
    let names = ["a", "b", "c", "d", "e"];
    let of = |count: usize, kind: &'static str| names.iter().take(count).map(move |name| (*name, kind));
    let ranges = |count: usize| ["v", "w", "x", "y", "z"].into_iter().take(count).map(|name| (name, "RANGE"));
    for (key, is_legal) in [
        (of(4, "HASH").chain(ranges(4)).collect::<Vec<_>>(), true),
        (of(5, "HASH").collect(), false),
        (of(1, "HASH").chain(ranges(5)).collect(), false),
        (ranges(1).chain(of(2, "HASH")).collect(), false),
        (ranges(3).collect(), false),
        (vec![("a", "HASH"), ("b", "RANGE"), ("a", "RANGE")], false),
    ] {
        let bench = Bench::new().await;
        let created = bench.dynamo.create_table(&bench.call(), input(&key)).await;
        assert_eq!(created.is_ok(), is_legal, "{key:?}");
    }
}
