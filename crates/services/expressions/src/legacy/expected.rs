//! What `Expected` wants of one attribute.

use std::sync::Arc;

use lambent_model_dynamodb::{AttributeValue, ComparisonOperator, ExpectedAttributeValue};

use super::INVALID;
use super::conditions::{check_bounds, check_count, check_one_type, check_types, compared};
use crate::condition::{Comparator, Condition, Operand};
use crate::path::Path;
use crate::{Invalid, from_wire};

/// What it wants of the attribute `name`.
pub(super) fn condition(name: String, expected: ExpectedAttributeValue) -> Result<Condition, Invalid> {
    let ExpectedAttributeValue { attribute_value_list: list, comparison_operator, exists, value } = expected;
    let invalid = |why: &str| Err(Invalid::new(format!("{INVALID}{why} for Attribute: {name}")));
    if list.is_some() && value.is_some() {
        return invalid("Value and AttributeValueList cannot be used together");
    }
    if let Some(operator) = comparison_operator {
        if exists.is_some() {
            return invalid("Exists and ComparisonOperator cannot be used together");
        }
        let alone = matches!(operator, ComparisonOperator::Null | ComparisonOperator::NotNull);
        if !alone && list.is_none() && value.is_none() {
            let operator = operator.as_str();
            return invalid(&format!(
                "Value or AttributeValueList must be used with ComparisonOperator: {operator}"
            ));
        }
        return comparison(name, &operator, list.unwrap_or_else(|| value.into_iter().collect()));
    }
    if list.is_some() {
        return invalid("AttributeValueList can only be used with a ComparisonOperator");
    }
    match (exists, value) {
        (Some(false), None) => Ok(Condition::NotExists(Path::of_attribute(name))),
        (Some(false), Some(_)) => invalid("Value cannot be used when Exists is false"),
        (Some(true), None) => invalid("Value must be provided when Exists is true"),
        (None, None) => invalid("Value must be provided when Exists is null"),
        (_, Some(value)) => {
            let value = Operand::Value(Arc::new(from_wire(value)?));
            Ok(Condition::Compare(Comparator::Eq, Operand::Path(Path::of_attribute(name)), value))
        }
    }
}

fn comparison(
    name: String,
    operator: &ComparisonOperator,
    list: Vec<AttributeValue>,
) -> Result<Condition, Invalid> {
    check_count(operator, list.len())?;
    let values = list.into_iter().map(from_wire).collect::<Result<Vec<_>, _>>()?;
    check_one_type(&values)?;
    check_types(operator, &values)?;
    check_bounds(operator, &values)?;
    Ok(compared(Path::of_attribute(name), operator, values))
}
