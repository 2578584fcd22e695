//! The one way in which items change: in one transaction with everything that follows from it.

use bytes::Bytes;
use lambent_expressions::{Item, encode_item, item_bytes, value_bytes};
use lambent_store::limits::MAX_VALUE_BYTES;
use lambent_store::{StoreError, Txn, delete_large, delete_read, is_chunked, put_large, put_over};

use crate::backups::journal;
use crate::items::collections;
use crate::keys::{self, ItemKey};
use crate::table::{Index, IndexState, Stored, Table};
use crate::{DynamoError, streams, ttl};

#[cfg(test)]
mod tests;

/// Who changes an item: stream records say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    User,
    Ttl,
}

/// What a change came to, for consumed capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The bytes of the item before and after, as AWS counts them; 0 where there is none.
    pub(crate) old_bytes: usize,
    pub(crate) new_bytes: usize,
    /// One for each index whose rows differ.
    pub(crate) index_writes: Vec<IndexWrite>,
}

impl Changed {
    /// About how many bytes the change wrote, or removed.
    pub(crate) fn bytes(&self) -> usize {
        let indexes: usize =
            self.index_writes.iter().map(|write| write.deleted_bytes + write.written_bytes).sum();
        self.old_bytes + self.new_bytes + indexes
    }
}

impl Changed {
    /// By how many bytes the item's collection grew: the item, and its rows in local indexes.
    fn collection_delta(&self) -> i64 {
        let locals = self.index_writes.iter().filter(|write| write.is_local).map(|write| {
            signed(write.written_bytes) - signed(write.replaced_bytes) - signed(write.deleted_bytes)
        });
        signed(self.new_bytes) - signed(self.old_bytes) + locals.sum::<i64>()
    }
}

/// What a change did to one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexWrite {
    pub(crate) index: u64,
    pub(crate) is_local: bool,
    /// The bytes of what was deleted and of what was written; 0 where there is none. A row whose keys stay is written
    /// alone; one that moves is both.
    pub(crate) deleted_bytes: usize,
    pub(crate) written_bytes: usize,
    /// The bytes of what was written over.
    pub(crate) replaced_bytes: usize,
}

/// Writes an item over what was there before (`old`, as this transaction read it), or deletes it, and with it its rows in
/// indexes and the counters.
///
/// `key` is of both; an item whose key attributes are others is another item.
pub(crate) async fn change(
    txn: &Txn,
    table: &Table,
    key: &ItemKey,
    old: Option<&Stored>,
    new: Option<&Item>,
    origin: Origin,
    at_ms: i64,
) -> Result<Changed, DynamoError> {
    let mut changed = Changed::default();
    if old.is_none() && new.is_none() {
        return Ok(changed);
    }
    let encoded = new.map(encode_item);
    let is_large = old.is_some_and(|old| is_chunked(&old.row))
        || encoded.as_ref().is_some_and(|new| new.len() >= MAX_VALUE_BYTES);
    changed.old_bytes = old.map_or(0, |old| item_bytes(&old.item));
    changed.new_bytes = new.map_or(0, item_bytes);
    write(txn, key.as_bytes(), old.map(|old| &old.row), encoded.as_deref())?;
    count(txn, table.id, (old.is_some(), new.is_some()), (changed.old_bytes, changed.new_bytes));
    for index in table.indexes().filter(|index| index.is_kept()) {
        let write = index_row(txn, table, index, key, (old.map(|old| &old.item), new), is_large).await?;
        changed.index_writes.extend(write);
    }
    if let Some(item) = new.or(old.map(|old| &old.item)) {
        collections::count(txn, table, item, changed.collection_delta()).await?;
    }
    let old = old.map(|old| &old.item);
    ttl::mark(txn, table, key, old, new, at_ms);
    streams::record(txn, table, old, new, origin, at_ms);
    journal::record(txn, table, old, new, at_ms);
    Ok(changed)
}

/// Puts a row over the one that was read, or deletes it.
fn write(txn: &Txn, key: &[u8], old: Option<&Bytes>, new: Option<&[u8]>) -> Result<(), StoreError> {
    let old = old.map(|row| &row[..]);
    match new {
        Some(new) => put_over(txn, key, old, new),
        None => delete_read(txn, key, old),
    }
}

/// Adds to the counters of a table or an index.
fn count(txn: &Txn, id: u64, (was, is): (bool, bool), (old_bytes, new_bytes): (usize, usize)) {
    let items = i64::from(is) - i64::from(was);
    if items != 0 {
        txn.add(&keys::count(id), items);
    }
    let delta = signed(new_bytes) - signed(old_bytes);
    if delta != 0 {
        txn.add(&keys::bytes(id), delta);
    }
}

/// Brings the rows of one index from what they are for the old item to what they must be for the new one.
async fn index_row(
    txn: &Txn,
    table: &Table,
    index: &Index,
    key: &ItemKey,
    (old, new): (Option<&Item>, Option<&Item>),
    is_large: bool,
) -> Result<Option<IndexWrite>, DynamoError> {
    let mut was = old.and_then(|old| Some((index.row_key(old, key)?, old)));
    if let Some((old_key, _)) = was.as_ref().filter(|_| index.status == IndexState::Creating)
        && txn.get(old_key).await?.is_none()
    {
        // The item is not in the new index yet.
        was = None;
    }
    let is = new.and_then(|new| Some((index.row_key(new, key)?, new)));
    let (old_bytes, new_bytes) = match (&was, &is) {
        (None, None) => return Ok(None),
        (Some((old_key, old)), Some((new_key, new)))
            if old_key == new_key && same(table, index, old, new) =>
        {
            return Ok(None);
        }
        _ => (bytes_in(table, index, was.as_ref()), bytes_in(table, index, is.as_ref())),
    };
    let stays = matches!((&was, &is), (Some((old, _)), Some((new, _))) if old == new);
    if let Some((old_key, _)) = was.as_ref().filter(|_| !stays) {
        if is_large { delete_large(txn, old_key).await? } else { txn.delete(old_key) }
    }
    if let Some((new_key, new)) = &is {
        let row = encode_item(&projected(table, index, new));
        if is_large { put_large(txn, new_key, &row).await? } else { put_over(txn, new_key, None, &row)? }
    }
    count(txn, index.id, (was.is_some(), is.is_some()), (old_bytes, new_bytes));
    let (deleted_bytes, replaced_bytes) = if stays { (0, old_bytes) } else { (old_bytes, 0) };
    Ok(Some(IndexWrite {
        index: index.id,
        is_local: index.is_local,
        deleted_bytes,
        written_bytes: new_bytes,
        replaced_bytes,
    }))
}

/// Puts the row of an item that is not in a new index yet.
pub(crate) async fn fill(
    txn: &Txn,
    table: &Table,
    index: &Index,
    key: &ItemKey,
    stored: &Stored,
) -> Result<(), DynamoError> {
    let Some(row_key) = index.row_key(&stored.item, key) else { return Ok(()) };
    if txn.get(&row_key).await?.is_some() {
        return Ok(());
    }
    put_over(txn, &row_key, None, &encode_item(&projected(table, index, &stored.item)))?;
    count(txn, index.id, (false, true), (0, bytes_in(table, index, Some(&(&row_key, &stored.item)))));
    Ok(())
}

/// What an index holds of an item.
pub(crate) fn projected(table: &Table, index: &Index, item: &Item) -> Item {
    let held = item.iter().filter(|(name, _)| index.holds(&table.key, name));
    held.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether an index holds the same of both.
fn same(table: &Table, index: &Index, old: &Item, new: &Item) -> bool {
    let held = |(name, _): &(&String, &lambent_expressions::Value)| index.holds(&table.key, name);
    old.iter().filter(held).eq(new.iter().filter(held))
}

fn bytes_in<K>(table: &Table, index: &Index, row: Option<&(K, &Item)>) -> usize {
    let Some((_, item)) = row else { return 0 };
    let held = item.iter().filter(|(name, _)| index.holds(&table.key, name));
    held.map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("an item has at most 400 KB")
}
