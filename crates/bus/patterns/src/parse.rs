//! How a pattern is read.

use serde_json::{Map, Value};

use crate::cidr::Network;
use crate::pattern::{Bound, Fields, Matcher, Node, Range, TextTest};
use crate::wildcard::Wildcard;

/// The field whose list holds alternatives.
const OR: &str = "$or";
/// Numbers that patterns may compare with are no further from zero than this.
const NUMBER_MAX: f64 = 5_000_000_000.0;
/// Fields lie no deeper than this.
const DEPTH_MAX: usize = 100;
/// What lists of matchers may hold beside values.
const KEYWORDS: [&str; 8] =
    ["exists", "equals-ignore-case", "prefix", "suffix", "anything-but", "numeric", "cidr", "wildcard"];

/// What is wrong with a pattern: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Event pattern is not valid. Reason: {0}")]
pub struct InvalidPattern(pub String);

type Parsed<T> = Result<T, InvalidPattern>;

pub(crate) fn pattern(text: &str) -> Parsed<Fields> {
    let value: Value = serde_json::from_str(text).map_err(|error| InvalidPattern(error.to_string()))?;
    match value {
        Value::Object(object) => fields(&object, DEPTH_MAX),
        _ => invalid("Filter is not an object"),
    }
}

fn invalid<T>(reason: impl Into<String>) -> Parsed<T> {
    Err(InvalidPattern(reason.into()))
}

fn fields(object: &Map<String, Value>, depth: usize) -> Parsed<Fields> {
    let Some(depth) = depth.checked_sub(1) else { return invalid("Pattern is nested too deeply") };
    if object.is_empty() {
        return invalid("Empty objects are not allowed");
    }
    let mut parsed = Fields::default();
    for (name, value) in object {
        match value {
            Value::Array(alternatives) if name == OR && are_choices(alternatives) => {
                let group = alternatives.iter().filter_map(Value::as_object);
                parsed.choices.push(group.map(|object| fields(object, depth)).collect::<Parsed<_>>()?);
            }
            Value::Array(matchers) => parsed.fields.push((name.clone(), Node::Leaf(leaf(matchers)?))),
            Value::Object(inner) => parsed.fields.push((name.clone(), Node::Within(fields(inner, depth)?))),
            _ => return invalid(format!("\"{name}\" must be an object or an array")),
        }
    }
    Ok(parsed)
}

/// Whether the list of a field `$or` holds alternatives, and not matchers of a field of that name.
fn are_choices(alternatives: &[Value]) -> bool {
    let is_choice = |value: &Value| {
        value.as_object().is_some_and(|object| !object.keys().any(|name| KEYWORDS.contains(&name.as_str())))
    };
    alternatives.len() >= 2 && alternatives.iter().all(is_choice)
}

fn leaf(values: &[Value]) -> Parsed<Vec<Matcher>> {
    if values.is_empty() {
        return invalid("Empty arrays are not allowed");
    }
    values.iter().map(matcher).collect()
}

fn matcher(value: &Value) -> Parsed<Matcher> {
    match value {
        Value::Object(object) => {
            let mut members = object.iter();
            match (members.next(), members.next()) {
                (Some((kind, value)), None) => special(kind, value),
                (None, _) => invalid("Empty objects are not allowed"),
                _ => invalid("Only one key allowed in match expression"),
            }
        }
        Value::Array(_) => invalid("Match value must be String, number, true, false, or null"),
        value => literal(value),
    }
}

fn literal(value: &Value) -> Parsed<Matcher> {
    match value {
        Value::Null => Ok(Matcher::Null),
        Value::Bool(wanted) => Ok(Matcher::Bool(*wanted)),
        Value::String(text) => Ok(Matcher::Text(TextTest::Equals(text.clone()))),
        Value::Number(number) => match number.as_f64() {
            Some(number) => Ok(Matcher::Number(number)),
            None => invalid(format!("Invalid number: {number}")),
        },
        _ => invalid("Match value must be String, number, true, false, or null"),
    }
}

fn special(kind: &str, value: &Value) -> Parsed<Matcher> {
    match kind {
        "exists" => match value {
            Value::Bool(wanted) => Ok(Matcher::Exists(*wanted)),
            _ => invalid("exists match pattern must be either true or false."),
        },
        "numeric" => range(value).map(Matcher::Numeric),
        "anything-but" => none_of(value).map(Matcher::NoneOf),
        "cidr" => Network::parse(text(kind, value)?).map(Matcher::Cidr).map_err(InvalidPattern),
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => text_test(kind, value).map(Matcher::Text),
        other => invalid(format!("Unrecognized match type {other}")),
    }
}

fn text<'a>(kind: &str, value: &'a Value) -> Parsed<&'a str> {
    value.as_str().ok_or_else(|| InvalidPattern(format!("{kind} match pattern must be a string")))
}

fn text_test(kind: &str, value: &Value) -> Parsed<TextTest> {
    if let ("prefix" | "suffix", Value::Object(object)) = (kind, value) {
        let mut members = object.iter();
        let (Some((inner, value)), None) = (members.next(), members.next()) else {
            return invalid("Only one key allowed in match expression");
        };
        if inner != "equals-ignore-case" {
            return invalid(format!("Unsupported {kind} pattern: {inner}"));
        }
        let wanted = text(inner, value)?.to_lowercase();
        let is_prefix = kind == "prefix";
        return Ok(if is_prefix {
            TextTest::PrefixIgnoringCase(wanted)
        } else {
            TextTest::SuffixIgnoringCase(wanted)
        });
    }
    let wanted = text(kind, value)?;
    match kind {
        "prefix" => Ok(TextTest::Prefix(wanted.to_owned())),
        "suffix" => Ok(TextTest::Suffix(wanted.to_owned())),
        "equals-ignore-case" => Ok(TextTest::EqualsIgnoringCase(wanted.to_lowercase())),
        _ => Wildcard::parse(wanted).map(TextTest::Like).map_err(InvalidPattern),
    }
}

/// The values of `anything-but`: one or more, or one or more texts for one of the tests of texts.
fn none_of(value: &Value) -> Parsed<Vec<Matcher>> {
    if let Value::Object(object) = value {
        let mut members = object.iter();
        let (Some((kind, value)), None) = (members.next(), members.next()) else {
            return invalid("Only one key allowed in match expression");
        };
        if !["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(&kind.as_str()) {
            return invalid(format!("Unsupported anything-but pattern: {kind}"));
        }
        return one_or_more(value)?.map(|value| text_test(kind, value).map(Matcher::Text)).collect();
    }
    let values: Vec<&Value> = one_or_more(value)?.collect();
    let (texts, numbers) =
        (values.iter().all(|value| value.is_string()), values.iter().all(|value| value.is_number()));
    if !texts && !numbers {
        return invalid("Inside anything but list, start|null|boolean is not supported.");
    }
    values.into_iter().map(literal).collect()
}

fn one_or_more(value: &Value) -> Parsed<std::slice::Iter<'_, Value>> {
    match value {
        Value::Array(values) if values.is_empty() => invalid("Empty arrays are not allowed"),
        Value::Array(values) => Ok(values.iter()),
        value => Ok(std::slice::from_ref(value).iter()),
    }
}

fn range(value: &Value) -> Parsed<Range> {
    let Value::Array(members) = value else { return invalid("Value of numeric must be an array.") };
    if members.is_empty() {
        return invalid("Invalid member in numeric match: ]");
    }
    let mut range = Range::default();
    for pair in members.chunks(2) {
        let Some(operator) = pair[0].as_str() else {
            return invalid(format!("Invalid member in numeric match: {}", pair[0]));
        };
        let number = pair.get(1).and_then(Value::as_f64);
        let Some(number) = number.filter(|number| number.abs() <= NUMBER_MAX) else {
            return invalid(format!("Value of {operator} must be numeric"));
        };
        let within = Bound { number, is_within: true };
        let beyond = Bound { number, is_within: false };
        match operator {
            "=" if members.len() == 2 => return Ok(Range { least: Some(within), most: Some(within) }),
            "<" if range.most.is_none() => range.most = Some(beyond),
            "<=" if range.most.is_none() => range.most = Some(within),
            ">" if range.least.is_none() => range.least = Some(beyond),
            ">=" if range.least.is_none() => range.least = Some(within),
            "=" | "<" | "<=" | ">" | ">=" => return invalid("Too many terms in numeric range expression"),
            other => return invalid(format!("Unrecognized numeric range operator: {other}")),
        }
    }
    match (range.least, range.most) {
        (Some(least), Some(most)) if least.number >= most.number => invalid("Bottom must be less than top"),
        _ => Ok(range),
    }
}
