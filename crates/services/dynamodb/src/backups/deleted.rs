//! System backups: what is left of a table with point-in-time recovery when it is deleted, for 35 days.
//! Source: Developer Guide, "Point-in-time backups for DynamoDB".
//!
//! Nothing is copied: the items stay where the table had them, and the backup names them.

use lambent_api::PlatformWork;
use lambent_base::Place;
use lambent_store::{Db, ScanOptions, Txn};

use super::continuous::DAY_MS;
use super::keys;
use super::on_demand::{BackupRow, drop_items};
use crate::table::{Status, Table};
use crate::tables::counted;
use crate::{Dynamo, DynamoError, rows};

/// Source: API reference, BackupDetails, BackupExpiryDateTime.
const KEPT_MS: i64 = 35 * DAY_MS;
/// How many backups that are over are looked up at once.
const SWEEP_ROWS: usize = 100;

/// Keeps the items of a table that is being deleted, if its changes were; `false` where they go with it.
pub(crate) async fn keep(
    dynamo: &Dynamo,
    txn: &Txn,
    table: &Table,
    now_ms: i64,
) -> Result<bool, DynamoError> {
    if table.journal.is_none() || table.status != Status::Active {
        return Ok(false);
    }
    let (items, bytes) = counted(txn, table.id).await?;
    let row = BackupRow {
        name: format!("{}$DeletedTableBackup", table.name),
        copy: table.id,
        created_ms: now_ms,
        expires_ms: Some(now_ms + KEPT_MS),
        available: true,
        table: table.clone(),
        items,
        bytes,
        restoring: Vec::new(),
    };
    let id = format!("{now_ms:014}-{:08x}", dynamo.random.u64() >> 32);
    txn.put(&keys::backup(&table.place, &id), &rows::encode(&row));
    txn.put(&keys::backup_end(now_ms + KEPT_MS, &table.place, &id), b"");
    txn.on_commit(keys::SWEEP_TOPIC);
    Ok(true)
}

impl Dynamo {
    /// Removes the system backups that are over; `false` when there is none left.
    pub(super) async fn sweep_backups(&self, work: &PlatformWork) -> Result<bool, DynamoError> {
        let (db, now_ms) = (self.rows.of_platform(work), self.clock.unix_ms());
        let (mut is_any, mut left) = (false, Some(keys::all_backup_ends()));
        while let Some(range) = left {
            let range = &range;
            let page = db.read(|txn| async move {
                Ok::<_, DynamoError>(
                    txn.scan_snapshot(range, ScanOptions::rows(SWEEP_ROWS).keys_only()).await?,
                )
            });
            let page = page.await?;
            for (end, _) in &page.rows {
                let removed = match keys::read_backup_end(end) {
                    // The others end later.
                    Ok((ends_ms, ..)) if ends_ms > now_ms => return Ok(true),
                    Ok((_, place, id)) => self.remove_expired(db, end, (&place, &id)).await,
                    Err(error) => Err(error.into()),
                };
                is_any |= removed.map_or_else(
                    |error| {
                        // No other backup has to wait for that.
                        let key = end.escape_ascii();
                        tracing::error!(%key, %error, "a system backup that is over could not be removed; trying again later");
                        true
                    },
                    |is_removed| !is_removed,
                );
            }
            left = range.rest(&page, false);
        }
        Ok(is_any)
    }

    /// Removes a backup that is over, with the key that says so; `false` where it is in use.
    async fn remove_expired(
        &self,
        db: &Db,
        end: &[u8],
        (place, id): (&Place, &str),
    ) -> Result<bool, DynamoError> {
        db.run(|txn| async move {
            let key = keys::backup(place, id);
            // It may have been deleted before.
            if let Some(row) = txn.get(&key).await? {
                let row: BackupRow = rows::decode("a backup", &row)?;
                if !row.restoring.is_empty() {
                    return Ok(false);
                }
                txn.delete(&key);
                drop_items(self, &txn, &place.account, &row);
            }
            txn.delete(end);
            txn.frees_space();
            Ok(true)
        })
        .await
    }
}
