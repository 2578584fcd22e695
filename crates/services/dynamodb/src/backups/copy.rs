//! The job that copies a table as it was at one moment.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::Place;
use lambent_store::{Db, KeyRange, ScanOptions, Txn, delete_large, put_large, put_over};
use serde::{Deserialize, Serialize};

use super::restore::Restore;
use super::{journal, keys, on_demand};
use crate::jobs::{self, Job, Step, Task, fewer};
use crate::keys::ItemKey;
use crate::stamped::{self, Position};
use crate::table::Table;
use crate::transfers::export_job::Export;
use crate::{Dynamo, DynamoError, rows, transfers};

/// How many rows one step copies or undoes, and how many bytes of them it reads.
const STEP_ROWS: usize = 500;
const STEP_BYTES: usize = 1 << 20;
/// A change may be committed this long after the time that it bears: twice what a transaction may take, and some more.
const SETTLED_AFTER_MS: i64 = 11_000;
/// Changes bear times of several clocks, so some later in the log may be earlier by the clock.
const CLOCK_SLACK_MS: i64 = 60_000;

/// A copy that is being made. The table's row holds it, so that the table stays and its changes are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Copy {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) table: String,
    /// Names the copy.
    pub(crate) copy: u64,
    pub(crate) log: u64,
    pub(crate) moment: Moment,
    #[serde(default)]
    pub(crate) undoing: bool,
    pub(crate) then: Then,
}

/// Which moment a copy shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Moment {
    /// When it was asked for: its fence stands among the changes.
    Asked,
    /// Milliseconds since 1970.
    Time(i64),
}

/// What a copy is made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Then {
    /// The backup with this id keeps it.
    Backup(String),
    /// A table is filled with it.
    Restore(Restore),
    /// It is written into a bucket.
    Export(Box<Export>),
}

/// Removes a copy that nobody needs any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DropCopy {
    pub(crate) copy: u64,
}

/// Asks for a copy: in the transaction that reads the table, whose row the caller writes.
pub(crate) fn begin(
    dynamo: &Dynamo,
    txn: &Txn,
    table: &mut Table,
    moment: Moment,
    (copy, then): (u64, Then),
) -> Result<(), DynamoError> {
    let log = journal::hold(txn, table, &dynamo.random, copy)?;
    stamped::put(txn, &keys::fence(copy), b"");
    let Place { account, region } = table.place.clone();
    let name = table.name.clone();
    let task = Copy { account, region, table: name, copy, log, moment, undoing: false, then };
    jobs::put(txn, &dynamo.random, &table.place.account, Task::Copy(task));
    Ok(())
}

impl Copy {
    pub(crate) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        if let (Moment::Time(at_ms), false) = (self.moment, self.undoing) {
            let left_ms = at_ms + SETTLED_AFTER_MS - dynamo.clock.unix_ms();
            if left_ms > 0 {
                return Ok(Step::Later(Duration::from_millis(left_ms.unsigned_abs())));
            }
        }
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
            let is_it =
                |table: &Arc<Table>| table.log.as_ref().is_some_and(|log| log.copies.contains(&self.copy));
            // Nobody deletes a table that is held; but a check may have mended it away.
            let Some(table) = table.filter(is_it) else {
                self.fail(dynamo, &txn, job, super::table_is_gone()).await?;
                return Ok(Step::More);
            };
            if !self.undoing {
                if !self.copy_some(&txn, &table, job, rows).await? {
                    job.turn_to(&txn, Task::Copy(Self { undoing: true, ..self.clone() }));
                }
                return Ok(Step::More);
            }
            if self.undo_some(&txn, &table, job, rows).await? {
                return Ok(Step::More);
            }
            self.end(&txn, &table, job).await
        });
        let step = step.await?;
        self.forget(dynamo);
        Ok(step)
    }

    /// Ends a copy that cannot be made: the backup goes, the new table goes, the export shows why.
    pub(crate) async fn give_up(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        why: &DynamoError,
    ) -> Result<(), DynamoError> {
        db.run(|txn| async move {
            match job.is_mine(&txn).await? {
                true => self.fail(dynamo, &txn, job, transfers::failure(why)).await,
                false => Ok(()),
            }
        })
        .await?;
        self.forget(dynamo);
        Ok(())
    }

    async fn fail(
        &self,
        dynamo: &Dynamo,
        txn: &Txn,
        job: &Job,
        failure: (String, String),
    ) -> Result<(), DynamoError> {
        match &self.then {
            Then::Backup(id) => txn.delete(&keys::backup(&self.place(), id)),
            Then::Restore(restore) => restore.remove_table(dynamo, txn).await?,
            Then::Export(export) => export.keep_failure(dynamo, txn, failure).await?,
        }
        journal::release_named(&dynamo.known, txn, (&self.place(), &self.table), self.copy).await?;
        job.turn_to(txn, Task::DropCopy(DropCopy { copy: self.copy }));
        txn.frees_space();
        Ok(())
    }

    /// The rows of tables may have changed.
    fn forget(&self, dynamo: &Dynamo) {
        dynamo.known.forget(&self.place(), &self.table);
        if let Then::Restore(restore) = &self.then {
            restore.forget(dynamo);
        }
    }

    fn place(&self) -> Place {
        Place { account: self.account.clone(), region: self.region.clone() }
    }

    /// Copies the next items; `false` when there are no more.
    async fn copy_some(&self, txn: &Txn, table: &Table, job: &Job, rows: usize) -> Result<bool, DynamoError> {
        let items = crate::keys::items(table.id);
        let range = match job.cursor()? {
            Some(after) => items.after(&after),
            None => items,
        };
        // Whatever changes meanwhile is undone: no need to depend on it.
        let page = txn.scan_snapshot(&range, ScanOptions::rows(rows).max_bytes(STEP_BYTES)).await?;
        // A row in chunks is as long as its mark to a scan.
        let (mut bytes, mut last, mut is_more) = (0, None, page.more.is_some());
        for (key, row) in &page.rows {
            if bytes > STEP_BYTES {
                is_more = true;
                break;
            }
            let item = lambent_store::load_large(txn, key, row.clone()).await?;
            bytes += item.len();
            put_over(txn, &keys::copied(self.copy, &ItemKey::found(key.clone())), None, &item)?;
            last = Some(key);
        }
        let Some(last) = last.filter(|_| is_more) else { return Ok(false) };
        job.advance(txn, last);
        Ok(true)
    }

    /// Undoes the next changes, the last first; `false` when there are no more.
    async fn undo_some(&self, txn: &Txn, table: &Table, job: &Job, rows: usize) -> Result<bool, DynamoError> {
        let prefix = keys::journal(self.log);
        let range = stamped::range_from(&prefix, self.first_undone(txn).await?);
        let range: KeyRange = match job.cursor()? {
            Some(before) => range.before(&before),
            None => range,
        };
        let page = stamped::read(txn, &range, rows, STEP_BYTES, true).await?;
        for record in &page.records {
            let undo = journal::read(record)?;
            if matches!(self.moment, Moment::Time(at_ms) if undo.at_ms <= at_ms) {
                continue;
            }
            let Ok(key) = table.key_of(&undo.item) else {
                return Err(DynamoError::Row {
                    what: "a change of an item",
                    why: "it has no key".to_owned(),
                });
            };
            let key = keys::copied(self.copy, &key);
            if undo.was_there {
                put_large(txn, &key, &lambent_expressions::encode_item(&undo.item)).await?;
            } else {
                delete_large(txn, &key).await?;
            }
        }
        let Some(last) = page.records.last().filter(|_| !page.is_last) else { return Ok(false) };
        job.advance(txn, &stamped::key_of(&prefix, last.at));
        Ok(true)
    }

    /// The first change that may have to be undone.
    async fn first_undone(&self, txn: &Txn) -> Result<Position, DynamoError> {
        match self.moment {
            Moment::Asked => {
                let fence = stamped::read(txn, &keys::fence(self.copy).range(), 1, 1, false).await?;
                let fence = fence.records.first().map(|fence| fence.at.after());
                fence.ok_or_else(|| DynamoError::Row { what: "a copy", why: "it has no fence".to_owned() })
            }
            Moment::Time(at_ms) => first_since(txn, &keys::journal(self.log), at_ms).await,
        }
    }

    /// The copy is made: the table may go its own ways again.
    async fn end(&self, txn: &Txn, table: &Table, job: &Job) -> Result<Step, DynamoError> {
        txn.delete_range(&keys::fence(self.copy).range());
        let next = match &self.then {
            // It reads the changes, too, and lets the table go in its end.
            Then::Export(export) => {
                job.turn_to(txn, Task::Export(Export::clone(export)));
                return Ok(Step::More);
            }
            Then::Restore(restore) => {
                job.turn_to(txn, Task::Restore(restore.clone()));
                Step::More
            }
            Then::Backup(id) => {
                on_demand::finished(txn, &self.place(), id).await?;
                job.finish(txn);
                Step::Done
            }
        };
        let mut table = table.clone();
        journal::release(txn, &mut table, self.copy);
        rows::put_table(txn, &table);
        Ok(next)
    }
}

/// The first change that may be of a time or later.
pub(crate) async fn first_since(txn: &Txn, prefix: &[u8], at_ms: i64) -> Result<Position, DynamoError> {
    stamped::at_time(txn, prefix, at_ms.saturating_sub(CLOCK_SLACK_MS)).await
}

impl DropCopy {
    pub(crate) async fn step(&self, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let ranges = &[&[(keys::copy(self.copy), true)][..], &transfers::keys::of_copy(self.copy)].concat();
        db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            for (range, is_large) in ranges {
                if jobs::remove(&txn, range, *is_large).await? {
                    return Ok(Step::More);
                }
            }
            txn.delete_range(&keys::fence(self.copy).range());
            job.finish(&txn);
            Ok(Step::Done)
        })
        .await
    }
}
