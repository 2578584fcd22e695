//! UpdateItem.

use std::sync::Arc;

use lambent_api::Call;
use lambent_expressions::{
    Condition, Invalid, Item, Kind, Placeholders, Update, item_from_wire, item_to_wire, legacy,
};
use lambent_model_dynamodb::{ReturnValue, UpdateItemInput, UpdateItemOutput};

use super::parameters::Ways;
use super::single::{Single, Told, tells_old};
use super::write::{Action, ItemWrite};
use crate::{Dynamo, DynamoError};

impl Dynamo {
    pub(crate) async fn update_item(
        &self,
        call: &Call,
        mut input: UpdateItemInput,
    ) -> Result<UpdateItemOutput, DynamoError> {
        let write = Arc::new(read(&mut input)?);
        let single = Single {
            table_name: &input.table_name,
            level: input.return_consumed_capacity.as_ref(),
            metrics: input.return_item_collection_metrics.as_ref(),
        };
        let mut written = self.write_single(call, single, &write).await?;
        let attributes = asked_for(input.return_values.as_ref(), &write, &mut written);
        Ok(UpdateItemOutput {
            attributes: attributes.map(item_to_wire),
            consumed_capacity: written.consumed,
            item_collection_metrics: written.collection,
        })
    }
}

/// What ReturnValues asks for, where there is any.
pub(crate) fn asked_for(
    returns: Option<&ReturnValue>,
    write: &ItemWrite,
    written: &mut Told,
) -> Option<Item> {
    let touched = |item: Option<Item>| {
        let Action::Update(_, Some(update)) = &write.action else { return None };
        Some(update.touched().of(&item?)).filter(|attributes| !attributes.is_empty())
    };
    match returns? {
        ReturnValue::AllOld => written.old.take(),
        ReturnValue::AllNew => written.new.take(),
        ReturnValue::UpdatedOld => touched(written.old.take()),
        ReturnValue::UpdatedNew => touched(written.new.take()),
        _ => None,
    }
}

fn read(input: &mut UpdateItemInput) -> Result<ItemWrite, Invalid> {
    Ways {
        expressions: &[
            ("UpdateExpression", input.update_expression.is_some()),
            ("ConditionExpression", input.condition_expression.is_some()),
        ],
        others: &[
            ("AttributeUpdates", input.attribute_updates.is_some()),
            ("Expected", input.expected.is_some()),
        ],
        has_names: input.expression_attribute_names.is_some(),
        has_values: input.expression_attribute_values.is_some(),
    }
    .check()?;
    let key = item_from_wire(std::mem::take(&mut input.key))?;
    let mut update = input.attribute_updates.take().map(legacy::update).transpose()?;
    let mut condition = legacy::condition(input.expected.take(), input.conditional_operator.take())?;
    let names = input.expression_attribute_names.take();
    let mut placeholders = Placeholders::from_wire(names, input.expression_attribute_values.take())?;
    if let Some(text) = &input.update_expression {
        update = Some(Update::parse(text, &mut placeholders)?);
    }
    if let Some(text) = &input.condition_expression {
        condition = Some(Condition::parse(Kind::Condition, text, &mut placeholders)?);
    }
    placeholders.all_used()?;
    let tells_old = tells_old(input.return_values_on_condition_check_failure.as_ref());
    Ok(ItemWrite { action: Action::Update(key, update), condition, tells_old })
}
