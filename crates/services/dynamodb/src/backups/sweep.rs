//! The sweeper of journals: lets go of changes that nothing can be restored with any more, and of system backups that are
//! over. It sleeps for an hour while there is a journal or such a backup, and for ever while there is none.

use std::time::Duration;

use lambent_api::PlatformWork;
use lambent_base::Place;
use lambent_store::{Db, ScanOptions};

use super::continuous::earliest_ms;
use super::journal::LogRow;
use super::keys;
use crate::stamped::{self, Trimmed};
use crate::{Dynamo, DynamoError, rows};

const PAUSE: Duration = Duration::from_secs(3_600);
/// How many logs are looked up at once.
const LOGS_ROWS: usize = 1_000;

impl Dynamo {
    /// Sweeps journals until the future is dropped.
    pub async fn run_journal_sweeper(&self, work: &PlatformWork) {
        let mut watch = self.rows.of_platform(work).watch(keys::SWEEP_TOPIC);
        loop {
            match self.sweep_journals(work).await {
                Ok(false) => {
                    watch.changed().await;
                    continue;
                }
                Ok(true) => {}
                Err(error) => tracing::error!(%error, "old changes could not be deleted; trying again later"),
            }
            tokio::select! {
                () = watch.changed() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Deletes what is due; `false` when there is no journal left.
    pub(super) async fn sweep_journals(&self, work: &PlatformWork) -> Result<bool, DynamoError> {
        let db = self.rows.of_platform(work);
        let mut is_any = self.sweep_backups(work).await?;
        let mut left = Some(keys::all_logs());
        while let Some(range) = left {
            let range = &range;
            let page = db
                .read(|txn| async move {
                    Ok::<_, DynamoError>(txn.scan_snapshot(range, ScanOptions::rows(LOGS_ROWS)).await?)
                })
                .await?;
            for (key, row) in &page.rows {
                is_any |= self.sweep_row(db, key, row).await.unwrap_or_else(|error| {
                    // No other journal has to wait for that.
                    let key = key.escape_ascii();
                    tracing::warn!(%error, %key, "old changes of a table could not be deleted; trying again later");
                    true
                });
            }
            left = range.rest(&page, false);
        }
        Ok(is_any)
    }

    /// Sweeps the log that a row names; `false` when it is over, and gone.
    async fn sweep_row(&self, db: &Db, key: &[u8], row: &[u8]) -> Result<bool, DynamoError> {
        self.sweep_log(db, keys::read_log(key)?, rows::decode("a journal", row)?).await
    }

    /// `false` when the log is over, and gone.
    async fn sweep_log(&self, db: &Db, log: u64, row: LogRow) -> Result<bool, DynamoError> {
        let LogRow { account, region, table: name } = row;
        let (place, name) = (&Place { account, region }, &name);
        let found = |txn| async move { rows::find_table(&self.known, &txn, place, name).await };
        let table = db.read(found).await?;
        let table = table.filter(|table| table.log.as_ref().is_some_and(|own| own.id == log));
        let Some(table) = table else {
            // A log that is over is never begun again.
            db.clear(&keys::journal(log).range()).await?;
            db.run(|txn| async move {
                txn.delete(&keys::log_start(log));
                txn.delete(&keys::log(log));
                Ok::<_, DynamoError>(())
            })
            .await?;
            return Ok(false);
        };
        // Whoever copies the table may be reading its oldest changes.
        let is_copied = table.log.as_ref().is_some_and(|log| !log.copies.is_empty());
        if let Some(journal) = table.journal.as_ref().filter(|_| !is_copied) {
            let until_ms = earliest_ms(journal, self.clock.unix_ms());
            let (prefix, start) = (&keys::journal(log), &keys::log_start(log));
            let step = |txn| async move { stamped::trim(&txn, prefix, start, until_ms).await };
            while matches!(db.run(step).await?, Trimmed::More) {}
        }
        Ok(true)
    }
}
