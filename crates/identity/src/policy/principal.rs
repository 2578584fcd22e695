//! Whom a statement of a resource or trust policy is about.
//! Source: IAM User Guide, "AWS JSON policy elements: Principal" and "... NotPrincipal".

use super::MalformedPolicy;
use super::json::Json;
use crate::{Caller, CallerKind};

/// Somebody whom a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    Anyone,
    /// An account's twelve digits.
    Account(Box<str>),
    /// The ARN of a user, a role, or a session of either; or an id of one that is gone, which means nobody.
    Aws(Box<str>),
    /// As `lambda.amazonaws.com`.
    Service(Box<str>),
    /// An identity provider.
    Federated(Box<str>),
}

/// Who asks, as principals name them.
#[derive(Clone, Copy)]
pub(crate) enum Who<'a> {
    Caller(&'a Caller),
    /// Somebody whom an identity provider vouches for.
    Federated(&'a str),
}

/// How much a statement of a resource policy that allows gives by itself, within the resource's account.
/// Source: IAM User Guide, "How AWS enforcement code logic evaluates requests to allow or deny access".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    None,
    /// It leaves it to the account whom of its own its policies let in.
    Account,
    /// It lets in everybody, and whoever asks is no more than one of them.
    Everybody,
    /// It stands for an identity policy; boundaries and session policies still narrow it.
    Limited,
    /// It stands for all policies of the principal.
    Full,
}

impl Principal {
    /// Reads `Principal` or `NotPrincipal`.
    pub(crate) fn parse_all(value: &Json) -> Result<Vec<Self>, MalformedPolicy> {
        if value.text() == Some("*") {
            return Ok(vec![Self::Anyone]);
        }
        let mut principals = Vec::new();
        for (kind, names) in value.object().ok_or(MalformedPolicy::Syntax)? {
            for name in names.each() {
                let name = name.text().ok_or(MalformedPolicy::Syntax)?;
                principals.push(Self::parse(kind, name)?);
            }
        }
        if principals.is_empty() { Err(MalformedPolicy::Syntax) } else { Ok(principals) }
    }

    fn parse(kind: &str, name: &str) -> Result<Self, MalformedPolicy> {
        let invalid = || MalformedPolicy::Principal { kind: kind.to_owned(), name: name.to_owned() };
        match kind {
            "AWS" => Self::aws(name).ok_or_else(invalid),
            "Service" if name.contains('.') && !name.contains(['*', '?', ' ']) => {
                Ok(Self::Service(name.into()))
            }
            "Federated" if !name.is_empty() && !name.contains(['*', '?', ' ']) => {
                Ok(Self::Federated(name.into()))
            }
            // No account has a canonical id here: taken, it would name nobody, and a Deny would not deny.
            "Service" | "Federated" | "CanonicalUser" => Err(invalid()),
            _ => Err(MalformedPolicy::Syntax),
        }
    }

    fn aws(name: &str) -> Option<Self> {
        if name == "*" {
            return Some(Self::Anyone);
        }
        if is_account(name) {
            return Some(Self::Account(name.into()));
        }
        let is_id = name.len() >= 16 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_id {
            return Some(Self::Aws(name.into()));
        }
        let parts: Vec<&str> = name.splitn(6, ':').collect();
        let ["arn", _, service, "", account, resource] = parts[..] else { return None };
        if !is_account(account) || name.contains(['*', '?', ' ']) {
            return None;
        }
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        match (service, kind) {
            ("iam", "root") if rest.is_empty() => Some(Self::Account(account.into())),
            ("iam", "user" | "role") | ("sts", "assumed-role" | "federated-user") if !rest.is_empty() => {
                Some(Self::Aws(name.into()))
            }
            _ => None,
        }
    }

    /// The ARN or unique id of a user or role, who may go while another gets its name; sessions have only their name.
    pub(super) fn lasting_name(&self) -> Option<&str> {
        match self {
            Self::Aws(name) if !name.starts_with("arn:") || is_of_iam(name) => Some(name),
            _ => None,
        }
    }

    /// How much an Allow for this principal gives `who`.
    pub(crate) fn grant(&self, who: Who<'_>) -> Grant {
        match (self, who) {
            (Self::Federated(provider), Who::Federated(who)) if **provider == *who => Grant::Full,
            (Self::Anyone, Who::Caller(_)) => Grant::Everybody,
            (_, Who::Caller(caller)) => self.grant_to(caller),
            (_, Who::Federated(_)) => Grant::None,
        }
    }

    fn grant_to(&self, caller: &Caller) -> Grant {
        let name = match self {
            Self::Service(service) => {
                let is_meant = matches!(&caller.kind, CallerKind::Service { name } if **service == **name);
                return if is_meant { Grant::Full } else { Grant::None };
            }
            Self::Account(account) => {
                return if caller.account.is_empty() || **account != *caller.account {
                    Grant::None
                } else {
                    Grant::Account
                };
            }
            Self::Aws(name) => &**name,
            Self::Anyone | Self::Federated(_) => return Grant::None,
        };
        match &caller.kind {
            CallerKind::Anonymous | CallerKind::Service { .. } => Grant::None,
            _ if name == caller.arn => Grant::Full,
            CallerKind::User { .. } if name == caller.user_id => Grant::Full,
            CallerKind::RoleSession { role_arn, .. } if name == role_arn || name == role_id(caller) => {
                Grant::Limited
            }
            CallerKind::FederatedUser { by, .. } if name == by.arn || name == by.user_id => Grant::Limited,
            _ => Grant::None,
        }
    }

    /// Whether a Deny for this principal is meant for `who`. Everybody is also whom an identity provider vouches for, though
    /// an Allow for everybody does not let them in.
    pub(crate) fn denies(&self, who: Who<'_>) -> bool {
        *self == Self::Anyone || self.grant(who) != Grant::None
    }
}

/// Whether a statement with `NotPrincipal` is about `who`. A Deny spares only those of whom everything is named that they are:
/// the account, the role and its session. An Allow passes by whoever is named in any way, and whom an identity provider
/// vouches for: those it lets in by the provider's name only, as one for everybody.
pub(crate) fn is_not_among(named: &[Principal], who: Who<'_>, is_allow: bool) -> bool {
    if is_allow {
        return matches!(who, Who::Caller(_)) && !named.iter().any(|principal| principal.denies(who));
    }
    let has = |is_it: &dyn Fn(&Principal) -> bool| named.iter().any(is_it);
    let anyone = has(&|principal| *principal == Principal::Anyone);
    let arn = |wanted: &str| has(&|principal| matches!(principal, Principal::Aws(name) if **name == *wanted));
    let Who::Caller(caller) = who else { return !has(&|principal| principal.denies(who)) };
    let account =
        has(&|principal| matches!(principal, Principal::Account(name) if **name == *caller.account));
    let is_spared = match &caller.kind {
        CallerKind::Anonymous => false,
        CallerKind::Service { .. } => has(&|principal| principal.denies(who)),
        CallerKind::Root => account,
        CallerKind::User { .. } => account && (arn(&caller.arn) || arn(&caller.user_id)),
        CallerKind::RoleSession { role_arn, .. } => {
            account && (arn(role_arn) || arn(role_id(caller))) && arn(&caller.arn)
        }
        CallerKind::FederatedUser { by, .. } => {
            let is_by = by.kind == CallerKind::Root || arn(&by.arn) || arn(&by.user_id);
            account && arn(&caller.arn) && is_by
        }
    };
    !(anyone || is_spared)
}

/// The unique id of a session's role.
fn role_id(caller: &Caller) -> &str {
    caller.user_id.split(':').next().unwrap_or_default()
}

fn is_of_iam(arn: &str) -> bool {
    arn.split(':').nth(2) == Some("iam")
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
