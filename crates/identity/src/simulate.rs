//! What would be decided, for policies and a request that are only told: the real evaluator, without the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::decide::{Case, IdentitySide, Outcome, Sessions, decide};
use crate::plan::Plan;
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
    let plan = Plan::new(&identity, &action);
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
        identity: IdentitySide::Policies(&identity, &plan),
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

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "111111111111";
    const READ: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"},
        {"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"s3:x-amz-acl":"private"}}}]}"#;
    const DENY: &str = r#"{"Version":"2012-10-17",
        "Statement":{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::secret/*"}}"#;

    fn named(name: &str, text: &str) -> (Arc<str>, Policy) {
        (name.into(), Policy::identity(text).unwrap())
    }

    fn ann() -> Caller {
        let kind = CallerKind::User { name: "ann".into() };
        let arn = format!("arn:aws:iam::{OWN}:user/ann");
        Caller { account: OWN.into(), arn, kind, ..Caller::anonymous() }
    }

    /// A question about somebody without policies, under circumstances of which nothing is known.
    fn ask<'a>(
        caller: &'a Caller,
        facts: &'a (Circumstances, Keys),
        action: &'a str,
        resource: &'a str,
    ) -> Simulation<'a> {
        Simulation {
            caller,
            principal_tags: &[],
            identity: &[],
            boundary: None,
            resource_policy: None,
            action,
            resource,
            owner: OWN,
            keys: &facts.1,
            at: &facts.0,
        }
    }

    #[test]
    fn statements_and_missing_keys_are_told() {
        let (ann, facts, identity) = (ann(), Default::default(), [named("no", DENY), named("read", READ)]);
        let about = |action, resource| {
            let simulated =
                simulate(&Simulation { identity: &identity, ..ask(&ann, &facts, action, resource) });
            let statements: Vec<_> =
                simulated.statements.iter().map(|found| (found.policy.to_string(), found.index)).collect();
            assert_eq!(simulated.missing_keys, BTreeSet::from(["s3:x-amz-acl".to_owned()]));
            (simulated.decision, statements)
        };
        let read = about("s3:GetObject", "arn:aws:s3:::open/a");
        assert_eq!(read, (SimulatedDecision::Allowed, vec![("read".into(), 0)]));
        let secret = about("S3:GetObject", "arn:aws:s3:::secret/a");
        assert_eq!(secret, (SimulatedDecision::ExplicitDeny, vec![("no".into(), 0)]));
        assert_eq!(about("s3:PutObject", "*"), (SimulatedDecision::ImplicitDeny, vec![]));
    }

    #[test]
    fn given_keys_and_boundaries_count() {
        let facts = (Circumstances::default(), Keys::new().with("s3:x-amz-acl", "private"));
        let (ann, identity) = (ann(), [named("read", READ)]);
        for (boundary, decision, allows) in [
            (READ.to_owned(), SimulatedDecision::Allowed, true),
            (DENY.replace("Deny", "Allow"), SimulatedDecision::ImplicitDeny, false),
        ] {
            let boundary = Some(named("boundary", &boundary));
            let question = ask(&ann, &facts, "s3:PutObject", "*");
            let simulated = simulate(&Simulation { identity: &identity, boundary, ..question });
            assert_eq!((simulated.decision, simulated.boundary_allows), (decision, Some(allows)));
        }
    }

    #[test]
    fn a_resource_of_another_account_takes_both_sides() {
        let (ann, facts, identity) = (ann(), Default::default(), [named("read", READ)]);
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{}"}},
                "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#,
            ann.arn
        );
        let policy = Policy::resource(&policy, "s3").unwrap();
        let question =
            Simulation { owner: "222222222222", ..ask(&ann, &facts, "s3:GetObject", "arn:aws:s3:::b/k") };
        let alone = simulate(&Simulation { identity: &identity, ..question.clone() });
        assert_eq!(alone.decision, SimulatedDecision::ImplicitDeny);
        let both = simulate(&Simulation { identity: &identity, resource_policy: Some(&policy), ..question });
        assert_eq!((both.decision, both.statements.len()), (SimulatedDecision::Allowed, 2));
    }
}
