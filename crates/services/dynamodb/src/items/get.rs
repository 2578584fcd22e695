//! GetItem.

use lambent_api::Call;
use lambent_expressions::{
    Invalid, Item, Placeholders, Projection, item_bytes, item_from_wire, item_to_wire, legacy,
};
use lambent_model_dynamodb::{GetItemInput, GetItemOutput};

use super::capacity::{Consistency, Direction, Spent, read_units, report};
use super::checks::{self, KeyIn};
use super::parameters::Ways;
use crate::{Dynamo, DynamoError, names, rows};

impl Dynamo {
    pub(crate) async fn get_item(
        &self,
        call: &Call,
        mut input: GetItemInput,
    ) -> Result<GetItemOutput, DynamoError> {
        let (key, projection) = read(&mut input)?;
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let (place, name) = (&*place, &*name);
        let (key, projection) = (&key, projection.as_ref());
        let db = self.rows.of(call);
        let (table, item) = db
            .read(|txn| async move {
                let table = self.table(&txn, place, name).await?;
                checks::key(&table, key, KeyIn::Request)?;
                if let Some(projection) = projection {
                    checks::scalar_keys(&table, |name| checks::is_nested(projection.paths(), name))?;
                }
                self.admit(&table, None, Direction::Read)?;
                let key = table.key_of(key).map_err(|_| Invalid::new(checks::KEY_MISMATCH))?;
                let item = rows::item(&txn, &key).await?;
                Ok::<_, DynamoError>((table, item))
            })
            .await?;
        let item = item.map(|stored| stored.item);
        let bytes = item.as_ref().map_or(0, item_bytes);
        let spent = Spent::of_table(read_units(bytes, Consistency::asked(input.consistent_read)));
        self.charge(&table, &spent, Direction::Read);
        let item = match projection {
            Some(projection) => item.map(|item| projection.of(&item)),
            None => item,
        };
        Ok(GetItemOutput {
            item: item.map(item_to_wire),
            consumed_capacity: report(
                input.return_consumed_capacity.as_ref(),
                &input.table_name,
                &spent,
                None,
            ),
        })
    }
}

fn read(input: &mut GetItemInput) -> Result<(Item, Option<Projection>), Invalid> {
    Ways {
        expressions: &[("ProjectionExpression", input.projection_expression.is_some())],
        others: &[("AttributesToGet", input.attributes_to_get.is_some())],
        has_names: input.expression_attribute_names.is_some(),
        has_values: false,
    }
    .check()?;
    let key = item_from_wire(std::mem::take(&mut input.key))?;
    let mut projection = input.attributes_to_get.take().map(legacy::projection).transpose()?;
    let mut placeholders = Placeholders::from_wire(input.expression_attribute_names.take(), None)?;
    if let Some(text) = &input.projection_expression {
        projection = Some(Projection::parse(text, &mut placeholders)?);
    }
    placeholders.all_used()?;
    Ok((key, projection))
}
