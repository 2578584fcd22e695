//! BatchGetItem.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_expressions::{
    Invalid, Item, Placeholders, Projection, item_bytes, item_from_wire, item_to_wire, legacy,
};
use lambent_model_dynamodb::{AttributeValue, BatchGetItemInput, BatchGetItemOutput, KeysAndAttributes};
use lambent_store::Txn;

use super::capacity::{Consistency, Direction, Spent, read_units, report};
use super::checks::{self, KEY_MISMATCH, KeyIn};
use super::parameters::Ways;
use crate::table::Table;
use crate::{Dynamo, DynamoError, names, rows};

/// How many items one request may name. Source: API reference, BatchGetItem.
const KEYS_MAX: usize = 100;
/// How many bytes of items one answer holds. Source: as above.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What is asked of one table.
struct Wanted<'a> {
    /// As the caller wrote it.
    name: String,
    place: std::borrow::Cow<'a, Place>,
    table: String,
    keys: Vec<Item>,
    projection: Option<Projection>,
    consistency: Consistency,
}

/// What came of it.
#[derive(Default)]
struct Got {
    items: Vec<Item>,
    /// Places among the keys of those that were left out.
    left: Vec<usize>,
    spent: Spent,
}

impl Dynamo {
    pub(crate) async fn batch_get_item(
        &self,
        call: &Call,
        input: BatchGetItemInput,
    ) -> Result<BatchGetItemOutput, DynamoError> {
        let BatchGetItemInput { request_items, return_consumed_capacity: level } = input;
        let wanted = &read(call, &request_items)?;
        let got = self.rows.of(call).read(|txn| self.get_all(txn, wanted)).await?;
        let mut output = BatchGetItemOutput {
            responses: Some(BTreeMap::new()),
            unprocessed_keys: Some(BTreeMap::new()),
            consumed_capacity: None,
        };
        for (wanted, (table, got)) in wanted.iter().zip(got) {
            self.charge(&table, &got.spent, Direction::Read);
            let consumed = report(level.as_ref(), &wanted.name, &got.spent, None);
            if let Some(consumed) = consumed {
                output.consumed_capacity.get_or_insert_default().push(consumed);
            }
            let items = got.items.into_iter().map(item_to_wire).collect();
            output.responses.get_or_insert_default().insert(wanted.name.clone(), items);
            if let Some(asked) = request_items.get(&wanted.name).filter(|_| !got.left.is_empty()) {
                let rest = without(asked, &got.left);
                output.unprocessed_keys.get_or_insert_default().insert(wanted.name.clone(), rest);
            }
        }
        Ok(output)
    }

    async fn get_all(&self, txn: Txn, wanted: &[Wanted<'_>]) -> Result<Vec<(Arc<Table>, Got)>, DynamoError> {
        let mut tables = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let table = self.table(&txn, &wanted.place, &wanted.table).await?;
            for key in &wanted.keys {
                checks::key(&table, key, KeyIn::Request)?;
            }
            if let Some(projection) = &wanted.projection {
                checks::scalar_keys(&table, |name| checks::is_nested(projection.paths(), name))?;
            }
            tables.push(table);
        }
        let mut bytes = 0;
        let mut all = Vec::with_capacity(wanted.len());
        let mut refused = None;
        for (wanted, table) in wanted.iter().zip(&tables) {
            let mut got = Got::default();
            for (at, key) in wanted.keys.iter().enumerate() {
                // Taken when all was read: this may run again.
                if let Err(error) = self.admit_further_read(table, got.spent.table) {
                    refused = Some(error);
                    got.left.push(at);
                    continue;
                }
                if bytes > ANSWER_BYTES_MAX {
                    got.left.push(at);
                    continue;
                }
                let key = table.key_of(key).map_err(|_| Invalid::new(KEY_MISMATCH))?;
                let item = rows::item(&txn, &key).await?.map(|stored| stored.item);
                let item_bytes = item.as_ref().map_or(0, item_bytes);
                let spent = Spent::of_table(read_units(item_bytes, wanted.consistency));
                bytes += item_bytes;
                if bytes > ANSWER_BYTES_MAX && item.is_some() {
                    got.left.push(at);
                    continue;
                }
                got.spent.add(&spent);
                got.items.extend(item.map(|item| wanted.projected(item)));
            }
            all.push((Arc::clone(table), got));
        }
        // When nothing could be read, the whole is refused.
        match refused {
            Some(error)
                if wanted.iter().zip(&all).all(|(wanted, (_, got))| got.left.len() == wanted.keys.len()) =>
            {
                Err(error.into())
            }
            _ => Ok(all),
        }
    }
}

impl Wanted<'_> {
    fn projected(&self, item: Item) -> Item {
        match &self.projection {
            Some(projection) => projection.of(&item),
            None => item,
        }
    }
}

fn read<'a>(
    call: &'a Call,
    tables: &BTreeMap<String, KeysAndAttributes>,
) -> Result<Vec<Wanted<'a>>, DynamoError> {
    let mut count = 0;
    let mut all = Vec::with_capacity(tables.len());
    for (name, asked) in tables {
        let projection = projection(asked)?;
        let mut seen = BTreeSet::new();
        let mut keys = Vec::with_capacity(asked.keys.len());
        for key in &asked.keys {
            let key = item_from_wire(key.clone())?;
            if !seen.insert(key.clone()) {
                return Err(Invalid::new("Provided list of item keys contains duplicates").into());
            }
            keys.push(key);
            count += 1;
            if count > KEYS_MAX {
                return Err(Invalid::new("Too many items requested for the BatchGetItem call").into());
            }
        }
        let consistency = Consistency::asked(asked.consistent_read);
        let (place, table) = names::place_of(call.place(), name)?;
        let (place, table) = (std::borrow::Cow::Owned(place.into_owned()), table.into_owned());
        all.push(Wanted { name: name.clone(), place, table, keys, projection, consistency });
    }
    Ok(all)
}

fn projection(asked: &KeysAndAttributes) -> Result<Option<Projection>, Invalid> {
    Ways {
        expressions: &[("ProjectionExpression", asked.projection_expression.is_some())],
        others: &[("AttributesToGet", asked.attributes_to_get.is_some())],
        has_names: asked.expression_attribute_names.is_some(),
        has_values: false,
    }
    .check()?;
    let mut projection = asked.attributes_to_get.clone().map(legacy::projection).transpose()?;
    let mut placeholders = Placeholders::from_wire(asked.expression_attribute_names.clone(), None)?;
    if let Some(text) = &asked.projection_expression {
        projection = Some(Projection::parse(text, &mut placeholders)?);
    }
    placeholders.all_used()?;
    Ok(projection)
}

/// The request for the keys that were left out.
fn without(asked: &KeysAndAttributes, left: &[usize]) -> KeysAndAttributes {
    let keys = left.iter().filter_map(|at| asked.keys.get(*at).cloned());
    let keys: Vec<BTreeMap<String, AttributeValue>> = keys.collect();
    KeysAndAttributes { keys, ..asked.clone() }
}
