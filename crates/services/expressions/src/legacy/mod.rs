//! The legacy parameters, turned into what expressions are ("Legacy DynamoDB conditional parameters").

mod conditions;
mod expected;

use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_model_dynamodb::{
    AttributeAction, AttributeValueUpdate, Condition as Wire, ConditionalOperator, ExpectedAttributeValue,
};

use crate::condition::Condition;
use crate::key_condition::KeyCondition;
use crate::path::Path;
use crate::projection::Projection;
use crate::update::{Action, Change, Source, Update};
use crate::{Invalid, from_wire};

const INVALID: &str = "One or more parameter values were invalid: ";

/// What `Expected` wants of the item; nothing when there is no such parameter.
pub fn condition(
    expected: Option<BTreeMap<String, ExpectedAttributeValue>>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, Invalid> {
    let parts = expected.map(|all| all.into_iter().map(|(name, one)| expected::condition(name, one)));
    joined(parts.map(Iterator::collect).transpose()?, operator)
}

/// What `QueryFilter` or `ScanFilter` wants of items; nothing when there is no such parameter.
pub fn filter(
    filter: Option<BTreeMap<String, Wire>>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, Invalid> {
    let parts = filter.map(|all| all.into_iter().map(|(name, one)| conditions::condition(name, one)));
    joined(parts.map(Iterator::collect).transpose()?, operator)
}

/// What `KeyConditions` says.
pub fn key_conditions(conditions: BTreeMap<String, Wire>) -> Result<KeyCondition, Invalid> {
    let tests = conditions.into_iter().map(|(name, one)| Ok((name, conditions::range_test(one)?)));
    Ok(KeyCondition::new(tests.collect::<Result<_, Invalid>>()?))
}

/// What `AttributesToGet` lists.
pub fn projection(names: Vec<String>) -> Result<Projection, Invalid> {
    let mut seen = std::collections::BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(Invalid::new(format!("{INVALID}Duplicate value in attribute name: {name}"))),
        None => Ok(Projection::of_attributes(names)),
    }
}

/// What `AttributeUpdates` changes.
pub fn update(updates: BTreeMap<String, AttributeValueUpdate>) -> Result<Update, Invalid> {
    let actions = updates
        .into_iter()
        .map(|(name, update)| Ok(Action { path: Path::of_attribute(name), change: change(update)? }));
    Ok(Update::legacy(actions.collect::<Result<_, Invalid>>()?))
}

fn change(AttributeValueUpdate { action, value }: AttributeValueUpdate) -> Result<Change, Invalid> {
    let action = action.unwrap_or(AttributeAction::Put);
    let Some(value) = value.map(from_wire).transpose()? else {
        return match action {
            AttributeAction::Delete => Ok(Change::Remove),
            _ => Err(Invalid::new(format!(
                "{INVALID}Only DELETE action is allowed when no attribute value is specified"
            ))),
        };
    };
    match (action, value.type_name()) {
        (AttributeAction::Delete, "SS" | "NS" | "BS") => Ok(Change::Delete(Arc::new(value))),
        (AttributeAction::Delete, kind) => Err(Invalid::new(format!(
            "{INVALID}DELETE action with value is not supported for the type {kind}"
        ))),
        (AttributeAction::Add, "N" | "L" | "SS" | "NS" | "BS") => Ok(Change::Add(Arc::new(value))),
        (AttributeAction::Add, kind) => {
            Err(Invalid::new(format!("{INVALID}ADD action is not supported for the type {kind}")))
        }
        (AttributeAction::Put | AttributeAction::Unknown(_), _) => {
            Ok(Change::Set(Source::Value(Arc::new(value))))
        }
    }
}

/// All of the parts, or any if the operator says so.
fn joined(
    parts: Option<Vec<Condition>>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, Invalid> {
    let Some(parts) = parts else {
        return match operator {
            Some(_) => Err(Invalid::new("ConditionalOperator cannot be used without Filter or Expected")),
            None => Ok(None),
        };
    };
    if operator.is_some() && parts.len() < 2 {
        return Err(Invalid::new(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        ));
    }
    Ok(Some(match operator {
        Some(ConditionalOperator::Or) => Condition::Any(parts),
        _ => Condition::All(parts),
    }))
}
