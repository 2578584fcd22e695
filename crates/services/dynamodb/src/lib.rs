//! Amazon DynamoDB and its streams: tables of items, their indexes, and what follows from every change of an item.
//!
//! Items change in one place, [`change`], in one transaction with their rows in indexes, stream records and counters.
//! Work that outlasts a request (filling an index, clearing a deleted table) is a row of [`jobs`] with a cursor.
#![forbid(unsafe_code)]

mod backups;
mod change;
mod check;
mod error;
mod items;
mod jobs;
mod json;
mod keys;
mod known;
mod names;
mod partiql;
mod policies;
mod rows;
mod service;
mod settings;
mod stamped;
pub mod streams;
mod table;
mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod transfers;
mod ttl;
mod wanted;
mod writes;

pub use check::check;
pub use error::DynamoError;
pub use known::TablesKnown;
pub use service::service;
pub use stamped::Position;
pub use streams::service as streams_service;
pub use table::Table;

use std::sync::{Arc, OnceLock};

use lambent_api::{Guarded, PlatformWork};
use lambent_base::{Clock, Place, Random};
use lambent_identity::{Identity, ResourcePolicies};
use lambent_store::{Db, Txn};

use crate::items::Throttle;
use crate::transfers::Buckets;
use crate::writes::Hot;

/// The tables of every account and region. Cheap to clone.
#[derive(Clone)]
pub struct Dynamo {
    rows: Guarded<Db>,
    clock: Clock,
    random: Random,
    identity: Arc<Identity>,
    known: TablesKnown,
    hot: Hot,
    throttle: Throttle,
    buckets: Arc<OnceLock<Arc<dyn Buckets>>>,
}

/// What tables are made of.
pub struct DynamoParts {
    pub rows: Guarded<Db>,
    /// For what the service does by itself: to know its tables, and its jobs.
    pub work: PlatformWork,
    /// Knows the principals that policies name, and seals what clients keep for the service, as shard iterators.
    pub identity: Arc<Identity>,
    pub clock: Clock,
    pub random: Random,
}

impl Dynamo {
    /// The tables kept in `parts.rows`.
    pub fn new(parts: DynamoParts) -> Self {
        let DynamoParts { rows, work, identity, clock, random } = parts;
        let known = TablesKnown::new(rows.clone(), work, clock.clone());
        let throttle = Throttle::new(clock.clone());
        Self { rows, clock, random, identity, known, hot: Hot::new(), throttle, buckets: Arc::default() }
    }

    /// A table as memory knows it, else as the store has it now; `None` when there is none. What is decided by it may be
    /// overtaken; a transaction reads its own with [`Dynamo::table`].
    pub async fn schema(&self, place: &Place, name: &str) -> Result<Option<Arc<Table>>, DynamoError> {
        self.known.schema(place, name).await
    }

    /// Gives exports and imports where objects are kept: that part is made after this one.
    pub fn join_buckets(&self, buckets: Arc<dyn Buckets>) {
        let joined = self.buckets.set(buckets);
        debug_assert!(joined.is_ok(), "buckets are joined once");
    }

    pub(crate) fn buckets(&self) -> Result<&Arc<dyn Buckets>, DynamoError> {
        let missing = || lambent_api::not_implemented("exports and imports without buckets");
        self.buckets.get().ok_or_else(|| missing().into())
    }

    /// The policies and tags of tables and streams, for [`Identity::guard`].
    pub fn as_guard(&self) -> Arc<dyn ResourcePolicies> {
        Arc::new(self.known.facts().clone())
    }

    /// Forgets tables that other nodes change, until the future is dropped.
    pub async fn keep_true(&self) {
        self.known.keep_true().await;
    }

    /// The table, read in the transaction: what is written depends on its not changing meanwhile.
    /// Errors: ResourceNotFoundException.
    pub(crate) async fn table(
        &self,
        txn: &Txn,
        place: &Place,
        name: &str,
    ) -> Result<Arc<Table>, DynamoError> {
        rows::table(&self.known, txn, place, name).await
    }
}
