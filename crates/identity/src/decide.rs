//! The decision, given all that it depends on.
//! Source: IAM User Guide, "Policy evaluation logic" and "Cross-account policy evaluation logic".

use std::sync::Arc;

use crate::plan::Plan;
use crate::policy::{Family, Found, Grant, Request, Search, Statement, Who};
use crate::policy_set::NamedPolicy;
use crate::{CallerKind, Policy, PolicyKind, StatementRef};

/// All that speaks for and against a request.
pub(crate) struct Case<'a> {
    pub(crate) request: Request<'a>,
    pub(crate) who: Who<'a>,
    pub(crate) identity: IdentitySide<'a>,
    pub(crate) boundary: Option<&'a NamedPolicy>,
    pub(crate) sessions: Sessions<'a>,
    pub(crate) resource: Option<&'a Policy>,
    /// Whether the resource belongs to the caller's own account.
    pub(crate) is_own_account: bool,
    /// Whether the resource's policy, which lets in everybody, lets in of other accounts no one but services that it names.
    pub(crate) is_blocked_public: bool,
}

/// What speaks for a principal by itself.
#[derive(Clone, Copy)]
pub(crate) enum IdentitySide<'a> {
    /// Services, and who did not sign, have no policies.
    Nothing,
    /// The account itself.
    Everything,
    /// The policies, and which of their statements speak of the action.
    Policies(&'a [NamedPolicy], &'a Plan),
}

/// The policies that a session was made with.
#[derive(Clone, Copy)]
pub(crate) enum Sessions<'a> {
    /// None are needed.
    Free,
    /// All of them must allow.
    All(&'a [Policy]),
    /// One at least must be there, and all must allow.
    Required(&'a [Policy]),
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    /// Statements of this kind of policy deny it.
    Denied(PolicyKind),
    /// No statement of this kind of policy allows it.
    Silent(PolicyKind),
}

/// The outcome, and the statements that made it.
pub(crate) struct Verdict<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) statements: Vec<Hit<'a>>,
    /// Whether the boundary allows it; `None` without one.
    pub(crate) boundary_allows: Option<bool>,
}

/// A statement that applies, and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Hit<'a> {
    kind: PolicyKind,
    policy: Option<&'a Arc<str>>,
    statement: &'a Statement,
}

/// What each kind of policy says.
struct Heard<'a> {
    /// By the names of the policies that say something.
    identity: Vec<(&'a Arc<str>, Found<'a>)>,
    boundary: Option<(&'a Arc<str>, Found<'a>)>,
    sessions: Vec<Found<'a>>,
    resource: Found<'a>,
    resource_kind: PolicyKind,
}

/// Decides. An explicit deny anywhere wins; then it takes an allow of every kind of policy that must allow.
pub(crate) fn decide<'a>(case: &Case<'a>, search: Search) -> Verdict<'a> {
    let heard = hear(case, search);
    let boundary_allows = heard.boundary.as_ref().map(|(_, found)| found.grant() != Grant::None);
    let denies = heard.hits(false);
    // AWS's order of kinds in messages.
    let kinds = [PolicyKind::Identity, PolicyKind::Boundary, PolicyKind::Session, heard.resource_kind];
    for kind in kinds {
        let statements: Vec<Hit<'a>> = denies.iter().filter(|hit| hit.kind == kind).copied().collect();
        if !statements.is_empty() {
            return Verdict { outcome: Outcome::Denied(kind), statements, boundary_allows };
        }
    }
    let outcome = match missing(case, &heard) {
        Some(kind) => Outcome::Silent(kind),
        None => Outcome::Allowed,
    };
    let statements = if outcome == Outcome::Allowed { heard.hits(true) } else { Vec::new() };
    Verdict { outcome, statements, boundary_allows }
}

fn hear<'a>(case: &Case<'a>, search: Search) -> Heard<'a> {
    let find = |policy: &'a Policy| policy.find(&case.request, case.who, search);
    let sessions = match case.sessions {
        Sessions::Free => &[],
        Sessions::All(policies) | Sessions::Required(policies) => policies,
    };
    let mut resource = case.resource.map(find).unwrap_or_default();
    if case.is_blocked_public && !case.is_own_account {
        // Source: Amazon S3 User Guide, "Blocking public access to your Amazon S3 storage", "RestrictPublicBuckets".
        let is_service = matches!(case.request.caller.kind, CallerKind::Service { .. });
        resource.allows.retain(|(_, grant)| is_service && *grant != Grant::Everybody);
    }
    let is_trust = case.resource.is_some_and(|policy| policy.family() == Family::Trust);
    Heard {
        identity: hear_identity(case, search),
        boundary: case.boundary.map(|named| (&named.name, find(&named.policy))),
        sessions: sessions.iter().map(find).collect(),
        resource,
        resource_kind: if is_trust { PolicyKind::Trust } else { PolicyKind::Resource },
    }
}

fn hear_identity<'a>(case: &Case<'a>, search: Search) -> Vec<(&'a Arc<str>, Found<'a>)> {
    let IdentitySide::Policies(policies, plan) = case.identity else { return Vec::new() };
    let mut heard: Vec<(&'a Arc<str>, Found<'a>)> = Vec::new();
    let mut is_allowed = false;
    for candidate in plan.candidates(&case.request) {
        // Once one allows, only denies can change anything.
        if is_allowed && candidate.is_allow && search == Search::Enough {
            continue;
        }
        let NamedPolicy { name, policy } = &policies[candidate.policy];
        let statement = policy.statement(candidate.statement);
        let grant = statement.on(&case.request, case.who);
        if grant == Grant::None {
            continue;
        }
        is_allowed |= statement.is_allow;
        if heard.last().is_none_or(|(last, _)| !Arc::ptr_eq(last, name)) {
            heard.push((name, Found::default()));
        }
        if let Some((_, found)) = heard.last_mut() {
            found.note(statement, grant);
        }
    }
    heard
}

/// The kind of policy whose allow is missing.
fn missing(case: &Case<'_>, heard: &Heard<'_>) -> Option<PolicyKind> {
    let (grant, by_resource) = (heard.resource.grant(), Some(heard.resource_kind));
    let is_trust = heard.resource_kind == PolicyKind::Trust;
    let kind = match case.who {
        Who::Caller(caller) => &caller.kind,
        Who::Federated(_) => &CallerKind::Anonymous,
    };
    match kind {
        CallerKind::Anonymous | CallerKind::Service { .. } => {
            return if grant >= Grant::Everybody { None } else { by_resource };
        }
        // Nobody assumes a role that does not trust him, not even the account's root.
        _ if is_trust && grant == Grant::None => return by_resource,
        CallerKind::Root if case.is_own_account => return None,
        _ if case.is_own_account && grant == Grant::Full => return None,
        _ => {}
    }
    let stands_in = case.is_own_account && grant >= Grant::Everybody;
    if !(stands_in || heard.identity_allows(case.identity)) {
        return Some(PolicyKind::Identity);
    }
    if heard.boundary.as_ref().is_some_and(|(_, found)| found.grant() == Grant::None) {
        return Some(PolicyKind::Boundary);
    }
    let is_bare = matches!(case.sessions, Sessions::Required([]));
    if is_bare || heard.sessions.iter().any(|found| found.grant() == Grant::None) {
        return Some(PolicyKind::Session);
    }
    if !case.is_own_account && grant == Grant::None { by_resource } else { None }
}

impl<'a> Heard<'a> {
    fn identity_allows(&self, side: IdentitySide<'_>) -> bool {
        match side {
            IdentitySide::Nothing => false,
            IdentitySide::Everything => true,
            IdentitySide::Policies(..) => self.identity.iter().any(|(_, found)| found.grant() != Grant::None),
        }
    }

    /// The statements that allow, or those that deny.
    fn hits(&self, allow: bool) -> Vec<Hit<'a>> {
        let mut hits = Vec::new();
        let mut add = |kind, policy, found: &Found<'a>| {
            let hit = |statement| Hit { kind, policy, statement };
            if allow {
                hits.extend(found.allows.iter().map(|(statement, _)| hit(*statement)));
            } else {
                hits.extend(found.denies.iter().map(|statement| hit(*statement)));
            }
        };
        for (name, found) in &self.identity {
            add(PolicyKind::Identity, Some(*name), found);
        }
        if let Some((name, found)) = &self.boundary {
            add(PolicyKind::Boundary, Some(*name), found);
        }
        for found in &self.sessions {
            add(PolicyKind::Session, None, found);
        }
        add(self.resource_kind, None, &self.resource);
        hits
    }
}

impl Hit<'_> {
    pub(crate) fn to_ref(self) -> StatementRef {
        let Self { kind, policy, statement } = self;
        StatementRef {
            kind,
            policy: policy.cloned().unwrap_or_else(|| Arc::from("")),
            sid: statement.sid.clone(),
            index: statement.index,
            is_allow: statement.is_allow,
        }
    }
}
