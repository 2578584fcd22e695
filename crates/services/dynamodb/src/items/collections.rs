//! Item collections: the items of one partition key, in a table that has local indexes.

use std::collections::BTreeMap;

use lambent_expressions::{Item, to_wire};
use lambent_model_dynamodb::ItemCollectionMetrics;
use lambent_model_dynamodb::errors::item_collection_size_limit_exceeded_exception;
use lambent_store::Txn;

use crate::table::Table;
use crate::{DynamoError, keys};

/// The most bytes of an item collection with its rows in local indexes. Source: Developer Guide, Local secondary indexes.
const COLLECTION_BYTES_MAX: i64 = 10 << 30;
const GB: i64 = 1 << 30;

/// Counts what a change of an item does to its collection, `delta` bytes.
/// Errors: ItemCollectionSizeLimitExceededException where that makes it larger than it may be.
pub(crate) async fn count(txn: &Txn, table: &Table, item: &Item, delta: i64) -> Result<(), DynamoError> {
    let Some(partition) = table.key.hash.of(item).filter(|_| !table.locals.is_empty() && delta != 0) else {
        return Ok(());
    };
    txn.add(&keys::collection(table.id, partition), delta);
    match bytes(txn, table, item).await? {
        Some(bytes) if delta > 0 && bytes > COLLECTION_BYTES_MAX => {
            Err(item_collection_size_limit_exceeded_exception("Collection size exceeded.").into())
        }
        _ => Ok(()),
    }
}

/// What a caller who asks is told of an item's collection, if the table has such.
pub(crate) async fn metrics(
    txn: &Txn,
    table: &Table,
    item: &Item,
) -> Result<Option<ItemCollectionMetrics>, DynamoError> {
    let Some(bytes) = bytes(txn, table, item).await? else { return Ok(None) };
    let whole = u32::try_from(bytes.max(0) / GB).unwrap_or(u32::MAX);
    let hash = &table.key.hash.name;
    let key = item.get(hash).map(|value| BTreeMap::from([(hash.clone(), to_wire(value.clone()))]));
    Ok(Some(ItemCollectionMetrics {
        item_collection_key: key,
        size_estimate_range_gb: Some(vec![f64::from(whole), f64::from(whole) + 1.0]),
    }))
}

/// The bytes of the collection as this transaction leaves it: whoever changes it meanwhile is not waited for.
async fn bytes(txn: &Txn, table: &Table, item: &Item) -> Result<Option<i64>, DynamoError> {
    let Some(partition) = table.key.hash.of(item).filter(|_| !table.locals.is_empty()) else {
        return Ok(None);
    };
    let row = txn.get_snapshot(&keys::collection(table.id, partition)).await?;
    Ok(Some(row.and_then(|row| row.as_ref().try_into().ok()).map_or(0, i64::from_le_bytes)))
}
