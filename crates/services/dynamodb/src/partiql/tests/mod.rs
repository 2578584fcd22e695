//! Statements on a store in memory.

mod selects;
mod wanted;
mod writes;

use lambent_model_dynamodb as model;

use crate::DynamoError;
use crate::testing::Bench;

/// Songs by pk and sk, with an index by x.
pub(super) async fn table(bench: &Bench) {
    let attribute = |name: &str| model::AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: "S".into(),
    };
    let key = |name: &str, kind: &str| model::KeySchemaElement {
        attribute_name: name.to_owned(),
        key_type: kind.into(),
    };
    let by_x = model::GlobalSecondaryIndex {
        index_name: "by-x".to_owned(),
        key_schema: vec![key("x", "HASH"), key("sk", "RANGE")],
        projection: model::Projection { projection_type: Some("ALL".into()), ..Default::default() },
        ..Default::default()
    };
    let input = model::CreateTableInput {
        table_name: "songs".to_owned(),
        attribute_definitions: Some(["pk", "sk", "x"].map(attribute).to_vec()),
        key_schema: Some(vec![key("pk", "HASH"), key("sk", "RANGE")]),
        global_secondary_indexes: Some(vec![by_x]),
        billing_mode: Some("PAY_PER_REQUEST".into()),
        ..Default::default()
    };
    bench.dynamo.create_table(&bench.call(), input).await.unwrap();
}

/// What a statement is answered with.
pub(super) async fn run(
    bench: &Bench,
    statement: &str,
) -> Result<model::ExecuteStatementOutput, DynamoError> {
    let input = model::ExecuteStatementInput { statement: statement.to_owned(), ..Default::default() };
    bench.dynamo.execute_statement(&bench.call(), input).await
}
