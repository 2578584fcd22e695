//! PutItem.

use std::sync::Arc;

use lambent_api::Call;
use lambent_expressions::{Invalid, item_to_wire};
use lambent_model_dynamodb::{PutItemInput, PutItemOutput, ReturnValue};

use super::parameters::Conditional;
use super::single::{Single, tells_old};
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
    let asked = Conditional {
        attributes: std::mem::take(&mut input.item),
        condition: input.condition_expression.take(),
        expected: input.expected.take(),
        operator: input.conditional_operator.take(),
        names: input.expression_attribute_names.take(),
        values: input.expression_attribute_values.take(),
        returns: input.return_values.as_ref(),
    };
    let (item, condition) = asked.read(check_size)?;
    let tells_old = tells_old(input.return_values_on_condition_check_failure.as_ref());
    Ok(ItemWrite { action: Action::Put(item), condition, tells_old })
}
