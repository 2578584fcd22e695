//! Legacy parameters.

use std::collections::BTreeMap;

use lambent_expressions::{Item, RangeTest, Value, legacy, to_wire};
use lambent_model_dynamodb::{
    AttributeAction, AttributeValueUpdate, ComparisonOperator, Condition, ConditionalOperator,
    ExpectedAttributeValue,
};

use crate::support::*;

const INVALID: &str = "One or more parameter values were invalid: ";

fn wire(values: &[Value]) -> Vec<lambent_model_dynamodb::AttributeValue> {
    values.iter().cloned().map(to_wire).collect()
}

fn comparison(operator: &str, values: Option<&[Value]>) -> Condition {
    Condition { comparison_operator: operator.into(), attribute_value_list: values.map(wire) }
}

fn of_a<T>(value: T) -> BTreeMap<String, T> {
    BTreeMap::from([("a".to_owned(), value)])
}

#[test]
fn expected_is_consistent() {
    let a = || Some(to_wire(s("a")));
    let list = |values: &[Value]| Some(wire(values));
    let op = |operator: &str| Some(ComparisonOperator::from(operator));
    let none = ExpectedAttributeValue::default;
    let cases = [
        (none(), "Value must be provided when Exists is null for Attribute: a"),
        (
            ExpectedAttributeValue { exists: Some(true), ..none() },
            "Value must be provided when Exists is true for Attribute: a",
        ),
        (
            ExpectedAttributeValue { exists: Some(false), value: a(), ..none() },
            "Value cannot be used when Exists is false for Attribute: a",
        ),
        (
            ExpectedAttributeValue { comparison_operator: op("LT"), ..none() },
            "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: a",
        ),
        (
            ExpectedAttributeValue { comparison_operator: op("LT"), exists: Some(true), ..none() },
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            ExpectedAttributeValue {
                attribute_value_list: list(&[s("a")]),
                value: a(),
                comparison_operator: op("LT"),
                exists: None,
            },
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            ExpectedAttributeValue { attribute_value_list: list(&[s("a")]), ..none() },
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            ExpectedAttributeValue { attribute_value_list: list(&[s("a")]), exists: Some(true), ..none() },
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            ExpectedAttributeValue { comparison_operator: op("NULL"), value: a(), ..none() },
            "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (
            ExpectedAttributeValue { comparison_operator: op("BETWEEN"), value: a(), ..none() },
            "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        ),
        (
            ExpectedAttributeValue {
                comparison_operator: op("IN"),
                attribute_value_list: list(&[]),
                ..none()
            },
            "Invalid number of argument(s) for the IN ComparisonOperator",
        ),
        (
            ExpectedAttributeValue {
                comparison_operator: op("IN"),
                attribute_value_list: list(&[s("a"), n("1")]),
                ..none()
            },
            "AttributeValues inside AttributeValueList must be of same type",
        ),
    ];
    for (expected, want) in cases {
        let refused = legacy::condition(Some(of_a(expected)), None).unwrap_err().0;
        assert_eq!(refused, format!("{INVALID}{want}"));
    }
}

#[test]
fn expected_holds_or_does_not() {
    let found = item([("a", s("hello")), ("n", n("1"))]);
    let holds = |expected: ExpectedAttributeValue, item: &Item| {
        legacy::condition(Some(of_a(expected)), None).unwrap().unwrap().matches(item)
    };
    let exists = |exists, value: Option<Value>| ExpectedAttributeValue {
        exists,
        value: value.map(to_wire),
        ..Default::default()
    };
    assert!(holds(exists(Some(false), None), &item([])));
    assert!(!holds(exists(Some(false), None), &found));
    assert!(holds(exists(None, Some(s("hello"))), &found));
    assert!(!holds(exists(Some(true), Some(s("bye"))), &found));
    assert!(legacy::condition(None, None).unwrap().is_none());
    let both = |operator| {
        let expected = BTreeMap::from([
            ("a".to_owned(), exists(None, Some(s("hello")))),
            ("n".to_owned(), exists(None, Some(n("2")))),
        ]);
        legacy::condition(Some(expected), operator).unwrap().unwrap().matches(&found)
    };
    assert!(!both(None) && !both(Some(ConditionalOperator::And)) && both(Some(ConditionalOperator::Or)));
}

#[test]
fn comparisons_take_as_many_values_as_they_do() {
    let (one, two, three) = ([s("a")], [s("a"), s("a")], [s("a"), s("a"), s("a")]);
    let singles = ["EQ", "NE", "LE", "LT", "GE", "GT", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH"];
    let mut cases: Vec<(&str, Option<&[Value]>)> = vec![("EQ", Some(&[])), ("IN", None), ("BETWEEN", None)];
    cases.extend(singles.iter().flat_map(|operator| [(*operator, None), (*operator, Some(&two[..]))]));
    cases.extend([("NULL", Some(&one[..])), ("NOT_NULL", Some(&two)), ("BETWEEN", Some(&three))]);
    for (operator, values) in cases {
        let want = format!("{INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator");
        let filter = legacy::filter(Some(of_a(comparison(operator, values))), None);
        assert_eq!(filter.unwrap_err().0, want);
        assert_eq!(legacy::key_conditions(of_a(comparison(operator, values))).unwrap_err().0, want);
    }
}

#[test]
fn comparisons_take_values_of_some_types() {
    for value in each_type() {
        let found = value.type_name();
        let mut refused = Vec::new();
        if !["S", "N", "B"].contains(&found) {
            refused.extend(["LT", "LE", "GT", "GE", "IN", "BETWEEN"]);
        }
        if ["SS", "NS", "BS", "M", "L"].contains(&found) {
            refused.extend(["CONTAINS", "NOT_CONTAINS"]);
        }
        if !["S", "B"].contains(&found) {
            refused.push("BEGINS_WITH");
        }
        for operator in refused {
            let values = if operator == "BETWEEN" { vec![value.clone(); 2] } else { vec![value.clone()] };
            let filter = legacy::filter(Some(of_a(comparison(operator, Some(&values)))), None);
            let want = format!(
                "{INVALID}ComparisonOperator {operator} is not valid for {found} AttributeValue type"
            );
            assert_eq!(filter.unwrap_err().0, want);
        }
        assert!(legacy::filter(Some(of_a(comparison("EQ", Some(&[value])))), None).is_ok());
    }
    let mixed = comparison("IN", Some(&[s("b"), n("1")]));
    let want = format!("{INVALID}AttributeValues inside AttributeValueList must be of same type");
    assert_eq!(legacy::key_conditions(of_a(mixed)).unwrap_err().0, want);
    let turned = comparison("BETWEEN", Some(&[s("b"), s("a")]));
    let want =
        "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound";
    assert_eq!(legacy::key_conditions(of_a(turned)).unwrap_err().0, want);
}

#[test]
fn filters_hold_or_do_not() {
    let cases: [(&str, &[Value], Value, bool); 13] = [
        ("EQ", &[s("b")], s("b"), true),
        ("NE", &[s("b")], n("1"), true),
        ("LT", &[n("2")], n("1"), true),
        ("LE", &[n("1")], n("1.0"), true),
        ("GT", &[s("a")], s("b"), true),
        ("GE", &[s("a")], n("1"), false),
        ("BETWEEN", &[n("0"), n("2")], n("2"), true),
        ("IN", &[n("0"), n("2")], n("2"), true),
        ("BEGINS_WITH", &[s("he")], s("hello"), true),
        ("CONTAINS", &[s("a")], ss(["a", "b"]), true),
        ("NOT_CONTAINS", &[s("a")], ss(["a", "b"]), false),
        ("NULL", &[], s("b"), false),
        ("NOT_NULL", &[], s("b"), true),
    ];
    for (operator, values, found, want) in cases {
        let filter = legacy::filter(Some(of_a(comparison(operator, Some(values)))), None).unwrap().unwrap();
        assert_eq!(filter.matches(&item([("a", found)])), want, "{operator}");
        let without = filter.matches(&item([]));
        assert_eq!(without, ["NE", "NOT_CONTAINS", "NULL"].contains(&operator), "{operator}");
    }
}

#[test]
fn key_conditions_are_one_or_two() {
    let want = "Conditions can be of length 1 or 2 only";
    assert_eq!(legacy::key_conditions(BTreeMap::new()).unwrap().expect_few().unwrap_err().0, want);
    let all = ["a", "b", "c"].map(|name| (name.to_owned(), comparison("NULL", None)));
    assert_eq!(legacy::key_conditions(BTreeMap::from(all)).unwrap().expect_few().unwrap_err().0, want);
    let keys = legacy::key_conditions(of_a(comparison("NULL", None))).unwrap();
    assert_eq!(keys.test_of("a"), Some(&RangeTest::NotIndexable));
    let want = "Attempted conditional constraint is not an indexable operation";
    assert_eq!(keys.check("a", "S", true, 1).unwrap_err().0, want);
    let keys = legacy::key_conditions(of_a(comparison("BEGINS_WITH", Some(&[s("x")])))).unwrap();
    assert_eq!(keys.test_of("a"), Some(&RangeTest::BeginsWith(s("x"))));
}

fn change(action: Option<AttributeAction>, value: Option<Value>) -> AttributeValueUpdate {
    AttributeValueUpdate { action, value: value.map(to_wire) }
}

#[test]
fn updates_have_values_of_some_types() {
    let refused = |change| legacy::update(of_a(change)).unwrap_err().0;
    for action in [None, Some(AttributeAction::Put), Some(AttributeAction::Add)] {
        let want = format!("{INVALID}Only DELETE action is allowed when no attribute value is specified");
        assert_eq!(refused(change(action, None)), want);
    }
    for value in each_type() {
        let found = value.type_name();
        if !["SS", "NS", "BS"].contains(&found) {
            let want = format!("{INVALID}DELETE action with value is not supported for the type {found}");
            assert_eq!(refused(change(Some(AttributeAction::Delete), Some(value.clone()))), want);
        }
        if !["N", "L", "SS", "NS", "BS"].contains(&found) {
            let want = format!("{INVALID}ADD action is not supported for the type {found}");
            assert_eq!(refused(change(Some(AttributeAction::Add), Some(value))), want);
        }
    }
    let want = format!("{INVALID}Duplicate value in attribute name: a");
    assert_eq!(legacy::projection(vec!["a".to_owned(), "a".to_owned()]).unwrap_err().0, want);
}

#[test]
fn updates_do_what_they_say() {
    use AttributeAction::{Add, Delete, Put};
    let updated = |before: Option<Value>, change| {
        let mut item: Item = before.into_iter().map(|value| ("a".to_owned(), value)).collect();
        let update = legacy::update(of_a(change)).unwrap();
        update.apply(&mut item).map(|()| item.remove("a")).map_err(|why| why.0)
    };
    let cases = [
        (None, None, Some(s("x")), Some(s("x"))),
        (Some(s("y")), Some(Put), Some(s("x")), Some(s("x"))),
        (None, Some(Add), Some(n("2")), Some(n("2"))),
        (Some(n("1")), Some(Add), Some(n("2")), Some(n("3"))),
        (Some(ss(["a"])), Some(Add), Some(ss(["b"])), Some(ss(["a", "b"]))),
        (Some(l([n("1")])), Some(Add), Some(l([n("2")])), Some(l([n("1"), n("2")]))),
        (Some(ss(["a", "b"])), Some(Delete), Some(ss(["b", "c"])), Some(ss(["a"]))),
        (Some(ss(["b"])), Some(Delete), Some(ss(["b"])), None),
        (None, Some(Delete), Some(ss(["b"])), None),
        (Some(s("x")), Some(Delete), None, None),
    ];
    for (before, action, value, after) in cases {
        assert_eq!(updated(before, change(action, value)), Ok(after));
    }
    for (before, action, value) in
        [(ss(["1"]), Delete, ns(["1"])), (n("1"), Delete, ns(["1"])), (ns(["1"]), Add, n("1"))]
    {
        let got = updated(Some(before), change(Some(action), Some(value)));
        assert_eq!(got, Err("Type mismatch for attribute to update".to_owned()));
    }
}
