//! Seals what an older release left in the clear. A function's next change would do it too, but nobody changes a
//! published version.

use bytes::Bytes;
use lambent_store::{KeyRange, ScanOptions};

use crate::environment_seal::Variables;
use crate::errors::LambdaError;
use crate::keys;
use crate::lambda::Lambda;
use crate::limits::WORK_PAGE_ROWS;
use crate::rows;

impl Lambda {
    /// Seals the variables of all functions and versions that have them in the clear. Safe with two at once.
    pub(crate) async fn seal_all(&self) -> Result<(), LambdaError> {
        for range in [keys::all_functions(), keys::all_versions()] {
            let mut left = Some(range);
            while let Some(range) = left {
                let (clear, rest) = self.clear_rows(&range).await?;
                for key in clear {
                    self.seal_row(&key).await?;
                }
                left = rest;
            }
        }
        Ok(())
    }

    /// The keys of those rows of a page that have variables in the clear, and where the next page begins.
    async fn clear_rows(&self, range: &KeyRange) -> Result<(Vec<Bytes>, Option<KeyRange>), LambdaError> {
        let read = self.parts.db.read(|txn| async move {
            let page = txn.scan(range, ScanOptions::rows(WORK_PAGE_ROWS)).await?;
            let mut clear = Vec::new();
            for (key, row) in &page.rows {
                let is_clear = if keys::read_version(key).is_ok() {
                    rows::read_version(row)?.settings.is_clear()
                } else {
                    rows::load_function(&txn, key, row.clone()).await?.is_clear()
                };
                if is_clear {
                    clear.push(key.clone());
                }
            }
            Ok::<_, LambdaError>((clear, range.rest(&page, false)))
        });
        read.await
    }

    async fn seal_row(&self, key: &Bytes) -> Result<(), LambdaError> {
        let identity = &*self.parts.identity;
        let sealed = self.parts.db.run(|txn| async move {
            if let Ok((place, name, number)) = keys::read_version(key) {
                if let Some(mut row) = rows::get_version(&txn, &place, &name, number).await? {
                    row.settings.seal(identity);
                    rows::put(&txn, key, &row);
                }
            } else {
                let (place, name) = keys::read_function(key).map_err(LambdaError::row)?;
                if let Some(mut row) = rows::get_function(&txn, &place, &name).await? {
                    row.seal(identity);
                    rows::put_function(&txn, &place, &row).await?;
                }
            }
            Ok(())
        });
        sealed.await
    }
}

impl rows::Settings {
    fn is_clear(&self) -> bool {
        matches!(self.environment, Some(Variables::Clear(_)))
    }
}

impl rows::FunctionRow {
    fn is_clear(&self) -> bool {
        self.settings.is_clear() || self.previous.as_ref().is_some_and(rows::Settings::is_clear)
    }
}
