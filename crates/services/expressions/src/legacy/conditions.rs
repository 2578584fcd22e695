//! Comparisons of the legacy parameters: those of filters and keys, and what `Expected` shares with them.

use std::sync::Arc;

use lambent_model_dynamodb::{AttributeValue, ComparisonOperator, Condition as Wire};

use super::INVALID;
use crate::condition::{Comparator, Condition, Operand};
use crate::functions::order;
use crate::key_condition::RangeTest;
use crate::path::Path;
use crate::{Invalid, Value, from_wire};

/// What a filter wants of the attribute `name`.
pub(super) fn condition(name: String, wire: Wire) -> Result<Condition, Invalid> {
    let values = checked(&wire.comparison_operator, wire.attribute_value_list)?;
    Ok(compared(Path::of_attribute(name), &wire.comparison_operator, values))
}

/// What a key condition wants of an attribute.
pub(super) fn range_test(wire: Wire) -> Result<RangeTest, Invalid> {
    let operator = wire.comparison_operator;
    let mut values = checked(&operator, wire.attribute_value_list)?.into_iter();
    let (first, second) = (values.next(), values.next());
    Ok(match (operator, first, second) {
        (ComparisonOperator::Eq, Some(value), _) => RangeTest::Eq(value),
        (ComparisonOperator::Lt, Some(value), _) => RangeTest::Lt(value),
        (ComparisonOperator::Le, Some(value), _) => RangeTest::Le(value),
        (ComparisonOperator::Gt, Some(value), _) => RangeTest::Gt(value),
        (ComparisonOperator::Ge, Some(value), _) => RangeTest::Ge(value),
        (ComparisonOperator::BeginsWith, Some(value), _) => RangeTest::BeginsWith(value),
        (ComparisonOperator::Between, Some(low), Some(high)) => RangeTest::Between(low, high),
        _ => RangeTest::NotIndexable,
    })
}

/// The comparison of an attribute with as many values as the operator takes.
pub(super) fn compared(path: Path, operator: &ComparisonOperator, values: Vec<Value>) -> Condition {
    let mut operands = values.into_iter().map(|value| Operand::Value(Arc::new(value)));
    // Operators that compare have their operands: their number was checked.
    let mut next = || operands.next().unwrap_or_else(|| Operand::Value(Arc::new(Value::Null)));
    let compare = |comparator, value| Condition::Compare(comparator, Operand::Path(path.clone()), value);
    match operator {
        ComparisonOperator::Eq | ComparisonOperator::Unknown(_) => compare(Comparator::Eq, next()),
        ComparisonOperator::Ne => compare(Comparator::Ne, next()),
        ComparisonOperator::Lt => compare(Comparator::Lt, next()),
        ComparisonOperator::Le => compare(Comparator::Le, next()),
        ComparisonOperator::Gt => compare(Comparator::Gt, next()),
        ComparisonOperator::Ge => compare(Comparator::Ge, next()),
        ComparisonOperator::Null => Condition::NotExists(path),
        ComparisonOperator::NotNull => Condition::Exists(path),
        ComparisonOperator::BeginsWith => Condition::BeginsWith(Operand::Path(path), next()),
        ComparisonOperator::Contains => Condition::Contains(Operand::Path(path), next()),
        ComparisonOperator::NotContains => {
            Condition::Not(Box::new(Condition::Contains(Operand::Path(path), next())))
        }
        ComparisonOperator::Between => Condition::Between(Operand::Path(path), next(), next()),
        ComparisonOperator::In => Condition::In(Operand::Path(path), operands.collect()),
    }
}

/// That the operator takes this many values.
pub(super) fn check_count(operator: &ComparisonOperator, count: usize) -> Result<(), Invalid> {
    let fits = match operator {
        ComparisonOperator::Null | ComparisonOperator::NotNull => count == 0,
        ComparisonOperator::In => count > 0,
        ComparisonOperator::Between => count == 2,
        _ => count == 1,
    };
    if fits {
        return Ok(());
    }
    let operator = operator.as_str();
    Err(Invalid::new(format!("{INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator")))
}

/// That all values have one type.
pub(super) fn check_one_type(values: &[Value]) -> Result<(), Invalid> {
    if values.windows(2).all(|pair| pair[0].type_name() == pair[1].type_name()) {
        return Ok(());
    }
    Err(Invalid::new(format!("{INVALID}AttributeValues inside AttributeValueList must be of same type")))
}

/// That the values' type is one that the operator compares.
pub(super) fn check_types(operator: &ComparisonOperator, values: &[Value]) -> Result<(), Invalid> {
    let takes = |kind: &str| match operator {
        ComparisonOperator::BeginsWith => matches!(kind, "S" | "B"),
        ComparisonOperator::Contains | ComparisonOperator::NotContains => {
            !matches!(kind, "SS" | "NS" | "BS" | "M" | "L")
        }
        ComparisonOperator::Lt
        | ComparisonOperator::Le
        | ComparisonOperator::Gt
        | ComparisonOperator::Ge
        | ComparisonOperator::In
        | ComparisonOperator::Between => matches!(kind, "S" | "N" | "B"),
        _ => true,
    };
    match values.iter().map(Value::type_name).find(|kind| !takes(kind)) {
        Some(kind) => {
            let operator = operator.as_str();
            Err(Invalid::new(format!(
                "{INVALID}ComparisonOperator {operator} is not valid for {kind} AttributeValue type"
            )))
        }
        None => Ok(()),
    }
}

/// That a BETWEEN's first value is not the greater one.
pub(super) fn check_bounds(operator: &ComparisonOperator, values: &[Value]) -> Result<(), Invalid> {
    if let (ComparisonOperator::Between, [low, high]) = (operator, values)
        && order(low, high).is_some_and(std::cmp::Ordering::is_gt)
    {
        return Err(Invalid::new(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ));
    }
    Ok(())
}

fn checked(operator: &ComparisonOperator, list: Option<Vec<AttributeValue>>) -> Result<Vec<Value>, Invalid> {
    let values = list.unwrap_or_default().into_iter().map(from_wire).collect::<Result<Vec<_>, _>>()?;
    check_count(operator, values.len())?;
    check_one_type(&values)?;
    check_types(operator, &values)?;
    check_bounds(operator, &values)?;
    Ok(values)
}
