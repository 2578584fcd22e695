//! PutItem.

use std::sync::Arc;

use lambent_api::Call;
use lambent_expressions::{Condition, Invalid, Kind, Placeholders, item_from_wire, item_to_wire, legacy};
use lambent_model_dynamodb::{PutItemInput, PutItemOutput, ReturnValue};

use super::parameters::Ways;
use super::single::{Single, tells_old, wants_old};
use super::write::{Action, ItemWrite, check_size};
use crate::{Dynamo, DynamoError};

impl Dynamo {
    pub(crate) async fn put_item(
        &self,
        call: &Call,
        mut input: PutItemInput,
    ) -> Result<PutItemOutput, DynamoError> {
        let write = Arc::new(read(&mut input)?);
        let single = Single {
            table_name: &input.table_name,
            level: input.return_consumed_capacity.as_ref(),
            metrics: input.return_item_collection_metrics.as_ref(),
        };
        let written = self.write_single(call, single, &write).await?;
        let old = written.old.filter(|_| input.return_values == Some(ReturnValue::AllOld));
        Ok(PutItemOutput {
            attributes: old.map(item_to_wire),
            consumed_capacity: written.consumed,
            item_collection_metrics: written.collection,
        })
    }
}

fn read(input: &mut PutItemInput) -> Result<ItemWrite, Invalid> {
    Ways {
        expressions: &[("ConditionExpression", input.condition_expression.is_some())],
        others: &[("Expected", input.expected.is_some())],
        has_names: input.expression_attribute_names.is_some(),
        has_values: input.expression_attribute_values.is_some(),
    }
    .check()?;
    let item = item_from_wire(std::mem::take(&mut input.item))?;
    wants_old(input.return_values.as_ref())?;
    check_size(&item)?;
    let mut condition = legacy::condition(input.expected.take(), input.conditional_operator.take())?;
    let names = input.expression_attribute_names.take();
    let mut placeholders = Placeholders::from_wire(names, input.expression_attribute_values.take())?;
    if let Some(text) = &input.condition_expression {
        condition = Some(Condition::parse(Kind::Condition, text, &mut placeholders)?);
    }
    placeholders.all_used()?;
    let tells_old = tells_old(input.return_values_on_condition_check_failure.as_ref());
    Ok(ItemWrite { action: Action::Put(item), condition, tells_old })
}
