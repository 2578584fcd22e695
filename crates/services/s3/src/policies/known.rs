//! What decisions must know of buckets, kept in memory.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_api::{BoxFuture, Guarded, PlatformWork};
use lambent_identity::{IdentityError, Policy, ResourceFacts, ResourcePolicies};
use lambent_store::{Db, Txn, engine};
use parking_lot::RwLock;

use crate::errors::S3Error;
use crate::rows::{self, AccessRow, BucketRow};
use crate::{keys, limits, names};

/// The owners and policies of buckets, for decisions. Cheap to clone.
///
/// A row of the owner's counts what changes them, and is read for each decision: so a change is decided on from the next
/// request on, on every node, and costs nothing to who decides on other accounts' buckets.
#[derive(Clone)]
pub struct BucketPolicies(Arc<Inner>);

struct Inner {
    rows: Guarded<Db>,
    work: PlatformWork,
    buckets: RwLock<HashMap<String, Arc<Known>>>,
}

/// What is known of one bucket.
struct Known {
    /// As of which change.
    revision: i64,
    owner: String,
    policy: Option<Arc<Policy>>,
    is_blocked_public: bool,
}

impl BucketPolicies {
    /// Of the buckets in `rows`; `work` is to find out what decisions must know.
    pub fn new(rows: Guarded<Db>, work: PlatformWork) -> Self {
        Self(Arc::new(Inner { rows, work, buckets: RwLock::default() }))
    }

    async fn known(&self, bucket: &str) -> Result<Option<Arc<Known>>, IdentityError> {
        let known = self.0.buckets.read().get(bucket).cloned();
        let db = self.0.rows.of_platform(&self.0.work);
        if let Some(known) = known {
            let owner = &known.owner;
            let now = db.read(|txn| async move { revision(&txn, owner).await }).await.map_err(damaged)?;
            if known.revision == now {
                return Ok(Some(known));
            }
        }
        let read = db.read(|txn| async move {
            let key = keys::bucket(bucket);
            let Some(row) = txn.get(&key).await? else { return Ok(None) };
            let row: BucketRow = rows::decode(&key, &row)?;
            let access = AccessRow::of(&txn, bucket).await?;
            Ok::<_, S3Error>(Some((revision(&txn, &row.owner).await?, row.owner, access)))
        });
        let Some((revision, owner, access)) = read.await.map_err(damaged)? else {
            self.0.buckets.write().remove(bucket);
            return Ok(None);
        };
        let stored = |text: &str| Policy::stored_resource(text, "s3", &access.pins);
        let policy = access.policy.as_deref().map(stored).transpose()?;
        let is_blocked_public =
            access.block.restrict_public_buckets && policy.as_ref().is_some_and(Policy::is_public);
        let known = Arc::new(Known { revision, owner, policy: policy.map(Arc::new), is_blocked_public });
        let mut buckets = self.0.buckets.write();
        if buckets.len() >= limits::KNOWN_BUCKETS_MAX {
            buckets.clear();
        }
        buckets.insert(bucket.to_owned(), Arc::clone(&known));
        Ok(Some(known))
    }
}

/// How many changes there have been of an account's buckets and their policies: a bucket that gets another owner has left this one.
async fn revision(txn: &Txn, owner: &str) -> Result<i64, S3Error> {
    let row = txn.get_snapshot(&keys::revision(owner)).await?;
    Ok(i64::from_le_bytes(engine::read_counter(row.as_deref())?))
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

#[cfg(test)]
mod tests {
    use lambent_base::{Clock, Random};

    use super::*;

    async fn change(db: &Db, name: &str, row: Option<&BucketRow>, owner: &str) {
        let changed = db.run(|txn| async move {
            match row {
                Some(row) => txn.put(&keys::bucket(name), &rows::encode(row)?),
                None => txn.delete(&keys::bucket(name)),
            }
            AccessRow::default().put(&txn, owner, name)
        });
        changed.await.unwrap();
    }

    fn bucket_of(owner: &str) -> BucketRow {
        BucketRow {
            owner: owner.to_owned(),
            region: "us-east-1".to_owned(),
            location_constraint: None,
            created_unix_ms: 0,
            notifies: false,
        }
    }

    #[tokio::test]
    async fn a_change_is_read_by_who_decides_on_that_account_alone() {
        let db = Db::memory(Clock::system(), Random::seeded(1));
        let policies = BucketPolicies::new(Guarded::new(db.clone()), PlatformWork::for_the("tests"));
        let (ours, theirs) = (bucket_of("000000000000"), bucket_of("111122223333"));
        change(&db, "ours", Some(&ours), &ours.owner).await;
        change(&db, "theirs", Some(&theirs), &theirs.owner).await;
        let before = policies.known("ours").await.unwrap().unwrap();
        change(&db, "theirs", Some(&theirs), &theirs.owner).await;
        let after = policies.known("ours").await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&before, &after), "another account's change has this one's read again");
        change(&db, "ours", Some(&ours), &ours.owner).await;
        let after = policies.known("ours").await.unwrap().unwrap();
        assert!(!Arc::ptr_eq(&before, &after), "an own change is not seen");
    }

    #[tokio::test]
    async fn a_bucket_that_another_account_has_now_is_seen_as_its() {
        let db = Db::memory(Clock::system(), Random::seeded(1));
        let policies = BucketPolicies::new(Guarded::new(db.clone()), PlatformWork::for_the("tests"));
        change(&db, "photos", Some(&bucket_of("000000000000")), "000000000000").await;
        assert_eq!(policies.known("photos").await.unwrap().unwrap().owner, "000000000000");
        change(&db, "photos", None, "000000000000").await;
        change(&db, "photos", Some(&bucket_of("111122223333")), "111122223333").await;
        assert_eq!(policies.known("photos").await.unwrap().unwrap().owner, "111122223333");
    }
}
