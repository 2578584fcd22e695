//! What policies are told of statements.

use lambent_identity::Wanted;
use lambent_model_dynamodb as model;

use super::table;
use crate::testing::Bench;
use crate::wanted;

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/songs";

async fn asked(bench: &Bench, statement: &str) -> Wanted {
    let input = model::ExecuteStatementInput { statement: statement.to_owned(), ..Default::default() };
    let call = bench.call();
    let mut all = wanted::execute_statement(&bench.dynamo, &input, call.place()).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn keys<'a>(wanted: &'a Wanted, name: &str) -> &'a [String] {
    wanted.keys.get(name).unwrap_or_default()
}

#[tokio::test]
async fn a_statement_is_told_by_its_verb_and_its_keys() {
    let bench = Bench::new().await;
    table(&bench).await;
    let index = format!("{ARN}/index/by-x");
    for (statement, action, resource, leading) in [
        ("SELECT * FROM songs WHERE pk IN ['a', 'b']", "dynamodb:PartiQLSelect", ARN, &["a", "b"][..]),
        ("SELECT * FROM songs.\"by-x\" WHERE x = 'c'", "dynamodb:PartiQLSelect", &index, &["c"]),
        ("SELECT * FROM songs WHERE pk = 'a' OR y = 'b'", "dynamodb:PartiQLSelect", ARN, &["*"]),
        (
            "SELECT * FROM songs WHERE pk = 'a' AND sk = '1' AND pk = 'b'",
            "dynamodb:PartiQLSelect",
            ARN,
            &["a"],
        ),
        (
            "SELECT * FROM songs WHERE pk = 'a' AND sk < '1' AND sk > '2'",
            "dynamodb:PartiQLSelect",
            ARN,
            &["*"],
        ),
        ("SELECT * FROM songs WHERE pk = 'a' AND pk = 'b'", "dynamodb:PartiQLSelect", ARN, &["*"]),
        (
            "EXISTS(SELECT * FROM songs WHERE pk = 'a' AND sk = '1' AND pk = 'b')",
            "dynamodb:PartiQLSelect",
            ARN,
            &["a"],
        ),
        ("UPDATE songs SET y = 1 WHERE pk = 'a'", "dynamodb:PartiQLUpdate", ARN, &["*"]),
        ("INSERT INTO songs VALUE {'pk': 'a', 'sk': '1'}", "dynamodb:PartiQLInsert", ARN, &["a"]),
        ("UPDATE songs SET y = 1 WHERE pk = 'a' AND sk = '1'", "dynamodb:PartiQLUpdate", ARN, &["a"]),
        ("DELETE FROM songs WHERE pk = 'a' AND sk = '1'", "dynamodb:PartiQLDelete", ARN, &["a"]),
    ] {
        let wanted = asked(&bench, statement).await;
        assert_eq!((wanted.action, wanted.resource.as_str()), (action, resource), "{statement}");
        assert_eq!(keys(&wanted, "dynamodb:leadingkeys"), leading, "{statement}");
    }
}

#[tokio::test]
async fn a_select_is_told_by_whether_it_scans_and_what_it_names() {
    let bench = Bench::new().await;
    table(&bench).await;
    let read = asked(&bench, "SELECT y.z FROM songs WHERE pk = 'a' AND w = 1").await;
    assert_eq!(keys(&read, "dynamodb:fulltablescan"), ["false"]);
    assert_eq!(keys(&read, "dynamodb:select"), ["SPECIFIC_ATTRIBUTES"]);
    assert_eq!(keys(&read, "dynamodb:attributes"), ["pk", "w", "y"]);
    let scan = asked(&bench, "SELECT * FROM songs").await;
    assert_eq!(keys(&scan, "dynamodb:fulltablescan"), ["true"]);
    assert_eq!(keys(&scan, "dynamodb:select"), ["ALL_ATTRIBUTES"]);
}
