//! What a pattern is once it is read, and how it matches.

use serde_json::{Map, Number, Value};

use crate::cidr::Network;
use crate::parse::{self, InvalidPattern};
use crate::wildcard::Wildcard;

/// A pattern that events are compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(pub(crate) Fields);

/// All of these hold for one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) fields: Vec<(String, Node)>,
    /// Of each group one holds.
    pub(crate) choices: Vec<Vec<Fields>>,
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Within(Fields),
    /// One of these.
    Leaf(Vec<Matcher>),
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Matcher {
    Null,
    Bool(bool),
    Number(f64),
    Text(TextTest),
    Numeric(Range),
    Cidr(Network),
    /// There, and none of these.
    NoneOf(Vec<Matcher>),
    Exists(bool),
}

/// What is asked of a text; those that ignore case hold a text in lower case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TextTest {
    Equals(String),
    Prefix(String),
    Suffix(String),
    EqualsIgnoringCase(String),
    PrefixIgnoringCase(String),
    SuffixIgnoringCase(String),
    Like(Wildcard),
}

/// The numbers between two bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Range {
    pub(crate) least: Option<Bound>,
    pub(crate) most: Option<Bound>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) number: f64,
    /// Whether the bound itself is one of them.
    pub(crate) is_within: bool,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// Errors: what is wrong with it, in EventBridge's words.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        parse::pattern(text).map(Self)
    }

    /// Whether an event is one of those that the pattern means.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.hold_for(event)
    }
}

impl Fields {
    fn hold_for(&self, value: &Value) -> bool {
        match value {
            Value::Object(object) => {
                self.fields.iter().all(|(name, node)| node.holds_for(object.get(name)))
                    && self.choices.iter().all(|group| group.iter().any(|fields| fields.hold_for(value)))
            }
            Value::Array(elements) => elements.iter().any(|one| !is_empty(one) && self.hold_for(one)),
            _ => self.hold_for(&Value::Object(Map::new())),
        }
    }
}

impl Node {
    fn holds_for(&self, value: Option<&Value>) -> bool {
        match (self, value.filter(|value| !is_empty(value))) {
            (Self::Within(fields), Some(value)) => fields.hold_for(value),
            (Self::Within(fields), None) => fields.hold_for(&Value::Object(Map::new())),
            (Self::Leaf(matchers), Some(value)) => is_any(value, matchers),
            (Self::Leaf(matchers), None) => is_absence_wanted(matchers),
        }
    }
}

fn is_absence_wanted(matchers: &[Matcher]) -> bool {
    matchers.contains(&Matcher::Exists(false))
}

/// Whether this is a list in which nothing is: as if it were not there.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(|elements| elements.iter().all(is_empty))
}

/// Whether any value in here is what is wanted. An object is none: only what it consists of can be compared.
fn is_any(value: &Value, matchers: &[Matcher]) -> bool {
    match value {
        Value::Object(_) => is_absence_wanted(matchers),
        Value::Array(elements) => elements.iter().any(|one| !is_empty(one) && is_any(one, matchers)),
        leaf => matchers.iter().any(|matcher| matcher.accepts(leaf)),
    }
}

impl Matcher {
    /// Whether a value, which is neither an object nor a list, is what is wanted.
    fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, _) => value.is_null(),
            (Self::Bool(wanted), _) => value.as_bool() == Some(*wanted),
            (Self::Number(wanted), Value::Number(number)) => float(number) == Some(*wanted),
            (Self::Text(test), Value::String(text)) => test.accepts(text),
            (Self::Numeric(range), Value::Number(number)) => {
                float(number).is_some_and(|number| range.has(number))
            }
            (Self::Cidr(network), Value::String(text)) => network.has(text),
            (Self::NoneOf(unwanted), _) => !unwanted.iter().any(|matcher| matcher.accepts(value)),
            (Self::Exists(wanted), _) => *wanted,
            _ => false,
        }
    }
}

impl TextTest {
    fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => text == wanted,
            Self::Prefix(wanted) => text.starts_with(wanted),
            Self::Suffix(wanted) => text.ends_with(wanted),
            Self::EqualsIgnoringCase(wanted) => text.to_lowercase() == *wanted,
            Self::PrefixIgnoringCase(wanted) => text.to_lowercase().starts_with(wanted),
            Self::SuffixIgnoringCase(wanted) => text.to_lowercase().ends_with(wanted),
            Self::Like(wildcard) => wildcard.accepts(text),
        }
    }
}

impl Range {
    pub(crate) fn has(&self, number: f64) -> bool {
        let is_above = |least: Bound| number > least.number || (least.is_within && number == least.number);
        let is_below = |most: Bound| number < most.number || (most.is_within && number == most.number);
        self.least.is_none_or(is_above) && self.most.is_none_or(is_below)
    }
}

fn float(number: &Number) -> Option<f64> {
    number.as_f64()
}
