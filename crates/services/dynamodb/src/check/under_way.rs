//! What jobs work on, and what they made: copies, backups, exports, imports.

use std::sync::Arc;

use bytes::Bytes;
use lambent_care::Mend;
use lambent_store::{KeyError, KeyRange, ScanOptions, StoreError};
use serde::de::DeserializeOwned;

use super::{Check, Named, SERVICE};
use crate::backups::keys as copy_keys;
use crate::backups::on_demand::BackupRow;
use crate::rows;
use crate::table::{Status, Table};
use crate::transfers::{self, keys as transfer_keys};

impl Check<'_> {
    pub(super) async fn under_way(&mut self) -> Result<(), StoreError> {
        self.copies().await?;
        self.exports().await?;
        self.imports().await?;
        self.tokens().await?;
        self.held();
        self.filled();
        Ok(())
    }

    /// Backups: each has a copy, or the items of a deleted table.
    pub(super) async fn backups(&mut self) -> Result<(), StoreError> {
        self.each(copy_keys::all_backups(), |check, key, row| {
            let named = copy_keys::read_named(key);
            let Some((named, backup)) = check.named::<BackupRow>("a backup", (key, row), named) else {
                return;
            };
            if backup.is_system() {
                check.kept.insert(backup.copy, Arc::new(backup.table.clone()));
            } else {
                check.copies.insert(backup.copy);
            }
            let name = format!("backup {} of table {}", backup.name, backup.table.name);
            if !backup.available && !check.jobs.backups.contains(&named) {
                check.problem(format!("{name} is being made, but no job does it"));
            }
            if backup.restoring.iter().any(|table| !check.jobs.tables.contains(table)) {
                check.problem(format!("{name} is in use by a restore that no job does"));
            }
        })
        .await
    }

    /// The items of copies, and what exports keep beside them.
    async fn copies(&mut self) -> Result<(), StoreError> {
        let mut left = Some(copy_keys::all_copies());
        while let Some(range) = left {
            let page = self.view.page(&range, ScanOptions::default()).await?;
            for (key, row) in &page.rows {
                let is_known = |copy| self.copies.contains(&copy) || self.jobs.copies.contains(&copy);
                if !copy_keys::read_copy(key).is_ok_and(is_known) {
                    self.findings.stray(SERVICE, "an item is in no copy of a table", (key, row));
                } else if let Err(why) = self.decoded(key, row).await {
                    self.unreadable("an item of a copy", key, row, &why);
                }
            }
            left = range.rest(&page, false);
        }
        self.each(copy_keys::all_fences(), |check, key, row| {
            if !copy_keys::read_copy(key).is_ok_and(|copy| check.jobs.copies.contains(&copy)) {
                check.findings.stray(SERVICE, "a mark is of no copy of a table", (key, row));
            }
        })
        .await?;
        self.each(transfer_keys::all_files(), |check, key, row| {
            if !transfer_keys::read_copy(key).is_ok_and(|copy| check.jobs.copies.contains(&copy)) {
                check.findings.stray(SERVICE, "a file is of no export", (key, row));
            } else if let Err(why) = serde_json::from_slice::<transfers::FileLine>(row) {
                check.unreadable("a file of an export", key, row, &why);
            }
        })
        .await?;
        self.deltas(transfer_keys::all_deltas()).await
    }

    async fn deltas(&mut self, range: KeyRange) -> Result<(), StoreError> {
        let mut left = Some(range);
        while let Some(range) = left {
            let page = self.view.page(&range, ScanOptions::default()).await?;
            for (key, row) in &page.rows {
                if !transfer_keys::read_copy(key).is_ok_and(|copy| self.jobs.copies.contains(&copy)) {
                    self.findings.stray(SERVICE, "a changed item is of no export", (key, row));
                    continue;
                }
                let whole = self.view.load_large(key, row).await.map_err(|why| why.to_string());
                let read =
                    whole.and_then(|whole| transfers::check_delta(&whole).map_err(|why| why.to_string()));
                if let Err(why) = read {
                    self.unreadable("a changed item of an export", key, row, &why);
                }
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    async fn exports(&mut self) -> Result<(), StoreError> {
        self.each(transfer_keys::all_exports(), |check, key, row| {
            let named = transfer_keys::read_named(key);
            let Some((named, export)) = check.named::<transfers::ExportRow>("an export", (key, row), named)
            else {
                return;
            };
            if export.ended_ms.is_none() && !check.jobs.exports.contains(&named) {
                check.problem(format!(
                    "export {} of {} is under way, but no job does it",
                    named.2, export.table_arn
                ));
            }
        })
        .await
    }

    async fn imports(&mut self) -> Result<(), StoreError> {
        self.each(transfer_keys::all_imports(), |check, key, row| {
            let named = transfer_keys::read_named(key);
            let Some((named, import)) = check.named::<transfers::ImportRow>("an import", (key, row), named)
            else {
                return;
            };
            if import.ended_ms.is_some() {
                return;
            }
            if check.jobs.imports.contains(&named) {
                check.jobs.tables.insert(import.table.id);
            } else {
                let name = &import.table.name;
                check.problem(format!("import {} to table {name} is under way, but no job does it", named.2));
            }
        })
        .await?;
        self.each(transfer_keys::all_sources(), |check, key, row| {
            let named = transfer_keys::read_named(key);
            let Some((named, _)) =
                check.named::<transfers::SourceRow>("an object to import", (key, row), named)
            else {
                return;
            };
            if !check.jobs.imports.contains(&named) {
                check.findings.stray(SERVICE, "an object is of no import", (key, row));
            }
        })
        .await
    }

    async fn tokens(&mut self) -> Result<(), StoreError> {
        self.each(transfer_keys::all_asked(), |check, key, row| {
            if let Err(why) = serde_json::from_slice::<transfers::Asked>(row) {
                check.unreadable("a client token", key, row, &why);
            }
        })
        .await
    }

    /// Tables that are kept for copies, though nobody makes them.
    fn held(&mut self) {
        for (key, row) in std::mem::take(&mut self.held) {
            let Ok(mut table) = serde_json::from_slice::<Table>(&row) else { continue };
            let Some(log) = &mut table.log else { continue };
            let before = log.copies.len();
            log.copies.retain(|copy| self.jobs.copies.contains(copy));
            if log.copies.len() == before {
                continue;
            }
            let what = format!("table {} is kept for a copy that no job makes", table.name);
            // The job may be the row that cannot be read.
            let to = Some(rows::encode(&table).into()).filter(|_| self.findings.is_all_known());
            let mend = to.map(|to| Mend::Row { key, seen: Some(row), to: Some(to) });
            self.findings.problem(SERVICE, what, mend.into_iter().collect());
        }
    }

    /// Tables that are being filled, though nobody does it.
    fn filled(&mut self) {
        let waits = |known: &&super::Known| {
            known.table.status == Status::Creating && !self.jobs.tables.contains(&known.table.id)
        };
        let names: Vec<_> =
            self.tables.values().filter(waits).map(|known| known.table.name.clone()).collect();
        for name in names {
            self.problem(format!("table {name} waits to be filled, but no job does it"));
        }
    }

    /// Reads a row, and whose it is.
    fn named<T: DeserializeOwned>(
        &mut self,
        kind: &str,
        (key, row): (&Bytes, &Bytes),
        named: Result<Named, KeyError>,
    ) -> Option<(Named, T)> {
        match (named, serde_json::from_slice(row)) {
            (Ok(named), Ok(read)) => return Some((named, read)),
            (Err(why), _) => self.unreadable(kind, key, row, &why),
            (_, Err(why)) => self.unreadable(kind, key, row, &why),
        }
        None
    }
}
