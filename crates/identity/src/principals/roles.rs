//! Roles and their inline policies.

use std::collections::BTreeMap;

use lambent_base::Arn;
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use super::attachments::{self, PrincipalKind, PrincipalName, Usage};
use super::lists::Counted;
use super::managed::{Missing, load_policy};
use super::pins::Holder;
use super::{ID_ALPHABET, ID_LENGTH, Kind, Listed, Pins, Principals, inline, tags};
use crate::{Identity, IdentityError, Policy, keys, policy_set};

/// Bounds on roles. Source: IAM User Guide, "IAM and AWS STS quotas".
pub mod limits {
    /// Characters of all inline policies of one role together, white space apart.
    pub const INLINE_POLICIES_CHARS_MAX: usize = 10_240;
    /// Characters of a trust policy, white space apart.
    pub const TRUST_POLICY_CHARS_MAX: usize = 4_096;
    /// Bytes of a trust policy as it was given, white space included: it is part of a row.
    pub const TRUST_POLICY_BYTES_MAX: usize = 12 * 1024;
    /// Seconds that a session of a role lasts at most, unless the role says more.
    pub const SESSION_SECONDS_DEFAULT: i64 = 3_600;
}

/// Where the roles of services lie: nobody else makes or changes them.
pub(crate) const SERVICE_PATH: &str = "/aws-service-role/";

/// A role as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub account: String,
    pub name: String,
    /// Starts and ends with a slash.
    pub path: String,
    /// `AROA` and seventeen letters; a role made anew under an old name has another.
    pub id: String,
    /// The trust policy, as it was given.
    pub trust_policy: String,
    /// Whom its principals mean.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub trust_pins: Pins,
    pub description: Option<String>,
    pub max_session_seconds: i64,
    pub created_ms: i64,
    /// Inline policies by name, as they were given.
    pub policies: BTreeMap<String, String>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub attached: Vec<String>,
    /// The ARN of the managed policy that bounds what the others allow.
    #[serde(default)]
    pub boundary: Option<String>,
    pub tags: Vec<(String, String)>,
    /// Another with every change: compiled policies are kept by it.
    pub revision: u64,
}

/// A role of an account by its name.
#[derive(Clone, Copy, Debug)]
pub struct RoleName<'a> {
    pub account: &'a str,
    pub name: &'a str,
}

/// What UpdateRole changes; what is not said stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoleUpdate<'a> {
    pub description: Option<&'a str>,
    pub max_session_seconds: Option<i64>,
}

impl Role {
    pub fn arn(&self) -> String {
        Arn::new("iam", "", &self.account, format!("role{}{}", self.path, self.name)).to_string()
    }

    /// Whether it is the role of a service, which only that service may change.
    pub fn is_service_linked(&self) -> bool {
        self.path.starts_with(SERVICE_PATH)
    }

    pub(crate) fn check_modifiable(&self) -> Result<(), IdentityError> {
        if self.is_service_linked() { Err(IdentityError::ProtectedRole(self.name.clone())) } else { Ok(()) }
    }

    /// Its trust policy, as decisions want it.
    pub(crate) fn trust(&self) -> Result<Policy, IdentityError> {
        Ok(Policy::stored_trust(&self.trust_policy, &self.trust_pins)?)
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}

impl Identity {
    /// The role that an ARN names, if there is one.
    pub(crate) async fn role_by_arn(&self, arn: &str) -> Result<Role, IdentityError> {
        let missing = || IdentityError::NoSuchRole(arn.to_owned());
        let parsed: Arn = arn.parse().map_err(|_| missing())?;
        let path = parsed.resource.strip_prefix("role/").ok_or_else(missing)?;
        let name = path.rsplit('/').next().unwrap_or(path);
        let role = self.own_principals(&parsed.account).role(name).await.map_err(|error| match error {
            IdentityError::NoSuchRole(_) => missing(),
            other => other,
        })?;
        if role.arn() == arn { Ok(role) } else { Err(missing()) }
    }
}

impl Principals<'_> {
    /// Makes a role; its trust policy is checked first. `account`, `id`, `created_ms` and `revision` of `role` are set here.
    pub async fn create_role(self, mut role: Role) -> Result<Role, IdentityError> {
        if role.is_service_linked() {
            let message = format!("Paths that begin with {SERVICE_PATH} are those of service-linked roles.");
            return Err(IdentityError::InvalidInput(message));
        }
        role.trust_pins = self.names().pin(&check_trust(&role.trust_policy)?).await?;
        self.account().clone_into(&mut role.account);
        let given = std::mem::take(&mut role.tags);
        tags::add(&mut role.tags, &given)?;
        let taken = |role: &Role| IdentityError::Exists { kind: Kind::Role, name: role.name.clone() };
        self.insert_role(role, taken).await
    }

    /// Writes a role that was checked; `taken` is the error where there is one of its name.
    pub(crate) async fn insert_role(
        self,
        mut role: Role,
        taken: impl Fn(&Role) -> IdentityError,
    ) -> Result<Role, IdentityError> {
        role.id = format!("AROA{}", self.random.string(ID_ALPHABET, ID_LENGTH));
        role.created_ms = self.clock.unix_ms();
        role.revision = self.random.u64();
        let (new, taken) = (&role, &taken);
        self.db
            .run(|txn| async move {
                let taken_name = keys::role_name(&new.account, &new.name);
                if txn.get(&keys::role(&new.account, &new.name)).await?.is_some()
                    || txn.get(&taken_name).await?.is_some()
                {
                    return Err(taken(new));
                }
                txn.put(&taken_name, new.name.as_bytes());
                let who = role_principal(new);
                if let Some(boundary) = &new.boundary {
                    load_policy(&txn, &new.account, boundary, Missing::Scope).await?;
                    attachments::link(&txn, &who, boundary, Usage::Boundary);
                }
                for arn in &new.attached {
                    attachments::link(&txn, &who, arn, Usage::Policy);
                }
                let (account, name) = (new.account.clone(), new.name.clone());
                Holder { account, is_role: true, name }.put(&txn, &new.id)?;
                Counted::Roles.one_more(&txn, &new.account).await?;
                put_role(&txn, new)
            })
            .await?;
        Ok(role)
    }

    pub async fn role(self, name: &str) -> Result<Role, IdentityError> {
        let name = RoleName { account: self.account(), name };
        let name = &name;
        self.db.read(|txn| async move { load_role(&txn, name).await }).await
    }

    /// Deletes a role without policies. Roles of services go another way.
    pub async fn delete_role(self, name: &str) -> Result<(), IdentityError> {
        let name = RoleName { account: self.account(), name };
        let name = &name;
        self.db
            .run(|txn| async move {
                let role = load_role(&txn, name).await?;
                role.check_modifiable()?;
                for (is_there, what) in [
                    (!role.policies.is_empty(), "delete policies"),
                    (!role.attached.is_empty(), "detach all policies"),
                ] {
                    if is_there {
                        return Err(IdentityError::DeleteConflict(what));
                    }
                }
                remove_role(&txn, &role);
                Ok(())
            })
            .await
    }

    /// A page of the roles whose path starts with `path_prefix`, by name.
    pub async fn roles(
        self,
        path_prefix: &str,
        marker: Option<&str>,
        max: usize,
    ) -> Result<Listed<Role>, IdentityError> {
        let account = self.account();
        let all = keys::roles(account).range();
        let range = match marker {
            Some(name) => all.after(&keys::role(account, name)),
            None => all,
        };
        let read = |row: &[u8]| {
            Role::from_row(row).map(|role| Some(role).filter(|role| role.path.starts_with(path_prefix)))
        };
        self.list(range, max, read, |role| &role.name).await
    }

    /// Changes description or length of sessions; roles of services take a description only.
    pub async fn update_role(self, name: &str, update: RoleUpdate<'_>) -> Result<Role, IdentityError> {
        let name = RoleName { account: self.account(), name };
        self.change(&name, |role| {
            if let Some(seconds) = update.max_session_seconds {
                role.check_modifiable()?;
                role.max_session_seconds = seconds;
            }
            if let Some(description) = update.description {
                role.description = Some(description.to_owned());
            }
            Ok(())
        })
        .await
    }

    /// Replaces the trust policy.
    pub async fn update_trust_policy(self, name: &str, document: &str) -> Result<(), IdentityError> {
        let name = RoleName { account: self.account(), name };
        let pins = &self.names().pin(&check_trust(document)?).await?;
        self.change(&name, |role| {
            role.check_modifiable()?;
            document.clone_into(&mut role.trust_policy);
            role.trust_pins.clone_from(pins);
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Adds or replaces an inline policy.
    pub async fn put_role_policy(
        self,
        name: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), IdentityError> {
        let name = RoleName { account: self.account(), name };
        self.change(&name, |role| {
            role.check_modifiable()?;
            let (whose, max) = ((Kind::Role, role.name.as_str()), limits::INLINE_POLICIES_CHARS_MAX);
            inline::put(&mut role.policies, whose, (policy, document), max)
        })
        .await
        .map(drop)
    }

    pub async fn delete_role_policy(self, name: &str, policy: &str) -> Result<(), IdentityError> {
        let name = RoleName { account: self.account(), name };
        self.change(&name, |role| {
            role.check_modifiable()?;
            inline::remove(&mut role.policies, Kind::RolePolicy, policy)
        })
        .await
        .map(drop)
    }

    pub async fn tag_role(self, name: &str, new: &[(String, String)]) -> Result<(), IdentityError> {
        let name = RoleName { account: self.account(), name };
        self.change(&name, |role| tags::add(&mut role.tags, new)).await.map(drop)
    }

    pub async fn untag_role(self, name: &str, gone: &[String]) -> Result<(), IdentityError> {
        let name = RoleName { account: self.account(), name };
        self.change(&name, |role| {
            tags::remove(&mut role.tags, gone);
            Ok(())
        })
        .await
        .map(drop)
    }

    async fn change(
        self,
        name: &RoleName<'_>,
        change: impl Fn(&mut Role) -> Result<(), IdentityError>,
    ) -> Result<Role, IdentityError> {
        let change = &change;
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let mut role = load_role(&txn, name).await?;
                change(&mut role)?;
                role.revision = revision;
                put_role(&txn, &role)?;
                Ok(role)
            })
            .await
    }
}

pub(crate) async fn load_role(txn: &Txn, name: &RoleName<'_>) -> Result<Role, IdentityError> {
    let row = txn.get(&keys::role(name.account, name.name)).await?;
    Role::from_row(&row.ok_or_else(|| IdentityError::NoSuchRole(name.name.to_owned()))?)
}

/// Writes a role; what was decided for anybody in the account before is to be decided anew.
pub(crate) fn put_role(txn: &Txn, role: &Role) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(role).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    if row.len() > lambent_store::limits::MAX_VALUE_BYTES {
        let (kind, name) = (Kind::Role, role.name.clone());
        return Err(IdentityError::PolicyTooLarge { kind, name, max: limits::INLINE_POLICIES_CHARS_MAX });
    }
    txn.put(&keys::role(&role.account, &role.name), &row);
    policy_set::raise(txn, &role.account);
    Ok(())
}

/// Takes a role away, and with it what says that it uses policies.
pub(crate) fn remove_role(txn: &Txn, role: &Role) {
    let who = role_principal(role);
    for arn in &role.attached {
        attachments::unlink(txn, &who, arn, Usage::Policy);
    }
    if let Some(boundary) = &role.boundary {
        attachments::unlink(txn, &who, boundary, Usage::Boundary);
    }
    txn.delete(&keys::role(&role.account, &role.name));
    txn.delete(&keys::role_name(&role.account, &role.name));
    txn.delete(&keys::role_use(&role.account, &role.id));
    txn.delete(&keys::principal_id(&role.id));
    Counted::Roles.one_less(txn, &role.account);
    policy_set::raise(txn, &role.account);
}

fn role_principal(role: &Role) -> PrincipalName<'_> {
    PrincipalName { account: &role.account, kind: PrincipalKind::Role, name: &role.name }
}

fn check_trust(document: &str) -> Result<Policy, IdentityError> {
    let policy = Policy::trust(document)?;
    let chars = document.chars().filter(|c| !c.is_whitespace()).count();
    if chars > limits::TRUST_POLICY_CHARS_MAX || document.len() > limits::TRUST_POLICY_BYTES_MAX {
        return Err(IdentityError::Quota { quota: "ACLSizePerRole", max: limits::TRUST_POLICY_CHARS_MAX });
    }
    Ok(policy)
}
