//! Decisions about requests: collects what a decision depends on, has it made, and tells it.

use std::sync::Arc;

use crate::decide::{Case, IdentitySide, Outcome, Sessions, Verdict, decide};
use crate::plan::Plan;
use crate::policy::{Grant, Request, Search, Who};
use crate::policy_set::PolicySet;
use crate::principals::{PrincipalKind, PrincipalName};
use crate::{
    Authorized, Caller, CallerKind, Circumstances, Decision, Denial, Identity, IdentityError, Keys,
    PolicyKind, ResourceFacts, Role, StatementRef, Wanted,
};

/// AWS answers this to everybody whose signature holds, even against an explicit deny.
const ALWAYS_ALLOWED: &str = "sts:GetCallerIdentity";
/// What no policy needs to allow, though one may deny it.
/// Source: AWS Security Token Service API Reference, "GetSessionToken".
const ALLOWED_UNLESS_DENIED: &str = "sts:GetSessionToken";
/// The action of IAM that is no operation: who hands a role to a service calls that service.
const PASS_ROLE: &str = "iam:PassRole";

/// What a session of GetSessionToken asks of STS: AssumeRole takes the first three, and the others refuse it in words of their
/// own.
const OF_KEY_SESSIONS: [&str; 5] = [
    "sts:AssumeRole",
    "sts:TagSession",
    "sts:SetSourceIdentity",
    ALLOWED_UNLESS_DENIED,
    "sts:GetFederationToken",
];

/// What the root of a bucket's or a table's own account may do whatever its policy says, so that none locks its owner out.
/// Source: Amazon S3 API Reference, "PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy"; Amazon DynamoDB API
/// Reference, "DeleteResourcePolicy".
const OWNERS_ROOT_ALWAYS: [&str; 4] =
    ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "dynamodb:DeleteResourcePolicy"];

/// The boundary of the principal that a request is about: the one that it brings, or else the one that is there.
const BOUNDARY: &str = "iam:permissionsboundary";

impl Identity {
    /// Decides; the proof of a yes is what handlers ask for, a no is [`IdentityError::Denied`] with AWS's message.
    pub async fn authorize(
        &self,
        caller: &Caller,
        at: &Circumstances,
        wanted: Wanted,
    ) -> Result<Authorized, IdentityError> {
        self.judge(&Arc::new(caller.clone()), at, wanted, None).await
    }

    /// [`Identity::authorize`] for a resource of which everything is known already, its own policy above all. The trust
    /// policy of a role is such a policy, too: then `wanted` is `sts:AssumeRole` on the role, and it must allow.
    pub async fn authorize_on(
        &self,
        caller: &Caller,
        at: &Circumstances,
        wanted: Wanted,
        facts: ResourceFacts,
    ) -> Result<Authorized, IdentityError> {
        self.judge(&Arc::new(caller.clone()), at, wanted, Some(facts)).await
    }

    /// [`Identity::authorize`] for each of these by itself, in their order: a no to one leaves the others alone.
    ///
    /// Errors: when it cannot be decided; a no is none.
    pub async fn authorize_each(
        &self,
        caller: &Caller,
        at: &Circumstances,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Result<Authorized, IdentityError>>, IdentityError> {
        let caller = Arc::new(caller.clone());
        let mut decisions = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            decisions.push(match self.judge(&caller, at, wanted, None).await {
                Err(failure) if !matches!(failure, IdentityError::Denied(_)) => return Err(failure),
                decision => decision,
            });
        }
        Ok(decisions)
    }

    /// Whether a role's trust policy lets in somebody whom an identity provider (its ARN, or its domain) vouches for;
    /// `wanted` is as `sts:AssumeRoleWithWebIdentity` on the role, with what the provider says as keys.
    ///
    /// Errors: [`IdentityError::Denied`] when it does not.
    pub fn authorize_federated(
        &self,
        provider: &str,
        at: &Circumstances,
        wanted: &Wanted,
        facts: &ResourceFacts,
    ) -> Result<(), IdentityError> {
        let caller = Caller::anonymous();
        let owner = facts.owner.as_deref().unwrap_or_default();
        let action = wanted.action.to_ascii_lowercase();
        let request = Request {
            action: &action,
            resource: &wanted.resource,
            caller: &caller,
            principal_tags: &[],
            at,
            keys: &wanted.keys,
            owner,
            resource_tags: &facts.tags,
            is_simulated: false,
        };
        let case = Case {
            request,
            who: Who::Federated(provider),
            identity: IdentitySide::Nothing,
            boundary: None,
            sessions: Sessions::Free,
            resource: facts.policy.as_deref(),
            is_own_account: false,
            is_blocked_public: false,
        };
        let verdict = decide(&case, Search::All);
        let who = Caller { arn: provider.to_owned(), ..caller.clone() };
        let outcome = told(&who, wanted.action, &wanted.resource, &verdict);
        self.witness(&who, at, wanted.action, &wanted.resource, owner, &outcome);
        outcome.map(drop).map_err(|denial| IdentityError::Denied(Box::new(denial)))
    }

    /// Whether a trust policy lets in this caller, whatever its own policies say.
    pub(crate) fn trusts(&self, role: &Role, caller: &Caller) -> Result<bool, IdentityError> {
        let (policy, role_arn) = (role.trust()?, &role.arn());
        let at = Circumstances {
            // Only services are asked about here, who call within the platform.
            is_secure: true,
            time_ms: self.clock.unix_ms(),
            ..Circumstances::default()
        };
        let request = Request {
            action: "sts:assumerole",
            resource: role_arn,
            caller,
            principal_tags: &[],
            at: &at,
            keys: &Keys::default(),
            owner: "",
            resource_tags: &[],
            is_simulated: false,
        };
        let found = policy.find(&request, Who::Caller(caller), Search::Enough);
        Ok(found.denies.is_empty() && found.grant() != Grant::None)
    }

    async fn judge(
        &self,
        caller: &Arc<Caller>,
        at: &Circumstances,
        wanted: Wanted,
        facts: Option<ResourceFacts>,
    ) -> Result<Authorized, IdentityError> {
        let Wanted { action, mut resource, mut keys, is_new } = wanted;
        let mut facts = match facts {
            Some(facts) => facts,
            None if is_new => ResourceFacts::default(),
            None => self.resource_facts(&resource).await?,
        };
        // A new thing is not the one that may have its name now, which can have another path.
        if action.starts_with("iam:") && !is_new {
            let thing = self.iam_thing(&resource).await?;
            (resource, facts.tags) = (thing.arn, thing.tags);
            if let Some(boundary) = thing.boundary.filter(|_| keys.get(BOUNDARY).is_none()) {
                keys = keys.with(BOUNDARY, boundary);
            }
        }
        let owner = owner_of(&facts, &resource, &caller.account).to_owned();
        let speaker = match &caller.kind {
            CallerKind::FederatedUser { by, .. } => by,
            _ => &**caller,
        };
        let set = self.set_of(speaker).await?;
        let lower = action.to_ascii_lowercase();
        let plan = set.as_ref().map(|set| set.plan(&lower));
        let request = Request {
            action: &lower,
            resource: &resource,
            caller,
            principal_tags: set.as_ref().map_or(&[], |set| &set.tags),
            at,
            keys: &keys,
            owner: &owner,
            resource_tags: &facts.tags,
            is_simulated: false,
        };
        let case = Case {
            request,
            who: Who::Caller(caller),
            identity: side_of(speaker, set.as_deref().zip(plan.as_deref())),
            boundary: set.as_ref().and_then(|set| set.boundary.as_ref()),
            sessions: sessions_of(caller),
            resource: facts.policy.as_deref().filter(|_| !is_owners_root(caller, action, &owner)),
            is_own_account: owner == caller.account,
            is_blocked_public: facts.is_blocked_public,
        };
        let has_witness = !self.witnesses.read().is_empty();
        let verdict = decide(&case, if has_witness { Search::All } else { Search::Enough });
        let verdict = overruled(caller, action, verdict);
        if verdict.outcome == Outcome::Allowed && !has_witness {
            return Ok(Authorized::new(Arc::clone(caller), action, resource, owner));
        }
        let outcome = told(caller, action, &resource, &verdict);
        self.witness(caller, at, action, &resource, &owner, &outcome);
        match outcome {
            Ok(_) => Ok(Authorized::new(Arc::clone(caller), action, resource, owner)),
            Err(denial) => Err(IdentityError::Denied(Box::new(denial))),
        }
    }

    /// The policies of a user, or of a session's role; others have none.
    async fn set_of(&self, caller: &Caller) -> Result<Option<Arc<PolicySet>>, IdentityError> {
        let account = &caller.account;
        let (arn, kind, name) = match &caller.kind {
            CallerKind::User { name } => (&caller.arn, PrincipalKind::User, name),
            CallerKind::RoleSession { role_name, role_arn, .. } => (role_arn, PrincipalKind::Role, role_name),
            CallerKind::Root
            | CallerKind::FederatedUser { .. }
            | CallerKind::Anonymous
            | CallerKind::Service { .. } => return Ok(None),
        };
        self.policy_set(arn, PrincipalName { account, kind, name }).await.map(Some)
    }

    fn witness(
        &self,
        caller: &Caller,
        at: &Circumstances,
        action: &str,
        resource: &str,
        owner: &str,
        outcome: &Result<Vec<StatementRef>, Denial>,
    ) {
        let outcome = outcome.as_ref().map(Vec::as_slice);
        for witness in self.witnesses.read().iter() {
            witness.decided(&Decision { caller, at, action, resource, owner, outcome });
        }
    }
}

/// The account of a resource: what is known of it, else the one in its ARN, else the caller's own.
fn owner_of<'a>(facts: &'a ResourceFacts, resource: &'a str, own: &'a str) -> &'a str {
    let in_arn = || {
        let account = resource.strip_prefix("arn:")?.split(':').nth(3)?;
        (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
    };
    facts.owner.as_deref().or_else(in_arn).unwrap_or(own)
}

/// What stands above policies: what everybody may do, and what no federated user may.
fn overruled<'a>(caller: &Caller, action: &str, verdict: Verdict<'a>) -> Verdict<'a> {
    let is_closed = is_closed_to(caller, action);
    let outcome = match verdict.outcome {
        _ if action == ALWAYS_ALLOWED => Outcome::Allowed,
        Outcome::Allowed if is_closed => Outcome::Silent(PolicyKind::Session),
        Outcome::Silent(_) if action == ALLOWED_UNLESS_DENIED && !is_closed => Outcome::Allowed,
        _ => return verdict,
    };
    Verdict { outcome, statements: Vec::new(), ..verdict }
}

/// Credentials of GetFederationToken call no operation of IAM's and STS's, whatever policies say; those of GetSessionToken,
/// where there is no multi-factor authentication, none but AssumeRole.
/// Source: IAM User Guide, "Compare AWS STS credentials".
fn is_closed_to(caller: &Caller, action: &str) -> bool {
    let is_of_key =
        matches!(caller.kind, CallerKind::User { .. } | CallerKind::Root) && caller.session.is_some();
    let is_open = action == PASS_ROLE || (is_of_key && OF_KEY_SESSIONS.contains(&action));
    (is_of_key || matches!(caller.kind, CallerKind::FederatedUser { .. }))
        && !is_open
        && (action.starts_with("iam:") || action.starts_with("sts:"))
}

fn side_of<'a>(speaker: &Caller, set: Option<(&'a PolicySet, &'a Plan)>) -> IdentitySide<'a> {
    match (&speaker.kind, set) {
        (_, Some((set, plan))) => IdentitySide::Policies(&set.policies, plan),
        (CallerKind::Root, None) => IdentitySide::Everything,
        (_, None) => IdentitySide::Nothing,
    }
}

/// Whether the resource's policy has no say.
fn is_owners_root(caller: &Caller, action: &str, owner: &str) -> bool {
    matches!(caller.kind, CallerKind::Root) && owner == caller.account && OWNERS_ROOT_ALWAYS.contains(&action)
}

fn sessions_of(caller: &Caller) -> Sessions<'_> {
    match &caller.kind {
        CallerKind::RoleSession { session_policies, .. } => Sessions::All(session_policies),
        CallerKind::FederatedUser { session_policies, .. } => Sessions::Required(session_policies),
        _ => Sessions::Free,
    }
}

/// A verdict with its statements by name; a no with AWS's message.
fn told(
    caller: &Caller,
    action: &str,
    resource: &str,
    verdict: &Verdict<'_>,
) -> Result<Vec<StatementRef>, Denial> {
    let statements = verdict.statements.iter().map(|hit| hit.to_ref()).collect();
    match verdict.outcome {
        Outcome::Allowed => Ok(statements),
        Outcome::Denied(kind) => Err(Denial::explicit(caller, action, resource, kind, statements)),
        Outcome::Silent(kind) => Err(Denial::silent(caller, action, resource, kind)),
    }
}

#[cfg(test)]
mod tests;
