//! Roles for those whom their trust policies let in: callers, services, and who an identity provider vouches for.
//! Source: AWS STS API Reference, "AssumeRole" and "AssumeRoleWithWebIdentity".

use std::sync::Arc;

use crate::session_tags::SessionTags;
use crate::sessions::{Narrowing, RoleSubject, Subject};
use crate::{
    Caller, CallerKind, Circumstances, Denial, Identity, IdentityError, PolicyKind, ResourceFacts, Role,
    SessionFacts, TemporaryCredentials, Wanted,
};

/// Seconds that the session of a role lasts at most which another role's session asks for.
/// Source: IAM User Guide, "Methods to assume a role", "Role chaining".
const CHAINED_SECONDS_MAX: i64 = 3_600;

/// A request for a role's credentials.
#[derive(Clone, Debug, Default)]
pub struct AssumeRole<'a> {
    pub role_arn: &'a str,
    pub session_name: &'a str,
    /// How long the session lasts, at most the role's own limit.
    pub seconds: i64,
    /// A policy document that narrows what the session may do.
    pub policy: Option<&'a str>,
    /// ARNs of managed policies, which count like `policy`.
    pub policy_arns: Vec<String>,
    pub tags: Vec<(String, String)>,
    /// Which of the tags the sessions that are made with this one have, too.
    pub transitive_tag_keys: Vec<String>,
    pub source_identity: Option<&'a str>,
    pub external_id: Option<&'a str>,
    pub at: Circumstances,
}

impl Identity {
    /// Credentials of a role for somebody whom its trust policy lets in, and whose own policies do.
    ///
    /// Errors: `Denied`, also where there is no such role: whether there is one is nobody's business who may not assume it.
    pub async fn assume_role(
        &self,
        caller: &Caller,
        request: AssumeRole<'_>,
    ) -> Result<TemporaryCredentials, IdentityError> {
        let SessionTags { tags, transitive } =
            SessionTags::checked(Some(caller), &request.tags, &request.transitive_tag_keys)?;
        let source_identity = source_identity(caller, &request)?;
        let policy = request.policy.map(str::to_owned);
        let narrowing = Narrowing { policy, policy_arns: request.policy_arns.clone(), tags };
        let denied = |action| not_trusted(caller, action, request.role_arn);
        let role = match self.role_by_arn(request.role_arn).await {
            Err(IdentityError::NoSuchRole(_)) => return Err(denied("sts:AssumeRole")),
            other => other?,
        };
        let mut actions = vec!["sts:AssumeRole"];
        actions.extend((!narrowing.tags.is_empty()).then_some("sts:TagSession"));
        actions.extend(source_identity.is_some().then_some("sts:SetSourceIdentity"));
        for action in actions {
            let wanted = wanted(action, &request, &narrowing, source_identity.as_deref());
            self.expect_trusted(&role, caller, &request.at, wanted).await?;
        }
        // Only now: what is wrong with it would tell whom the role does not trust that it is there.
        let narrowing = self.checked(&role.account, narrowing).await?;
        expect_duration(&role, Some(caller), request.seconds)?;
        let mut subject = subject(&role, request.session_name, narrowing);
        subject.transitive_tag_keys = transitive;
        subject.source_identity = source_identity;
        Ok(self.new_session(&role.account, request.seconds, Subject::Role(subject)))
    }

    /// Whether a service, as `lambda.amazonaws.com`, may act as a role. A role that does not exist trusts nobody.
    pub async fn service_may_assume(&self, service: &str, role_arn: &str) -> Result<bool, IdentityError> {
        match self.role_by_arn(role_arn).await {
            Ok(role) => self.trusts(&role, &Caller::service(service)),
            Err(IdentityError::NoSuchRole(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Credentials of a role for a service that its trust policy names.
    pub async fn assume_role_as_service(
        &self,
        service: &str,
        role_arn: &str,
        session_name: &str,
        seconds: i64,
    ) -> Result<TemporaryCredentials, IdentityError> {
        let role = self.role_that_trusts(service, role_arn).await?;
        let subject = subject(&role, session_name, Narrowing::default());
        Ok(self.new_session(&role.account, seconds, Subject::Role(subject)))
    }

    /// A role as a service acts in its name that its trust policy names: for decisions.
    pub async fn role_as_service(
        &self,
        service: &str,
        role_arn: &str,
        session_name: &str,
    ) -> Result<Caller, IdentityError> {
        /// It is asked anew for each decision.
        const SECONDS: i64 = 900;
        let role = self.role_that_trusts(service, role_arn).await?;
        let issued_unix_s = self.clock.unix_s();
        let session = SessionFacts { issued_unix_s, expires_unix_s: issued_unix_s + SECONDS };
        // Nobody is given this session, so it needs no keys and no token.
        let caller = subject(&role, session_name, Narrowing::default()).caller(Arc::default());
        Ok(Caller { session: Some(session), ..caller })
    }

    async fn role_that_trusts(&self, service: &str, role_arn: &str) -> Result<Role, IdentityError> {
        let (role, caller) = (self.role_by_arn(role_arn).await?, Caller::service(service));
        if !self.trusts(&role, &caller)? {
            let denial = Denial::silent(&caller, "sts:AssumeRole", role_arn, PolicyKind::Trust);
            return Err(IdentityError::Denied(Box::new(denial)));
        }
        Ok(role)
    }

    /// Both sides of the decision: the role's trust policy must allow it, and the caller's own policies, unless the role is
    /// of the caller's account and names the caller and not just the account.
    async fn expect_trusted(
        &self,
        role: &Role,
        caller: &Caller,
        at: &Circumstances,
        wanted: Wanted,
    ) -> Result<(), IdentityError> {
        let facts = trust_facts(role)?;
        match self.authorize_on(caller, at, wanted, facts).await {
            // Whether there is such a role is nobody's business whom it does not trust.
            Err(IdentityError::Denied(denial)) if denial.kind == PolicyKind::Trust => {
                Err(IdentityError::Denied(Box::new(denial.without_reason())))
            }
            decided => decided.map(drop),
        }
    }
}

/// What conditions may ask of such a request. Source: IAM User Guide, "IAM and AWS STS condition context keys".
fn wanted(
    action: &'static str,
    request: &AssumeRole<'_>,
    narrowing: &Narrowing,
    source_identity: Option<&str>,
) -> Wanted {
    let mut wanted = Wanted::new(action, request.role_arn).with("sts:RoleSessionName", request.session_name);
    if let Some(id) = request.external_id {
        wanted = wanted.with("sts:ExternalId", id);
    }
    if let Some(name) = source_identity {
        wanted = wanted.with("sts:SourceIdentity", name);
    }
    for (key, value) in &narrowing.tags {
        wanted = wanted.with(format!("aws:RequestTag/{key}"), value);
    }
    if !narrowing.tags.is_empty() {
        wanted = wanted.with_each("aws:TagKeys", narrowing.tags.iter().map(|(key, _)| key.as_str()));
    }
    if !request.transitive_tag_keys.is_empty() {
        let keys = request.transitive_tag_keys.iter().map(String::as_str);
        wanted = wanted.with_each("sts:TransitiveTagKeys", keys);
    }
    wanted
}

/// The name that goes with a session from role to role; once set it stays.
fn source_identity(caller: &Caller, request: &AssumeRole<'_>) -> Result<Option<String>, IdentityError> {
    let asked = request.source_identity.map(str::to_owned);
    match &caller.kind {
        CallerKind::RoleSession { source_identity: Some(set), .. } => match asked {
            Some(other) if other != *set => {
                Err(not_trusted(caller, "sts:SetSourceIdentity", request.role_arn))
            }
            _ => Ok(Some(set.clone())),
        },
        _ => Ok(asked),
    }
}

pub(crate) fn expect_duration(
    role: &Role,
    caller: Option<&Caller>,
    seconds: i64,
) -> Result<(), IdentityError> {
    if seconds > role.max_session_seconds {
        return Err(IdentityError::DurationTooLong { got: seconds, max: role.max_session_seconds });
    }
    let is_chained = caller.is_some_and(|caller| matches!(caller.kind, CallerKind::RoleSession { .. }));
    if is_chained && seconds > CHAINED_SECONDS_MAX {
        let told = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(IdentityError::Invalid(told.to_owned()));
    }
    Ok(())
}

pub(crate) fn subject(role: &Role, session_name: &str, narrowing: Narrowing) -> RoleSubject {
    RoleSubject {
        account: role.account.clone(),
        role_name: role.name.clone(),
        role_arn: role.arn(),
        role_id: role.id.clone(),
        session_name: session_name.to_owned(),
        narrowing,
        transitive_tag_keys: Vec::new(),
        source_identity: None,
        federated: None,
    }
}

fn not_trusted(caller: &Caller, action: &'static str, role_arn: &str) -> IdentityError {
    let denial = Denial::silent(caller, action, role_arn, PolicyKind::Trust);
    IdentityError::Denied(Box::new(denial.without_reason()))
}

/// A role as a resource that others want to use: its trust policy is the resource's.
pub(crate) fn trust_facts(role: &Role) -> Result<ResourceFacts, IdentityError> {
    Ok(ResourceFacts {
        owner: Some(role.account.clone()),
        policy: Some(Arc::new(role.trust()?)),
        tags: role.tags.clone(),
        ..ResourceFacts::default()
    })
}

#[cfg(test)]
mod tests;
