//! Which items conditions hold for.

use lambent_expressions::{Condition, Item, Kind, Value};

use crate::support::*;

/// Whether a condition holds whose values are `:a` and `:b`.
fn holds(item: &Item, text: &str, values: &[Value]) -> bool {
    let values: Vec<_> = [":a", ":b"].into_iter().zip(values.iter().cloned()).collect();
    let mut sent = placeholders(&[], &values);
    Condition::parse(Kind::Condition, text, &mut sent).expect(text).matches(item)
}

#[test]
fn comparators_compare_values_of_one_type() {
    let item =
        item([("a", s("b")), ("n", n("10")), ("y", b("b")), ("texts", ss(["a", "b"])), ("nul", Value::Null)]);
    let cases: [(&str, Value, bool); 24] = [
        ("a = :a", s("b"), true),
        ("a = :a", b("b"), false),
        ("a <> :a", b("b"), true),
        ("a <> :a", s("b"), false),
        ("absent = :a", s("b"), false),
        ("absent <> :a", s("b"), true),
        ("n = :a", n("10.0"), true),
        ("n > :a", n("9"), true),
        ("n > :a", s("9"), false),
        ("n < :a", s("9"), false),
        ("a >= :a", s("b"), true),
        ("a > :a", s("b"), false),
        ("a <= :a", s("b"), true),
        ("a < :a", s("ba"), true),
        ("y < :a", b("c"), true),
        ("absent < :a", s("b"), false),
        ("NOT absent < :a", s("b"), true),
        ("texts = :a", ss(["b", "a"]), true),
        ("texts <> :a", ss(["b"]), true),
        ("nul = :a", Value::Null, true),
        (":a = nul", Value::Bool(true), false),
        ("a BETWEEN :a AND :a", s("b"), true),
        ("n BETWEEN :a AND :a", s("b"), false),
        ("absent BETWEEN :a AND :a", s("b"), false),
    ];
    for (text, value, want) in cases {
        assert_eq!(holds(&item, text, &[value]), want, "{text}");
    }
    assert!(!holds(&item, "absent = gone", &[]));
    assert!(holds(&item, "absent <> gone", &[]));
}

#[test]
fn functions_look_into_values() {
    let item = item([
        ("a", s("hello")),
        ("y", b("hello")),
        ("texts", ss(["hello", "you"])),
        ("nums", ns(["234", "1"])),
        ("bin", bs(["a"])),
        ("many", l([s("hello"), n("1"), l([n("2")]), Value::Null])),
        ("deep", m([("hello", n("1"))])),
    ]);
    let cases = [
        ("contains(a, :a)", s("ell"), true),
        ("contains(a, :a)", s(""), true),
        ("contains(a, :a)", b("ell"), false),
        ("contains(y, :a)", b("ell"), true),
        ("contains(y, :a)", b("elk"), false),
        ("contains(texts, :a)", s("you"), true),
        ("contains(texts, :a)", s("yo"), false),
        ("contains(nums, :a)", n("234.0"), true),
        ("contains(nums, :a)", s("234"), false),
        ("contains(bin, :a)", b("a"), true),
        ("contains(many, :a)", n("1"), true),
        ("contains(many, :a)", l([n("2")]), true),
        ("contains(many, :a)", n("2"), false),
        ("contains(deep, :a)", s("hello"), false),
        ("contains(absent, :a)", s("a"), false),
        ("not contains(absent, :a)", s("a"), true),
        ("contains(:a, a)", s("oh, hello"), true),
        ("begins_with(a, :a)", s("he"), true),
        ("begins_with(a, :a)", b("he"), false),
        ("begins_with(y, :a)", b("he"), true),
        ("begins_with(many, :a)", s("he"), false),
        ("begins_with(absent, :a)", s("he"), false),
        ("begins_with(:a, a)", s("hello, you"), true),
        ("size(a) = :a", n("5"), true),
        ("size(y) = :a", n("5"), true),
        ("size(texts) = :a", n("2"), true),
        ("size(many) = :a", n("4"), true),
        ("size(deep) = :a", n("1"), true),
        ("size(many[1]) = :a", n("1"), false),
        ("size(absent) = :a", n("0"), false),
        ("size(:a) = :b", s("grün"), false),
        ("a IN (:a)", s("hello"), true),
        ("a IN (deep, many[0], :a)", s("x"), true),
        ("absent IN (:a)", s("hello"), false),
    ];
    for (text, value, want) in cases {
        let values: &[_] = if text.contains(":b") { &[value, n("5")] } else { &[value] };
        assert_eq!(holds(&item, text, values), want, "{text} {values:?}");
    }
    // AWS counts UTF-16 units: the clef has two.
    assert!(holds(&item, "size(:a) = :b", &[s("é𝄞"), n("3")]));
}

#[test]
fn types_are_told_apart() {
    for value in each_type() {
        for other in each_type() {
            let found = item([("a", value.clone())]);
            let same = value.type_name() == other.type_name();
            assert_eq!(holds(&found, "attribute_type(a, :a)", &[s(other.type_name())]), same);
        }
    }
    assert!(!holds(&item([]), "attribute_type(a, :a)", &[s("NULL")]));
}

#[test]
fn paths_lead_into_maps_and_lists() {
    let item = item([("b", l([n("0"), m([("a", m([("b", s("x"))]))])])), ("c", m([("d", l([s("y")]))]))]);
    let cases = [
        ("b[1].a.b = :a OR b.a.b = :a", s("x"), true),
        ("attribute_exists(b.a) OR attribute_exists(b[1])", s(""), true),
        ("attribute_exists(b[2])", s(""), false),
        ("attribute_not_exists(b[0].a)", s(""), true),
        ("attribute_type(b.a, :a) OR attribute_type(b[1].a, :a)", s("M"), true),
        ("(c.d)[0] = :a", s("y"), true),
        ("c.d[0] = :a AND NOT (b[0] = :a OR c.d = :a)", s("y"), true),
    ];
    for (text, value, want) in cases {
        let values: &[_] = if text.contains(":a") { &[value] } else { &[] };
        assert_eq!(holds(&item, text, values), want, "{text}");
    }
}

#[test]
fn operators_bind_as_documented() {
    let item = item([("t", n("1"))]);
    let truth =
        |text: &str| holds(&item, &text.replace("yes", "t = :a").replace("nay", "t <> :a"), &[n("1")]);
    let cases = [
        ("yes OR yes AND nay", true),
        ("(yes OR yes) AND nay", false),
        ("NOT nay AND yes", true),
        ("NOT (nay AND yes)", true),
        ("NOT nay AND nay", false),
        ("NOT NOT yes", true),
        ("nay or yes and yes or nay", true),
        ("not t BETWEEN :a AND :a OR yes", true),
        ("yes AND t BETWEEN :a AND :a AND nay", false),
    ];
    for (text, want) in cases {
        assert_eq!(truth(text), want, "{text}");
    }
}
