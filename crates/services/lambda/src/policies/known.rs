//! What decisions must know of functions and layers: their policies and tags.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_api::BoxFuture;
use lambent_base::{Arn, Place};
use lambent_identity::{IdentityError, Policy, ResourceFacts, ResourcePolicies};
use parking_lot::RwLock;

use crate::engine::{Engine, WeakEngine};
use crate::errors::LambdaError;
use crate::keys;
use crate::layers::names::LayerVersionName;
use crate::layers::policy as layer_policy;
use crate::limits::{KNOWN_POLICIES_MAX, POLICY_AGE_MAX};
use crate::mappings;
use crate::names::FunctionName;
use crate::policies::{document, statements};
use crate::rows::{self, OneOrMore, PolicyRow};

/// The policies of functions by ARN, kept so that a warm invocation reads no store. Forgotten with [`crate::functions::cache`], and
/// read anew when they are [`POLICY_AGE_MAX`] old.
#[derive(Default)]
pub(crate) struct PolicyCache(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    /// Grows with every change, so that what was read before one is not kept after it.
    generation: u64,
    known: HashMap<String, Arc<Known>>,
}

struct Known {
    /// When it was read, by the clock that only goes on.
    read_at: Duration,
    policy: Option<Arc<Policy>>,
    tags: Vec<(String, String)>,
}

impl PolicyCache {
    /// Forgets a function, its versions and its aliases; `arn` has no qualifier.
    pub(crate) fn forget(&self, arn: &str) {
        let is_of = |known: &str| {
            known.strip_prefix(arn).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.known.retain(|known, _| !is_of(known));
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.known.clear();
    }

    fn get(&self, arn: &str, now: Duration) -> (u64, Option<Arc<Known>>) {
        let inner = self.0.read();
        let known = inner.known.get(arn);
        let known = known.filter(|known| now.saturating_sub(known.read_at) < POLICY_AGE_MAX);
        (inner.generation, known.cloned())
    }

    fn put(&self, began: u64, arn: &str, known: &Arc<Known>) {
        let mut inner = self.0.write();
        if inner.generation != began {
            return;
        }
        if inner.known.len() >= KNOWN_POLICIES_MAX {
            inner.known.clear();
        }
        inner.known.insert(arn.to_owned(), Arc::clone(known));
    }
}

/// The functions and layers of Lambda, as decisions ask for them.
struct Guard(WeakEngine);

impl Engine {
    /// The policies of functions and layers, for [`lambent_identity::Identity::guard`].
    pub fn as_guard(&self) -> Arc<dyn ResourcePolicies> {
        Arc::new(Guard(self.downgrade()))
    }

    async fn function_facts(&self, arn: &str) -> Result<ResourceFacts, LambdaError> {
        let (began, known) = self.policies.get(arn, self.parts.clock.monotonic());
        let known = match known {
            Some(known) => known,
            None => match self.read_facts(arn).await? {
                Some(known) => {
                    let known = Arc::new(known);
                    self.policies.put(began, arn, &known);
                    known
                }
                None => return Ok(ResourceFacts::default()),
            },
        };
        Ok(ResourceFacts {
            policy: known.policy.clone(),
            tags: known.tags.clone(),
            ..ResourceFacts::default()
        })
    }

    /// `None` where there is no such function.
    async fn read_facts(&self, arn: &str) -> Result<Option<Known>, LambdaError> {
        let Some(name) = named(arn) else { return Ok(None) };
        let (name, read_at) = (&name, self.parts.clock.monotonic());
        let read = self.db.read(|txn| async move {
            let Some(row) = rows::get_function(&txn, &name.place, &name.name).await? else { return Ok(None) };
            let policy: Option<PolicyRow> = rows::get(&txn, &statements::key(name)).await?;
            Ok::<_, LambdaError>(Some((row.tags, policy)))
        });
        let Some((tags, policy)) = read.await? else { return Ok(None) };
        let policy = policy.map(|policy| compiled(policy, arn)).transpose()?;
        Ok(Some(Known { read_at, policy, tags: tags.into_iter().collect() }))
    }

    async fn layer_facts(&self, version: &LayerVersionName) -> Result<ResourceFacts, LambdaError> {
        let (place, name) = (&version.layer.place, &version.layer.name);
        let read = self.db.read(|txn| async move {
            rows::get(&txn, &keys::layer_policy(place, name, version.number)).await
        });
        let text = read.await?.map(|policy| layer_policy::document(&policy, &version.arn()));
        let policy = text.map(|text| Policy::resource(&text, "lambda")).transpose();
        let policy = policy.map_err(|error| LambdaError::Policy(version.arn(), error.to_string()))?;
        Ok(ResourceFacts { policy: policy.map(Arc::new), ..ResourceFacts::default() })
    }
}

impl ResourcePolicies for Guard {
    fn of<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<ResourceFacts, IdentityError>> {
        Box::pin(async move {
            let Some(engine) = self.0.upgrade() else { return Ok(ResourceFacts::default()) };
            let found = match LayerVersionName::parse(resource) {
                Some(version) => engine.layer_facts(&version).await,
                None if mappings::is_mapping(resource) => engine.mapping_facts(resource).await,
                None => engine.function_facts(resource).await,
            };
            found.map_err(|error| match error {
                LambdaError::Store(error) => IdentityError::Store(error),
                other => IdentityError::Damaged(other.to_string()),
            })
        })
    }
}

/// The function, version or alias of a whole ARN.
fn named(arn: &str) -> Option<FunctionName> {
    let parsed: Arn = arn.parse().ok()?;
    parsed.resource.strip_prefix("function:")?;
    let place = Place { account: parsed.account, region: parsed.region };
    FunctionName::parse(arn, None, &place).ok()
}

/// A policy as it speaks of the resource that was asked for: `$LATEST` has that of the function, and all statements of a
/// function's policy are about it.
fn compiled(mut policy: PolicyRow, arn: &str) -> Result<Arc<Policy>, LambdaError> {
    for statement in &mut policy.written {
        statement.resource = Some(OneOrMore::One(arn.to_owned()));
    }
    let text = document::document(&policy.by_id(), arn);
    let compiled = Policy::resource(&text, "lambda");
    compiled.map(Arc::new).map_err(|error| LambdaError::Policy(arn.to_owned(), error.to_string()))
}
