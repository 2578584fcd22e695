//! What decisions must know of tables and streams, kept in memory: schema, tags and policy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_api::{BoxFuture, Guarded, PlatformWork};
use lambent_base::Clock;
use lambent_identity::{IdentityError, Policy, ResourceFacts, ResourcePolicies};
use lambent_store::{Db, Txn};
use parking_lot::RwLock;

use crate::policies::operations::{PolicyRow, Target};
use crate::table::Table;
use crate::{DynamoError, keys, rows};

/// How long a table or stream is decided on as it was read: a node that is cut off from what tells it of others' changes goes by
/// nothing that is older.
const FACTS_AGE_MAX: Duration = Duration::from_secs(5);
/// Of how many tables and streams this is kept.
const KNOWN_FACTS_MAX: usize = 10_000;
/// What stands between a table's ARN and the name of one of its indexes.
const INDEX: &str = "/index/";
const STREAM: &str = "/stream/";

/// The tables and streams that decisions ask for. Cheap to clone.
///
/// Another node's change is seen when the store tells of it, and [`FACTS_AGE_MAX`] later at most; this one's own at once.
#[derive(Clone)]
pub(crate) struct Facts(Arc<Inner>);

struct Inner {
    rows: Guarded<Db>,
    work: PlatformWork,
    clock: Clock,
    cache: RwLock<Cache>,
}

#[derive(Default)]
struct Cache {
    /// Grows with every change, so that what was read before one is not kept after it.
    generation: u64,
    /// By the ARN of a table or of a stream.
    known: HashMap<String, Arc<Known>>,
}

/// What is known of a table, or of a stream.
struct Known {
    /// When it was read, by the clock that only goes on.
    read_at: Duration,
    /// Of a table.
    table: Option<Arc<Table>>,
    tags: Vec<(String, String)>,
    policy: Option<Arc<Policy>>,
}

impl Facts {
    pub(crate) fn new(rows: Guarded<Db>, work: PlatformWork, clock: Clock) -> Self {
        Self(Arc::new(Inner { rows, work, clock, cache: RwLock::default() }))
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut cache = self.0.cache.write();
        cache.generation += 1;
        cache.known.clear();
    }

    /// To be called after each commit that changes a table, its tags, its policy or a stream's, or deletes them.
    pub(crate) fn forget(&self, table_arn: &str) {
        let is_of = |known: &str| {
            known.strip_prefix(table_arn).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut cache = self.0.cache.write();
        cache.generation += 1;
        cache.known.retain(|known, _| !is_of(known));
    }

    /// The table with this ARN; `None` when there is none.
    pub(crate) async fn table(&self, arn: &str) -> Result<Option<Arc<Table>>, DynamoError> {
        Ok(self.known(arn).await?.and_then(|known| known.table.clone()))
    }

    /// Of a table or a stream.
    async fn known(&self, arn: &str) -> Result<Option<Arc<Known>>, DynamoError> {
        let read_at = self.0.clock.monotonic();
        let generation = {
            let cache = self.0.cache.read();
            let is_young = |known: &&Arc<Known>| read_at.saturating_sub(known.read_at) < FACTS_AGE_MAX;
            if let Some(known) = cache.known.get(arn).filter(is_young) {
                return Ok(Some(Arc::clone(known)));
            }
            cache.generation
        };
        let Ok(target) = Target::parse(arn) else { return Ok(None) };
        let target = &target;
        let rows = self.0.rows.of_platform(&self.0.work);
        let read = rows.read(|txn| async move { found(&txn, target, read_at).await });
        let Some(known) = read.await?.map(Arc::new) else { return Ok(None) };
        let mut cache = self.0.cache.write();
        if cache.generation == generation {
            if cache.known.len() >= KNOWN_FACTS_MAX {
                cache.known.clear();
            }
            cache.known.insert(arn.to_owned(), Arc::clone(&known));
        }
        Ok(Some(known))
    }
}

/// What the store has of it.
async fn found(txn: &Txn, target: &Target, read_at: Duration) -> Result<Option<Known>, DynamoError> {
    let (id, table) = match &target.label {
        Some(label) => {
            let Some(id) = target.stream(txn, label).await? else { return Ok(None) };
            (id, None)
        }
        None => {
            let row = txn.get(&keys::table(&target.place, &target.table)).await?;
            let Some(row) = row else { return Ok(None) };
            let table: Table = rows::decode("a table", &row)?;
            (table.id, Some(Arc::new(table)))
        }
    };
    let policy: Option<PolicyRow> = match txn.get(&keys::policy(id)).await? {
        Some(row) => Some(rows::decode("a resource's policy", &row)?),
        None => None,
    };
    let policy = policy.map(|row| Policy::stored_resource(&row.text, "dynamodb", &row.pins)).transpose();
    let policy =
        policy.map_err(|why| DynamoError::Row { what: "a resource's policy", why: why.to_string() })?;
    let tags = table.iter().flat_map(|table| table.tags.clone()).collect();
    Ok(Some(Known { read_at, table, tags, policy: policy.map(Arc::new) }))
}

/// What is decided with: an index has the policy and the tags of its table.
fn subject(resource: &str) -> &str {
    match resource.find(INDEX) {
        Some(end) if !resource[..end].contains(STREAM) => &resource[..end],
        _ => resource,
    }
}

impl ResourcePolicies for Facts {
    fn of<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<ResourceFacts, IdentityError>> {
        Box::pin(async move {
            let known = self.known(subject(resource)).await.map_err(|error| match error {
                DynamoError::Store(error) => IdentityError::Store(error),
                other => IdentityError::Damaged(other.to_string()),
            })?;
            let Some(known) = known else { return Ok(ResourceFacts::default()) };
            Ok(ResourceFacts {
                policy: known.policy.clone(),
                tags: known.tags.clone(),
                ..ResourceFacts::default()
            })
        })
    }
}
