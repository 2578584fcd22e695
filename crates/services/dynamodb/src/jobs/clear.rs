//! Removing the rows of deleted tables and indexes, and dropping an index from its table.

use lambent_base::Place;
use lambent_store::{Db, KeyRange, ScanOptions, Txn, delete_read};
use serde::{Deserialize, Serialize};

use super::{Job, Step};
use crate::table::IndexState;
use crate::{Dynamo, DynamoError, keys, rows};

/// How many rows one step removes.
const STEP_ROWS: usize = if cfg!(test) { 3 } else { 500 };
/// How many bytes of rows one step reads.
const STEP_BYTES: usize = 2 * 1024 * 1024;

/// What is to be removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clear {
    /// A deleted table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<u64>,
    /// Indexes: of the deleted table, or those that `of` is to lose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) indexes: Vec<u64>,
    /// The table that shows the indexes as DELETING until they are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<(String, String, String)>,
}

impl Clear {
    /// Of a deleted table with these indexes.
    pub(crate) fn table(table: u64, indexes: Vec<u64>) -> Self {
        Self { table: Some(table), indexes, of: None }
    }

    /// Of a deleted table's indexes alone.
    pub(crate) fn indexes(indexes: Vec<u64>) -> Self {
        Self { table: None, indexes, of: None }
    }

    /// Of one index of a table that stays.
    pub(crate) fn index(place: &Place, table: &str, index: u64) -> Self {
        let of = (place.account.clone(), place.region.clone(), table.to_owned());
        Self { table: None, indexes: vec![index], of: Some(of) }
    }

    pub(super) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let ranges = &self.ranges();
        let step = db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            for (range, is_large) in ranges {
                if remove(&txn, range, *is_large).await? {
                    return Ok(Step::More);
                }
            }
            self.end(dynamo, &txn).await?;
            job.finish(&txn);
            Ok::<_, DynamoError>(Step::Done)
        });
        let step = step.await?;
        if let Some((account, region, name)) = &self.of {
            dynamo.known.forget(&Place { account: account.clone(), region: region.clone() }, name);
        }
        Ok(step)
    }

    fn ranges(&self) -> Vec<(KeyRange, bool)> {
        let table = self.table.into_iter().flat_map(keys::contents);
        table.chain(self.indexes.iter().map(|index| (keys::index_rows(*index), true))).collect()
    }

    /// Nothing is left: the counters go, and the indexes from their table.
    async fn end(&self, dynamo: &Dynamo, txn: &Txn) -> Result<(), DynamoError> {
        for id in self.table.iter().chain(&self.indexes) {
            txn.delete(&keys::count(*id));
            txn.delete(&keys::bytes(*id));
        }
        let Some((account, region, name)) = &self.of else { return Ok(()) };
        let place = Place { account: account.clone(), region: region.clone() };
        let Some(table) = rows::find_table(&dynamo.known, txn, &place, name).await? else { return Ok(()) };
        let is_gone = |id: u64, status| status == IndexState::Deleting && self.indexes.contains(&id);
        let mut table = (*table).clone();
        let before = table.globals.len();
        table.globals.retain(|index| !is_gone(index.id, index.status));
        if table.globals.len() < before {
            rows::put_table(txn, &table);
        }
        Ok(())
    }
}

/// Removes the first rows of a range; `false` when there are none. Nobody else writes there any more, so it does not
/// depend on what it reads.
pub(crate) async fn remove(txn: &Txn, range: &KeyRange, is_large: bool) -> Result<bool, DynamoError> {
    let page = txn
        .scan_snapshot(range, ScanOptions { max_bytes: STEP_BYTES, ..ScanOptions::rows(STEP_ROWS) })
        .await?;
    for (key, row) in &page.rows {
        delete_read(txn, key, Some(&row[..]).filter(|_| is_large))?;
    }
    txn.frees_space();
    Ok(!page.rows.is_empty())
}
