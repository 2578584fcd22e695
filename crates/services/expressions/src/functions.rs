//! What comparators and functions of conditions do with values.

use std::cmp::Ordering;

use crate::Value;
use crate::condition::Comparator;

/// The types' names as AWS lists them when `attribute_type` asks for another.
pub(crate) const TYPE_NAMES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

/// Whether two values are to each other as `comparator` wants. What is not there equals nothing and is in no order, and only
/// texts, numbers and bytes have an order.
pub(crate) fn compare(comparator: Comparator, left: Option<&Value>, right: Option<&Value>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return comparator == Comparator::Ne };
    match comparator {
        Comparator::Eq => left == right,
        Comparator::Ne => left != right,
        Comparator::Lt => order(left, right) == Some(Ordering::Less),
        Comparator::Le => order(left, right).is_some_and(Ordering::is_le),
        Comparator::Gt => order(left, right) == Some(Ordering::Greater),
        Comparator::Ge => order(left, right).is_some_and(Ordering::is_ge),
    }
}

/// The order of two texts (by their bytes), numbers or byte strings.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::S(left), Value::S(right)) => Some(left.cmp(right)),
        (Value::N(left), Value::N(right)) => Some(left.cmp(right)),
        (Value::B(left), Value::B(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// `begins_with`
pub(crate) fn begins_with(value: &Value, start: &Value) -> bool {
    match (value, start) {
        (Value::S(value), Value::S(start)) => value.starts_with(start.as_str()),
        (Value::B(value), Value::B(start)) => value.starts_with(start),
        _ => false,
    }
}

/// `contains`: a part of a text or of bytes, or an element of a list or a set.
pub(crate) fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::S(value), Value::S(part)) => value.contains(part.as_str()),
        (Value::B(value), Value::B(part)) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == part)
        }
        (Value::Ss(set), Value::S(part)) => set.contains(part),
        (Value::Ns(set), Value::N(part)) => set.contains(part),
        (Value::Bs(set), Value::B(part)) => set.contains(part),
        (Value::L(list), part) => list.contains(part),
        _ => false,
    }
}

/// `size`: UTF-16 units of a text, as AWS counts them, bytes, or elements; nothing of what has no size.
pub(crate) fn size(value: &Value) -> Option<usize> {
    match value {
        Value::S(text) => Some(text.encode_utf16().count()),
        Value::B(bytes) => Some(bytes.len()),
        Value::L(list) => Some(list.len()),
        Value::M(map) => Some(map.len()),
        Value::Ss(set) => Some(set.len()),
        Value::Ns(set) => Some(set.len()),
        Value::Bs(set) => Some(set.len()),
        Value::N(_) | Value::Bool(_) | Value::Null => None,
    }
}

/// A value as AWS's messages show it: `{S:text}`.
pub(crate) fn shown(value: &Value) -> String {
    let text = match value {
        Value::S(text) => text.clone(),
        Value::N(number) => number.to_string(),
        Value::B(bytes) => {
            let length = bytes.len();
            format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]")
        }
        other => format!("{other:?}"),
    };
    format!("{{{}:{text}}}", value.type_name())
}
