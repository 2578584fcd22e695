//! What items were before they changed.
//!
//! A record is a version byte, a byte of marks, the time (`i64` big-endian, milliseconds since 1970), and an item: the old
//! image, or the key alone where there was no item.

use lambent_base::{Place, Random};
use lambent_expressions::{Item, decode_item, encode_item};
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::rows;
use crate::stamped::{self, Stamped};
use crate::table::{Log, Status, Table};
use crate::{DynamoError, TablesKnown};

const VERSION: u8 = 1;
const WAS_THERE: u8 = 1;
const HEAD_BYTES: usize = 10;
/// Copies that a table can be read for at once. Source: quotas, "Backups": 50 concurrent operations of the account.
const COPIES_MAX: usize = 50;

/// Whose changes a log holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogRow {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) table: String,
}

impl LogRow {
    pub(crate) fn of(table: &Table) -> Self {
        let (account, region) = (table.place.account.clone(), table.place.region.clone());
        Self { account, region, table: table.name.clone() }
    }
}

/// One change, undone.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    pub(crate) at_ms: i64,
    /// The item as it was, or its key.
    pub(crate) item: Item,
    /// Whether there was an item before.
    pub(crate) was_there: bool,
}

/// Keeps what an item was, if the table's changes are kept.
pub(crate) fn record(txn: &Txn, table: &Table, old: Option<&Item>, new: Option<&Item>, at_ms: i64) {
    let Some(log) = &table.log else { return };
    if old == new {
        return;
    }
    let (marks, item) = match (old, new) {
        (Some(old), _) => (WAS_THERE, encode_item(old)),
        (None, Some(new)) => (0, encode_item(&table.keys_of(new))),
        (None, None) => return,
    };
    let mut record = Vec::with_capacity(HEAD_BYTES + item.len());
    record.extend_from_slice(&[VERSION, marks]);
    record.extend_from_slice(&at_ms.to_be_bytes());
    record.extend_from_slice(&item);
    stamped::put(txn, &keys::journal(log.id), &record);
}

/// Reads what [`record`] wrote.
pub(crate) fn read(stored: &Stamped) -> Result<Undo, DynamoError> {
    let at_ms = stamped::time_of(&stored.bytes)?;
    let [VERSION, marks] = stored.bytes[..2] else {
        let why = "it is of a version that this program does not know".to_owned();
        return Err(DynamoError::Row { what: "a change of an item", why });
    };
    let item = decode_item(&stored.bytes[HEAD_BYTES..])?;
    Ok(Undo { at_ms, item, was_there: marks & WAS_THERE != 0 })
}

/// Has changes kept from now on, if they are not already. The caller writes the table's row.
pub(crate) fn begin(txn: &Txn, table: &mut Table, random: &Random) -> u64 {
    if let Some(log) = &table.log {
        return log.id;
    }
    let id = random.u64();
    txn.put(&keys::log(id), &rows::encode(&LogRow::of(table)));
    txn.on_commit(keys::SWEEP_TOPIC);
    table.log = Some(Log { id, copies: Vec::new() });
    id
}

/// Lets changes go if nothing needs them any more.
pub(crate) fn end(txn: &Txn, table: &mut Table) {
    if table.journal.is_none() && table.log.as_ref().is_some_and(|log| log.copies.is_empty()) {
        table.log = None;
        txn.on_commit(keys::SWEEP_TOPIC);
    }
}

/// Has changes kept for a copy, and the table kept as long as it is made. Gives the log's number.
pub(crate) fn hold(txn: &Txn, table: &mut Table, random: &Random, copy: u64) -> Result<u64, DynamoError> {
    let id = begin(txn, table, random);
    if let Some(log) = &mut table.log {
        if log.copies.len() >= COPIES_MAX {
            let message = format!("Table {} is being copied {COPIES_MAX} times already", table.name);
            return Err(lambent_model_dynamodb::errors::limit_exceeded_exception(message).into());
        }
        log.copies.push(copy);
    }
    Ok(id)
}

/// The copy is made.
pub(crate) fn release(txn: &Txn, table: &mut Table, copy: u64) {
    if let Some(log) = &mut table.log {
        log.copies.retain(|one| *one != copy);
    }
    end(txn, table);
}

/// Like [`release`], of a table that may be gone, and whose row this writes.
pub(crate) async fn release_named(
    known: &TablesKnown,
    txn: &Txn,
    (place, name): (&Place, &str),
    copy: u64,
) -> Result<(), DynamoError> {
    if let Some(table) = rows::find_table(known, txn, place, name).await? {
        let mut table = (*table).clone();
        release(txn, &mut table, copy);
        rows::put_table(txn, &table);
    }
    Ok(())
}

/// Refuses to delete a table that is being copied or filled.
pub(crate) fn check_deletable(table: &Table) -> Result<(), DynamoError> {
    let is_copied = table.log.as_ref().is_some_and(|log| !log.copies.is_empty());
    let doing = match table.status {
        Status::Creating => "created",
        Status::Active if is_copied => "backed up",
        Status::Active => return Ok(()),
    };
    let name = &table.name;
    let message =
        format!("Attempt to change a resource which is still in use: Table is being {doing}: {name}");
    Err(lambent_model_dynamodb::errors::resource_in_use_exception(message).into())
}

/// Has the log of a deleted table swept.
pub(crate) fn table_deleted(txn: &Txn, table: &Table) {
    if table.log.is_some() {
        txn.on_commit(keys::SWEEP_TOPIC);
    }
}
