//! Conditions: what ConditionExpression, FilterExpression and KeyConditionExpression say, and whether it holds for an item
//! ("Condition and filter expressions, operators, and functions in DynamoDB").

use std::borrow::Cow;
use std::sync::Arc;

use crate::condition_parser;
use crate::functions;
use crate::parser::Grammar;
use crate::path::Path;
use crate::placeholders::Placeholders;
use crate::{Invalid, Item, Value, value_bytes};

/// The parameter that a condition came in: messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a write.
    Condition,
    /// Of a Query or a Scan.
    Filter,
    /// Which items a Query is about.
    KeyCondition,
}

impl Kind {
    /// The parameter's name.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Condition => "ConditionExpression",
            Self::Filter => "FilterExpression",
            Self::KeyCondition => "KeyConditionExpression",
        }
    }
}

/// How two operands are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Comparator {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// What it is when its operands change sides.
    pub fn turned(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}

/// A value, from the item or from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// What the item has there.
    Path(Path),
    /// What the request said.
    Value(Arc<Value>),
    /// The size of another operand.
    Size(Box<Operand>),
}

impl Operand {
    /// The name of its type, where that does not depend on the item.
    pub fn static_type(&self) -> Option<&'static str> {
        match self {
            Self::Path(_) => None,
            Self::Value(value) => Some(value.type_name()),
            Self::Size(_) => Some("N"),
        }
    }

    /// What it is for `item`; nothing when the item has nothing there.
    pub fn of<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, Value>> {
        match self {
            Self::Path(path) => path.find(item).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Size(inner) => {
                let size = functions::size(inner.of(item)?.as_ref())?;
                Some(Cow::Owned(Value::N(size.into())))
            }
        }
    }

    fn add_paths<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        match self {
            Self::Path(path) => paths.push(path),
            Self::Value(_) => {}
            Self::Size(inner) => inner.add_paths(paths),
        }
    }

    fn value_bytes(&self) -> usize {
        match self {
            Self::Path(_) => 0,
            Self::Value(value) => value_bytes(value),
            Self::Size(inner) => inner.value_bytes(),
        }
    }
}

/// What has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `a AND b AND c`; with none of them it holds.
    All(Vec<Condition>),
    /// `a OR b OR c`; with none of them it does not hold.
    Any(Vec<Condition>),
    /// `NOT a`
    Not(Box<Condition>),
    /// `a < b`
    Compare(Comparator, Operand, Operand),
    /// `a BETWEEN low AND high`
    Between(Operand, Operand, Operand),
    /// `a IN (b, c)`
    In(Operand, Vec<Operand>),
    /// `attribute_exists(path)`
    Exists(Path),
    /// `attribute_not_exists(path)`
    NotExists(Path),
    /// `attribute_type(a, type)`; the type's name is checked.
    HasType(Operand, Arc<Value>),
    /// `begins_with(a, start)`
    BeginsWith(Operand, Operand),
    /// `contains(a, part)`
    Contains(Operand, Operand),
}

impl Condition {
    /// Reads an expression, and checks everything that can be known without a table.
    pub fn parse(kind: Kind, text: &str, placeholders: &mut Placeholders) -> Result<Self, Invalid> {
        crate::parser::parse(
            kind.parameter(),
            text,
            Grammar::Condition,
            placeholders,
            condition_parser::condition,
        )
    }

    /// Whether it holds for `item`; an item that is not there is an empty one. What cannot be compared is not equal, and in no
    /// order.
    pub fn matches(&self, item: &Item) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(item)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(item)),
            Self::Not(part) => !part.matches(item),
            Self::Compare(comparator, left, right) => {
                functions::compare(*comparator, left.of(item).as_deref(), right.of(item).as_deref())
            }
            Self::Between(operand, low, high) => {
                let found = operand.of(item);
                functions::compare(Comparator::Ge, found.as_deref(), low.of(item).as_deref())
                    && functions::compare(Comparator::Le, found.as_deref(), high.of(item).as_deref())
            }
            Self::In(operand, others) => operand
                .of(item)
                .is_some_and(|found| others.iter().any(|other| other.of(item).as_deref() == Some(&*found))),
            Self::Exists(path) => path.find(item).is_some(),
            Self::NotExists(path) => path.find(item).is_none(),
            Self::HasType(operand, name) => operand
                .of(item)
                .is_some_and(|found| matches!(&**name, Value::S(name) if found.type_name() == name.as_str())),
            Self::BeginsWith(operand, start) => both(operand, start, item, functions::begins_with),
            Self::Contains(operand, part) => both(operand, part, item, functions::contains),
        }
    }

    /// The bytes of the values in it, each as often as it is there.
    pub fn value_bytes(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::value_bytes).sum(),
            Self::Not(part) => part.value_bytes(),
            Self::Exists(_) | Self::NotExists(_) => 0,
            Self::HasType(operand, _) => operand.value_bytes(),
            Self::Compare(_, one, two) | Self::BeginsWith(one, two) | Self::Contains(one, two) => {
                one.value_bytes() + two.value_bytes()
            }
            Self::Between(operand, low, high) => {
                [operand, low, high].into_iter().map(Operand::value_bytes).sum()
            }
            Self::In(operand, others) => {
                operand.value_bytes() + others.iter().map(Operand::value_bytes).sum::<usize>()
            }
        }
    }

    /// All paths in it, in the order that they are written.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        self.add_paths(&mut paths);
        paths
    }

    fn add_paths<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.add_paths(paths)),
            Self::Not(part) => part.add_paths(paths),
            Self::Exists(path) | Self::NotExists(path) => paths.push(path),
            Self::HasType(operand, _) => operand.add_paths(paths),
            Self::Compare(_, one, two) | Self::BeginsWith(one, two) | Self::Contains(one, two) => {
                one.add_paths(paths);
                two.add_paths(paths);
            }
            Self::Between(operand, low, high) => {
                [operand, low, high].into_iter().for_each(|each| each.add_paths(paths));
            }
            Self::In(operand, others) => {
                operand.add_paths(paths);
                others.iter().for_each(|other| other.add_paths(paths));
            }
        }
    }
}

/// Whether `holds` does for both operands, if the item has them.
fn both(one: &Operand, two: &Operand, item: &Item, holds: fn(&Value, &Value) -> bool) -> bool {
    match (one.of(item), two.of(item)) {
        (Some(one), Some(two)) => holds(&one, &two),
        _ => false,
    }
}
