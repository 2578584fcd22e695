//! What writes, batches and transactions are answered with: as recorded on AWS.

use lambent_api::ApiError;
use lambent_expressions::{Item, item_from_wire};
use lambent_model_dynamodb as model;
use lambent_wire::Document;

use super::{run, table};
use crate::DynamoError;
use crate::testing::Bench;

const FAILED: &str = "The conditional request failed";
const DUPLICATE: &str = "Duplicate primary key exists in table";
const KEY_MISMATCH: &str = "The provided key element does not match the schema";

async fn with_item() -> Bench {
    let bench = Bench::new().await;
    table(&bench).await;
    run(&bench, "INSERT INTO songs VALUE {'pk': 'p', 'sk': '1', 'n': 1, 'flag': 'x'}").await.unwrap();
    bench
}

async fn items(bench: &Bench, statement: &str) -> Vec<Item> {
    let found = run(bench, statement).await.unwrap().items.unwrap();
    found.into_iter().map(|item| item_from_wire(item).unwrap()).collect()
}

/// The attributes of `{'a': 1}`.
fn item(literal: &str) -> Item {
    let statement = format!("INSERT INTO songs VALUE {literal}");
    match lambent_expressions::partiql::parse(&statement, Vec::new()) {
        Ok(lambent_expressions::partiql::Statement::Insert { item, .. }) => item,
        other => panic!("{other:?}"),
    }
}

fn told(error: DynamoError) -> (String, String) {
    let error = ApiError::from(error);
    (error.code.into_owned(), error.message)
}

async fn refused(bench: &Bench, statement: &str) -> (String, String) {
    match run(bench, statement).await {
        Ok(answer) => panic!("{statement}: {answer:?}"),
        Err(error) => told(error),
    }
}

fn validation(message: &str) -> (String, String) {
    ("ValidationException".to_owned(), message.to_owned())
}

#[tokio::test]
async fn a_write_returns_what_it_is_asked_for() {
    let bench = with_item().await;
    assert_eq!(items(&bench, "UPDATE songs SET n = n + 1 WHERE pk = 'p' AND sk = '1'").await, []);
    let modified = "UPDATE songs SET n = n + 1 WHERE pk = 'p' AND sk = '1' RETURNING MODIFIED NEW *";
    assert_eq!(items(&bench, modified).await, [item("{'n': 3}")]);
    let removed = "UPDATE songs REMOVE flag WHERE pk = 'p' AND sk = '1' RETURNING MODIFIED NEW *";
    assert_eq!(items(&bench, removed).await, []);
    let from_first = "FROM songs WHERE pk = 'p' AND sk = '1' SET a = 1 RETURNING ALL OLD *";
    assert_eq!(items(&bench, from_first).await, [item("{'pk': 'p', 'sk': '1', 'n': 3}")]);
    let deleted = "DELETE FROM songs WHERE pk = 'p' AND sk = '1' RETURNING ALL OLD *";
    assert_eq!(items(&bench, deleted).await, [item("{'pk': 'p', 'sk': '1', 'n': 3, 'a': 1}")]);
    assert_eq!(items(&bench, deleted).await, []);
}

#[tokio::test]
async fn a_write_is_refused_as_on_aws() {
    let bench = with_item().await;
    let failed = ("ConditionalCheckFailedException".to_owned(), FAILED.to_owned());
    for statement in [
        "UPDATE songs SET a = 1 WHERE pk = 'p' AND sk = 'none'",
        "UPDATE songs SET a = 1 WHERE pk = 'p' AND sk = '1' AND flag = 'y'",
        "UPDATE songs SET a = 1 WHERE pk = 'p' AND sk = 'none' AND attribute_not_exists(pk)",
        "DELETE FROM songs WHERE pk = 'p' AND sk = '1' AND attribute_exists(nope)",
    ] {
        assert_eq!(refused(&bench, statement).await, failed, "{statement}");
    }
    run(&bench, "DELETE FROM songs WHERE pk = 'p' AND sk = 'none' AND flag = 'y'").await.unwrap();
    let duplicate = ("DuplicateItemException".to_owned(), DUPLICATE.to_owned());
    assert_eq!(refused(&bench, "INSERT INTO songs VALUE {'pk': 'p', 'sk': '1'}").await, duplicate);
    let no_key = "Where clause does not contain a mandatory equality on all key attributes";
    assert_eq!(refused(&bench, "DELETE FROM songs WHERE pk = 'p'").await, validation(no_key));
    assert_eq!(refused(&bench, "FROM songs SET a = 1").await, validation(no_key));
    let deep = format!(
        "UPDATE songs SET m.deep = {}1{} WHERE pk = 'd' AND sk = '1'",
        "[".repeat(31),
        "]".repeat(31)
    );
    run(&bench, "INSERT INTO songs VALUE {'pk': 'd', 'sk': '1', 'm': {}}").await.unwrap();
    assert_eq!(refused(&bench, &deep).await, validation("Nesting Levels have exceeded supported limits"));
}

async fn transact(
    bench: &Bench,
    statements: &[&str],
) -> Result<model::ExecuteTransactionOutput, DynamoError> {
    let statement =
        |text: &&str| model::ParameterizedStatement { statement: (*text).to_owned(), ..Default::default() };
    let input = model::ExecuteTransactionInput {
        transact_statements: statements.iter().map(statement).collect(),
        client_request_token: Some("token".to_owned()).filter(|_| statements.len() == 1),
        ..Default::default()
    };
    bench.dynamo.execute_transaction(&bench.call(), input).await
}

/// Codes and messages of the reasons for which a transaction was cancelled.
async fn reasons(bench: &Bench, statements: &[&str]) -> Vec<(String, String)> {
    let error = ApiError::from(transact(bench, statements).await.unwrap_err());
    assert_eq!(error.code, "TransactionCanceledException", "{}", error.message);
    let text = |reason: &Document, member: &str| reason[member].as_str().unwrap_or_default().to_owned();
    let (_, reasons) = &error.details[0];
    reasons.as_array().unwrap().iter().map(|reason| (text(reason, "Code"), text(reason, "Message"))).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(code, message)| ((*code).to_owned(), (*message).to_owned())).collect()
}

#[tokio::test]
async fn a_transaction_is_cancelled_for_reasons() {
    let bench = with_item().await;
    let good = "UPDATE songs SET a = 1 WHERE pk = 'p' AND sk = '1'";
    let insert = "INSERT INTO songs VALUE {'pk': 'p', 'sk': '2'}";
    let again = "INSERT INTO songs VALUE {'pk': 'p', 'sk': '1'}";
    let none = ("None", "");
    let duplicate = [("DuplicateItem", DUPLICATE), none];
    assert_eq!(reasons(&bench, &[again, insert]).await, pairs(&duplicate));
    let exists = "EXISTS(SELECT * FROM songs WHERE pk = 'p' AND sk = '1' AND flag = 'y')";
    assert_eq!(reasons(&bench, &[exists, insert]).await, pairs(&[("ConditionalCheckFailed", FAILED), none]));
    let missing = "One or more parameter values were invalid: Missing the key sk in the item";
    let without_keys = [good, "DELETE FROM songs WHERE sk = '1'", "INSERT INTO songs VALUE {'pk': 'k'}"];
    let wrong = [none, ("ValidationError", KEY_MISMATCH), ("ValidationError", missing)];
    assert_eq!(reasons(&bench, &without_keys).await, pairs(&wrong));
    let not_there = [good, "DELETE FROM nothing WHERE pk = 'p'"];
    let not_found = ("ResourceNotFound", "Requested resource not found");
    assert_eq!(reasons(&bench, &not_there).await, pairs(&[none, not_found]));
    let select = "SELECT * FROM songs WHERE pk = 'p' AND sk = '1'";
    let wrong_type = "SELECT * FROM songs WHERE pk = 'p' AND sk = 1";
    let mismatch = [none, none, ("ValidationError", KEY_MISMATCH)];
    assert_eq!(reasons(&bench, &[select, select, wrong_type]).await, pairs(&mismatch));
    assert_eq!(items(&bench, "SELECT a FROM songs WHERE pk = 'p'").await, [Item::new()], "nothing was done");
}

#[tokio::test]
async fn a_transaction_refuses_what_it_cannot_do() {
    let bench = with_item().await;
    let select = "SELECT * FROM songs WHERE pk = 'p' AND sk = '1'";
    let prefix = "Validation failed in TransactStatements[0]: ";
    for (statement, why) in [
        (
            "UPDATE songs SET a = 1 WHERE pk = 'p' RETURNING ALL NEW *",
            "RETURNING clause is not supported in ExecuteTransaction.",
        ),
        (
            "SELECT * FROM songs.\"by-x\" WHERE x = '1'",
            "Reads on indices are not supported within transactions.",
        ),
        (
            "SELECT * FROM songs WHERE pk = 'p' AND sk = '1' AND flag = 'x'",
            "Select statements within ExecuteTransaction must specify the primary key in the where clause.",
        ),
        (
            "EXISTS(SELECT * FROM songs WHERE pk = 'p' AND sk = '1')",
            "EXISTS() must contain a single item read with additional condition",
        ),
        (
            "EXISTS(SELECT * FROM songs WHERE pk = 'p' AND sk = '1' AND pk = 'o')",
            "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported",
        ),
    ] {
        let refused = told(transact(&bench, &[statement]).await.unwrap_err());
        assert_eq!(refused, validation(&format!("{prefix}{why}")), "{statement}");
    }
    let twice = told(transact(&bench, &[select, select]).await.unwrap_err());
    assert_eq!(twice, validation("Transaction request cannot include multiple operations on one item"));
}

#[tokio::test]
async fn a_transaction_reads_or_writes() {
    let bench = with_item().await;
    let read = [
        "SELECT flag FROM songs WHERE pk = 'p' AND sk IN ['1']",
        "SELECT * FROM songs WHERE pk = 'p' AND sk = 'none'",
    ];
    let responses = transact(&bench, &read).await.unwrap().responses.unwrap();
    let found = responses.into_iter().map(|response| response.item.map(|item| item_from_wire(item).unwrap()));
    assert_eq!(found.collect::<Vec<_>>(), [Some(item("{'flag': 'x'}")), None]);
    // Sent again with its token, it is done once.
    for _ in 0..2 {
        let done =
            transact(&bench, &["UPDATE songs SET n = n + 1 WHERE pk = 'p' AND sk = '1'"]).await.unwrap();
        assert_eq!(done.responses, Some(Vec::new()));
    }
    assert_eq!(items(&bench, "SELECT n FROM songs WHERE pk = 'p'").await, [item("{'n': 2}")]);
}

#[tokio::test]
async fn a_batch_tells_of_each_statement() {
    let bench = with_item().await;
    let ends = async |statements: &[&str]| {
        let statement = |text: &&str| model::BatchStatementRequest {
            statement: (*text).to_owned(),
            return_values_on_condition_check_failure: Some("ALL_OLD".into()),
            ..Default::default()
        };
        let input = model::BatchExecuteStatementInput {
            statements: statements.iter().map(statement).collect(),
            ..Default::default()
        };
        let answer = bench.dynamo.batch_execute_statement(&bench.call(), input).await.unwrap();
        answer.responses.unwrap()
    };
    let code = |response: &model::BatchStatementResponse| {
        response.error.as_ref().and_then(|error| error.code.clone()).map(|code| code.as_str().to_owned())
    };
    let reads = ends(&[
        "SELECT flag FROM songs WHERE pk = 'p' AND sk = '1'",
        "SELECT * FROM songs WHERE pk = 'p'",
        "SELECT * FROM nothing WHERE pk = 'p'",
        "SLECT",
    ])
    .await;
    assert_eq!(reads[0].item.clone().map(|item| item_from_wire(item).unwrap()), Some(item("{'flag': 'x'}")));
    let codes: Vec<_> = reads.iter().map(code).collect();
    let expected = [None, Some("ValidationError"), Some("ResourceNotFound"), Some("ValidationError")];
    assert_eq!(codes, expected.map(|code| code.map(str::to_owned)));
    assert_eq!(reads[3].table_name, None);
    let writes = ends(&[
        "INSERT INTO songs VALUE {'pk': 'p', 'sk': '1'}",
        "UPDATE songs SET a = 1 WHERE pk = 'p' AND sk = '1' AND flag = 'y'",
        "DELETE FROM songs WHERE pk = 'p' AND sk = '1'",
    ])
    .await;
    let codes: Vec<_> = writes.iter().map(code).collect();
    assert_eq!(
        codes,
        [Some("DuplicateItem"), Some("ConditionalCheckFailed"), None].map(|code| code.map(str::to_owned))
    );
    let old = writes[1].error.clone().unwrap().item.map(|item| item_from_wire(item).unwrap());
    assert_eq!(old, Some(item("{'pk': 'p', 'sk': '1', 'n': 1, 'flag': 'x'}")));
    assert_eq!(items(&bench, "SELECT * FROM songs").await, []);
}
