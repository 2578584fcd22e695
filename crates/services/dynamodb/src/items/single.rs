//! Writing one item, and what its caller is told of it.

use std::sync::Arc;

use super::capacity::{Direction, report};
use super::collections;
use super::spending::{spent, toll_of_refusal};
use super::write::{ItemWrite, Refusal};
use crate::table::Table;
use crate::writes::{Wish, Written};
use crate::{Dynamo, DynamoError, names};
use lambent_api::Call;
use lambent_expressions::{Invalid, Item};
use lambent_model_dynamodb::{
    ConsumedCapacity, ItemCollectionMetrics, ReturnConsumedCapacity, ReturnItemCollectionMetrics,
    ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use parking_lot::Mutex;

/// What a request about one item says besides what to write.
#[derive(Clone, Copy)]
pub(crate) struct Single<'a> {
    /// As the caller wrote it: a name or an ARN.
    pub(crate) table_name: &'a str,
    pub(crate) level: Option<&'a ReturnConsumedCapacity>,
    pub(crate) metrics: Option<&'a ReturnItemCollectionMetrics>,
}

/// What the caller may be told of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) old: Option<Item>,
    pub(crate) new: Option<Item>,
    pub(crate) consumed: Option<ConsumedCapacity>,
    pub(crate) collection: Option<ItemCollectionMetrics>,
}

impl Dynamo {
    /// Writes one item, as [`ItemWrite`] says.
    /// Errors: ResourceNotFoundException, ValidationException, ConditionalCheckFailedException,
    /// ItemCollectionSizeLimitExceededException, ProvisionedThroughputExceededException.
    pub(crate) async fn write_single(
        &self,
        call: &Call,
        single: Single<'_>,
        write: &Arc<ItemWrite>,
    ) -> Result<Told, DynamoError> {
        let (place, name) = names::table_ref(call, single.table_name)?;
        let (dynamo, shared) = (self.clone(), Arc::clone(write));
        // Each attempt says what its refusal costs, and the last one counts.
        let toll = Arc::new(Mutex::new(None));
        let told = Arc::clone(&toll);
        let op = move |table: &Table, old: Option<&Item>| {
            *told.lock() = None;
            dynamo.admit(table, None, Direction::Write)?;
            let refused = |_: &Refusal| *told.lock() = toll_of_refusal(table, old);
            let new = shared.outcome(table, old).inspect_err(refused)?;
            dynamo.admit_indexes(table, old, new.as_deref())?;
            let wish = match new {
                Some(new) => Wish::Put(new.into_owned()),
                None if old.is_some() => Wish::Delete,
                None => Wish::Keep,
            };
            Ok((wish, ()))
        };
        let key = |table: &Table| Ok(write.key(table)?);
        let written = self.write(call, (&place, &name), key, (write.held_bytes(), op)).await;
        let (written, ()) = written.inspect_err(|_| {
            if let Some(toll) = toll.lock().take() {
                self.take(toll);
            }
        })?;
        let Written { table, old, new, changed } = written;
        let spent = spent(&table, &changed);
        self.charge(&table, &spent, Direction::Write);
        let consumed = report(single.level, single.table_name, &spent, None);
        let collection = match single.metrics {
            Some(ReturnItemCollectionMetrics::Size) => {
                let item = write.key_attributes();
                let table = &table;
                self.rows
                    .of(call)
                    .read(|txn| async move { collections::metrics(&txn, table, item).await })
                    .await?
            }
            _ => None,
        };
        Ok(Told { old, new, consumed, collection })
    }
}

/// Whether a condition that is not met is told with the item.
pub(crate) fn tells_old(asked: Option<&ReturnValuesOnConditionCheckFailure>) -> bool {
    asked == Some(&ReturnValuesOnConditionCheckFailure::AllOld)
}

/// Refuses what only updates can return.
pub(crate) fn wants_old(returns: Option<&ReturnValue>) -> Result<(), Invalid> {
    match returns {
        None | Some(ReturnValue::AllOld | ReturnValue::None) => Ok(()),
        Some(_) => Err(Invalid::new("ReturnValues can only be ALL_OLD or NONE")),
    }
}
