//! What is large is written whole, and read in parts; and what a table may take is all that it takes.

use lambent_expressions::{Item, Number, Value};
use lambent_model_dynamodb as model;
use lambent_wire::ApiError;

use crate::testing::{Bench, item};

const TABLE: &str = "songs";
/// What a test's on-demand table takes in five minutes, and at once if nothing was taken for so long.
const BURST_UNITS: usize = 300;

type Wire = std::collections::BTreeMap<String, model::AttributeValue>;

fn text(text: &str) -> model::AttributeValue {
    model::AttributeValue { s: Some(text.to_owned()), ..Default::default() }
}

fn images() -> model::StreamSpecification {
    model::StreamSpecification { stream_enabled: true, stream_view_type: Some("NEW_AND_OLD_IMAGES".into()) }
}

fn element(name: &str, kind: &str) -> model::KeySchemaElement {
    model::KeySchemaElement { attribute_name: name.to_owned(), key_type: kind.into() }
}

fn limits(read: i64, write: i64) -> model::OnDemandThroughput {
    model::OnDemandThroughput { max_read_request_units: Some(read), max_write_request_units: Some(write) }
}

/// An on-demand table with key `id` and so many global indexes of `g`, which hold all.
fn on_demand(indexes: usize) -> model::CreateTableInput {
    let definition = |name: &str| model::AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: "S".into(),
    };
    let index = |number: usize| model::GlobalSecondaryIndex {
        index_name: format!("index{number}"),
        key_schema: vec![element("g", "HASH")],
        projection: model::Projection { projection_type: Some("ALL".into()), ..Default::default() },
        ..Default::default()
    };
    let names = if indexes > 0 { vec!["id", "g"] } else { vec!["id"] };
    model::CreateTableInput {
        table_name: TABLE.to_owned(),
        attribute_definitions: Some(names.into_iter().map(definition).collect()),
        key_schema: Some(vec![element("id", "HASH")]),
        billing_mode: Some("PAY_PER_REQUEST".into()),
        global_secondary_indexes: (indexes > 0).then(|| (0..indexes).map(index).collect()),
        ..Default::default()
    }
}

impl Bench {
    async fn keep_changes(&self) {
        let input = model::UpdateContinuousBackupsInput {
            table_name: TABLE.to_owned(),
            point_in_time_recovery_specification: model::PointInTimeRecoverySpecification {
                point_in_time_recovery_enabled: true,
                recovery_period_in_days: None,
            },
        };
        self.dynamo.update_continuous_backups(&self.call(), input).await.unwrap();
    }

    /// Puts an item of about so many kilobytes; gives the code of the refusal.
    async fn put_sized(&self, id: &str, kib: usize) -> Result<(), ApiError> {
        let attributes = [("id", text(id)), ("g", text("all")), ("v", text(&"v".repeat(kib * 1024 - 20)))];
        let item: Wire = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        let input = model::PutItemInput { table_name: TABLE.to_owned(), item, ..Default::default() };
        self.dynamo.put_item(&self.call(), input).await.map(drop).map_err(ApiError::from)
    }
}

/// The parts of a transaction that puts `count` items of 400 KB.
fn puts(count: usize, letter: &str) -> Vec<model::TransactWriteItem> {
    let put = |id: usize| {
        let attributes =
            [("id", text(&id.to_string())), ("g", text(letter)), ("v", text(&letter.repeat(400_000)))];
        let item = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        let put = model::Put { table_name: TABLE.to_owned(), item, ..Default::default() };
        model::TransactWriteItem { put: Some(put), ..Default::default() }
    };
    (0..count).map(put).collect()
}

#[tokio::test]
async fn a_transaction_of_four_megabytes_is_written_with_all_that_follows_from_it() {
    let bench = Bench::new().await;
    let input = model::CreateTableInput { stream_specification: Some(images()), ..on_demand(3) };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    bench.keep_changes().await;
    for letter in ["a", "b"] {
        let transact_items = puts(10, letter);
        let input = model::TransactWriteItemsInput { transact_items, ..Default::default() };
        bench.dynamo.transact_write_items(&bench.call(), input).await.unwrap();
    }
    let items = bench.items(TABLE).await;
    assert_eq!(items.len(), 10);
    assert!(items.iter().all(|item| item["g"] == Value::S("b".to_owned())));
    assert_eq!(bench.rows(b"dynamodb/index/").await, 30);
    assert_eq!(bench.record_times().await.len(), 20);
}

#[tokio::test]
async fn an_item_that_is_larger_as_it_is_stored_is_written() {
    let bench = Bench::new().await;
    let input = model::CreateTableInput { stream_specification: Some(images()), ..on_demand(20) };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    let zero = model::AttributeValue { n: Some("0".to_owned()), ..Default::default() };
    // Two bytes each as AWS counts them, and four in the store.
    let zeros = model::AttributeValue { l: Some(vec![zero; 200_000]), ..Default::default() };
    let attributes = [("id", text("a")), ("g", text("all")), ("zeros", zeros)];
    let item = attributes.map(|(name, value)| (name.to_owned(), value)).into();
    let input = model::PutItemInput { table_name: TABLE.to_owned(), item, ..Default::default() };
    bench.dynamo.put_item(&bench.call(), input).await.unwrap();
    let items = bench.items(TABLE).await;
    let zeros = Value::L(vec![Value::N(Number::from(0_i64)); 200_000]);
    assert!(items.len() == 1 && items[0]["zeros"] == zeros);
}

#[tokio::test]
async fn a_batch_deletes_more_than_one_transaction_holds() {
    let bench = Bench::new().await;
    let input = model::CreateTableInput { stream_specification: Some(images()), ..on_demand(0) };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    bench.keep_changes().await;
    let ids: Vec<String> = (0..25).map(|id| id.to_string()).collect();
    for id in &ids {
        bench.put(TABLE, item(id, &"v".repeat(400_000))).await;
    }
    let delete = |id: &String| model::WriteRequest {
        delete_request: Some(model::DeleteRequest { key: [("id".to_owned(), text(id))].into() }),
        ..Default::default()
    };
    let input = model::BatchWriteItemInput {
        request_items: [(TABLE.to_owned(), ids.iter().map(delete).collect())].into(),
        ..Default::default()
    };
    let output = bench.dynamo.batch_write_item(&bench.call(), input).await.unwrap();
    assert!(output.unprocessed_items.is_none_or(|left| left.is_empty()));
    assert_eq!(bench.items(TABLE).await, Vec::<Item>::new());
}

/// Exceeds what a table takes of writes, and tells how that is refused.
async fn exceed(bench: &Bench) -> ApiError {
    bench.put_sized("first", BURST_UNITS - 10).await.unwrap();
    bench.put_sized("second", 20).await.unwrap();
    bench.put_sized("third", 1).await.unwrap_err()
}

#[tokio::test]
async fn an_on_demand_table_is_held_to_its_maximum() {
    let bench = Bench::new().await;
    let input = model::CreateTableInput { on_demand_throughput: Some(limits(1, 1)), ..on_demand(0) };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    let refused = exceed(&bench).await;
    assert_eq!(refused.code, "ThrottlingException");
    assert_eq!(
        refused.message,
        "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
    );
    let (member, reasons) = &refused.details[0];
    let reason = reasons.as_array().unwrap()[0].as_object().unwrap();
    assert_eq!(*member, "throttlingReasons");
    assert_eq!(reason["reason"].as_str(), Some("TableWriteMaxOnDemandThroughputExceeded"));
    assert_eq!(reason["resource"].as_str(), Some("arn:aws:dynamodb:us-east-1:000000000000:table/songs"));
    // Each reads 73 units of its 300.
    let key: Wire = [("id".to_owned(), text("first"))].into();
    let get = || model::GetItemInput {
        table_name: TABLE.to_owned(),
        key: key.clone(),
        consistent_read: Some(true),
        ..Default::default()
    };
    for _ in 0..5 {
        bench.dynamo.get_item(&bench.call(), get()).await.unwrap();
    }
    let refused = ApiError::from(bench.dynamo.get_item(&bench.call(), get()).await.unwrap_err());
    assert_eq!(refused.code, "ThrottlingException");
    let input = model::UpdateTableInput {
        table_name: TABLE.to_owned(),
        on_demand_throughput: Some(limits(-1, -1)),
        ..Default::default()
    };
    bench.dynamo.update_table(&bench.call(), input).await.unwrap();
    bench.put_sized("third", 1).await.unwrap();
    bench.dynamo.get_item(&bench.call(), get()).await.unwrap();
}

#[tokio::test]
async fn an_index_is_held_to_its_own_maximum() {
    let bench = Bench::new().await;
    let mut input = on_demand(1);
    for index in input.global_secondary_indexes.iter_mut().flatten() {
        index.on_demand_throughput = Some(limits(-1, 1));
    }
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    let refused = exceed(&bench).await;
    assert_eq!(refused.code, "ThrottlingException");
    let reason = refused.details[0].1.as_array().unwrap()[0].as_object().unwrap();
    assert_eq!(reason["reason"].as_str(), Some("IndexWriteMaxOnDemandThroughputExceeded"));
    let transact_items = puts(1, "a");
    let input = model::TransactWriteItemsInput { transact_items, ..Default::default() };
    let refused = bench.dynamo.transact_write_items(&bench.call(), input).await.map(drop).unwrap_err();
    assert!(ApiError::from(refused).message.ends_with("[ThrottlingError]"));
    // What is not in the index is not held up by it.
    let input = model::PutItemInput {
        table_name: TABLE.to_owned(),
        item: [("id".to_owned(), text("alone"))].into(),
        ..Default::default()
    };
    bench.dynamo.put_item(&bench.call(), input).await.unwrap();
}

#[tokio::test]
async fn a_page_of_items_that_an_index_lacks_is_bounded_by_what_is_fetched() {
    let bench = Bench::new().await;
    let mut input = on_demand(0);
    let definition = |(name, kind): (&str, &str)| model::AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: kind.into(),
    };
    input.attribute_definitions = Some([("id", "S"), ("r", "N"), ("at", "N")].map(definition).into());
    input.key_schema = Some(vec![element("id", "HASH"), element("r", "RANGE")]);
    input.local_secondary_indexes = Some(vec![model::LocalSecondaryIndex {
        index_name: "own".to_owned(),
        key_schema: vec![element("id", "HASH"), element("at", "RANGE")],
        projection: model::Projection { projection_type: Some("KEYS_ONLY".into()), ..Default::default() },
    }]);
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    for number in 0..5_i64 {
        let mut item = item("a", &"v".repeat(300_000));
        item.extend(["r", "at"].map(|name| (name.to_owned(), Value::N(number.into()))));
        let wire = lambent_expressions::item_to_wire(item);
        let input = model::PutItemInput { table_name: TABLE.to_owned(), item: wire, ..Default::default() };
        bench.dynamo.put_item(&bench.call(), input).await.unwrap();
    }
    let query = |select: &str| model::QueryInput {
        table_name: TABLE.to_owned(),
        index_name: Some("own".to_owned()),
        key_condition_expression: Some("id = :a".to_owned()),
        expression_attribute_values: Some([(":a".to_owned(), text("a"))].into()),
        select: Some(select.into()),
        ..Default::default()
    };
    let page = bench.dynamo.query(&bench.call(), query("ALL_PROJECTED_ATTRIBUTES")).await.unwrap();
    assert_eq!((page.count, page.last_evaluated_key), (Some(5), None));
    let page = bench.dynamo.query(&bench.call(), query("ALL_ATTRIBUTES")).await.unwrap();
    assert_eq!(page.count, Some(4), "the one that reaches 1 MB is the last");
    let next = model::QueryInput { exclusive_start_key: page.last_evaluated_key, ..query("ALL_ATTRIBUTES") };
    let page = bench.dynamo.query(&bench.call(), next).await.unwrap();
    assert_eq!((page.count, page.last_evaluated_key), (Some(1), None));
}

#[tokio::test]
async fn a_maximum_is_one_unit_at_least() {
    let bench = Bench::new().await;
    for wrong in [limits(0, 1), limits(1, -2)] {
        let input = model::CreateTableInput { on_demand_throughput: Some(wrong), ..on_demand(0) };
        let refused = ApiError::from(bench.dynamo.create_table(&bench.call(), input).await.unwrap_err());
        assert!(refused.message.ends_with("is out of bounds"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_batch_reads_as_much_as_there_is_capacity_for() {
    let bench = Bench::new().await;
    let input = model::CreateTableInput { on_demand_throughput: Some(limits(1, -1)), ..on_demand(0) };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
    let ids = ["a", "b", "c", "d", "e"];
    for id in ids {
        bench.put_sized(id, 396).await.unwrap();
    }
    let keys = ids.map(|id| Wire::from([("id".to_owned(), text(id))])).into();
    let asked = model::KeysAndAttributes { keys, consistent_read: Some(true), ..Default::default() };
    let input = model::BatchGetItemInput {
        request_items: [(TABLE.to_owned(), asked)].into(),
        return_consumed_capacity: Some("TOTAL".into()),
    };
    let output = bench.dynamo.batch_get_item(&bench.call(), input.clone()).await.unwrap();
    // Each takes 99 of the 300 units that there are, and the last one is a debt.
    assert_eq!(output.responses.unwrap()[TABLE].len(), 4);
    assert_eq!(output.unprocessed_keys.unwrap()[TABLE].keys.len(), 1);
    assert_eq!(output.consumed_capacity.unwrap()[0].capacity_units, Some(396.0));
    let refused = ApiError::from(bench.dynamo.batch_get_item(&bench.call(), input).await.unwrap_err());
    assert_eq!(refused.code, "ThrottlingException");
}

#[tokio::test]
async fn what_is_too_long_for_a_later_index_can_be_updated_otherwise() {
    let bench = Bench::new().await;
    bench.dynamo.create_table(&bench.call(), on_demand(0)).await.unwrap();
    let mut long = item("a", "");
    for name in ["g1", "g2"] {
        long.insert(name.to_owned(), Value::S("x".repeat(1_500)));
    }
    bench.put(TABLE, long).await;
    let definition = |name: &str| model::AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: "S".into(),
    };
    let create = model::CreateGlobalSecondaryIndexAction {
        index_name: "both".to_owned(),
        key_schema: vec![element("g1", "HASH"), element("g2", "HASH")],
        projection: model::Projection { projection_type: Some("ALL".into()), ..Default::default() },
        ..Default::default()
    };
    let input = model::UpdateTableInput {
        table_name: TABLE.to_owned(),
        attribute_definitions: Some(["g1", "g2"].map(definition).into()),
        global_secondary_index_updates: Some(vec![model::GlobalSecondaryIndexUpdate {
            create: Some(create),
            ..Default::default()
        }]),
        ..Default::default()
    };
    bench.dynamo.update_table(&bench.call(), input).await.unwrap();
    bench.dynamo.finish_jobs().await;
    for (expression, value, is_done) in [
        ("SET v = :v", "new".to_owned(), true),
        ("SET g1 = :v", "y".repeat(1_500), false),
        ("SET v = :v REMOVE g2", "newer".to_owned(), true),
        ("SET g1 = :v", "y".repeat(1_500), true),
        ("SET g2 = :v", "y".repeat(1_500), false),
        ("SET g2 = :v", "y".repeat(500), true),
    ] {
        let input = model::UpdateItemInput {
            table_name: TABLE.to_owned(),
            key: [("id".to_owned(), text("a"))].into(),
            update_expression: Some(expression.to_owned()),
            expression_attribute_values: Some([(":v".to_owned(), text(&value))].into()),
            ..Default::default()
        };
        let updated = bench.dynamo.update_item(&bench.call(), input).await;
        assert_eq!(updated.is_ok(), is_done, "{expression}: {updated:?}");
    }
}
