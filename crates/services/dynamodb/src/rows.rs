//! Reading and writing the rows of tables and items.

use std::sync::Arc;

use bytes::Bytes;
use lambent_base::Place;
use lambent_expressions::decode_item;
use lambent_model_dynamodb::errors::resource_not_found_exception;
use lambent_store::{Db, StoreError, Txn, load_large};
use serde::{Deserialize, Serialize};

use crate::keys::{self, ItemKey};
use crate::table::{Status, Stored, Table};
use crate::{DynamoError, TablesKnown};

/// Reads a row.
pub(crate) fn decode<T: for<'a> Deserialize<'a>>(what: &'static str, row: &[u8]) -> Result<T, DynamoError> {
    serde_json::from_slice(row).map_err(|why| DynamoError::Row { what, why: why.to_string() })
}

/// Writes a row.
pub(crate) fn encode(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows are plain structs of text and numbers, which JSON always holds")
}

/// The table of this name; the transaction depends on its row.
pub(crate) async fn find_table(
    known: &TablesKnown,
    txn: &Txn,
    place: &Place,
    name: &str,
) -> Result<Option<Arc<Table>>, DynamoError> {
    let key = keys::table(place, name);
    match txn.get(&key).await? {
        Some(row) => known.decoded(&key, row).map(Some),
        None => Ok(None),
    }
}

/// Like [`find_table`]; ResourceNotFoundException when there is none.
pub(crate) async fn table(
    known: &TablesKnown,
    txn: &Txn,
    place: &Place,
    name: &str,
) -> Result<Arc<Table>, DynamoError> {
    // A table that is being filled is not there for its items.
    let found = find_table(known, txn, place, name).await?.filter(|table| table.status == Status::Active);
    found.ok_or_else(|| resource_not_found_exception("Requested resource not found").into())
}

pub(crate) fn put_table(txn: &Txn, table: &Table) {
    txn.put(&keys::table(&table.place, &table.name), &encode(table));
    txn.on_commit(keys::TABLES_TOPIC);
}

/// The item under a key; the transaction depends on it.
pub(crate) async fn item(txn: &Txn, key: &ItemKey) -> Result<Option<Stored>, DynamoError> {
    match txn.get(key.as_bytes()).await? {
        Some(row) => stored(txn, key.as_bytes(), row).await.map(Some),
        None => Ok(None),
    }
}

/// The item of a row that was read under `key`: of a table or of an index.
pub(crate) async fn stored(txn: &Txn, key: &[u8], row: Bytes) -> Result<Stored, DynamoError> {
    let whole = load_large(txn, key, row.clone()).await?;
    Ok(Stored { item: decode_item(&whole)?, row })
}

/// Runs a change that cannot be cut in two, however large its rows are together.
pub(crate) async fn run_whole<T, F, Fut>(db: &Db, body: F) -> Result<T, DynamoError>
where
    F: Fn(Txn) -> Fut,
    Fut: Future<Output = Result<T, DynamoError>>,
{
    match db.run(&body).await {
        Err(DynamoError::Store(StoreError::TransactionTooLarge { .. })) => db.run_large(&body).await,
        ended => ended,
    }
}
