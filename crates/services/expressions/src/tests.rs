//! What holds of all values: codecs round-trip, keys sort as their values do, and nothing that is read can make us panic.

mod codecs;
mod numbers;
mod partiql;
mod wire;

use bytes::Bytes;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use crate::{Number, Value};

/// Any number that DynamoDB has, small whole ones more often than others.
pub(crate) fn number() -> impl Strategy<Value = Number> {
    let any =
        (any::<bool>(), 0u128..10u128.pow(38), -130i32..=125).prop_map(|(negative, digits, magnitude)| {
            let count = digits.checked_ilog10().unwrap_or(0).cast_signed();
            Number::normal(negative, digits, magnitude - count).expect("in range")
        });
    prop_oneof![(-1000i64..1000).prop_map(Number::from), any]
}

/// A value that a key attribute can have.
pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(Value::S), number().prop_map(Value::N), bytes().prop_map(Value::B),]
}

/// Any value, with lists and maps a few levels deep.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        scalar(),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        btree_set(text(), 1..4).prop_map(Value::Ss),
        btree_set(number(), 1..4).prop_map(Value::Ns),
        btree_set(bytes(), 1..4).prop_map(Value::Bs),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::L),
            btree_map(text(), inner, 0..4).prop_map(Value::M),
        ]
    })
}

/// Texts with the bytes that keys escape.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c\\x00\\x01]{0,4}", "\\PC{0,6}"]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(0u8..3, 0..5), vec(any::<u8>(), 0..5), vec(253u8..=255, 0..5)].prop_map(Bytes::from)
}
