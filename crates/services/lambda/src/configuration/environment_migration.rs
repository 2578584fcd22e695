//! Seals the variables of all functions and versions anew: what an older release left in the clear, and what was sealed
//! under a master key that another has replaced. A function's next change would do the first too, but nobody changes a
//! published version.

use bytes::Bytes;
use lambent_identity::{Identity, MasterKey};
use lambent_store::{Db, KeyRange, ScanOptions};

use crate::configuration::environment_seal::Variables;
use crate::engine::Engine;
use crate::errors::LambdaError;
use crate::keys;
use crate::limits::WORK_PAGE_ROWS;
use crate::rows::{self, FunctionRow, Settings};

/// Seals variables that a retired key opens under the cloud's own. Others stay as they are.
pub async fn reseal(db: &Db, identity: &Identity, retired: &[MasterKey]) -> Result<(), LambdaError> {
    change_all(db, &|settings| settings.reseal(identity, retired)).await
}

impl Engine {
    /// Seals variables that are in the clear, and removes a key that is. Safe with two at once.
    pub(crate) async fn seal_all(&self) -> Result<(), LambdaError> {
        let removed = self.db.run(|txn| async move {
            if txn.get(keys::URL_KEY).await?.is_some() {
                txn.delete(keys::URL_KEY);
            }
            Ok::<_, LambdaError>(())
        });
        removed.await?;
        change_all(&self.db, &|settings| settings.seal(&self.parts.identity)).await
    }
}

/// A change of settings; whether there was one to make.
type Change<'a> = &'a (dyn Fn(&mut Settings) -> bool + Sync);

async fn change_all(db: &Db, change: Change<'_>) -> Result<(), LambdaError> {
    for range in [keys::all_functions(), keys::all_versions()] {
        let mut left = Some(range);
        while let Some(range) = left {
            let (found, rest) = changed_rows(db, &range, change).await?;
            for key in found {
                change_row(db, &key, change).await?;
            }
            left = rest;
        }
    }
    Ok(())
}

/// The keys of those rows of a page that would change, and where the next page begins.
async fn changed_rows(
    db: &Db,
    range: &KeyRange,
    change: Change<'_>,
) -> Result<(Vec<Bytes>, Option<KeyRange>), LambdaError> {
    let read = db.read(|txn| async move {
        let page = txn.scan(range, ScanOptions::rows(WORK_PAGE_ROWS)).await?;
        let mut found = Vec::new();
        for (key, row) in &page.rows {
            let is_changed = if keys::read_version(key).is_ok() {
                change(&mut rows::read_version(row)?.settings)
            } else {
                change_both(&mut rows::load_function(&txn, key, row.clone()).await?, change)
            };
            if is_changed {
                found.push(key.clone());
            }
        }
        Ok::<_, LambdaError>((found, range.rest(&page, false)))
    });
    read.await
}

async fn change_row(db: &Db, key: &Bytes, change: Change<'_>) -> Result<(), LambdaError> {
    let changed = db.run(|txn| async move {
        if let Ok((place, name, number)) = keys::read_version(key) {
            if let Some(mut row) = rows::get_version(&txn, &place, &name, number).await? {
                change(&mut row.settings);
                rows::put(&txn, key, &row);
            }
        } else {
            let (place, name) = keys::read_function(key).map_err(LambdaError::row)?;
            if let Some(mut row) = rows::get_function(&txn, &place, &name).await? {
                change_both(&mut row, change);
                rows::put_function(&txn, &place, &row).await?;
            }
        }
        Ok(())
    });
    changed.await
}

fn change_both(row: &mut FunctionRow, change: Change<'_>) -> bool {
    let is_changed = change(&mut row.settings);
    row.previous.as_mut().is_some_and(change) || is_changed
}

impl Settings {
    fn reseal(&mut self, identity: &Identity, retired: &[MasterKey]) -> bool {
        let Some(sealed) = &self.environment else { return false };
        if sealed.open(identity).is_ok() {
            return false;
        }
        let Some(variables) = retired.iter().find_map(|key| sealed.open_with(key)) else { return false };
        self.environment = Some(Variables::seal(&variables, identity));
        true
    }
}
