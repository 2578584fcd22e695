//! Values and items in short, for tables of cases.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_expressions::{Item, Number, Placeholders, Value};

pub(crate) fn s(text: &str) -> Value {
    Value::S(text.to_owned())
}

pub(crate) fn n(text: &str) -> Value {
    Value::N(number(text))
}

pub(crate) fn number(text: &str) -> Number {
    Number::parse(text).expect("a number")
}

pub(crate) fn b(text: &str) -> Value {
    Value::B(Bytes::copy_from_slice(text.as_bytes()))
}

pub(crate) fn l(values: impl IntoIterator<Item = Value>) -> Value {
    Value::L(values.into_iter().collect())
}

pub(crate) fn m<const N: usize>(attributes: [(&str, Value); N]) -> Value {
    Value::M(item(attributes))
}

pub(crate) fn ss<const N: usize>(texts: [&str; N]) -> Value {
    Value::Ss(texts.into_iter().map(str::to_owned).collect())
}

pub(crate) fn ns<const N: usize>(texts: [&str; N]) -> Value {
    Value::Ns(texts.into_iter().map(number).collect())
}

pub(crate) fn bs<const N: usize>(texts: [&str; N]) -> Value {
    Value::Bs(texts.into_iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect())
}

pub(crate) fn item<const N: usize>(attributes: [(&str, Value); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One value of each type.
pub(crate) fn each_type() -> [Value; 10] {
    [s("a"), n("1"), b("a"), Value::Bool(true), Value::Null, l([]), m([]), ss(["1"]), ns(["1"]), bs(["a"])]
}

/// The placeholders of a request; none of a sort that has no entries.
pub(crate) fn placeholders(names: &[(&str, &str)], values: &[(&str, Value)]) -> Placeholders {
    let names: BTreeMap<_, _> =
        names.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect();
    let values: BTreeMap<_, _> =
        values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Placeholders::new(Some(names).filter(|all| !all.is_empty()), Some(values).filter(|all| !all.is_empty()))
        .expect("placeholders")
}
