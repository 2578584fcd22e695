use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::Pattern;

mod literal;

fn matches(pattern: Value, event: &Value) -> bool {
    Pattern::parse(&pattern.to_string()).unwrap().matches(event)
}

#[test]
fn every_kind_of_matcher() {
    let event = json!({
        "eventName": "INSERT",
        "count": 7.5,
        "ok": true,
        "nothing": null,
        "ip": "10.1.2.3",
        "ip6": "2001:db8::1",
        "tags": ["red", "Blue"],
        "dynamodb": { "NewImage": { "id": { "S": "id-17" }, "n": { "N": "5" } } },
    });
    for (pattern, expected) in [
        (json!({"eventName": ["INSERT", "MODIFY"]}), true),
        (json!({"eventName": ["insert"]}), false),
        (json!({"eventName": [{"equals-ignore-case": "insert"}]}), true),
        (json!({"eventName": [{"prefix": "IN"}]}), true),
        (json!({"eventName": [{"prefix": {"equals-ignore-case": "iN"}}]}), true),
        (json!({"eventName": [{"suffix": {"equals-ignore-case": "eRt"}}]}), true),
        (json!({"eventName": [{"suffix": "sert"}]}), false),
        (json!({"eventName": [{"wildcard": "I*S*T"}]}), true),
        (json!({"eventName": [{"wildcard": "I*X*T"}]}), false),
        (json!({"eventName": [{"anything-but": "INSERT"}]}), false),
        (json!({"eventName": [{"anything-but": ["MODIFY", "REMOVE"]}]}), true),
        (json!({"eventName": [{"anything-but": {"prefix": ["MO", "IN"]}}]}), false),
        (json!({"eventName": [{"anything-but": {"suffix": "X"}}]}), true),
        (json!({"eventName": [{"anything-but": {"wildcard": "*SER*"}}]}), false),
        (json!({"eventName": [{"anything-but": {"equals-ignore-case": ["insert"]}}]}), false),
        (json!({"count": [{"anything-but": 7.5}]}), false),
        (json!({"count": [{"anything-but": [1, 2]}]}), true),
        (json!({"absent": [{"anything-but": "x"}]}), false),
        (json!({"count": [{"numeric": [">", 0, "<=", 7.5]}]}), true),
        (json!({"count": [{"numeric": ["=", 75e-1]}]}), true),
        (json!({"count": [{"numeric": ["<", 7.5]}]}), false),
        (json!({"count": [7.50]}), true),
        (json!({"dynamodb": {"NewImage": {"n": {"N": [{"numeric": ["=", 5]}]}}}}), false),
        (json!({"ok": [true]}), true),
        (json!({"nothing": [null]}), true),
        (json!({"nothing": [{"exists": true}]}), true),
        (json!({"absent": [{"exists": false}]}), true),
        (json!({"dynamodb": {"NewImage": [{"exists": true}]}}), false),
        (json!({"dynamodb": {"OldImage": {"id": {"S": [{"exists": false}]}}}}), true),
        (json!({"ip": [{"cidr": "10.1.0.0/16"}]}), true),
        (json!({"ip": [{"cidr": "10.2.0.0/16"}]}), false),
        (json!({"ip": [{"cidr": "0.0.0.0/0"}]}), true),
        (json!({"ip6": [{"cidr": "2001:db8::/32"}]}), true),
        (json!({"tags": ["Blue"]}), true),
        (json!({"tags": [{"anything-but": "red"}]}), true),
        (json!({"$or": [{"eventName": ["X"]}, {"count": [7.5]}], "ok": [true]}), true),
        (json!({"$or": [{"eventName": ["X"]}, {"count": [1]}]}), false),
    ] {
        assert_eq!(matches(pattern.clone(), &event), expected, "{pattern}");
        assert_eq!(literal::matches(&pattern, &event), expected, "{pattern}");
    }
}

#[test]
fn what_a_pattern_says_below_a_list_holds_for_one_element() {
    let event = json!({"people": [{"name": "a", "age": 1}, {"name": "b", "age": 2}]});
    assert!(matches(json!({"people": {"name": ["a"], "age": [1]}}), &event));
    assert!(!matches(json!({"people": {"name": ["a"], "age": [2]}}), &event));
}

#[test]
fn mistakes_are_told() {
    for (pattern, told) in [
        (r#""text""#, "Filter is not an object"),
        (r#"["INSERT"]"#, "Filter is not an object"),
        (r#"{}"#, "Empty objects are not allowed"),
        (r#"{"a": "b"}"#, "\"a\" must be an object or an array"),
        (r#"{"a": []}"#, "Empty arrays are not allowed"),
        (r#"{"a": [["b"]]}"#, "Match value must be String, number, true, false, or null"),
        (r#"{"a": [{"like": "b"}]}"#, "Unrecognized match type like"),
        (r#"{"a": [{"prefix": 1}]}"#, "prefix match pattern must be a string"),
        (r#"{"a": [{"exists": "true"}]}"#, "exists match pattern must be either true or false."),
        (r#"{"a": [{"numeric": ">"}]}"#, "Value of numeric must be an array."),
        (r#"{"a": [{"numeric": [">", "25"]}]}"#, "Value of > must be numeric"),
        (r#"{"a": [{"numeric": ["~", 25]}]}"#, "Unrecognized numeric range operator: ~"),
        (r#"{"a": [{"numeric": [">", 2, "<", 1]}]}"#, "Bottom must be less than top"),
        (r#"{"a": [{"cidr": "10.0.0.0"}]}"#, "Malformed CIDR, one '/' required"),
        (r#"{"a": [{"wildcard": "a**"}]}"#, "Consecutive wildcard characters at pos 1"),
        (
            r#"{"a": [{"anything-but": [true]}]}"#,
            "Inside anything but list, start|null|boolean is not supported.",
        ),
        (r#"{"a": [{"prefix": "a", "suffix": "b"}]}"#, "Only one key allowed in match expression"),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap_err().0, told, "{pattern}");
    }
    assert!(Pattern::parse("{\"a\": [\"b\"").is_err());
}

fn word() -> impl Strategy<Value = String> {
    "[abA*]{0,4}"
}

fn number() -> impl Strategy<Value = f64> {
    (-4_i32..5).prop_map(|half| f64::from(half) / 2.0)
}

fn wildcard() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just(r"\*"), Just("*"), Just("A")], 0..5)
        .prop_map(|parts| parts.concat().replace("**", "*").replace("**", "*"))
        .prop_filter("no two stars in a row", |text| !text.contains("**"))
}

fn test_of_text() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(|text| json!({ "prefix": text })),
        word().prop_map(|text| json!({ "suffix": text })),
        word().prop_map(|text| json!({ "prefix": { "equals-ignore-case": text } })),
        word().prop_map(|text| json!({ "equals-ignore-case": text })),
        wildcard().prop_map(|text| json!({ "wildcard": text })),
    ]
}

fn matcher() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::from),
        number().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        test_of_text(),
        any::<bool>().prop_map(|wanted| json!({ "exists": wanted })),
        (number(), number())
            .prop_map(|(low, more)| json!({ "numeric": [">=", low, "<", low + more.abs() + 0.5] })),
        number().prop_map(|number| json!({ "numeric": ["=", number] })),
        proptest::collection::vec(word(), 1..3).prop_map(|words| json!({ "anything-but": words })),
        number().prop_map(|number| json!({ "anything-but": number })),
        proptest::collection::vec(word(), 1..3)
            .prop_map(|words| json!({ "anything-but": { "prefix": words } })),
        wildcard().prop_map(|text| json!({ "anything-but": { "wildcard": text } })),
        (0_u8..3, 0_u8..33).prop_map(|(last, bits)| json!({ "cidr": format!("10.0.0.{last}/{bits}") })),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[xyz]"
}

fn pattern() -> impl Strategy<Value = Value> {
    let leaf = proptest::collection::vec(matcher(), 1..4).prop_map(Value::from);
    let object = |inner: BoxedStrategy<Value>| {
        proptest::collection::btree_map(name(), inner, 1..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
    };
    let tree = leaf.prop_recursive(3, 16, 3, move |inner| {
        // A field is named on one side only: else two elements of one list could meet the two.
        let choice = ("[vw]", inner.clone()).prop_map(|(name, value)| json!({ name: value }));
        (object(inner.boxed()), proptest::collection::vec(choice, 0..4)).prop_map(|(mut fields, choices)| {
            if let (Value::Object(fields), true) = (&mut fields, choices.len() >= 2) {
                fields.insert("$or".to_owned(), Value::from(choices));
            }
            fields
        })
    });
    proptest::collection::btree_map(name(), tree, 1..3)
        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
}

fn event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        word().prop_map(Value::from),
        number().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        (0_u8..3).prop_map(|last| Value::from(format!("10.0.0.{last}"))),
    ];
    let tree = leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[v-z]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    });
    proptest::collection::btree_map(name(), tree, 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_matcher_agrees_with_one_that_takes_patterns_literally(pattern in pattern(), event in event()) {
        let expected = literal::matches(&pattern, &event);
        prop_assert_eq!(Pattern::parse(&pattern.to_string()).unwrap().matches(&event), expected);
    }
}
