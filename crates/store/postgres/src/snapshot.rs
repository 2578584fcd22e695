//! A view of one version.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lambent_base::BoxFuture;
use lambent_store::engine::{Snapshot, Version};
use lambent_store::{KeyRange, Page, ScanOptions, StoreError};
use tokio::sync::Mutex;

use crate::head;
use crate::pool::Pool;
use crate::reads::{self, At};

/// Its version is that of the first read, which finds it out with the same statement.
pub(crate) struct PgSnapshot {
    pool: Arc<Pool>,
    at: OnceLock<At>,
    /// Held by the first read; others wait for it.
    first: Mutex<()>,
}

impl PgSnapshot {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, at: OnceLock::new(), first: Mutex::const_new(()) }
    }

    async fn read_row(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if self.at.get().is_none() {
            let _first = self.first.lock().await;
            if self.at.get().is_none() {
                let newest = self.pool.run(|connection| async move { reads::newest(&connection, key).await });
                let (at, value) = newest.await?;
                self.at.get_or_init(|| at);
                return Ok(value);
            }
        }
        let version = self.version().0;
        self.pool.run(|connection| async move { reads::get_at(&connection, key, version).await }).await
    }

    async fn read_page(&self, range: &KeyRange, options: ScanOptions) -> Result<Page, StoreError> {
        let at = self.at().await?;
        self.pool.run(|connection| async move { reads::scan_at(&connection, range, options, at).await }).await
    }

    async fn at(&self) -> Result<At, StoreError> {
        if let Some(at) = self.at.get() {
            return Ok(*at);
        }
        let _first = self.first.lock().await;
        if let Some(at) = self.at.get() {
            return Ok(*at);
        }
        let newest = self.pool.run(|connection| async move { head::read(&connection).await }).await?;
        Ok(*self.at.get_or_init(|| newest.at()))
    }
}

impl Snapshot for PgSnapshot {
    /// 0 before the first read has succeeded: a commit that depends on one that has not is refused.
    fn version(&self) -> Version {
        Version(self.at.get().map_or(0, |at| at.version))
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(self.read_row(key))
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        options: ScanOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(self.read_page(range, options))
    }
}
