//! Tables that this process has read, decoded once.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use lambent_api::{Guarded, PlatformWork};
use lambent_base::{Clock, Place};
use lambent_store::Db;
use parking_lot::RwLock;

use crate::policies::Facts;
use crate::table::Table;
use crate::{DynamoError, keys, names, rows};

/// How many tables are kept decoded.
const KNOWN_TABLES_MAX: usize = 10_000;

/// The tables that were read, under their keys, each as long as its row stays the same. Cheap to clone.
#[derive(Clone)]
pub struct TablesKnown(Arc<Inner>);

struct Inner {
    rows: Guarded<Db>,
    work: PlatformWork,
    facts: Facts,
    cache: RwLock<HashMap<Bytes, Known>>,
}

struct Known {
    row: Bytes,
    table: Arc<Table>,
}

impl TablesKnown {
    pub(crate) fn new(rows: Guarded<Db>, work: PlatformWork, clock: Clock) -> Self {
        let facts = Facts::new(rows.clone(), work.clone(), clock);
        Self(Arc::new(Inner { rows, work, facts, cache: RwLock::default() }))
    }

    /// The store, for the service's own work.
    pub(crate) fn db(&self) -> &Db {
        self.0.rows.of_platform(&self.0.work)
    }

    /// The table of a row that was read under `key`.
    pub(crate) fn decoded(&self, key: &[u8], row: Bytes) -> Result<Arc<Table>, DynamoError> {
        if let Some(known) = self.0.cache.read().get(key).filter(|known| known.row == row) {
            return Ok(Arc::clone(&known.table));
        }
        let table: Arc<Table> = Arc::new(rows::decode("a table", &row)?);
        let mut cache = self.0.cache.write();
        if cache.len() >= KNOWN_TABLES_MAX {
            cache.clear();
        }
        cache.insert(Bytes::copy_from_slice(key), Known { row, table: Arc::clone(&table) });
        Ok(table)
    }

    /// What decisions know of tables.
    pub(crate) fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// To be called after each commit that changes a table or deletes it.
    pub(crate) fn forget(&self, place: &Place, name: &str) {
        self.0.facts.forget(&names::table_arn(place, name));
        self.0.cache.write().remove(&keys::table(place, name)[..]);
    }

    pub(crate) async fn schema(&self, place: &Place, name: &str) -> Result<Option<Arc<Table>>, DynamoError> {
        self.0.facts.table(&names::table_arn(place, name)).await
    }

    /// Forgets what other nodes change, until the future is dropped.
    pub(crate) async fn keep_true(&self) {
        let mut changed = self.db().watch(keys::TABLES_TOPIC);
        loop {
            changed.changed().await;
            self.0.facts.clear();
            self.0.cache.write().clear();
        }
    }
}
