//! The wire's attribute values, with what AWS checks of them and what it says.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lambent_model_dynamodb::AttributeValue;

use crate::value::Invalid;
use crate::{Item, MAX_NESTING, Number, NumberError, Value};

const INVALID: &str = "One or more parameter values were invalid: ";
const EMPTY: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
const SEVERAL: &str = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
const TOO_DEEP: &str = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit";

/// The value that a caller sent.
pub fn from_wire(value: AttributeValue) -> Result<Value, Invalid> {
    read(value, 0)
}

/// The value as callers get it.
pub fn to_wire(value: Value) -> AttributeValue {
    let mut out = AttributeValue::default();
    match value {
        Value::S(text) => out.s = Some(text),
        Value::N(number) => out.n = Some(number.to_string()),
        Value::B(bytes) => out.b = Some(bytes),
        Value::Bool(truth) => out.bool = Some(truth),
        Value::Null => out.null = Some(true),
        Value::L(values) => out.l = Some(values.into_iter().map(to_wire).collect()),
        Value::M(item) => out.m = Some(item_to_wire(item)),
        Value::Ss(texts) => out.ss = Some(texts.into_iter().collect()),
        Value::Ns(numbers) => out.ns = Some(numbers.iter().map(Number::to_string).collect()),
        Value::Bs(all) => out.bs = Some(all.into_iter().collect()),
    }
    out
}

/// The item that a caller sent.
pub fn item_from_wire(item: BTreeMap<String, AttributeValue>) -> Result<Item, Invalid> {
    item.into_iter().map(|(name, value)| Ok((name, from_wire(value)?))).collect()
}

/// The item as callers get it.
pub fn item_to_wire(item: Item) -> BTreeMap<String, AttributeValue> {
    // Attribute values of the wire are large: put where they belong one by one, they move less than when they are collected.
    let mut out = BTreeMap::new();
    for (name, value) in item {
        out.insert(name, to_wire(value));
    }
    out
}

impl From<NumberError> for Invalid {
    fn from(error: NumberError) -> Self {
        Self(error.to_string())
    }
}

/// Reads each of the types that are there, in AWS's order; what is wrong with one of them is told before there being several.
fn read(value: AttributeValue, depth: usize) -> Result<Value, Invalid> {
    if depth >= MAX_NESTING {
        return Err(Invalid::new(TOO_DEEP));
    }
    let AttributeValue { b, bool, bs, l, m, n, ns, null, s, ss } = value;
    let mut one = One(None, false);
    one.add(s.map(|text| Ok(Value::S(text))))?;
    one.add(b.map(|bytes| Ok(Value::B(bytes))))?;
    one.add(n.map(|text: String| Ok(Value::N(Number::parse(&text)?))))?;
    one.add(bool.map(|truth| Ok(Value::Bool(truth))))?;
    one.add(null.map(read_null))?;
    one.add(bs.map(read_bytes_set))?;
    one.add(ns.map(read_number_set))?;
    one.add(ss.map(read_text_set))?;
    one.add(m.map(|map| {
        let attributes = map.into_iter().map(|(name, value)| Ok((name, read(value, depth + 1)?)));
        attributes.collect::<Result<_, Invalid>>().map(Value::M)
    }))?;
    one.add(l.map(|list| {
        list.into_iter().map(|value| read(value, depth + 1)).collect::<Result<_, Invalid>>().map(Value::L)
    }))?;
    match one {
        One(_, true) => Err(Invalid::new(SEVERAL)),
        One(Some(value), false) => Ok(value),
        One(None, false) => Err(Invalid::new(EMPTY)),
    }
}

/// The first value found, and whether there was a second.
struct One(Option<Value>, bool);

impl One {
    fn add(&mut self, found: Option<Result<Value, Invalid>>) -> Result<(), Invalid> {
        let Some(found) = found else { return Ok(()) };
        let found = found?;
        self.1 |= self.0.is_some();
        self.0.get_or_insert(found);
        Ok(())
    }
}

fn read_null(truth: bool) -> Result<Value, Invalid> {
    if truth {
        Ok(Value::Null)
    } else {
        Err(Invalid::new(format!("{INVALID}Null attribute value types must have the value of true")))
    }
}

fn read_text_set(texts: Vec<String>) -> Result<Value, Invalid> {
    if texts.is_empty() {
        // Two blanks, as AWS writes it.
        return Err(Invalid::new(format!("{INVALID}An string set  may not be empty")));
    }
    let set: BTreeSet<&String> = texts.iter().collect();
    if set.len() < texts.len() {
        let all = texts.join(", ");
        return Err(Invalid::new(format!("{INVALID}Input collection [{all}] contains duplicates.")));
    }
    Ok(Value::Ss(texts.into_iter().collect()))
}

fn read_number_set(texts: Vec<String>) -> Result<Value, Invalid> {
    if texts.is_empty() {
        return Err(Invalid::new(format!("{INVALID}An number set  may not be empty")));
    }
    let count = texts.len();
    let set = texts.iter().map(|text| Number::parse(text)).collect::<Result<BTreeSet<_>, _>>()?;
    if set.len() < count {
        return Err(Invalid::new("Input collection contains duplicates"));
    }
    Ok(Value::Ns(set))
}

fn read_bytes_set(all: Vec<Bytes>) -> Result<Value, Invalid> {
    if all.is_empty() {
        return Err(Invalid::new(format!("{INVALID}Binary sets should not be empty")));
    }
    let set: BTreeSet<&Bytes> = all.iter().collect();
    if set.len() < all.len() {
        let all = all.iter().map(|bytes| STANDARD.encode(bytes)).collect::<Vec<_>>().join(", ");
        return Err(Invalid::new(format!(
            "{INVALID}Input collection [{all}]of type BS contains duplicates."
        )));
    }
    Ok(Value::Bs(all.into_iter().collect()))
}
