//! Which items a Query is about: a condition on the keys ("Key condition expressions for the Query operation in DynamoDB").

use crate::condition::{Comparator, Condition, Kind, Operand};
use crate::functions::{begins_with, compare};
use crate::path::Path;
use crate::placeholders::Placeholders;
use crate::{Invalid, Value};

const INVALID_CONDITION: &str = "Invalid condition in KeyConditionExpression: ";

/// What must hold for one attribute of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeTest {
    /// `=`
    Eq(Value),
    /// `<`
    Lt(Value),
    /// `<=`
    Le(Value),
    /// `>`
    Gt(Value),
    /// `>=`
    Ge(Value),
    /// Both ends included.
    Between(Value, Value),
    /// `begins_with`
    BeginsWith(Value),
    /// A comparison of the legacy parameter that no key has.
    NotIndexable,
}

impl RangeTest {
    /// The values that it compares with.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let (one, two) = match self {
            Self::Eq(one)
            | Self::Lt(one)
            | Self::Le(one)
            | Self::Gt(one)
            | Self::Ge(one)
            | Self::BeginsWith(one) => (Some(one), None),
            Self::Between(one, two) => (Some(one), Some(two)),
            Self::NotIndexable => (None, None),
        };
        one.into_iter().chain(two)
    }

    /// Whether it holds for `found`.
    pub fn matches(&self, found: &Value) -> bool {
        let holds = |comparator, value| compare(comparator, Some(found), Some(value));
        match self {
            Self::Eq(value) => holds(Comparator::Eq, value),
            Self::Lt(value) => holds(Comparator::Lt, value),
            Self::Le(value) => holds(Comparator::Le, value),
            Self::Gt(value) => holds(Comparator::Gt, value),
            Self::Ge(value) => holds(Comparator::Ge, value),
            Self::Between(low, high) => holds(Comparator::Ge, low) && holds(Comparator::Le, high),
            Self::BeginsWith(start) => begins_with(found, start),
            Self::NotIndexable => false,
        }
    }
}

/// Tests, each of another attribute: one or two, or more of an index whose key has more attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCondition {
    tests: Vec<(String, RangeTest)>,
}

impl KeyCondition {
    /// Reads a KeyConditionExpression for a key of one or two attributes. AWS reads a request's other expressions before it looks at what this one says: where
    /// there are others, parse a [`Condition`] of [`Kind::KeyCondition`], then them, then [`Self::from_condition`].
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, Invalid> {
        let keys = Self::from_condition(&Condition::parse(Kind::KeyCondition, text, placeholders)?)?;
        keys.expect_few()?;
        Ok(keys)
    }

    /// The tests that `condition` consists of.
    pub fn from_condition(condition: &Condition) -> Result<Self, Invalid> {
        let mut tests = Vec::new();
        add_tests(condition, &mut tests)?;
        Ok(Self::new(tests))
    }

    /// Made of tests. How many there may be depends on the key, see [`Self::expect_few`].
    pub fn new(tests: Vec<(String, RangeTest)>) -> Self {
        Self { tests }
    }

    /// Refuses more tests than a key of one or two attributes has room for.
    pub fn expect_few(&self) -> Result<(), Invalid> {
        match self.tests.len() {
            1 | 2 => Ok(()),
            _ => Err(Invalid::new("Conditions can be of length 1 or 2 only")),
        }
    }

    /// The attributes that are tested.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(|(name, _)| name.as_str())
    }

    /// The test of the attribute `name`.
    pub fn test_of(&self, name: &str) -> Option<&RangeTest> {
        self.tests.iter().find(|(tested, _)| tested == name).map(|(_, test)| test)
    }

    /// What AWS checks of one attribute of the key that is asked for, the hash key's first: `kind` is its type's name, and
    /// `keys` the number of attributes in the key.
    pub fn check(&self, name: &str, kind: &str, is_hash: bool, keys: usize) -> Result<(), Invalid> {
        if is_hash && keys == 1 && self.tests.len() > 1 {
            return Err(Invalid::new("Query key condition not supported"));
        }
        let Some(test) = self.test_of(name) else {
            if is_hash || self.tests.len() > 1 {
                return Err(Invalid::new(format!("Query condition missed key schema element: {name}")));
            }
            return Ok(());
        };
        if *test == RangeTest::NotIndexable {
            return Err(Invalid::new("Attempted conditional constraint is not an indexable operation"));
        }
        if test.values().any(|value| value.type_name() != kind) {
            return Err(Invalid::new(
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            ));
        }
        if is_hash && !matches!(test, RangeTest::Eq(_)) {
            return Err(Invalid::new("Query key condition not supported"));
        }
        Ok(())
    }
}

fn add_tests(condition: &Condition, tests: &mut Vec<(String, RangeTest)>) -> Result<(), Invalid> {
    match condition {
        Condition::All(parts) => return parts.iter().try_for_each(|part| add_tests(part, tests)),
        Condition::Compare(Comparator::Ne, ..) => return Err(not_supported("<>")),
        Condition::Compare(comparator, left, right) => {
            let (name, first) = key_of([left, right], tests)?;
            let (comparator, value) = if first { (*comparator, right) } else { (comparator.turned(), left) };
            tests.push((name, compared(comparator, constant(value)?)));
        }
        Condition::Between(operand, low, high) => {
            key_first("BETWEEN", operand)?;
            let (name, _) = key_of([operand, low, high], tests)?;
            tests.push((name, RangeTest::Between(constant(low)?, constant(high)?)));
        }
        Condition::BeginsWith(operand, start) => {
            key_first("begins_with", operand)?;
            let (name, _) = key_of([operand, start], tests)?;
            tests.push((name, RangeTest::BeginsWith(constant(start)?)));
        }
        Condition::Any(_) => return Err(not_supported("OR")),
        Condition::Not(_) => return Err(not_supported("NOT")),
        Condition::In(..) => return Err(not_supported("IN")),
        Condition::Exists(_) => return Err(not_supported("attribute_exists")),
        Condition::NotExists(_) => return Err(not_supported("attribute_not_exists")),
        Condition::HasType(..) => return Err(not_supported("attribute_type")),
        Condition::Contains(..) => return Err(not_supported("contains")),
    }
    Ok(())
}

fn not_supported(operator: &str) -> Invalid {
    Invalid::new(format!("Invalid operator used in KeyConditionExpression: {operator}"))
}

fn nested() -> Invalid {
    Invalid::new("KeyConditionExpressions cannot contain nested operations")
}

/// The attribute that the operands speak of, and whether it is the first of them.
fn key_of<const N: usize>(
    operands: [&Operand; N],
    tests: &[(String, RangeTest)],
) -> Result<(String, bool), Invalid> {
    let mut key: Option<(&Path, bool)> = None;
    for (place, operand) in operands.into_iter().enumerate() {
        match operand {
            Operand::Path(_) if key.is_some() => {
                return Err(Invalid::new(format!(
                    "{INVALID_CONDITION}Multiple attribute names used in one condition"
                )));
            }
            Operand::Path(path) if path.is_nested() => {
                return Err(Invalid::new(
                    "KeyConditionExpressions cannot have conditions on nested attributes",
                ));
            }
            Operand::Path(path) => key = Some((path, place == 0)),
            Operand::Size(_) => return Err(nested()),
            Operand::Value(_) => {}
        }
    }
    let Some((path, first)) = key else {
        return Err(Invalid::new(format!("{INVALID_CONDITION}No key attribute specified")));
    };
    if tests.iter().any(|(tested, _)| *tested == path.head) {
        return Err(Invalid::new("KeyConditionExpressions must only contain one condition per key"));
    }
    Ok((path.head.clone(), first))
}

fn key_first(operator: &str, operand: &Operand) -> Result<(), Invalid> {
    match operand {
        Operand::Path(_) => Ok(()),
        _ => Err(Invalid::new(format!(
            "{INVALID_CONDITION}{operator} operator must have the key attribute as its first operand"
        ))),
    }
}

/// The value that an operand is; [`key_of`] let nothing else through.
fn constant(operand: &Operand) -> Result<Value, Invalid> {
    match operand {
        Operand::Value(value) => Ok(Value::clone(value)),
        Operand::Path(_) | Operand::Size(_) => Err(nested()),
    }
}

fn compared(comparator: Comparator, value: Value) -> RangeTest {
    match comparator {
        // `<>` was refused.
        Comparator::Eq | Comparator::Ne => RangeTest::Eq(value),
        Comparator::Lt => RangeTest::Lt(value),
        Comparator::Le => RangeTest::Le(value),
        Comparator::Gt => RangeTest::Gt(value),
        Comparator::Ge => RangeTest::Ge(value),
    }
}
