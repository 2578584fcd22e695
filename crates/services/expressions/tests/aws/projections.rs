//! Projection expressions, and placeholders.

use std::collections::BTreeMap;

use lambent_expressions::{Condition, Kind, Placeholders, Projection, Update, Value};
use lambent_model_dynamodb::AttributeValue;

use crate::support::*;

fn wrong(text: &str, names: &[(&str, &str)]) -> String {
    let refused = Projection::parse(text, &mut placeholders(names, &[]));
    let message = refused.expect_err(text).0;
    message.strip_prefix("Invalid ProjectionExpression: ").expect("the prefix").to_owned()
}

#[test]
fn texts_that_are_no_projections() {
    let cases = [
        ("whatever(stuff)", "(", "whatever(stuff"),
        (":a", ":a", ":a"),
        ("abort,", "<EOF>", ","),
        ("a,,b", ",", ",,b"),
        ("a..b", ".", "..b"),
        ("a[b]", "b", "[b]"),
        ("(a.b).c", "(", "(a"),
        ("(a)", "(", "(a"),
        ("(a),(b)", "(", "(a"),
        ("(a,b)", "(", "(a"),
        ("a-b", "-", "a-b"),
        ("l[]", "]", "[]"),
        ("!!a", "!", "!!"),
    ];
    for (text, token, near) in cases {
        assert_eq!(wrong(text, &[]), format!("Syntax error; token: \"{token}\", near: \"{near}\""), "{text}");
    }
    let cases = [
        ("", "The expression can not be empty;"),
        ("a.abORt", "Attribute name is a reserved keyword; reserved keyword: abORt"),
        ("#a,ABSoLUTE", "Attribute name is a reserved keyword; reserved keyword: ABSoLUTE"),
        ("a[3000000000]", "List index is not within the allowable range; index: [3000000000]"),
        (
            "a,b,a,#a",
            "An expression attribute name used in the document path is not defined; attribute name: #a",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(wrong(text, &[]), want);
    }
}

#[test]
fn paths_keep_out_of_one_another() {
    let cases = [
        ("b[1], b.a, #a.b, a", "overlap", "[a, b]", "[a]"),
        ("a, #a[1]", "overlap", "[a]", "[a, [1]]"),
        ("a,b,a", "overlap", "[a]", "[a]"),
        ("a.b, #a[1], #b", "conflict", "[a, b]", "[a, [1]]"),
        ("a.b[1], #a[1], #b", "conflict", "[a, b, [1]]", "[a, [1]]"),
        ("a[3].b, #a.#b.b", "conflict", "[a, [3], b]", "[a, [3], b]"),
    ];
    for (text, how, one, two) in cases {
        let want = format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
        );
        assert_eq!(wrong(text, &[("#a", "a"), ("#b", "[3]")]), want, "{text}");
    }
}

#[test]
fn parts_are_shown_where_they_lie() {
    let whole = item([
        ("b", m([("b", n("1")), ("c", n("2")), ("d", n("3"))])),
        ("c", l([m([("a", n("4")), ("b", n("5"))]), s("x"), s("y"), s("z")])),
        ("d", s("d")),
    ]);
    let shown = |text: &str| Projection::parse(text, &mut Placeholders::default()).unwrap().of(&whole);
    let want =
        item([("b", m([("b", n("1")), ("c", n("2"))])), ("c", l([m([("a", n("4"))]), s("x"), s("y")]))]);
    assert_eq!(shown("b.c,c[2],b.b,c[1],c[0].a"), want);
    assert_eq!(shown("d, e, b.e, c[9], f.x, c[0].x, b.d.e"), item([("d", s("d"))]));
    assert_eq!(shown("c[3], c[0].b"), item([("c", l([m([("b", n("5"))]), s("z")]))]));
}

#[test]
fn placeholders_are_well_formed() {
    let names = |keys: &[&str]| Some(keys.iter().map(|key| ((*key).to_owned(), "a".to_owned())).collect());
    let values = |keys: &[&str]| -> Option<BTreeMap<_, _>> {
        let value = AttributeValue { s: Some("a".to_owned()), ..Default::default() };
        Some(keys.iter().map(|key| ((*key).to_owned(), value.clone())).collect())
    };
    let refused = |names, values| Placeholders::from_wire(names, values).unwrap_err().0;
    assert_eq!(refused(names(&[]), values(&[])), "ExpressionAttributeNames must not be empty");
    assert_eq!(refused(None, values(&[])), "ExpressionAttributeValues must not be empty");
    for key in ["a", "#", "", "#a-b", ":a", "#ä"] {
        let want = format!("ExpressionAttributeNames contains invalid key: Syntax error; key: \"{key}\"");
        assert_eq!(refused(names(&[key]), values(&[])), want);
    }
    let long = format!("#{}", "a".repeat(255));
    let want = "ExpressionAttributeNames contains invalid key: The expression attribute map contains a key that is too long; size of key: 256";
    assert_eq!(refused(names(&[&long]), None), want);
    assert!(Placeholders::from_wire(names(&[&long[..255]]), None).is_ok());
    let empty = Some(BTreeMap::from([("#a".to_owned(), String::new())]));
    let want = "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a";
    assert_eq!(refused(empty, None), want);
    let mut bad = values(&[":b", "b"]).unwrap();
    bad.insert(":b".to_owned(), AttributeValue::default());
    let want = "ExpressionAttributeValues contains invalid key: Syntax error; key: \"b\"";
    assert_eq!(refused(None, Some(bad.clone())), want);
    bad.remove("b");
    let want = "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :b";
    assert_eq!(refused(None, Some(bad)), want);
}

#[test]
fn all_placeholders_are_used() {
    let names = [("#a", "a"), ("#b", "b")];
    let mut sent = placeholders(&names, &[]);
    Projection::parse("a,b", &mut sent).unwrap();
    let want = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}";
    assert_eq!(sent.all_used().unwrap_err().0, want);
    let mut sent = placeholders(&[], &[(":a", s("a")), (":b", s("a")), (":c", s("a"))]);
    Update::parse("remove a", &mut sent).unwrap();
    Condition::parse(Kind::Condition, "a = :b", &mut sent).unwrap();
    let want = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a, :c}";
    assert_eq!(sent.all_used().unwrap_err().0, want);
    Condition::parse(Kind::Filter, "a IN (:a, :c)", &mut sent).unwrap();
    assert_eq!(sent.all_used(), Ok(()));
}

#[test]
fn expressions_have_limits() {
    let long = |bytes: usize| "a".repeat(bytes);
    let parse = |text: &str| Projection::parse(text, &mut Placeholders::default());
    assert!(parse(&long(4096)).is_ok());
    let want = "Invalid ProjectionExpression: Expression size has exceeded the maximum allowed size;";
    assert_eq!(parse(&long(4097)).unwrap_err().0, want);
    let filter = |text: &str, values: &[(&str, Value)]| {
        Condition::parse(Kind::Filter, text, &mut placeholders(&[], values)).map_err(|why| why.0)
    };
    let want = "Invalid FilterExpression: Expression size has exceeded the maximum allowed size; expression size: 4109";
    assert_eq!(filter(&long(4109), &[]), Err(want.to_owned()));
    let chain = |count: usize| vec!["a<>b"; count].join(" OR ");
    assert!(filter(&chain(150), &[]).is_ok());
    let want = "Invalid FilterExpression: The expression contains too many operators; operator count: 301";
    assert_eq!(filter(&chain(151), &[]), Err(want.to_owned()));
    let one_of = |count: usize| format!("a IN ({})", vec![":a"; count].join(","));
    assert!(filter(&one_of(100), &[(":a", s("a"))]).is_ok());
    let want = "Invalid FilterExpression: The IN operator is provided with too many operands; number of operands: 101";
    assert_eq!(filter(&one_of(101), &[(":a", s("a"))]), Err(want.to_owned()));
    let path = |steps: usize| vec!["a"; steps].join(".");
    assert!(parse(&path(32)).is_ok());
    let want =
        "Invalid ProjectionExpression: The document path has too many nesting levels; nesting levels: 33";
    assert_eq!(parse(&path(33)).unwrap_err().0, want);
}
