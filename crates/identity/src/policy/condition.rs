//! Conditions: an operator, a key, and the values that it is compared with.
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys".

use super::MalformedPolicy;
use super::json::Json;
use super::keys::{Key, Request, Values};
use super::operators::{Operator, Order, Test};
use super::pattern::{Match, Pattern};

/// One key under one operator of a statement's `Condition`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    key: Key,
    test: Test,
    is_negated: bool,
    quantifier: Option<Quantifier>,
    if_exists: bool,
}

const PRINCIPAL_ARN: &str = "aws:principalarn";

/// How the values of a key that has many are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    ForAnyValue,
    ForAllValues,
}

impl Condition {
    /// Reads a statement's `Condition`.
    pub(crate) fn parse_all(condition: &Json, has_variables: bool) -> Result<Vec<Self>, MalformedPolicy> {
        let mut all = Vec::new();
        for (operator, keys) in condition.object().ok_or(MalformedPolicy::Syntax)? {
            let keys = keys.object().ok_or(MalformedPolicy::Syntax)?;
            for (key, values) in keys {
                all.push(Self::parse(operator, key, values, has_variables)?);
            }
        }
        Ok(all)
    }

    fn parse(written: &str, key: &str, values: &Json, has_variables: bool) -> Result<Self, MalformedPolicy> {
        let (quantifier, operator) = match written.split_once(':') {
            None => (None, written),
            Some(("ForAnyValue", operator)) => (Some(Quantifier::ForAnyValue), operator),
            Some(("ForAllValues", operator)) => (Some(Quantifier::ForAllValues), operator),
            Some(_) => return Err(MalformedPolicy::Syntax),
        };
        let (if_exists, operator) = match operator.strip_suffix("IfExists") {
            Some(operator) => (true, operator),
            None => (false, operator),
        };
        let Operator { kind, is_negated } = Operator::named(operator).ok_or(MalformedPolicy::Syntax)?;
        let texts = values.each().iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let test = Test::new(kind, &texts, has_variables)?;
        Ok(Self { key: Key::new(key), test, is_negated, quantifier, if_exists })
    }

    /// Whether the condition holds. What a policy variable leaves open never lets an Allow through, nor a Deny be passed by
    /// (`is_allow` tells which one it stands in).
    pub(crate) fn holds(&self, request: &Request<'_>, is_allow: bool) -> bool {
        let values = request.get(&self.key);
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&values.is_none());
        }
        let Some(values) = values else {
            return match self.quantifier {
                _ if self.if_exists => true,
                Some(Quantifier::ForAllValues) => true,
                Some(Quantifier::ForAnyValue) => false,
                None => self.is_negated,
            };
        };
        let one = |value: &str| match self.test.matches(value, request) {
            Match::Yes => !self.is_negated,
            Match::No => self.is_negated,
            Match::Unknown => self.is_negated && !is_allow,
        };
        let takes_all = match self.quantifier {
            Some(quantifier) => quantifier == Quantifier::ForAllValues,
            // Without one, no value may be among those that are ruled out, and one among those that are asked for.
            None => self.is_negated,
        };
        match values {
            Values::One(value) => one(&value),
            Values::Many(values) if takes_all => values.iter().all(|value| one(value)),
            Values::Many(values) => values.iter().any(|value| one(value)),
        }
    }

    /// The keys that it asks for, by itself and in its variables.
    pub(crate) fn keys(&self) -> Vec<&Key> {
        let mut keys = vec![&self.key];
        keys.extend(self.test.keys());
        keys
    }

    /// The key, if the service gives it, and what one of its values must begin with; `None` where it may hold otherwise.
    pub(crate) fn start(&self) -> Option<(&Key, &str)> {
        let is_needed =
            !self.is_negated && !self.if_exists && self.quantifier != Some(Quantifier::ForAllValues);
        let Test::Texts { patterns, folds_case: false } = &self.test else { return None };
        let start = Pattern::common_start(patterns);
        (is_needed && self.key.is_given() && !start.is_empty()).then_some((&self.key, start))
    }

    /// Whether it ties the statement to one of these keys' fixed values.
    pub(crate) fn fixes(&self, names: &[&str]) -> bool {
        let is_positive = !self.is_negated && !self.if_exists && self.quantifier.is_none();
        // A user's or role's name alone is anybody's who makes one of that name in another account.
        let needs_account = self.key.name() == PRINCIPAL_ARN;
        is_positive && names.contains(&self.key.name()) && self.test.is_fixed(needs_account)
    }
}

/// Values are texts, but numbers and booleans stand for theirs.
fn text(value: &Json) -> Result<String, MalformedPolicy> {
    match value {
        Json::Text(text) | Json::Number(text) => Ok(text.clone()),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => Err(MalformedPolicy::Syntax),
    }
}

impl Order {
    /// Whether what stands on the left of the operator is so ordered to what stands on its right.
    pub(crate) fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}
