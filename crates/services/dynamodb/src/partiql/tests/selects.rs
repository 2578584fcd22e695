//! A SELECT finds what its condition holds for, each item once, however it is read and in whatever pages.

use lambent_expressions::partiql::{Statement, parse};
use lambent_expressions::{Item, Value, item_from_wire};
use lambent_model_dynamodb as model;
use proptest::prelude::*;

use super::{run, table};
use crate::DynamoError;
use crate::testing::Bench;

/// Everything that a SELECT finds, page by page.
async fn pages(bench: &Bench, statement: &str, limit: i32) -> Result<Vec<Item>, DynamoError> {
    let mut input = model::ExecuteStatementInput {
        statement: statement.to_owned(),
        limit: Some(limit),
        ..Default::default()
    };
    let mut found = Vec::new();
    loop {
        let page = bench.dynamo.execute_statement(&bench.call(), input.clone()).await?;
        let items = page.items.unwrap_or_default();
        assert!(items.len() <= usize::try_from(limit).unwrap(), "{statement}");
        found.extend(items.into_iter().map(|item| item_from_wire(item).unwrap()));
        match page.next_token {
            Some(token) => input.next_token = Some(token),
            None => return Ok(found),
        }
    }
}

fn condition() -> impl Strategy<Value = String> {
    let value = || (0..4u8).prop_map(|value| format!("'{value}'"));
    let name = || prop::sample::select(vec!["pk", "sk", "x", "y"]);
    let sign = prop::sample::select(vec!["=", "=", "=", "<>", "<", "<=", ">", ">="]);
    let test = prop_oneof![
        4 => (name(), sign, value()).prop_map(|(name, sign, value)| format!("{name} {sign} {value}")),
        1 => (name(), value(), value()).prop_map(|(name, one, two)| format!("{name} IN [{one}, {two}]")),
        1 => (name(), value(), value()).prop_map(|(name, one, two)| format!("{name} BETWEEN {one} AND {two}")),
        1 => (name(), value()).prop_map(|(name, value)| format!("begins_with({name}, {value})")),
        1 => name().prop_map(|name| format!("{name} IS MISSING")),
    ];
    test.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" AND "))),
            2 => prop::collection::vec(inner.clone(), 2..3).prop_map(|all| format!("({})", all.join(" OR "))),
            1 => inner.prop_map(|one| format!("NOT ({one})")),
        ]
    })
}

async fn every_item_once(conditions: &[(String, i32)]) {
    let bench = Bench::new().await;
    table(&bench).await;
    let mut items = Vec::new();
    for (pk, sk) in (0..3).flat_map(|pk| (0..4).map(move |sk| (pk, sk))) {
        let x = if sk == 3 { String::new() } else { format!(", 'x': '{}'", (pk + sk) % 3) };
        let literal = format!("{{'pk': '{pk}', 'sk': '{sk}', 'y': '{}'{x}}}", sk % 2);
        let statement = format!("INSERT INTO songs VALUE {literal}");
        run(&bench, &statement).await.unwrap();
        let Ok(Statement::Insert { item, .. }) = parse(&statement, Vec::new()) else { panic!("it is one") };
        items.push(item);
    }
    for (condition, limit) in conditions {
        for source in ["songs", "songs.\"by-x\""] {
            let statement = format!("SELECT * FROM {source} WHERE {condition}");
            let Ok(mut found) = pages(&bench, &statement, *limit).await else { continue };
            let Ok(Statement::Select(select)) = parse(&statement, Vec::new()) else { panic!("it was run") };
            let condition = select.condition.unwrap();
            let there = |item: &&Item| source == "songs" || item.contains_key("x");
            let holds = |item: &&Item| condition.matches(item);
            let expected: Vec<Item> = items.iter().filter(there).filter(holds).cloned().collect();
            found.sort();
            assert_eq!(found, expected, "{statement}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_select_finds_every_item_once(conditions in prop::collection::vec((condition(), 1..6i32), 12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(every_item_once(&conditions));
    }
}

#[tokio::test]
async fn an_order_is_kept_through_pages() {
    let bench = Bench::new().await;
    table(&bench).await;
    for at in 0..9 {
        let pk = at % 2;
        run(&bench, &format!("INSERT INTO songs VALUE {{'pk': '{pk}', 'sk': '{at}'}}")).await.unwrap();
    }
    let keys = |items: Vec<Item>| {
        let sk = |item: &Item| match &item["sk"] {
            Value::S(sk) => sk.clone(),
            other => panic!("{other:?}"),
        };
        items.iter().map(sk).collect::<String>()
    };
    for (clauses, expected) in [
        ("pk = '0' ORDER BY sk ASC", "02468"),
        ("pk = '0' ORDER BY sk DESC", "86420"),
        ("pk = '0' AND (sk < '4' OR sk >= '4') ORDER BY sk DESC", "86420"),
        ("pk IN ['0', '1'] ORDER BY pk ASC, sk ASC", "024681357"),
        ("pk IN ['0', '1'] ORDER BY pk DESC, sk DESC", "753186420"),
    ] {
        let found = pages(&bench, &format!("SELECT * FROM songs WHERE {clauses}"), 2).await.unwrap();
        assert_eq!(keys(found), expected, "{clauses}");
    }
    let refused = pages(&bench, "SELECT * FROM songs WHERE pk IN ['0', '1'] ORDER BY sk", 2).await;
    assert!(refused.unwrap_err().to_string().contains("Must have hash key in ORDER BY clause"));
}
