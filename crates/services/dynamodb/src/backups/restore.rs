//! The job that fills a new table with a copy.

use lambent_base::Place;
use lambent_expressions::decode_item;
use lambent_store::{Db, ScanOptions, Txn, load_large};
use serde::{Deserialize, Serialize};

use super::copy::DropCopy;
use super::{keys, on_demand};
use crate::change::{Origin, change};
use crate::jobs::{Job, Step, Task, fewer};
use crate::table::{Status, Table};
use crate::{Dynamo, DynamoError, rows, tables};

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
    /// Whether the items are those of a deleted table, whose number `copy` is.
    #[serde(default)]
    pub(crate) of_table: bool,
    /// The backup that the copy is of, in the same account and region; a copy of none is dropped in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<String>,
}

impl Restore {
    pub(crate) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let mut rows = STEP_ROWS;
        loop {
            match self.take(dynamo, db, job, rows).await {
                Err(error) => rows = fewer(rows, error)?,
                taken => return taken,
            }
        }
    }

    async fn take(&self, dynamo: &Dynamo, db: &Db, job: &Job, rows: usize) -> Result<Step, DynamoError> {
        let place = &self.place();
        let step = db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            let table = rows::find_table(&dynamo.known, &txn, place, &self.table).await?;
            if let Some(table) = table.filter(|table| table.id == self.table_id) {
                // Each attempt bears its own time: some that read the table's changes count on their being recent.
                if self.fill_some(&txn, &table, job, (rows, dynamo.clock.unix_ms())).await? {
                    return Ok(Step::More);
                }
                let mut table = (*table).clone();
                table.status = Status::Active;
                if let Some(restored) = &mut table.restored {
                    restored.under_way = false;
                }
                rows::put_table(&txn, &table);
            }
            self.end(&txn, job).await
        });
        let step = step.await?;
        self.forget(dynamo);
        Ok(step)
    }

    /// Ends a restore that comes to nothing: the table goes again.
    pub(crate) async fn give_up(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<(), DynamoError> {
        db.run(|txn| async move {
            if job.is_mine(&txn).await? {
                self.remove_table(dynamo, &txn).await?;
                self.end(&txn, job).await?;
            }
            Ok::<_, DynamoError>(())
        })
        .await?;
        self.forget(dynamo);
        Ok(())
    }

    /// Removes the table that was to be filled.
    pub(super) async fn remove_table(&self, dynamo: &Dynamo, txn: &Txn) -> Result<(), DynamoError> {
        let table = rows::find_table(&dynamo.known, txn, &self.place(), &self.table).await?;
        match table.filter(|table| table.id == self.table_id) {
            Some(table) => tables::remove(dynamo, txn, &table, dynamo.clock.unix_ms()).await,
            None => Ok(()),
        }
    }

    /// The table's row may have changed.
    pub(super) fn forget(&self, dynamo: &Dynamo) {
        dynamo.known.forget(&self.place(), &self.table);
    }

    fn place(&self) -> Place {
        Place { account: self.account.clone(), region: self.region.clone() }
    }

    /// The backup may go its own ways again; a copy that is of none is dropped.
    async fn end(&self, txn: &Txn, job: &Job) -> Result<Step, DynamoError> {
        match &self.backup {
            Some(backup) => {
                on_demand::restored(txn, &self.place(), backup, self.table_id).await?;
                job.finish(txn);
                Ok(Step::Done)
            }
            None => {
                job.turn_to(txn, Task::DropCopy(DropCopy { copy: self.copy }));
                Ok(Step::More)
            }
        }
    }

    /// Puts the next items into the table; `false` when there are no more.
    async fn fill_some(
        &self,
        txn: &Txn,
        table: &Table,
        job: &Job,
        (rows, at_ms): (usize, i64),
    ) -> Result<bool, DynamoError> {
        let items = match self.of_table {
            true => crate::keys::items(self.copy),
            false => keys::copy(self.copy),
        };
        let range = match job.cursor()? {
            Some(after) => items.after(&after),
            None => items,
        };
        let bytes_max = STEP_BYTES / (1 + table.indexes().count());
        let page = txn.scan_snapshot(&range, ScanOptions::rows(rows).max_bytes(bytes_max)).await?;
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
