//! One page of a query or a scan.

use lambent_expressions::{Condition, Item, Projection, Value, item_bytes, value_bytes};
use lambent_store::{KeyRange, ScanOptions, Txn};

use super::capacity::{Consistency, Spent, read_units};
use crate::table::{Index, Table};
use crate::{DynamoError, rows};

/// How much a page holds before filtering, in bytes as [`page_bytes`] counts. Source: API reference, Query.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// How many rows one scan of the store fetches.
const FETCH_ROWS: usize = 1_000;

/// Which items, and what of them.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) table: &'a Table,
    /// Where the rows are, if not in the table.
    pub(crate) index: Option<&'a Index>,
    pub(crate) reverse: bool,
    /// How many items to look at.
    pub(crate) limit: Option<usize>,
    pub(crate) filter: Option<&'a Condition>,
    pub(crate) projection: Option<&'a Projection>,
    /// Whether each item is looked up in the table, as the index has not all that is asked for.
    pub(crate) fetches: bool,
    pub(crate) only_counts: bool,
    pub(crate) consistency: Consistency,
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) items: Vec<Item>,
    /// How many match, and how many were looked at.
    pub(crate) count: usize,
    pub(crate) scanned: usize,
    /// What was looked at, as pages are measured.
    pub(crate) bytes: usize,
    /// Keys of the last item that was looked at, where there may be more.
    pub(crate) last: Option<Item>,
    pub(crate) spent: Spent,
}

/// Reads a page of the rows in `range`.
pub(crate) async fn read(txn: &Txn, range: KeyRange, reading: Reading<'_>) -> Result<Found, DynamoError> {
    let mut filling =
        Filling { reading, found: Found::default(), page_bytes: 0, row_bytes: 0, fetched_units: 0.0 };
    let mut left = Some(range);
    while let Some(range) = left {
        let page = txn.scan_snapshot(&range, filling.options()).await?;
        left = range.rest(&page, reading.reverse);
        for (key, row) in page.rows {
            let item = rows::stored(txn, &key, row).await?.item;
            if filling.take(txn, item).await? {
                return Ok(filling.finished());
            }
        }
    }
    Ok(filling.finished())
}

/// A page that is being filled.
struct Filling<'a> {
    reading: Reading<'a>,
    found: Found,
    page_bytes: usize,
    row_bytes: usize,
    fetched_units: f64,
}

impl Filling<'_> {
    fn options(&self) -> ScanOptions {
        let rows =
            self.reading.limit.map_or(FETCH_ROWS, |limit| (limit - self.found.scanned).min(FETCH_ROWS));
        let options = ScanOptions::rows(rows).max_bytes(PAGE_BYTES_MAX);
        if self.reading.reverse { options.reverse() } else { options }
    }

    /// Takes an item, and says whether the page is full.
    async fn take(&mut self, txn: &Txn, item: Item) -> Result<bool, DynamoError> {
        let Reading { table, limit, .. } = self.reading;
        self.found.scanned += 1;
        self.row_bytes += item_bytes(&item);
        let held_keys = self.reading.fetches.then(|| self.reading.keys_of(&item));
        let item = if self.reading.fetches { self.fetch(txn, item).await? } else { item };
        // What was fetched is in the page, not what the index holds of it.
        self.page_bytes += page_bytes(&item, table.key.range.as_ref().map(|range| range.name.as_str()));
        let is_full =
            limit.is_some_and(|limit| self.found.scanned >= limit) || self.page_bytes >= PAGE_BYTES_MAX;
        if is_full {
            self.found.last = Some(held_keys.unwrap_or_else(|| self.reading.keys_of(&item)));
        }
        self.keep(item);
        Ok(is_full)
    }

    /// The whole item of what the index holds.
    async fn fetch(&mut self, txn: &Txn, held: Item) -> Result<Item, DynamoError> {
        let Ok(key) = self.reading.table.key_of(&held) else { return Ok(held) };
        let whole = rows::item(txn, &key).await?.map_or(held, |stored| stored.item);
        self.fetched_units += read_units(item_bytes(&whole), self.reading.consistency);
        Ok(whole)
    }

    fn keep(&mut self, item: Item) {
        if let Some(filter) = self.reading.filter
            && !filter.matches(&item)
        {
            return;
        }
        self.found.count += 1;
        if !self.reading.only_counts {
            let item = match self.reading.projection {
                Some(projection) => projection.of(&item),
                None => item,
            };
            self.found.items.push(item);
        }
    }

    fn finished(mut self) -> Found {
        let units = read_units(self.row_bytes, self.reading.consistency);
        self.found.bytes = self.page_bytes;
        let spent = &mut self.found.spent;
        match self.reading.index {
            None => spent.table = units,
            Some(index) => {
                let indexes = if index.is_local { &mut spent.locals } else { &mut spent.globals };
                indexes.insert(index.name.clone(), units);
                spent.table = self.fetched_units;
            }
        }
        self.found
    }
}

impl Reading<'_> {
    /// What a caller goes on after: the keys of the table, and those of the index.
    fn keys_of(&self, item: &Item) -> Item {
        let mut keys = self.table.keys_of(item);
        for attribute in self.index.iter().flat_map(|index| index.key.attributes()) {
            if let Some(value) = item.get(&attribute.name) {
                keys.insert(attribute.name.clone(), value.clone());
            }
        }
        keys
    }
}

/// What each item of a page weighs besides its attributes, for every 3 KB of it: with the sort key once more.
const SEGMENT_BYTES: usize = 3072;
const SEGMENT_OVERHEAD_BYTES: usize = 18;
const ITEM_OVERHEAD_BYTES: usize = 2;

/// The bytes that an item takes of a page's 1 MB. AWS does not say how it counts them; this is what pages of it come to:
/// names count as one byte, texts have a length before them, and the sort key is there once for every 3 KB.
fn page_bytes(item: &Item, sort_key: Option<&str>) -> usize {
    let (mut bytes, mut sort_bytes) = (0, 0);
    for (name, value) in item {
        if Some(name.as_str()) == sort_key {
            sort_bytes = value_bytes(value);
        } else {
            bytes += 1 + packed_bytes(value);
        }
    }
    let segments = 1 + (1 + bytes) / SEGMENT_BYTES;
    ITEM_OVERHEAD_BYTES + bytes + segments * (SEGMENT_OVERHEAD_BYTES + sort_bytes)
}

fn packed_bytes(value: &Value) -> usize {
    let plain = value_bytes(value);
    match value {
        Value::S(_) if plain < 128 => plain + 1,
        Value::S(_) if plain < 16_384 => plain + 2,
        Value::S(_) => plain + 3,
        Value::B(_) | Value::N(_) => plain + 1,
        Value::Bool(_) => 1,
        Value::Null => 0,
        Value::Ss(all) => plain + all.len() + 1,
        Value::Ns(all) => plain + all.len() + 1,
        Value::Bs(all) => plain + all.len() + 1,
        Value::L(all) => 3 + all.iter().map(|value| 1 + packed_bytes(value)).sum::<usize>(),
        Value::M(map) => 3 + map.values().map(|value| 2 + packed_bytes(value)).sum::<usize>(),
    }
}
