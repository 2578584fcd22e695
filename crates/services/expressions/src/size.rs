//! Sizes as DynamoDB counts them ("DynamoDB item sizes and formats"): for the limit of 400 KB and for capacity.

use crate::{Item, Number, Value};

/// What a list or a map weighs when it is empty.
const CONTAINER_BYTES: usize = 3;
/// What each element of a list or a map weighs beside its content.
const ELEMENT_BYTES: usize = 1;

/// The bytes of an item: the names and values of its attributes.
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

/// The bytes of a value, without the attribute's name.
pub fn value_bytes(value: &Value) -> usize {
    match value {
        Value::S(text) => text.len(),
        Value::N(number) => number_bytes(number),
        Value::B(bytes) => bytes.len(),
        Value::Bool(_) | Value::Null => 1,
        Value::L(values) => {
            CONTAINER_BYTES + values.iter().map(|value| ELEMENT_BYTES + value_bytes(value)).sum::<usize>()
        }
        Value::M(item) => CONTAINER_BYTES + ELEMENT_BYTES * item.len() + item_bytes(item),
        Value::Ss(texts) => texts.iter().map(String::len).sum(),
        Value::Ns(numbers) => numbers.iter().map(number_bytes).sum(),
        Value::Bs(all) => all.iter().map(bytes::Bytes::len).sum(),
    }
}

/// How many levels of values an item has: one with nothing in lists or maps has one.
pub fn nesting(item: &Item) -> usize {
    item.values().map(levels).max().unwrap_or_default()
}

fn levels(value: &Value) -> usize {
    match value {
        Value::L(values) => 1 + values.iter().map(levels).max().unwrap_or_default(),
        Value::M(item) => 1 + nesting(item),
        _ => 1,
    }
}

/// One byte, and one for every two digits, which stand at even places; one more below zero.
fn number_bytes(number: &Number) -> usize {
    if number.digits() == 0 {
        return 1;
    }
    let digits = number.digit_count() as usize;
    let straddles = digits.is_multiple_of(2) && number.magnitude() % 2 == 0;
    1 + digits.div_ceil(2) + usize::from(straddles) + usize::from(number.is_negative())
}
