//! The policies of a principal, compiled and kept.
//!
//! An account has a counter that rises with every change that decisions depend on ([`crate::keys::revision`]). A compiled set
//! is good for as long as the counter stays: a decision reads that one row, on whichever node it is made.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_store::{Txn, Watch};
use parking_lot::RwLock;

use crate::plan::Plan;
use crate::principals::{
    PolicySource, PrincipalKind, PrincipalName, SourcedPolicy, load_policies, load_tags,
};
use crate::{Identity, IdentityError, Policy, keys};

/// What a principal may do.
pub(crate) struct PolicySet {
    revision: i64,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) policies: Vec<NamedPolicy>,
    pub(crate) boundary: Option<NamedPolicy>,
    plans: RwLock<HashMap<Box<str>, Arc<Plan>>>,
}

/// A policy, with its name or, if it is a managed one, its ARN.
#[derive(Clone, Debug)]
pub(crate) struct NamedPolicy {
    pub(crate) name: Arc<str>,
    pub(crate) policy: Policy,
}

/// Sets by the ARN of their principal.
pub(crate) type PolicySets = RwLock<HashMap<String, Arc<PolicySet>>>;

/// Sets that are kept; beyond it all are dropped and made anew when needed.
const SETS_MAX: usize = 4_096;
/// Actions of which a set keeps the plan; likewise.
const PLANS_MAX: usize = 256;

impl Identity {
    /// The policies of the principal with this ARN, as they are now.
    pub(crate) async fn policy_set(
        &self,
        arn: &str,
        who: PrincipalName<'_>,
    ) -> Result<Arc<PolicySet>, IdentityError> {
        let revision = self.revision(who.account).await?;
        let known = self.sets.read().get(arn).cloned();
        if let Some(known) = known.filter(|known| known.revision == revision) {
            return Ok(known);
        }
        let set = Arc::new(self.db.read(|txn| async move { load(&txn, who).await }).await?);
        let mut sets = self.sets.write();
        if sets.len() >= SETS_MAX {
            sets.clear();
        }
        sets.insert(arn.to_owned(), Arc::clone(&set));
        Ok(set)
    }

    /// A number that is another one after every change that decisions on an account's principals depend on.
    pub async fn revision(&self, account: &str) -> Result<i64, IdentityError> {
        self.db.read(|txn| async move { revision(&txn, account).await }).await
    }

    /// Wakes after every commit that made [`Identity::revision`] of some account another one.
    pub fn changes(&self) -> Watch {
        self.db.watch(keys::REVISED)
    }
}

/// Says that decisions on the account's principals are to be made anew.
pub(crate) fn raise(txn: &Txn, account: &str) {
    txn.add(&keys::revision(account), 1);
    txn.on_commit(keys::REVISED);
}

impl PolicySet {
    /// The statements of the policies that speak of an action (in small letters).
    pub(crate) fn plan(&self, action: &str) -> Arc<Plan> {
        if let Some(plan) = self.plans.read().get(action) {
            return Arc::clone(plan);
        }
        let plan = Arc::new(Plan::new(&self.policies, action));
        let mut plans = self.plans.write();
        if plans.len() >= PLANS_MAX {
            plans.clear();
        }
        plans.insert(action.into(), Arc::clone(&plan));
        plan
    }
}

/// Reads all of a set from one view of the store.
async fn load(txn: &Txn, who: PrincipalName<'_>) -> Result<PolicySet, IdentityError> {
    let all = load_policies(txn, &who).await?;
    Ok(PolicySet {
        revision: revision(txn, who.account).await?,
        tags: load_tags(txn, &who).await?,
        policies: all.policies.into_iter().map(compile).collect::<Result<_, _>>()?,
        boundary: all.boundary.map(compile).transpose()?,
        plans: RwLock::default(),
    })
}

/// The account's counter of changes.
async fn revision(txn: &Txn, account: &str) -> Result<i64, IdentityError> {
    let row = txn.get_snapshot(&keys::revision(account)).await?;
    let Some(row) = row else { return Ok(0) };
    let bytes = row.as_ref().try_into();
    let bytes = bytes.map_err(|_| IdentityError::Damaged("a counter has eight bytes".to_owned()))?;
    Ok(i64::from_le_bytes(bytes))
}

fn compile(sourced: SourcedPolicy) -> Result<NamedPolicy, IdentityError> {
    let policy = Policy::stored(&sourced.document)?;
    let name = match sourced.source {
        PolicySource::Managed { arn, .. } => arn,
        PolicySource::Inline { kind: PrincipalKind::Group, principal, name } => format!("{principal}/{name}"),
        PolicySource::Inline { name, .. } => name,
    };
    Ok(NamedPolicy { name: name.into(), policy })
}
