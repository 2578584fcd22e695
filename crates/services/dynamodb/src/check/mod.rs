//! Whether the rows of tables fit together: items with their tables, indexes with their items, counters with both; changes
//! that are kept with their tables, and what is under way with the jobs that do it.

mod changes;
mod under_way;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use lambent_care::{Findings, Mend};
use lambent_expressions::{Item, decode_item, encode_item, item_bytes};
use lambent_store::{Export, KeyRange, ScanOptions, StoreError};

use crate::backups::copy::Then;
use crate::change::projected;
use crate::jobs::{Job, Task};
use crate::keys::{self, ItemKey};
use crate::table::{Index, IndexState, Status, Table};

const SERVICE: &str = "dynamodb";

/// Reads all rows of tables, items, indexes, counters, streams, journals, backups, exports and imports: whether each can be
/// read and belongs to something, whether every index holds what its table says it must, and whether items and bytes are
/// counted right.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut check = Check {
        view,
        findings,
        tables: HashMap::new(),
        indexes: HashMap::new(),
        held: Vec::new(),
        kept: HashMap::new(),
        copies: HashSet::new(),
        leaving: HashSet::new(),
        jobs: AtWork::default(),
    };
    check.tables().await?;
    check.jobs().await?;
    check.backups().await?;
    check.items().await?;
    check.index_rows().await?;
    check.missing().await?;
    check.counters().await?;
    check.streams().await?;
    check.journals().await?;
    check.under_way().await
}

/// Items and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    items: i64,
    bytes: i64,
}

/// A table, and what was found of it.
struct Known {
    table: Arc<Table>,
    tally: Tally,
}

/// An index, and what was found of it.
struct KnownIndex {
    table: Arc<Table>,
    index: Index,
    /// What its table's items come to.
    expected: Tally,
    found: Tally,
}

struct Check<'a> {
    view: &'a Export,
    findings: &'a mut Findings,
    tables: HashMap<u64, Known>,
    indexes: HashMap<u64, KnownIndex>,
    /// The rows of tables that are kept for copies.
    held: Vec<(Bytes, Bytes)>,
    /// Deleted tables whose items a backup keeps.
    kept: HashMap<u64, Arc<Table>>,
    /// What backups keep of other tables.
    copies: HashSet<u64>,
    /// Tables and indexes whose rows a job removes.
    leaving: HashSet<u64>,
    jobs: AtWork,
}

/// Account, region and id.
type Named = (String, String, String);

/// What jobs work on.
#[derive(Default)]
struct AtWork {
    copies: HashSet<u64>,
    /// Tables that are filled.
    tables: HashSet<u64>,
    backups: HashSet<Named>,
    exports: HashSet<Named>,
    imports: HashSet<Named>,
}

impl Check<'_> {
    async fn tables(&mut self) -> Result<(), StoreError> {
        let mut left = Some(keys::all_tables());
        while let Some(range) = left {
            let page = self.view.page(&range, ScanOptions::default()).await?;
            for (key, row) in &page.rows {
                match serde_json::from_slice::<Table>(row) {
                    Ok(table) => {
                        if table.log.as_ref().is_some_and(|log| !log.copies.is_empty()) {
                            self.held.push((key.clone(), row.clone()));
                        }
                        self.know(Arc::new(table));
                    }
                    Err(why) => self.unreadable("table", key, row, &why),
                }
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    fn know(&mut self, table: Arc<Table>) {
        for index in table.indexes() {
            let known = KnownIndex {
                table: Arc::clone(&table),
                index: index.clone(),
                expected: Tally::default(),
                found: Tally::default(),
            };
            self.indexes.insert(index.id, known);
        }
        self.tables.insert(table.id, Known { table, tally: Tally::default() });
    }

    async fn jobs(&mut self) -> Result<(), StoreError> {
        self.each(keys::jobs(), |check, key, row| match serde_json::from_slice::<Job>(row) {
            Ok(job) => check.at_work(job.task),
            Err(why) => check.unreadable("a job of tables", key, row, &why),
        })
        .await
    }

    fn at_work(&mut self, task: Task) {
        let named = |account: String, region: String, id: String| (account, region, id);
        match task {
            Task::Clear(clear) => self.leaving.extend(clear.table.iter().chain(&clear.indexes)),
            Task::Copy(copy) => {
                self.jobs.copies.insert(copy.copy);
                match copy.then {
                    Then::Backup(id) => drop(self.jobs.backups.insert(named(copy.account, copy.region, id))),
                    Then::Restore(restore) => self.at_work(Task::Restore(restore)),
                    Then::Export(export) => self.at_work(Task::Export(*export)),
                }
            }
            Task::Restore(restore) => {
                self.jobs.copies.insert(restore.copy);
                self.jobs.tables.insert(restore.table_id);
            }
            Task::Export(export) => {
                self.jobs.copies.insert(export.copy);
                self.jobs.exports.insert(named(export.account, export.region, export.id));
            }
            Task::Import(import) => {
                self.jobs.imports.insert(named(import.account, import.region, import.id));
            }
            Task::DropCopy(dropped) => drop(self.jobs.copies.insert(dropped.copy)),
            Task::Backfill(_) => {}
        }
    }

    /// Shows every row of a range.
    async fn each(
        &mut self,
        range: KeyRange,
        mut visit: impl FnMut(&mut Self, &Bytes, &Bytes) + Send,
    ) -> Result<(), StoreError> {
        let mut left = Some(range);
        while let Some(range) = left {
            let page = self.view.page(&range, ScanOptions::default()).await?;
            for (key, row) in &page.rows {
                visit(self, key, row);
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    async fn items(&mut self) -> Result<(), StoreError> {
        let mut left = Some(keys::all_items());
        while let Some(range) = left {
            let page = self.view.page(&range, ScanOptions::default()).await?;
            for (key, row) in &page.rows {
                self.item(key, row).await;
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    async fn item(&mut self, key: &Bytes, row: &Bytes) {
        let Some(id) = keys::owner(key) else {
            return self.unreadable("an item", key, row, &"its key is none of an item");
        };
        if self.leaving.contains(&id) {
            return;
        }
        let table = self.tables.get(&id).map(|known| &known.table).or_else(|| self.kept.get(&id));
        let Some(table) = table.map(Arc::clone) else {
            return self.findings.stray(SERVICE, "an item is in no table", (key, row));
        };
        let item = match self.decoded(key, row).await {
            Ok(item) => item,
            Err(why) => return self.unreadable(&format!("an item of table {}", table.name), key, row, &why),
        };
        if table.key_of(&item).ok().is_none_or(|own| own.as_bytes() != &key[..]) {
            let what = format!("an item of table {} lies under another key than its own", table.name);
            return self.problem(what);
        }
        let Some(known) = self.tables.get_mut(&id) else { return };
        known.tally.add(&item);
        let key = ItemKey::found(key.clone());
        for index in table.indexes().filter(|index| index.row_key(&item, &key).is_some()) {
            if let Some(known) = self.indexes.get_mut(&index.id) {
                known.expected.add(&projected(&table, index, &item));
            }
        }
    }

    async fn index_rows(&mut self) -> Result<(), StoreError> {
        let mut left = Some(keys::all_index_rows());
        while let Some(range) = left {
            let page = self.view.page(&range, ScanOptions::default()).await?;
            for (key, row) in &page.rows {
                self.index_row(key, row).await?;
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    async fn index_row(&mut self, key: &Bytes, row: &Bytes) -> Result<(), StoreError> {
        let id = keys::owner(key);
        if id.is_some_and(|id| self.leaving.contains(&id)) {
            return Ok(());
        }
        let known = id.and_then(|id| self.indexes.get(&id));
        let Some((table, index)) = known.map(|known| (Arc::clone(&known.table), known.index.clone())) else {
            self.findings.stray(SERVICE, "a row of an index that does not exist", (key, row));
            return Ok(());
        };
        let name = format!("{} of table {}", index.name, table.name);
        let held = match self.decoded(key, row).await {
            Ok(held) => held,
            Err(why) => {
                self.unreadable(&format!("a row of index {name}"), key, row, &why);
                return Ok(());
            }
        };
        let expected = self.expected(&table, &index, &held).await?;
        match expected {
            Some((own, item)) if own == key[..] && item == held => {
                let known = self.indexes.get_mut(&index.id).expect("it was found above");
                known.found.add(&held);
            }
            Some((own, item)) if own == key[..] => {
                let what = format!("a row of index {name} holds other than its item");
                let mends = inline(&item).map(|to| Mend::Row {
                    key: key.clone(),
                    seen: Some(row.clone()),
                    to: Some(to),
                });
                self.findings.problem(SERVICE, what, mends.into_iter().collect());
            }
            _ => {
                let what = format!("a row of index {name} is of no item that it must hold");
                self.findings.stray(SERVICE, what, (key, row));
            }
        }
        Ok(())
    }

    /// The row that the item which `held` is of must have in an index.
    async fn expected(
        &self,
        table: &Table,
        index: &Index,
        held: &Item,
    ) -> Result<Option<(Vec<u8>, Item)>, StoreError> {
        let Ok(key) = table.key_of(held) else { return Ok(None) };
        let Some(row) = self.view.get(key.as_bytes()).await? else { return Ok(None) };
        let Ok(item) = self.decoded(key.bytes(), &row).await else { return Ok(None) };
        Ok(index.row_key(&item, &key).map(|own| (own, projected(table, index, &item))))
    }

    /// Looks for the items that indexes lack, in tables where counting says that there are some.
    async fn missing(&mut self) -> Result<(), StoreError> {
        let lacking = |known: &&KnownIndex| {
            known.index.status == IndexState::Active && known.found.items < known.expected.items
        };
        let indexes: Vec<_> = self
            .indexes
            .values()
            .filter(lacking)
            .map(|known| (Arc::clone(&known.table), known.index.clone()))
            .collect();
        for (table, index) in indexes {
            let mut left = Some(keys::items(table.id));
            while let Some(range) = left {
                let page = self.view.page(&range, ScanOptions::default()).await?;
                for (key, row) in &page.rows {
                    self.missing_row((&table, &index), key, row).await?;
                }
                left = range.rest(&page, false);
            }
        }
        Ok(())
    }

    async fn missing_row(
        &mut self,
        (table, index): (&Table, &Index),
        key: &Bytes,
        row: &Bytes,
    ) -> Result<(), StoreError> {
        let Ok(item) = self.decoded(key, row).await else { return Ok(()) };
        let Some(own) = index.row_key(&item, &ItemKey::found(key.clone())) else { return Ok(()) };
        if self.view.get(&own).await?.is_none() {
            let what = format!("index {} of table {} lacks an item", index.name, table.name);
            let to = inline(&projected(table, index, &item));
            let mends = to.map(|to| Mend::Row { key: own.into(), seen: None, to: Some(to) });
            self.findings.problem(SERVICE, what, mends.into_iter().collect());
        }
        Ok(())
    }

    /// Counters of items and bytes. What a repair of an index changes is counted right in its next round.
    async fn counters(&mut self) -> Result<(), StoreError> {
        let mut left: HashMap<u64, (String, Tally)> = HashMap::new();
        let filled = self.tables.iter().filter(|(_, known)| known.table.status != Status::Creating);
        left.extend(filled.map(|(id, known)| (*id, (format!("table {}", known.table.name), known.tally))));
        let kept = self.indexes.iter().filter(|(_, known)| known.index.is_kept());
        left.extend(kept.map(|(id, known)| {
            let name = format!("index {} of table {}", known.index.name, known.table.name);
            (*id, (name, known.found))
        }));
        for (id, (name, tally)) in left {
            self.counter(keys::count(id).into_bytes(), (&name, "items"), tally.items).await?;
            self.counter(keys::bytes(id).into_bytes(), (&name, "bytes"), tally.bytes).await?;
        }
        self.stray_counters(keys::all_counts()).await?;
        self.stray_counters(keys::all_bytes()).await
    }

    async fn counter(&mut self, key: Bytes, (name, what): (&str, &str), is: i64) -> Result<(), StoreError> {
        let row = self.view.get(&key).await?;
        let counted = row.as_deref().map_or(Some(0), |row| row.try_into().map(i64::from_le_bytes).ok());
        if counted == Some(is) {
            return Ok(());
        }
        let found = counted.map_or_else(|| "something else".to_owned(), |counted| counted.to_string());
        let to = Some(Bytes::copy_from_slice(&is.to_le_bytes()));
        let what = format!("{name} has {is} {what}, but {found} are counted");
        self.findings.problem(SERVICE, what, vec![Mend::Row { key, seen: row, to }]);
        Ok(())
    }

    async fn stray_counters(&mut self, range: KeyRange) -> Result<(), StoreError> {
        self.each(range, |check, key, row| {
            let is_known = |id: u64| {
                check.tables.contains_key(&id)
                    || check.kept.contains_key(&id)
                    || check.indexes.contains_key(&id)
                    || check.leaving.contains(&id)
            };
            if !keys::owner(key).is_some_and(is_known) {
                check.findings.stray(SERVICE, "a counter of no table and no index", (key, row));
            }
        })
        .await
    }

    async fn decoded(&self, key: &Bytes, row: &Bytes) -> Result<Item, String> {
        let whole = self.view.load_large(key, row).await.map_err(|why| why.to_string())?;
        decode_item(&whole).map_err(|why| why.to_string())
    }

    /// Something is wrong that nothing but a person can mend.
    fn problem(&mut self, what: String) {
        self.findings.problem(SERVICE, what, Vec::new());
    }

    fn unreadable(&mut self, kind: &str, key: &Bytes, row: &Bytes, why: &dyn Display) {
        let what = format!("{kind} {} cannot be read: {why}", key.escape_ascii());
        self.findings.unreadable(SERVICE, what, (key, row), None);
    }
}

impl Tally {
    fn add(&mut self, item: &Item) {
        self.items += 1;
        self.bytes += i64::try_from(item_bytes(item)).expect("an item has at most 400 KB");
    }
}

/// A row that holds the item itself; `None` where it is too long for one row.
fn inline(item: &Item) -> Option<Bytes> {
    lambent_store::large_row(&encode_item(item)).map(Bytes::from)
}
