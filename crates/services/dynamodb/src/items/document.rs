//! Items in errors, whose further members are free-form values.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lambent_expressions::{Item, Value};
use lambent_model_dynamodb::AttributeValue;
use lambent_wire::Document;

/// An item as its wire form's value: a map of attributes.
pub(crate) fn of_item(item: &Item) -> Document {
    Document::Object(item.iter().map(|(name, value)| (name.clone(), of_value(value))).collect())
}

/// The item that [`of_item`] wrote, for an answer that has a place for it.
pub(crate) fn item_in(document: &Document) -> Option<BTreeMap<String, AttributeValue>> {
    let attributes = document.as_object()?.iter();
    attributes.map(|(name, value)| Some((name.clone(), value_in(value)?))).collect()
}

fn value_in(document: &Document) -> Option<AttributeValue> {
    let (kind, content) = document.as_object()?.iter().next()?;
    let text = |content: &Document| content.as_str().map(ToOwned::to_owned);
    let bytes = |content: &Document| STANDARD.decode(content.as_str()?).ok().map(Bytes::from);
    let texts = || content.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
    let mut value = AttributeValue::default();
    match kind.as_str() {
        "S" => value.s = Some(text(content)?),
        "N" => value.n = Some(text(content)?),
        "B" => value.b = Some(bytes(content)?),
        "BOOL" => value.bool = Some(content.as_bool()?),
        "NULL" => value.null = Some(true),
        "L" => value.l = Some(content.as_array()?.iter().map(value_in).collect::<Option<_>>()?),
        "M" => value.m = Some(item_in(content)?),
        "SS" => value.ss = Some(texts()?),
        "NS" => value.ns = Some(texts()?),
        _ => value.bs = Some(content.as_array()?.iter().map(bytes).collect::<Option<_>>()?),
    }
    Some(value)
}

fn of_value(value: &Value) -> Document {
    let content = match value {
        Value::S(text) => Document::from(text.as_str()),
        Value::N(number) => Document::from(number.to_string()),
        Value::B(bytes) => Document::from(STANDARD.encode(bytes)),
        Value::Bool(truth) => Document::from(*truth),
        Value::Null => Document::from(true),
        Value::L(values) => values.iter().map(of_value).collect(),
        Value::M(map) => of_item(map),
        Value::Ss(all) => all.iter().map(String::as_str).collect(),
        Value::Ns(all) => all.iter().map(ToString::to_string).collect(),
        Value::Bs(all) => all.iter().map(|bytes| STANDARD.encode(bytes)).collect(),
    };
    Document::Object([(value.type_name().to_owned(), content)].into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lambent_expressions::item_to_wire;

    use super::*;

    #[test]
    fn what_was_written_is_found_again() {
        let list = vec![
            Value::N(7i64.into()),
            Value::Null,
            Value::Bool(false),
            Value::B(Bytes::from_static(b"\xff")),
        ];
        let sets = [
            Value::Ss(BTreeSet::from(["a".to_owned()])),
            Value::Ns(BTreeSet::from([1i64.into(), 2i64.into()])),
            Value::Bs(BTreeSet::from([Bytes::from_static(b"b")])),
        ];
        let map = Item::from([("l".to_owned(), Value::L(list)), ("s".to_owned(), Value::L(sets.to_vec()))]);
        let item =
            Item::from([("m".to_owned(), Value::M(map)), ("t".to_owned(), Value::S("text".to_owned()))]);
        assert_eq!(item_in(&of_item(&item)), Some(item_to_wire(item)));
    }
}
