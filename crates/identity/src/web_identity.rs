//! Roles for those whom an OpenID Connect provider vouches for.
//! Source: AWS STS API Reference, "AssumeRoleWithWebIdentity"; IAM User Guide, "Available keys for AWS OIDC federation".

use lambent_base::Arn;
use serde_json::Value;

use crate::assume::{expect_duration, subject, trust_facts};
use crate::session_tags::SessionTags;
use crate::sessions::{Narrowing, Subject};
use crate::{
    Circumstances, Claims, Identity, IdentityError, Kind, OidcProvider, TemporaryCredentials, Wanted,
};

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
/// The claim with which a provider tags sessions. Source: IAM User Guide, "Pass session tags using AssumeRoleWithWebIdentity".
const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";
/// Characters of a tag's key and value, and of a source identity: the model does not see those that a token brings.
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;
const SOURCE_IDENTITY_CHARS: std::ops::RangeInclusive<usize> = 2..=64;

/// A request for a role's credentials, of somebody with a token that was checked.
#[derive(Clone, Debug)]
pub struct AssumeRoleWithWebIdentity<'a> {
    pub role_arn: &'a str,
    pub session_name: &'a str,
    pub seconds: i64,
    pub policy: Option<&'a str>,
    pub policy_arns: Vec<String>,
    /// Who vouches.
    pub provider: &'a OidcProvider,
    /// For what.
    pub claims: &'a Claims,
    pub at: Circumstances,
}

impl Identity {
    /// The provider of a role's account with this address, as `accounts.example.com`: whoever brings its token has nothing
    /// else to be decided on yet, and its keys say whether the token is good.
    ///
    /// Errors: `NoSuch`.
    pub async fn vouching_provider(
        &self,
        role_arn: &str,
        address: &str,
    ) -> Result<OidcProvider, IdentityError> {
        let none = || IdentityError::NoSuch { kind: Kind::OidcProvider, name: address.to_owned() };
        let role: Arn = role_arn.parse().map_err(|_| none())?;
        let arn = Arn::new("iam", "", &role.account, format!("oidc-provider/{address}")).to_string();
        let provider = self.own_principals(&role.account).oidc_provider(&arn).await?;
        if provider.issuer() == address { Ok(provider) } else { Err(none()) }
    }

    /// Credentials of a role for who has proved `claims` by a token of `provider`.
    ///
    /// Errors: `NotAuthorized` where the trust policy does not let in, also for a role that does not exist.
    pub async fn assume_role_with_web_identity(
        &self,
        request: AssumeRoleWithWebIdentity<'_>,
    ) -> Result<TemporaryCredentials, IdentityError> {
        let AssumeRoleWithWebIdentity { provider, claims, .. } = request;
        let denied = || IdentityError::NotAuthorized(ACTION);
        let role = match self.role_by_arn(request.role_arn).await {
            Err(IdentityError::NoSuchRole(_)) => return Err(denied()),
            other => other?,
        };
        if role.account != provider.account {
            return Err(denied());
        }
        let SessionTags { tags, transitive } = tags_of(claims)?;
        let source_identity = source_identity_of(claims)?;
        let narrowing = Narrowing {
            policy: request.policy.map(str::to_owned),
            policy_arns: request.policy_arns.clone(),
            tags,
        };
        let wanted = wanted(&request, &narrowing, source_identity.as_deref());
        let mut actions = vec![ACTION];
        actions.extend((!narrowing.tags.is_empty()).then_some("sts:TagSession"));
        actions.extend(source_identity.is_some().then_some("sts:SetSourceIdentity"));
        let facts = trust_facts(&role)?;
        for action in actions {
            let wanted = Wanted { action, ..wanted.clone() };
            match self.authorize_federated(&provider.arn(), &request.at, &wanted, &facts) {
                Err(IdentityError::Denied(_)) => return Err(denied()),
                decided => decided?,
            }
        }
        // Only now: what is wrong with it would tell whom the role does not trust that it is there.
        let narrowing = self.checked(&role.account, narrowing).await?;
        expect_duration(&role, None, request.seconds)?;
        let mut subject = subject(&role, request.session_name, narrowing);
        subject.transitive_tag_keys = transitive;
        subject.source_identity = source_identity;
        subject.federated = Some(provider.arn());
        Ok(self.new_session(&role.account, request.seconds, Subject::Role(subject)))
    }
}

/// What conditions may ask of the token.
fn wanted(
    request: &AssumeRoleWithWebIdentity<'_>,
    narrowing: &Narrowing,
    source_identity: Option<&str>,
) -> Wanted {
    let (issuer, claims) = (request.provider.issuer(), request.claims);
    // To whom a token was issued counts, where it says that.
    let audiences =
        claims.authorized_party.as_ref().map_or(claims.audiences.as_slice(), std::slice::from_ref);
    let mut wanted = Wanted::new(ACTION, request.role_arn)
        .with("sts:RoleSessionName", request.session_name)
        .with("aws:FederatedProvider", request.provider.arn())
        .with_each(format!("{issuer}:aud"), audiences.iter().map(String::as_str))
        .with(format!("{issuer}:sub"), claims.subject.as_str());
    for (name, values) in [("oaud", &claims.audiences), ("amr", &claims.methods)] {
        if !values.is_empty() {
            wanted = wanted.with_each(format!("{issuer}:{name}"), values.iter().map(String::as_str));
        }
    }
    if let Some(email) = claims.texts("email").first() {
        wanted = wanted.with(format!("{issuer}:email"), email.as_str());
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
    wanted
}

/// `{"principal_tags": {"Project": ["Unicorn"]}, "transitive_tag_keys": ["Project"]}`.
fn tags_of(claims: &Claims) -> Result<SessionTags, IdentityError> {
    let Some(claim) = claims.claim(TAGS_CLAIM) else { return Ok(SessionTags::default()) };
    let odd = || IdentityError::RejectedClaim(format!("The claim {TAGS_CLAIM} is not one of tags."));
    let given = claim.get("principal_tags").and_then(Value::as_object).ok_or_else(odd)?;
    let one = |(key, values): (&String, &Value)| {
        let value = match values {
            Value::Array(values) if values.len() == 1 => values[0].as_str(),
            single => single.as_str(),
        }?;
        let is_short =
            (1..=KEY_CHARS_MAX).contains(&key.chars().count()) && value.chars().count() <= VALUE_CHARS_MAX;
        is_short.then(|| (key.clone(), value.to_owned()))
    };
    let tags = given.iter().map(one).collect::<Option<Vec<_>>>().ok_or_else(odd)?;
    let transitive = match claim.get("transitive_tag_keys") {
        None => Vec::new(),
        Some(keys) => {
            let keys = keys.as_array().ok_or_else(odd)?.iter().map(|key| key.as_str().map(str::to_owned));
            keys.collect::<Option<Vec<_>>>().ok_or_else(odd)?
        }
    };
    SessionTags::checked(None, &tags, &transitive)
}

fn source_identity_of(claims: &Claims) -> Result<Option<String>, IdentityError> {
    let Some(claim) = claims.claim(SOURCE_IDENTITY_CLAIM) else { return Ok(None) };
    let is_fit = |name: &&str| {
        SOURCE_IDENTITY_CHARS.contains(&name.chars().count())
            && name.chars().all(|letter| letter.is_alphanumeric() || "_+=,.@-".contains(letter))
    };
    let name = claim.as_str().filter(is_fit);
    let odd = || IdentityError::RejectedClaim(format!("The claim {SOURCE_IDENTITY_CLAIM} is not a name."));
    name.map(|name| Some(name.to_owned())).ok_or_else(odd)
}

#[cfg(test)]
mod tests;
