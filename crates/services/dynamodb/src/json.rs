//! DynamoDB JSON, as events, exports and imports have it: each value under the name of its type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambent_expressions::{Invalid, Item, MAX_NESTING, Number, Value};
use serde_json::{Map, Value as Json, json};

/// An item.
pub(crate) fn item_to_json(item: &Item) -> Json {
    Json::Object(item.iter().map(|(name, value)| (name.clone(), value_to_json(value))).collect())
}

fn value_to_json(value: &Value) -> Json {
    match value {
        Value::S(text) => json!({ "S": text }),
        Value::N(number) => json!({ "N": number.to_string() }),
        Value::B(bytes) => json!({ "B": STANDARD.encode(bytes) }),
        Value::Bool(truth) => json!({ "BOOL": truth }),
        Value::Null => json!({ "NULL": true }),
        Value::L(values) => json!({ "L": values.iter().map(value_to_json).collect::<Vec<_>>() }),
        Value::M(item) => json!({ "M": item_to_json(item) }),
        Value::Ss(texts) => json!({ "SS": texts }),
        Value::Ns(numbers) => json!({ "NS": numbers.iter().map(Number::to_string).collect::<Vec<_>>() }),
        Value::Bs(all) => json!({ "BS": all.iter().map(|one| STANDARD.encode(one)).collect::<Vec<_>>() }),
    }
}

/// Reads what [`item_to_json`] wrote.
pub(crate) fn item_from_json(json: &Json) -> Result<Item, Invalid> {
    read_item(json, 0)
}

fn read_item(json: &Json, depth: usize) -> Result<Item, Invalid> {
    let attributes = json.as_object().ok_or_else(|| wrong("a map of attributes", json))?;
    attributes.iter().map(|(name, value)| Ok((name.clone(), read_value(value, depth)?))).collect()
}

fn read_value(json: &Json, depth: usize) -> Result<Value, Invalid> {
    if depth > MAX_NESTING {
        return Err(Invalid::new("Nesting Levels have exceeded supported limits"));
    }
    let Some((kind, value)) = json.as_object().and_then(single) else {
        return Err(wrong("one value under the name of its type", json));
    };
    Ok(match kind {
        "S" => Value::S(text(value)?.to_owned()),
        "N" => Value::N(number(value)?),
        "B" => Value::B(bytes(value)?),
        "BOOL" => Value::Bool(value.as_bool().ok_or_else(|| wrong("true or false", value))?),
        "NULL" => Value::Null,
        "L" => Value::L(list(value)?.iter().map(|one| read_value(one, depth + 1)).collect::<Result<_, _>>()?),
        "M" => Value::M(read_item(value, depth + 1)?),
        "SS" => Value::Ss(set(value, |one| Ok(text(one)?.to_owned()))?),
        "NS" => Value::Ns(set(value, number)?),
        "BS" => Value::Bs(set(value, bytes)?),
        _ => return Err(wrong("the name of a type", &Json::String(kind.to_owned()))),
    })
}

fn single(map: &Map<String, Json>) -> Option<(&str, &Json)> {
    let mut entries = map.iter();
    let (kind, value) = entries.next()?;
    entries.next().is_none().then_some((kind.as_str(), value))
}

fn text(json: &Json) -> Result<&str, Invalid> {
    json.as_str().ok_or_else(|| wrong("a text", json))
}

fn number(json: &Json) -> Result<Number, Invalid> {
    Ok(Number::parse(text(json)?)?)
}

fn bytes(json: &Json) -> Result<bytes::Bytes, Invalid> {
    STANDARD.decode(text(json)?).map(Into::into).map_err(|_| wrong("base64", json))
}

fn list(json: &Json) -> Result<&Vec<Json>, Invalid> {
    json.as_array().ok_or_else(|| wrong("a list", json))
}

fn set<T: Ord>(
    json: &Json,
    read: impl Fn(&Json) -> Result<T, Invalid>,
) -> Result<std::collections::BTreeSet<T>, Invalid> {
    let all = list(json)?;
    if all.is_empty() {
        return Err(wrong("a set that is not empty", json));
    }
    all.iter().map(read).collect()
}

fn wrong(expected: &str, found: &Json) -> Invalid {
    let mut found = found.to_string();
    found.truncate(found.floor_char_boundary(SHOWN_BYTES_MAX));
    Invalid::new(format!("expected {expected}, found {found}"))
}

/// How much of a wrong value a message shows.
const SHOWN_BYTES_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back() {
        let json = json!({
            "s": { "S": "x" }, "n": { "N": "-1.5" }, "b": { "B": "AAE=" }, "t": { "BOOL": true }, "z": { "NULL": true },
            "l": { "L": [{ "S": "" }, { "M": { "k": { "N": "1" } } }] },
            "ss": { "SS": ["a", "b"] }, "ns": { "NS": ["1", "2"] }, "bs": { "BS": ["AA=="] },
        });
        let item = item_from_json(&json).unwrap();
        assert_eq!(item.len(), 9);
        assert_eq!(item_to_json(&item), json);
        for wrong in [
            json!({ "a": "x" }),
            json!({ "a": { "S": 1 } }),
            json!({ "a": { "S": "", "N": "1" } }),
            json!([]),
        ] {
            assert!(item_from_json(&wrong).is_err(), "{wrong}");
        }
    }
}
