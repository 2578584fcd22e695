//! The job that fills a new table with a copy.

use std::sync::Arc;

use lambent_base::Place;
use lambent_expressions::decode_item;
use lambent_store::{Db, ScanOptions, Txn, load_large};
use serde::{Deserialize, Serialize};

use super::copy::DropCopy;
use super::{keys, on_demand};
use crate::change::{Origin, change};
use crate::jobs::{Job, Step, Task};
use crate::table::{Status, Table};
use crate::{Dynamo, DynamoError, rows};

/// How many items one step takes, and about how many bytes it writes: each index writes an item again.
const STEP_ROWS: usize = 200;
const STEP_BYTES: usize = 1 << 20;

/// A table that is being filled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restore {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) table: String,
    pub(crate) table_id: u64,
    pub(crate) copy: u64,
    /// The backup that the copy is of, in the same account and region; a copy of none is dropped in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<String>,
}

impl Restore {
    pub(crate) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let place = &Place { account: self.account.clone(), region: self.region.clone() };
        let at_ms = dynamo.clock.unix_ms();
        let step = db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            let table = rows::find_table(&dynamo.known, &txn, place, &self.table).await?;
            let is_it = |table: &Arc<Table>| table.id == self.table_id;
            if let Some(table) = table.filter(is_it) {
                if self.fill_some(&txn, &table, job, at_ms).await? {
                    return Ok(Step::More);
                }
                let mut table = (*table).clone();
                table.status = Status::Active;
                if let Some(restored) = &mut table.restored {
                    restored.under_way = false;
                }
                rows::put_table(&txn, &table);
            }
            match &self.backup {
                Some(backup) => {
                    on_demand::restored(&txn, place, backup, self.table_id).await?;
                    job.finish(&txn);
                    Ok::<_, DynamoError>(Step::Done)
                }
                None => {
                    job.turn_to(&txn, Task::DropCopy(DropCopy { copy: self.copy }));
                    Ok(Step::More)
                }
            }
        });
        let step = step.await?;
        dynamo.known.forget(place, &self.table);
        Ok(step)
    }

    /// Puts the next items into the table; `false` when there are no more.
    async fn fill_some(&self, txn: &Txn, table: &Table, job: &Job, at_ms: i64) -> Result<bool, DynamoError> {
        let items = keys::copy(self.copy);
        let range = match job.cursor()? {
            Some(after) => items.after(&after),
            None => items,
        };
        let bytes_max = STEP_BYTES / (1 + table.indexes().count());
        let page = txn.scan_snapshot(&range, ScanOptions::rows(STEP_ROWS).max_bytes(bytes_max)).await?;
        // A row in chunks is as long as its mark to a scan.
        let (mut bytes, mut last, mut is_more) = (0, None, page.more.is_some());
        for (key, row) in &page.rows {
            if bytes > bytes_max {
                is_more = true;
                break;
            }
            let whole = load_large(txn, key, row.clone()).await?;
            bytes += whole.len();
            let item = decode_item(&whole)?;
            let Ok(item_key) = table.key_of(&item) else {
                let why = "an item has not the key of its table".to_owned();
                return Err(DynamoError::Row { what: "a copy", why });
            };
            change(txn, table, &item_key, None, Some(&item), Origin::User, at_ms).await?;
            last = Some(key);
        }
        if let Some(last) = last.filter(|_| is_more) {
            job.advance(txn, last);
            return Ok(true);
        }
        Ok(false)
    }
}
