//! What would be decided, for policies and a request that are only told: the real evaluator, without the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::decide::{Case, IdentitySide, Outcome, Sessions, decide};
use crate::policy::{Request, Search, Who};
use crate::policy_set::NamedPolicy;
use crate::{Caller, CallerKind, Circumstances, Keys, Policy, StatementRef};

/// Policies and a request to try them on.
#[derive(Clone, Debug)]
pub struct Simulation<'a> {
    /// Who asks; its session policies count as in a request.
    pub caller: &'a Caller,
    /// For `aws:PrincipalTag/...`.
    pub principal_tags: &'a [(String, String)],
    /// Identity policies, each with the name to be told in [`StatementRef::policy`].
    pub identity: &'a [(Arc<str>, Policy)],
    /// A permissions boundary, likewise.
    pub boundary: Option<(Arc<str>, Policy)>,
    pub resource_policy: Option<&'a Policy>,
    /// As `s3:PutObject`.
    pub action: &'a str,
    /// An ARN, or `*`.
    pub resource: &'a str,
    /// The account that the resource belongs to.
    pub owner: &'a str,
    /// What the request would say to condition keys; comes before what `caller` and `at` say.
    pub keys: &'a Keys,
    pub at: &'a Circumstances,
}

/// What would be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    pub decision: SimulatedDecision,
    /// All statements that allow, of whatever kind of policy; or those that deny.
    pub statements: Vec<StatementRef>,
    /// Condition keys that the policies ask for and the request says nothing to.
    pub missing_keys: BTreeSet<String>,
    /// Whether the boundary allows it; `None` without one.
    pub boundary_allows: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimulatedDecision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

/// Decides on a request that is only told.
pub fn simulate(simulation: &Simulation<'_>) -> Simulated {
    let named =
        |(name, policy): &(Arc<str>, Policy)| NamedPolicy { name: Arc::clone(name), policy: policy.clone() };
    let identity: Vec<NamedPolicy> = simulation.identity.iter().map(named).collect();
    let boundary = simulation.boundary.as_ref().map(named);
    let action = simulation.action.to_ascii_lowercase();
    let caller = simulation.caller;
    let request = Request {
        action: &action,
        resource: simulation.resource,
        caller,
        principal_tags: simulation.principal_tags,
        at: simulation.at,
        keys: simulation.keys,
        owner: simulation.owner,
        resource_tags: &[],
        is_simulated: true,
    };
    let sessions = match &caller.kind {
        CallerKind::RoleSession { session_policies, .. } => Sessions::All(session_policies),
        CallerKind::FederatedUser { session_policies, .. } => Sessions::Required(session_policies),
        _ => Sessions::Free,
    };
    let case = Case {
        request,
        who: Who::Caller(caller),
        identity: IdentitySide::Policies(&identity),
        boundary: boundary.as_ref(),
        sessions,
        resource: simulation.resource_policy,
        is_own_account: simulation.owner == caller.account,
        is_blocked_public: false,
    };
    let verdict = decide(&case, Search::All);
    let all = identity.iter().chain(&boundary).map(|named| &named.policy).chain(simulation.resource_policy);
    Simulated {
        decision: match verdict.outcome {
            Outcome::Allowed => SimulatedDecision::Allowed,
            Outcome::Denied(_) => SimulatedDecision::ExplicitDeny,
            Outcome::Silent(_) => SimulatedDecision::ImplicitDeny,
        },
        statements: verdict.statements.iter().map(|hit| hit.to_ref()).collect(),
        missing_keys: all.flat_map(|policy| policy.keys_missing_in(&request)).collect(),
        boundary_allows: verdict.boundary_allows,
    }
}
