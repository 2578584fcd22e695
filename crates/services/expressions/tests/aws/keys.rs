//! Key condition expressions.

use lambent_expressions::{KeyCondition, RangeTest, Value};

use crate::support::*;

fn read(text: &str) -> Result<KeyCondition, String> {
    let values = [(":a", n("1")), (":b", n("1")), (":s", s("1")), (":t", s("S"))];
    let used: Vec<_> = values.into_iter().filter(|(key, _)| text.contains(key)).collect();
    KeyCondition::parse(text, &mut placeholders(&[], &used)).map_err(|why| why.0)
}

#[test]
fn only_some_conditions_are_about_keys() {
    let operator = "Invalid operator used in KeyConditionExpression: ";
    let condition = "Invalid condition in KeyConditionExpression: ";
    let cases = [
        ("attribute_type(a, :t)", format!("{operator}attribute_type")),
        ("a > b and size(b) > c or a > c", format!("{operator}OR")),
        ("a in (b, size(c), d)", format!("{operator}IN")),
        ("attribute_exists(a)", format!("{operator}attribute_exists")),
        ("attribute_not_exists(a)", format!("{operator}attribute_not_exists")),
        ("contains(a.d, b)", format!("{operator}contains")),
        ("not a > b", format!("{operator}NOT")),
        ("a <> b", format!("{operator}<>")),
        (
            ":s between size(b) and size(a) and b > :b",
            format!("{condition}BETWEEN operator must have the key attribute as its first operand"),
        ),
        (
            "begins_with(:s, b) and a > :b",
            format!("{condition}begins_with operator must have the key attribute as its first operand"),
        ),
        ("b > a.b", format!("{condition}Multiple attribute names used in one condition")),
        ("b between c[1] and d", format!("{condition}Multiple attribute names used in one condition")),
        ("a between b and size(a)", format!("{condition}Multiple attribute names used in one condition")),
        ("begins_with(a, b)", format!("{condition}Multiple attribute names used in one condition")),
        (":b > :a AND a < :b", format!("{condition}No key attribute specified")),
        (":a > b AND :a < :b", format!("{condition}No key attribute specified")),
    ];
    for (text, want) in cases {
        assert_eq!(read(text), Err(want), "{text}");
    }
    for text in ["size(b) > a AND a.b > b AND b > c", "a > size(b.d)", "a between size(b) and size(a)"] {
        assert_eq!(read(text), Err("KeyConditionExpressions cannot contain nested operations".to_owned()));
    }
    for text in ["b.d > a AND c.d > e.f", "a.d > c", "b[0] > a"] {
        let want = "KeyConditionExpressions cannot have conditions on nested attributes";
        assert_eq!(read(text), Err(want.to_owned()), "{text}");
    }
    for text in ["b > :a AND b < :a and c = :a and d = :a", "(a > :a and b > :a) and (b > :a and c > :a)"] {
        let want = "KeyConditionExpressions must only contain one condition per key";
        assert_eq!(read(text), Err(want.to_owned()), "{text}");
    }
    for text in [
        ":a = a and b = :a and :a = c",
        "(a > :a and b > :a) and (c > :a and d > :a) and (e > :a and f > :a)",
    ] {
        assert_eq!(read(text), Err("Conditions can be of length 1 or 2 only".to_owned()), "{text}");
    }
    for text in ["attribute_type(a, b)", "attribute_type(a, :a)"] {
        let why = read(text).unwrap_err();
        assert!(why.starts_with("Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: attribute_type, operand type: "));
    }
}

#[test]
fn each_key_has_its_test() {
    let cases = [
        ("a = :s AND b < :a", RangeTest::Lt(n("1"))),
        ("a = :s AND :a < b", RangeTest::Gt(n("1"))),
        ("(a = :s) AND (:a >= b)", RangeTest::Le(n("1"))),
        ("b >= :a AND :s = a", RangeTest::Ge(n("1"))),
        ("a = :s AND b BETWEEN :a AND :b", RangeTest::Between(n("1"), n("1"))),
        ("a = :s AND begins_with(b, :s)", RangeTest::BeginsWith(s("1"))),
    ];
    for (text, want) in cases {
        let keys = read(text).unwrap();
        assert_eq!(keys.test_of("a"), Some(&RangeTest::Eq(s("1"))), "{text}");
        assert_eq!(keys.test_of("b"), Some(&want), "{text}");
        assert_eq!(keys.check("a", "S", true, 2), Ok(()));
    }
}

#[test]
fn keys_are_as_the_schema_says() {
    let check = |text: &str, name: &str, kind: &str, is_hash: bool, keys: usize| {
        read(text).unwrap().check(name, kind, is_hash, keys).map_err(|why| why.0)
    };
    let missed = |name: &str| Err(format!("Query condition missed key schema element: {name}"));
    let unsupported = Err("Query key condition not supported".to_owned());
    let other_type =
        Err("One or more parameter values were invalid: Condition parameter type does not match schema type"
            .to_owned());
    assert_eq!(check("z = :s", "a", "S", true, 2), missed("a"));
    assert_eq!(check("a = :s AND z = :s", "b", "S", false, 2), missed("b"));
    assert_eq!(check("a = :s", "b", "S", false, 2), Ok(()));
    assert_eq!(check("a = :s AND z = :s", "a", "S", true, 1), unsupported);
    assert_eq!(check("a > :s", "a", "S", true, 2), unsupported);
    assert_eq!(check("a = :s", "a", "N", true, 2), other_type);
    assert_eq!(check("a = :s AND b BETWEEN :a AND :b", "b", "S", false, 2), other_type);
}

#[test]
fn tests_hold_or_do_not() {
    let cases: [(RangeTest, &[Value], &[Value]); 7] = [
        (RangeTest::Eq(n("1.0")), &[n("1")], &[n("2"), s("1")]),
        (RangeTest::Lt(s("b")), &[s("a")], &[s("b"), n("1")]),
        (RangeTest::Le(s("b")), &[s("a"), s("b")], &[s("c")]),
        (RangeTest::Gt(b("b")), &[b("c")], &[b("b")]),
        (RangeTest::Ge(b("b")), &[b("b"), b("c")], &[b("a")]),
        (RangeTest::Between(n("1"), n("3")), &[n("1"), n("3")], &[n("0"), n("4")]),
        (RangeTest::BeginsWith(s("ab")), &[s("ab"), s("abc")], &[s("a"), b("ab")]),
    ];
    for (test, yes, no) in cases {
        assert!(yes.iter().all(|value| test.matches(value)), "{test:?}");
        assert!(!no.iter().any(|value| test.matches(value)), "{test:?}");
    }
}
