//! A second matcher, slow and literal: alternatives are written out as patterns of their own, and of every list each element
//! is tried in its place.

use serde_json::{Map, Value};

/// Whether any way to read the pattern meets any way to read the event.
pub(super) fn matches(pattern: &Value, event: &Value) -> bool {
    let conjunctions = alternatives(pattern.as_object().unwrap());
    conjunctions
        .iter()
        .any(|tests| readings(event).iter().any(|reading| tests.iter().all(|test| test.holds(reading))))
}

/// One list of matchers, and the path that it is for.
#[derive(Clone)]
struct Test {
    path: Vec<String>,
    matchers: Vec<Value>,
}

/// The pattern without `$or`: each list of tests is one way to meet it.
fn alternatives(object: &Map<String, Value>) -> Vec<Vec<Test>> {
    let mut ways: Vec<Vec<Test>> = vec![Vec::new()];
    for (name, value) in object {
        let more: Vec<Vec<Test>> = match value {
            Value::Array(choices) if name == "$or" => {
                choices.iter().flat_map(|choice| alternatives(choice.as_object().unwrap())).collect()
            }
            Value::Array(matchers) => {
                vec![vec![Test { path: vec![name.clone()], matchers: matchers.clone() }]]
            }
            inner => alternatives(inner.as_object().unwrap())
                .into_iter()
                .map(|tests| {
                    let below = |test: Test| Test { path: [vec![name.clone()], test.path].concat(), ..test };
                    tests.into_iter().map(below).collect()
                })
                .collect(),
        };
        ways = ways
            .iter()
            .flat_map(|way| more.iter().map(move |tests| [way.clone(), tests.clone()].concat()))
            .collect();
    }
    ways
}

/// Every event that has one element in the place of each list. A list without elements that count is left out.
fn readings(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements.iter().flat_map(readings).collect(),
        Value::Object(fields) => {
            let mut all = vec![Map::new()];
            for (name, value) in fields {
                let choices = readings(value);
                if choices.is_empty() {
                    continue;
                }
                all = all
                    .iter()
                    .flat_map(|object: &Map<String, Value>| {
                        choices.iter().map(move |choice| {
                            let mut object = object.clone();
                            object.insert(name.clone(), choice.clone());
                            object
                        })
                    })
                    .collect();
            }
            all.into_iter().map(Value::Object).collect()
        }
        leaf => vec![leaf.clone()],
    }
}

impl Test {
    fn holds(&self, event: &Value) -> bool {
        let value = self.path.iter().try_fold(event, |value, name| value.as_object()?.get(name));
        let leaf = value.filter(|value| !value.is_object());
        self.matchers.iter().any(|matcher| accepts(matcher, leaf))
    }
}

fn accepts(matcher: &Value, leaf: Option<&Value>) -> bool {
    let Some((kind, argument)) = matcher.as_object().and_then(|object| object.iter().next()) else {
        return leaf.is_some_and(|leaf| equal(matcher, leaf));
    };
    if kind == "exists" {
        return argument.as_bool().unwrap() == leaf.is_some();
    }
    let Some(leaf) = leaf else { return false };
    match kind.as_str() {
        "anything-but" => match argument {
            Value::Object(inner) => {
                let (kind, values) = inner.iter().next().unwrap();
                let refuses = |value: &Value| !accepts_text(kind, value, leaf);
                list(values).iter().all(refuses)
            }
            values => !list(values).iter().any(|value| equal(value, leaf)),
        },
        "numeric" => leaf.as_f64().is_some_and(|number| {
            argument.as_array().unwrap().chunks(2).all(|pair| {
                let bound = pair[1].as_f64().unwrap();
                match pair[0].as_str().unwrap() {
                    "=" => number == bound,
                    "<" => number < bound,
                    "<=" => number <= bound,
                    ">" => number > bound,
                    _ => number >= bound,
                }
            })
        }),
        "cidr" => {
            let (network, bits) = argument.as_str().unwrap().split_once('/').unwrap();
            let binary = |text: &str| {
                let address: std::net::IpAddr = text.parse().ok()?;
                Some(match address {
                    std::net::IpAddr::V4(address) => format!("{:032b}", address.to_bits()),
                    std::net::IpAddr::V6(address) => format!("{:0128b}", address.to_bits()),
                })
            };
            let bits: usize = bits.parse().unwrap();
            let network = binary(network).unwrap();
            leaf.as_str()
                .and_then(binary)
                .is_some_and(|other| other.len() == network.len() && other[..bits] == network[..bits])
        }
        kind => accepts_text(kind, argument, leaf),
    }
}

fn accepts_text(kind: &str, argument: &Value, leaf: &Value) -> bool {
    let Some(text) = leaf.as_str() else { return false };
    if let Some(inner) = argument.as_object() {
        let lower = Value::from(inner["equals-ignore-case"].as_str().unwrap().to_lowercase());
        return accepts_text(kind, &lower, &Value::from(text.to_lowercase()));
    }
    let wanted = argument.as_str().unwrap();
    match kind {
        "prefix" => text.starts_with(wanted),
        "suffix" => text.ends_with(wanted),
        "equals-ignore-case" => text.to_lowercase() == wanted.to_lowercase(),
        "wildcard" => is_like(&wanted.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>()),
        other => panic!("{other}"),
    }
}

fn is_like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skipped| is_like(rest, &text[skipped..])),
        ['\\', escaped, rest @ ..] => text.first() == Some(escaped) && is_like(rest, &text[1..]),
        [first, rest @ ..] => text.first() == Some(first) && is_like(rest, &text[1..]),
    }
}

fn equal(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(wanted), Some(value)) => wanted == value,
        _ => wanted == value,
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}
