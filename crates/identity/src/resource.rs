//! Policies that belong to resources: where a decision finds them.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_base::BoxFuture;
use parking_lot::RwLock;

use crate::{Identity, IdentityError, Policy};

/// Knows the policies of a service's resources, and whose they are: each service that has such implements it.
pub trait ResourcePolicies: Send + Sync {
    /// What is known of the resource with this ARN; nothing of one that does not exist.
    fn of<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<ResourceFacts, IdentityError>>;
}

/// What a decision must know of a resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceFacts {
    /// The account that it belongs to. `None`: the one in its ARN, or else the caller's own.
    pub owner: Option<String>,
    pub policy: Option<Arc<Policy>>,
    /// For `aws:ResourceTag/...`.
    pub tags: Vec<(String, String)>,
    /// Whether the policy lets in nobody that it does not name (S3's Block Public Access).
    pub is_blocked_public: bool,
}

/// The services whose resources have policies, by the name in ARNs.
pub(crate) type Guards = RwLock<HashMap<&'static str, Arc<dyn ResourcePolicies>>>;

impl Identity {
    /// Has the resources of a service (`s3`, as in ARNs) decided on with their own policies, too.
    pub fn guard(&self, service: &'static str, policies: Arc<dyn ResourcePolicies>) {
        self.guards.write().insert(service, policies);
    }

    /// What is known of a resource by whoever guards its service.
    pub(crate) async fn resource_facts(&self, resource: &str) -> Result<ResourceFacts, IdentityError> {
        let service = resource.split(':').nth(2).unwrap_or_default();
        let guard = self.guards.read().get(service).cloned();
        match guard {
            Some(guard) => guard.of(resource).await,
            None => Ok(ResourceFacts::default()),
        }
    }
}
