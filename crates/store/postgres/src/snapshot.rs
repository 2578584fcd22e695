//! A view of one version.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lambent_base::BoxFuture;
use lambent_store::engine::{Snapshot, Version};
use lambent_store::{KeyRange, Page, ScanOptions, StoreError};
use tokio::sync::Mutex;

use crate::head::{self, Head};
use crate::pool::Pool;
use crate::reads;

/// Its version is that of the first read, which finds it out with the same statement.
pub(crate) struct PgSnapshot {
    pool: Arc<Pool>,
    head: OnceLock<Head>,
    /// Held by the first read; others wait for it.
    first: Mutex<()>,
}

impl PgSnapshot {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, head: OnceLock::new(), first: Mutex::const_new(()) }
    }

    async fn read_row(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if self.head.get().is_none() {
            let _first = self.first.lock().await;
            if self.head.get().is_none() {
                let newest = self.pool.run(|connection| async move { reads::newest(&connection, key).await });
                let (head, value) = newest.await?;
                self.head.get_or_init(|| head);
                return Ok(value);
            }
        }
        let version = self.version().0;
        self.pool.run(|connection| async move { reads::get_at(&connection, key, version).await }).await
    }

    async fn read_page(&self, range: &KeyRange, options: ScanOptions) -> Result<Page, StoreError> {
        let head = self.head().await?;
        self.pool
            .run(|connection| async move { reads::scan_at(&connection, range, options, head).await })
            .await
    }

    async fn head(&self) -> Result<&Head, StoreError> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let _first = self.first.lock().await;
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let newest = self.pool.run(|connection| async move { head::read(&connection).await }).await?;
        Ok(self.head.get_or_init(|| newest))
    }
}

impl Snapshot for PgSnapshot {
    /// 0 before the first read has succeeded: a commit that depends on one that has not is refused.
    fn version(&self) -> Version {
        Version(self.head.get().map_or(0, |head| head.version))
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
