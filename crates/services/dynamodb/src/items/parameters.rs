//! Which parameters of a request go together: expressions, or what there was before them.

use std::collections::BTreeMap;

use lambent_expressions::{Condition, Invalid, Item, Kind, Placeholders, item_from_wire, legacy};
use lambent_model_dynamodb::{AttributeValue, ConditionalOperator, ExpectedAttributeValue, ReturnValue};

use super::single::wants_old;

/// A parameter's name, and whether the request has it.
pub(crate) type Given = (&'static str, bool);

/// The parameters of one request that say the same in the new and in the old way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways<'a> {
    /// In the order in which AWS lists them.
    pub(crate) expressions: &'a [Given],
    pub(crate) others: &'a [Given],
    /// ExpressionAttributeNames.
    pub(crate) has_names: bool,
    /// ExpressionAttributeValues; `None` where an operation has none.
    pub(crate) has_values: bool,
}

const PROJECTION: &str = "ProjectionExpression";

impl Ways<'_> {
    /// Refuses a request that has both, and names or values that nothing refers to.
    pub(crate) fn check(self) -> Result<(), Invalid> {
        let expressions = given(self.expressions);
        let others = given(self.others);
        if !expressions.is_empty() && !others.is_empty() {
            return Err(Invalid::new(format!(
                "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \
                 {{{}}} Expression parameters: {{{}}}",
                others.join(", "),
                expressions.join(", ")
            )));
        }
        if self.has_names && expressions.is_empty() {
            return Err(Invalid::new(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        let with_values = self.expressions.iter().filter(|(name, _)| *name != PROJECTION);
        let (names, used): (Vec<&str>, Vec<bool>) = with_values.copied().unzip();
        if self.has_values && !names.is_empty() && !used.contains(&true) {
            let verb = if names.len() > 1 { "are" } else { "is" };
            return Err(Invalid::new(format!(
                "ExpressionAttributeValues can only be specified when using expressions: {} {verb} null",
                names.join(" and ")
            )));
        }
        Ok(())
    }
}

fn given(parameters: &[Given]) -> Vec<&'static str> {
    parameters.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
}

/// What PutItem and DeleteItem say alike.
pub(crate) struct Conditional<'a> {
    /// The item, or its key.
    pub(crate) attributes: BTreeMap<String, AttributeValue>,
    pub(crate) condition: Option<String>,
    pub(crate) expected: Option<BTreeMap<String, ExpectedAttributeValue>>,
    pub(crate) operator: Option<ConditionalOperator>,
    pub(crate) names: Option<BTreeMap<String, String>>,
    pub(crate) values: Option<BTreeMap<String, AttributeValue>>,
    pub(crate) returns: Option<&'a ReturnValue>,
}

impl Conditional<'_> {
    /// Reads the attributes, on which `check` has a say, and the condition.
    pub(crate) fn read(
        self,
        check: impl Fn(&Item) -> Result<(), Invalid>,
    ) -> Result<(Item, Option<Condition>), Invalid> {
        Ways {
            expressions: &[("ConditionExpression", self.condition.is_some())],
            others: &[("Expected", self.expected.is_some())],
            has_names: self.names.is_some(),
            has_values: self.values.is_some(),
        }
        .check()?;
        let attributes = item_from_wire(self.attributes)?;
        wants_old(self.returns)?;
        check(&attributes)?;
        let mut condition = legacy::condition(self.expected, self.operator)?;
        let mut placeholders = Placeholders::from_wire(self.names, self.values)?;
        if let Some(text) = &self.condition {
            condition = Some(Condition::parse(Kind::Condition, text, &mut placeholders)?);
        }
        placeholders.all_used()?;
        Ok((attributes, condition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expressions: &[Given], others: &[Given], has_names: bool, has_values: bool) -> Option<String> {
        Ways { expressions, others, has_names, has_values }.check().err().map(|invalid| invalid.0)
    }

    #[test]
    fn new_and_old_ways_do_not_mix() {
        assert_eq!(
            check(
                &[("UpdateExpression", true), ("ConditionExpression", true)],
                &[("Expected", true)],
                false,
                false
            )
            .as_deref(),
            Some(
                "Can not use both expression and non-expression parameters in the same request: Non-expression \
                 parameters: {Expected} Expression parameters: {UpdateExpression, ConditionExpression}"
            )
        );
        assert_eq!(check(&[("ConditionExpression", true)], &[("Expected", false)], true, true), None);
    }

    #[test]
    fn placeholders_want_an_expression() {
        assert_eq!(
            check(&[(PROJECTION, false)], &[], true, false).as_deref(),
            Some("ExpressionAttributeNames can only be specified when using expressions")
        );
        assert_eq!(
            check(&[(PROJECTION, true), ("FilterExpression", false)], &[], true, true).as_deref(),
            Some(
                "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null"
            )
        );
    }
}
