use bytes::Bytes;
use lambent_model_dynamodb::AttributeValue;
use proptest::prelude::*;

use super::value;
use crate::{Invalid, MAX_NESTING, Value, from_wire, to_wire};

fn refused(value: AttributeValue) -> String {
    from_wire(value).expect_err("it is wrong").0
}

#[test]
fn a_value_has_one_type() {
    assert_eq!(
        refused(AttributeValue::default()),
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
    );
    let two = AttributeValue { s: Some("a".to_owned()), n: Some("1".to_owned()), ..Default::default() };
    assert_eq!(
        refused(two),
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
    );
    let bad_number =
        AttributeValue { s: Some("a".to_owned()), n: Some("b".to_owned()), ..Default::default() };
    assert_eq!(refused(bad_number), "The parameter cannot be converted to a numeric value: b");
}

#[test]
fn sets_are_neither_empty_nor_double() {
    let texts = |all: &[&str]| AttributeValue {
        ss: Some(all.iter().map(|&text| text.to_owned()).collect()),
        ..Default::default()
    };
    let numbers = |all: &[&str]| AttributeValue {
        ns: Some(all.iter().map(|&text| text.to_owned()).collect()),
        ..Default::default()
    };
    let b = Bytes::from_static(b"b");
    let bytes = |all: Vec<Bytes>| AttributeValue { bs: Some(all), ..Default::default() };
    let invalid = "One or more parameter values were invalid: ";
    assert_eq!(refused(texts(&[])), format!("{invalid}An string set  may not be empty"));
    assert_eq!(refused(numbers(&[])), format!("{invalid}An number set  may not be empty"));
    assert_eq!(refused(bytes(Vec::new())), format!("{invalid}Binary sets should not be empty"));
    assert_eq!(refused(texts(&["a", "a"])), format!("{invalid}Input collection [a, a] contains duplicates."));
    assert_eq!(refused(numbers(&["1", "1.0"])), "Input collection contains duplicates");
    assert_eq!(
        refused(bytes(vec![b.clone(), b])),
        format!("{invalid}Input collection [Yg==, Yg==]of type BS contains duplicates.")
    );
    assert!(from_wire(texts(&["", "a"])).is_ok(), "an empty text may be in a set");
}

#[test]
fn null_is_true() {
    let no = AttributeValue { null: Some(false), ..Default::default() };
    assert_eq!(
        refused(no),
        "One or more parameter values were invalid: Null attribute value types must have the value of true"
    );
}

#[test]
fn thirty_two_levels_are_the_most() {
    let nested = |levels: usize| {
        (0..levels).fold(to_wire(Value::Null), |inner, _| AttributeValue {
            l: Some(vec![inner]),
            ..Default::default()
        })
    };
    assert!(from_wire(nested(MAX_NESTING - 1)).is_ok());
    let Err(Invalid(message)) = from_wire(nested(MAX_NESTING)) else { panic!("too deep") };
    assert!(message.starts_with("Nesting Levels have exceeded supported limits"), "{message}");
}

proptest! {
    #[test]
    fn the_wire_keeps_values(value in value()) {
        prop_assert_eq!(from_wire(to_wire(value.clone())), Ok(value));
    }
}
