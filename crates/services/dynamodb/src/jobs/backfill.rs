//! Filling a new index of a table that is in use.
//!
//! Writers keep the index from the moment it is there. A step puts the rows of some items that are not there yet; it
//! depends on the items that it reads, so a write that comes between makes it look again.

use bytes::Bytes;
use lambent_base::Place;
use lambent_expressions::item_bytes;
use lambent_store::{Db, ScanOptions, Txn};
use serde::{Deserialize, Serialize};

use super::{Job, Step, fewer};
use crate::change::fill;
use crate::keys::ItemKey;
use crate::table::{Index, IndexState, Table};
use crate::{Dynamo, DynamoError, keys, rows};

/// How many items one step looks at, at most: the fewer, the less it meets writers.
const STEP_ROWS: usize = if cfg!(test) { 3 } else { 200 };
/// How many bytes of items one step reads.
const STEP_BYTES: usize = 512 * 1024;

/// The index to fill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Backfill {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) table: String,
    pub(crate) index: u64,
}

impl Backfill {
    pub(super) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let mut rows = STEP_ROWS;
        loop {
            match self.take(dynamo, db, job, rows).await {
                Err(error) => rows = fewer(rows, error)?,
                taken => return taken,
            }
        }
    }

    async fn take(&self, dynamo: &Dynamo, db: &Db, job: &Job, count: usize) -> Result<Step, DynamoError> {
        let place = &Place { account: self.account.clone(), region: self.region.clone() };
        let step = db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            let table = rows::find_table(&dynamo.known, &txn, place, &self.table).await?;
            let found = table.as_ref().and_then(|table| Some((table, self.index_of(table)?)));
            // The index, or its table, may be gone already.
            let Some((table, index)) = found else {
                job.finish(&txn);
                return Ok(Step::Done);
            };
            if let Some(last) = fill_some(&txn, (table, index), job.cursor()?, count).await? {
                job.advance(&txn, &last);
                return Ok(Step::More);
            }
            let mut table = (**table).clone();
            let filled = table.globals.iter_mut().find(|index| index.id == self.index);
            filled.expect("it was found above").status = IndexState::Active;
            rows::put_table(&txn, &table);
            job.finish(&txn);
            Ok::<_, DynamoError>(Step::Done)
        });
        let step = step.await?;
        if step == Step::Done {
            dynamo.known.forget(place, &self.table);
        }
        Ok(step)
    }

    fn index_of<'a>(&self, table: &'a Table) -> Option<&'a Index> {
        let is_it = |index: &&Index| index.id == self.index && index.status == IndexState::Creating;
        table.globals.iter().find(is_it)
    }
}

/// Puts the rows of the next items after `cursor`; gives the key of the last one, or `None` where there are no more.
async fn fill_some(
    txn: &Txn,
    (table, index): (&Table, &Index),
    cursor: Option<Vec<u8>>,
    count: usize,
) -> Result<Option<Bytes>, DynamoError> {
    let mut range = keys::items(table.id);
    if let Some(cursor) = cursor {
        range = range.after(&cursor);
    }
    let options = ScanOptions { max_bytes: STEP_BYTES, ..ScanOptions::rows(count) };
    let page = txn.scan(&range, options).await?;
    // A row in chunks is as long as its mark to a scan.
    let (mut bytes, mut last) = (0, None);
    for (key, row) in page.rows {
        let stored = rows::stored(txn, &key, row).await?;
        bytes += item_bytes(&stored.item);
        last = Some(key.clone());
        fill(txn, table, index, &ItemKey::found(key), &stored).await?;
        if bytes >= STEP_BYTES {
            break;
        }
    }
    Ok(last)
}
