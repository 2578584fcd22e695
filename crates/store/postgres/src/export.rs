//! A view that may be held for minutes: a transaction of the database on a connection of its own.
//!
//! The sweeper removes superseded rows after seconds, but not from the sight of a transaction that is open. As long as
//! it is, the database keeps every row that was removed since.

use bytes::Bytes;
use lambent_base::BoxFuture;
use lambent_store::engine::{Snapshot, Version};
use lambent_store::{KeyRange, Page, ScanOptions, StoreError};
use tokio_postgres::Config;

use crate::connection::Connection;
use crate::error::PgError;
use crate::head;
use crate::pool::Retries;
use crate::reads::{self, At};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Between two pages their rows are written elsewhere, for as long as that takes.
const WAIT_FOR_READER: &str = "SET idle_in_transaction_session_timeout = 0";

/// See the module.
pub(crate) struct PgExport {
    connection: Connection,
    at: At,
}

impl PgExport {
    /// Errors: `Unavailable`.
    pub(crate) async fn open(config: &Config) -> Result<Self, StoreError> {
        let mut retries = Retries::new();
        loop {
            match Self::try_open(config).await {
                Ok(export) => return Ok(export),
                Err(PgError::Lost(reason)) => retries.pause(&reason).await?,
                Err(other) => return Err(other.into_store()),
            }
        }
    }

    async fn try_open(config: &Config) -> Result<Self, PgError> {
        let connection = Connection::open(config).await?;
        if let Err(PgError::Lost(reason)) = connection.execute(WAIT_FOR_READER).await {
            return Err(PgError::Lost(reason));
        }
        connection.execute(BEGIN).await?;
        let at = head::read(&connection).await?.at();
        Ok(Self { connection, at })
    }
}

impl Snapshot for PgExport {
    fn version(&self) -> Version {
        Version(self.at.version)
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(async {
            let read = reads::get_at(&self.connection, key, self.at.version).await;
            read.map_err(PgError::into_store)
        })
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        options: ScanOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let read = reads::scan_at(&self.connection, range, options, self.at).await;
            read.map_err(PgError::into_store)
        })
    }
}
