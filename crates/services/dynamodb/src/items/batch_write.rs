//! BatchWriteItem: many puts and deletes, each for itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_expressions::{Invalid, Item, item_bytes, item_from_wire};
use lambent_model_dynamodb::{
    BatchWriteItemInput, BatchWriteItemOutput, ItemCollectionMetrics, ReturnItemCollectionMetrics,
    WriteRequest,
};
use lambent_store::{StoreError, Txn};

use super::capacity::{Direction, Spent, report};
use super::checks::{self, KEY_MISMATCH, KeyIn};
use super::collections;
use super::spending::{is_exceeded, spent};
use super::write::{Action, ItemWrite, check_size};
use crate::table::Table;
use crate::{Dynamo, DynamoError, names, rows};

/// How many items one request may write. Source: API reference, BatchWriteItem.
const WRITES_MAX: usize = 25;
/// How many bytes of items go into one transaction: with rows in indexes and records it must stay within the store's bound.
const TRANSACTION_BYTES_MAX: usize = 1 << 20;

/// What is asked of one table.
struct Wanted {
    /// As the caller wrote it.
    name: String,
    place: Place,
    table: String,
    writes: Vec<ItemWrite>,
}

/// One write: places of its table, and among the table's writes.
type At = (usize, usize);
type Collection = Option<ItemCollectionMetrics>;

/// What came of one table's writes.
#[derive(Default)]
struct Done {
    spent: Spent,
    collections: Vec<ItemCollectionMetrics>,
    left: Vec<usize>,
}

impl Dynamo {
    pub(crate) async fn batch_write_item(
        &self,
        call: &Call,
        input: BatchWriteItemInput,
    ) -> Result<BatchWriteItemOutput, DynamoError> {
        let BatchWriteItemInput { request_items, return_consumed_capacity: level, .. } = input;
        let metrics = input.return_item_collection_metrics.as_ref();
        let wanted = &read(call, &request_items)?;
        self.rows.of(call).read(|txn| self.check_batch(txn, wanted)).await?;
        let mut done: Vec<Done> = wanted.iter().map(|_| Done::default()).collect();
        let mut refused = None;
        let mut groups = VecDeque::from(groups(wanted));
        while let Some(mut group) = groups.pop_front() {
            match self.write_group(call, wanted, &group, metrics).await {
                Ok(written) => {
                    for ((table, _), (spent, collection)) in group.iter().zip(written) {
                        done[*table].spent.add(&spent);
                        done[*table].collections.extend(collection);
                    }
                }
                // What is there already (of deletes, all) was not known when the groups were made.
                Err(DynamoError::Store(StoreError::TransactionTooLarge { .. })) if group.len() > 1 => {
                    let rest = group.split_off(group.len() / 2);
                    groups.push_front(rest);
                    groups.push_front(group);
                }
                Err(error) if is_passing(&error) => {
                    refused = Some(error);
                    group.iter().for_each(|(table, at)| done[*table].left.push(*at));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = refused
            && done.iter().zip(wanted).all(|(done, wanted)| done.left.len() == wanted.writes.len())
        {
            return Err(error);
        }
        let mut output =
            BatchWriteItemOutput { unprocessed_items: Some(BTreeMap::new()), ..Default::default() };
        for (wanted, done) in wanted.iter().zip(done) {
            tell(&mut output, wanted, done, &request_items, level.as_ref());
        }
        Ok(output)
    }

    /// Checks all before anything is written.
    async fn check_batch(&self, txn: Txn, wanted: &[Wanted]) -> Result<(), DynamoError> {
        for wanted in wanted {
            let table = self.table(&txn, &wanted.place, &wanted.table).await?;
            let mut seen = BTreeSet::new();
            for write in &wanted.writes {
                check(&table, write)?;
                let key = table.key_of(write.key_attributes()).map_err(|_| Invalid::new(KEY_MISMATCH))?;
                if !seen.insert(key) {
                    return Err(Invalid::new("Provided list of item keys contains duplicates").into());
                }
            }
        }
        Ok(())
    }

    /// Writes some of the items in one transaction.
    async fn write_group(
        &self,
        call: &Call,
        wanted: &[Wanted],
        group: &[At],
        metrics: Option<&ReturnItemCollectionMetrics>,
    ) -> Result<Vec<(Spent, Collection)>, DynamoError> {
        let body = |txn: Txn| async move {
            let mut all = Vec::with_capacity(group.len());
            for (table, at) in group {
                let Wanted { place, table, writes, .. } = &wanted[*table];
                let table = self.table(&txn, place, table).await?;
                let (spent, collection) = self.write_one_of(&txn, &table, &writes[*at], metrics).await?;
                all.push((table, spent, collection));
            }
            Ok::<Vec<(Arc<Table>, Spent, Collection)>, DynamoError>(all)
        };
        let db = self.rows.of(call);
        let written = if group.len() == 1 { rows::run_whole(db, body).await? } else { db.run(body).await? };
        for (table, spent, _) in &written {
            self.charge(table, spent, Direction::Write);
        }
        Ok(written.into_iter().map(|(_, spent, collection)| (spent, collection)).collect())
    }

    async fn write_one_of(
        &self,
        txn: &Txn,
        table: &Table,
        write: &ItemWrite,
        metrics: Option<&ReturnItemCollectionMetrics>,
    ) -> Result<(Spent, Collection), DynamoError> {
        let key = write.key(table)?;
        self.admit(table, None, Direction::Write)?;
        let old = rows::item(txn, &key).await?;
        let old_item = old.as_ref().map(|old| &old.item);
        let new = write.outcome(table, old_item)?;
        self.admit_indexes(table, old_item, new.as_deref())?;
        let changed = self.change_now(txn, table, &key, old.as_ref(), new.as_deref()).await?;
        let collection = match metrics {
            Some(ReturnItemCollectionMetrics::Size) => {
                collections::metrics(txn, table, write.key_attributes()).await?
            }
            _ => None,
        };
        Ok((spent(table, &changed), collection))
    }
}

/// What a batch says of wrong keys of items is what others say of a Key.
fn check(table: &Table, write: &ItemWrite) -> Result<(), Invalid> {
    match &write.action {
        Action::Put(item) => {
            let keys = table.keys_of(item);
            checks::key(table, &keys, KeyIn::Item)?;
            checks::item(table, item)
        }
        _ => checks::key(table, write.key_attributes(), KeyIn::Item),
    }
}

/// Whether the same may work later.
fn is_passing(error: &DynamoError) -> bool {
    match error {
        DynamoError::Refused(error) => is_exceeded(error),
        DynamoError::Store(error) => matches!(error, StoreError::Contended { .. }),
        _ => false,
    }
}

fn read(call: &Call, tables: &BTreeMap<String, Vec<WriteRequest>>) -> Result<Vec<Wanted>, DynamoError> {
    if tables.values().map(Vec::len).sum::<usize>() > WRITES_MAX {
        return Err(Invalid::new("Too many items requested for the BatchWriteItem call").into());
    }
    let mut all = Vec::with_capacity(tables.len());
    for (name, requests) in tables {
        let writes = requests.iter().map(read_one).collect::<Result<Vec<_>, Invalid>>()?;
        let (place, table) = names::place_of(call.place(), name)?;
        all.push(Wanted { name: name.clone(), place: place.into_owned(), table: table.into_owned(), writes });
    }
    Ok(all)
}

fn read_one(request: &WriteRequest) -> Result<ItemWrite, Invalid> {
    match (&request.put_request, &request.delete_request) {
        (Some(put), None) => {
            let item: Item = item_from_wire(put.item.clone())?;
            check_size(&item)?;
            Ok(ItemWrite::plain(Action::Put(item)))
        }
        (None, Some(delete)) => Ok(ItemWrite::plain(Action::Delete(item_from_wire(delete.key.clone())?))),
        // AWS's own words, though no attribute value is meant.
        _ => Err(Invalid::new(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        )),
    }
}

/// Cuts the writes into what single transactions hold, each of one table: a table that has no capacity left is no other's
/// hindrance.
fn groups(wanted: &[Wanted]) -> Vec<Vec<At>> {
    let mut groups: Vec<Vec<At>> = Vec::new();
    let mut room = 0;
    for (table, of_table) in wanted.iter().enumerate() {
        for (at, write) in of_table.writes.iter().enumerate() {
            let bytes = item_bytes(write.key_attributes());
            match groups.last_mut() {
                Some(group) if at > 0 && bytes <= room => {
                    room -= bytes;
                    group.push((table, at));
                }
                _ => {
                    room = TRANSACTION_BYTES_MAX.saturating_sub(bytes);
                    groups.push(vec![(table, at)]);
                }
            }
        }
    }
    groups
}

fn tell(
    output: &mut BatchWriteItemOutput,
    wanted: &Wanted,
    done: Done,
    asked: &BTreeMap<String, Vec<WriteRequest>>,
    level: Option<&lambent_model_dynamodb::ReturnConsumedCapacity>,
) {
    if let Some(consumed) = report(level, &wanted.name, &done.spent, None) {
        output.consumed_capacity.get_or_insert_default().push(consumed);
    }
    if !done.collections.is_empty() {
        output.item_collection_metrics.get_or_insert_default().insert(wanted.name.clone(), done.collections);
    }
    if let Some(asked) = asked.get(&wanted.name).filter(|_| !done.left.is_empty()) {
        let left = done.left.iter().filter_map(|at| asked.get(*at).cloned()).collect();
        output.unprocessed_items.get_or_insert_default().insert(wanted.name.clone(), left);
    }
}
