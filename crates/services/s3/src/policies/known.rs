//! What decisions must know of buckets, kept in memory.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_api::{BoxFuture, Guarded, PlatformWork};
use lambent_identity::{IdentityError, Policy, ResourceFacts, ResourcePolicies};
use lambent_store::Db;
use parking_lot::RwLock;

use crate::errors::S3Error;
use crate::rows::{self, AccessRow, BucketRow};
use crate::{keys, limits, names};

/// The owners and policies of buckets, for decisions. Cheap to clone.
///
/// Another node's change is seen when the store tells of it; this one's own at once.
#[derive(Clone)]
pub struct BucketPolicies(Arc<Inner>);

struct Inner {
    rows: Guarded<Db>,
    work: PlatformWork,
    cache: RwLock<Cache>,
}

#[derive(Default)]
struct Cache {
    /// Grows with every change, so that what was read before one is not kept after it.
    generation: u64,
    buckets: HashMap<String, Arc<Known>>,
}

/// What is known of one bucket.
struct Known {
    owner: String,
    policy: Option<Arc<Policy>>,
    is_blocked_public: bool,
}

impl BucketPolicies {
    /// Of the buckets in `rows`; `work` is to find out what decisions must know.
    pub fn new(rows: Guarded<Db>, work: PlatformWork) -> Self {
        Self(Arc::new(Inner { rows, work, cache: RwLock::default() }))
    }

    /// Forgets what other nodes change, until the future is dropped.
    pub async fn keep_true(&self) {
        let mut changed = self.0.rows.of_platform(&self.0.work).watch(keys::ACCESS_TOPIC);
        loop {
            changed.changed().await;
            let mut cache = self.0.cache.write();
            cache.generation += 1;
            cache.buckets.clear();
        }
    }

    /// To be called after each commit that changes a bucket's owner or policy.
    pub(crate) fn forget(&self, bucket: &str) {
        let mut cache = self.0.cache.write();
        cache.generation += 1;
        cache.buckets.remove(bucket);
    }

    async fn known(&self, bucket: &str) -> Result<Option<Arc<Known>>, IdentityError> {
        let generation = {
            let cache = self.0.cache.read();
            if let Some(known) = cache.buckets.get(bucket) {
                return Ok(Some(Arc::clone(known)));
            }
            cache.generation
        };
        let read = self.0.rows.of_platform(&self.0.work).read(|txn| async move {
            let key = keys::bucket(bucket);
            let Some(row) = txn.get(&key).await? else { return Ok(None) };
            let row: BucketRow = rows::decode(&key, &row)?;
            Ok::<_, S3Error>(Some((row.owner, AccessRow::of(&txn, bucket).await?)))
        });
        let Some((owner, access)) = read.await.map_err(damaged)? else { return Ok(None) };
        let policy = access.policy.as_deref().map(|text| Policy::resource(text, "s3")).transpose()?;
        let is_blocked_public =
            access.block.restrict_public_buckets && policy.as_ref().is_some_and(Policy::is_public);
        let known = Arc::new(Known { owner, policy: policy.map(Arc::new), is_blocked_public });
        let mut cache = self.0.cache.write();
        if cache.generation == generation {
            if cache.buckets.len() >= limits::KNOWN_BUCKETS_MAX {
                cache.buckets.clear();
            }
            cache.buckets.insert(bucket.to_owned(), Arc::clone(&known));
        }
        Ok(Some(known))
    }
}

impl ResourcePolicies for BucketPolicies {
    fn of<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<ResourceFacts, IdentityError>> {
        Box::pin(async move {
            let bucket = names::bucket_of_arn(resource).filter(|name| names::check_bucket(name).is_ok());
            let Some(bucket) = bucket else { return Ok(ResourceFacts::default()) };
            let Some(known) = self.known(bucket).await? else { return Ok(ResourceFacts::default()) };
            Ok(ResourceFacts {
                owner: Some(known.owner.clone()),
                policy: known.policy.clone(),
                tags: Vec::new(),
                is_blocked_public: known.is_blocked_public,
            })
        })
    }
}

/// Whom a bucket lets in must be known before it lets anybody in.
fn damaged(error: S3Error) -> IdentityError {
    match error {
        S3Error::Store(error) => IdentityError::Store(error),
        other => IdentityError::Damaged(other.to_string()),
    }
}
