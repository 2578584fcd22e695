//! TransactGetItems: items as they are at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_expressions::{
    Invalid, Item, Placeholders, Projection, item_bytes, item_from_wire, item_to_wire,
};
use lambent_model_dynamodb::{Get, ItemResponse, TransactGetItemsInput, TransactGetItemsOutput};
use lambent_store::Txn;

use super::capacity::{Consistency, Direction, Spent, read_units, report};
use super::checks::{self, KEY_MISMATCH, KeyIn};
use super::transact::{Reason, TRANSACTION_BYTES_MAX, canceled, once_each, too_large};
use crate::keys::ItemKey;
use crate::table::Table;
use crate::{Dynamo, DynamoError, names, rows};

/// One item that is asked for.
pub(crate) struct Wanted {
    /// As the caller wrote it.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) table: String,
    pub(crate) key: Item,
    pub(crate) projection: Option<Projection>,
}

/// Its table, and itself.
type Got = (Arc<Table>, Option<Item>);

impl Dynamo {
    pub(crate) async fn transact_get_items(
        &self,
        call: &Call,
        input: TransactGetItemsInput,
    ) -> Result<TransactGetItemsOutput, DynamoError> {
        let wanted = input.transact_items.into_iter().map(|item| read(call, item.get));
        let wanted = &wanted.collect::<Result<Vec<_>, DynamoError>>()?;
        let got = self.rows.of(call).read(|txn| self.get_together(txn, wanted)).await?;
        let mut spent: BTreeMap<&str, Spent> = BTreeMap::new();
        let mut responses = Vec::with_capacity(got.len());
        for (wanted, (table, item)) in wanted.iter().zip(got) {
            let bytes = item.as_ref().map_or(0, item_bytes);
            let cost = Spent::of_table(read_units(bytes, Consistency::Transactional));
            self.charge(&table, &cost, Direction::Read);
            spent.entry(&wanted.name).or_default().add(&cost);
            let item = match &wanted.projection {
                Some(projection) => item.map(|item| projection.of(&item)),
                None => item,
            };
            responses.push(ItemResponse { item: item.map(item_to_wire) });
        }
        let level = input.return_consumed_capacity.as_ref();
        let consumed: Option<Vec<_>> =
            spent.iter().map(|(name, spent)| report(level, name, spent, Some(Direction::Read))).collect();
        Ok(TransactGetItemsOutput { consumed_capacity: consumed, responses: Some(responses) })
    }

    /// Reads the items as they are at one moment.
    /// Errors: ResourceNotFoundException, ValidationException, TransactionCanceledException.
    pub(crate) async fn get_together(&self, txn: Txn, wanted: &[Wanted]) -> Result<Vec<Got>, DynamoError> {
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let table = self.table(&txn, &wanted.place, &wanted.table).await?;
            checks::no_empty_keys(&table, &wanted.key)?;
            let key = key(&table, wanted);
            found.push((table, key));
        }
        let keys = found.iter().map(|(table, _)| table).zip(wanted.iter().map(|wanted| &wanted.key));
        once_each(keys.filter_map(|(table, key)| table.key_of(key).ok()))?;
        let mut all = Vec::with_capacity(wanted.len());
        let mut reasons = Vec::with_capacity(wanted.len());
        let mut bytes = 0;
        for (table, key) in found {
            let admitted = self.admit(&table, None, Direction::Read);
            let reason = match (key, admitted) {
                (Err(invalid), _) => Reason::invalid(invalid),
                (_, Err(refused)) => Reason::throttled(&refused),
                (Ok(key), Ok(())) => {
                    let item = rows::item(&txn, &key).await?.map(|stored| stored.item);
                    bytes += item.as_ref().map_or(0, item_bytes);
                    all.push((table, item));
                    Reason::none()
                }
            };
            reasons.push(reason);
        }
        if reasons.iter().any(Reason::is_one) {
            return Err(canceled(&reasons).into());
        }
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(too_large().into());
        }
        Ok(all)
    }
}

fn key(table: &Table, wanted: &Wanted) -> Result<ItemKey, Invalid> {
    checks::key(table, &wanted.key, KeyIn::Item)?;
    if let Some(projection) = &wanted.projection {
        checks::scalar_keys(table, |name| checks::is_nested(projection.paths(), name))?;
    }
    table.key_of(&wanted.key).map_err(|_| Invalid::new(KEY_MISMATCH))
}

fn read(call: &Call, get: Get) -> Result<Wanted, DynamoError> {
    let Get { expression_attribute_names, key, projection_expression, table_name } = get;
    let key = item_from_wire(key)?;
    if expression_attribute_names.is_some() && projection_expression.is_none() {
        let message = "ExpressionAttributeNames can only be specified when using expressions";
        return Err(Invalid::new(message).into());
    }
    let mut placeholders = Placeholders::from_wire(expression_attribute_names, None)?;
    let projection =
        projection_expression.map(|text| Projection::parse(&text, &mut placeholders)).transpose()?;
    placeholders.all_used()?;
    let (place, table) = names::place_of(call.place(), &table_name)?;
    let (place, table) = (place.into_owned(), table.into_owned());
    Ok(Wanted { name: table_name, place, table, key, projection })
}
