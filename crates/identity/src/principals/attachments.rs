//! Managed policies of principals, and the boundaries of users and roles: one way for users, groups and roles.
//!
//! A principal's row has the ARNs of its policies and of its boundary. A row the other way, from the policy to the
//! principal, is written with it: for counts, for lists, and so that no policy goes away while it is in use.

use std::collections::{BTreeMap, HashMap};

use lambent_store::{KeyReader, ScanOptions, Txn};

use super::groups::{load_group, put_group};
use super::managed::{Missing, load_policy};
use super::roles::{load_role, put_role};
use super::users::{load_user, put_user};
use super::{Group, Kind, Principals, Role, RoleName, User, limits};
use crate::{IdentityError, keys};

/// The kinds of principals that have policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrincipalKind {
    User,
    Group,
    Role,
}

/// A principal of an account by its name.
#[derive(Clone, Copy, Debug)]
pub struct PrincipalName<'a> {
    /// Only a [`Principals`] makes one, of its own account.
    pub(crate) account: &'a str,
    pub(crate) kind: PrincipalKind,
    pub(crate) name: &'a str,
}

/// What a principal has a managed policy for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// It allows and denies.
    Policy,
    /// It bounds what the others allow.
    Boundary,
}

/// Who uses a managed policy, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub usage: Usage,
    pub kind: PrincipalKind,
    pub name: String,
    pub id: String,
    pub path: String,
}

/// How many principals use a managed policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageCount {
    pub attached: usize,
    pub boundaries: usize,
}

/// A principal as it is stored, whatever its kind.
pub(crate) enum PrincipalRow {
    User(User),
    Group(Group),
    Role(Role),
}

/// The tags of a principal.
pub(crate) async fn load_tags(
    txn: &Txn,
    who: &PrincipalName<'_>,
) -> Result<Vec<(String, String)>, IdentityError> {
    Ok(match PrincipalRow::load(txn, who).await? {
        PrincipalRow::User(user) => user.tags,
        PrincipalRow::Role(role) => role.tags,
        PrincipalRow::Group(_) => Vec::new(),
    })
}

impl Principals<'_> {
    /// Attaches a managed policy; no harm when it is attached already.
    pub async fn attach_policy(self, to: PrincipalName<'_>, arn: &str) -> Result<(), IdentityError> {
        let (to, revision) = (&to, self.random.u64());
        self.db
            .run(|txn| async move {
                load_policy(&txn, to.account, arn, Missing::Attachable).await?;
                let mut row = PrincipalRow::load_to_change(&txn, to).await?;
                let attached = row.attached();
                if attached.iter().any(|known| known == arn) {
                    return Ok(());
                }
                if attached.len() >= limits::ATTACHED_POLICIES_MAX {
                    let (quota, max) = (to.kind.quota(), limits::ATTACHED_POLICIES_MAX);
                    return Err(IdentityError::Quota { quota, max });
                }
                attached.push(arn.to_owned());
                link(&txn, to, arn, Usage::Policy);
                row.put(&txn, revision)
            })
            .await
    }

    /// Detaches a managed policy.
    pub async fn detach_policy(self, from: PrincipalName<'_>, arn: &str) -> Result<(), IdentityError> {
        let (from, revision) = (&from, self.random.u64());
        super::managed::parse_arn(arn)?;
        self.db
            .run(|txn| async move {
                let mut row = PrincipalRow::load_to_change(&txn, from).await?;
                let attached = row.attached();
                let Some(at) = attached.iter().position(|known| known == arn) else {
                    return Err(IdentityError::NoSuch { kind: Kind::Policy, name: arn.to_owned() });
                };
                attached.remove(at);
                unlink(&txn, from, arn, Usage::Policy);
                row.put(&txn, revision)
            })
            .await
    }

    /// The ARNs of a principal's managed policies, as they came.
    pub async fn attached_policies(self, of: PrincipalName<'_>) -> Result<Vec<String>, IdentityError> {
        let of = &of;
        self.db
            .read(|txn| async move {
                let mut row = PrincipalRow::load(&txn, of).await?;
                Ok(std::mem::take(row.attached()))
            })
            .await
    }

    /// Sets or takes away the boundary of a user or role.
    pub async fn set_boundary(self, of: PrincipalName<'_>, arn: Option<&str>) -> Result<(), IdentityError> {
        let (of, revision) = (&of, self.random.u64());
        self.db
            .run(|txn| async move {
                if let Some(arn) = arn {
                    load_policy(&txn, of.account, arn, Missing::Scope).await?;
                }
                let mut row = PrincipalRow::load_to_change(&txn, of).await?;
                let before = row.replace_boundary(arn.map(str::to_owned));
                if let Some(before) = before {
                    unlink(&txn, of, &before, Usage::Boundary);
                }
                if let Some(arn) = arn {
                    link(&txn, of, arn, Usage::Boundary);
                }
                row.put(&txn, revision)
            })
            .await
    }

    /// Who uses a managed policy: groups, roles and users by name.
    pub async fn attachments_of(self, arn: &str) -> Result<Vec<Attachment>, IdentityError> {
        let account = self.account();
        let mut all = Vec::new();
        let mut left = Some(keys::attachments_of(account, arn).range());
        while let Some(range) = &left {
            let (found, rest) = self
                .db
                .read(|txn| async move {
                    let page = txn.scan(range, ScanOptions::rows(limits::ITEMS_PER_PAGE_MAX)).await?;
                    let mut found = Vec::with_capacity(page.rows.len());
                    for (key, row) in &page.rows {
                        found.extend(attachment(&txn, account, key, row).await?);
                    }
                    Ok::<_, IdentityError>((found, range.rest(&page, false)))
                })
                .await?;
            all.extend(found);
            left = rest;
        }
        Ok(all)
    }

    /// How many principals of an account use a managed policy.
    pub async fn policy_usage(self, arn: &str) -> Result<UsageCount, IdentityError> {
        let account = self.account();
        Ok(self.usages_in(keys::attachments_of(account, arn)).await?.remove(arn).unwrap_or_default())
    }

    /// How many principals of an account use each of its managed policies, by ARN; those that nobody uses are left out.
    pub async fn policy_usages(self) -> Result<HashMap<String, UsageCount>, IdentityError> {
        let account = self.account();
        self.usages_in(keys::attachments(account)).await
    }

    async fn usages_in(
        self,
        prefix: lambent_store::Key,
    ) -> Result<HashMap<String, UsageCount>, IdentityError> {
        let mut counts: HashMap<String, UsageCount> = HashMap::new();
        let mut left = Some(prefix.range());
        while let Some(range) = &left {
            let options = ScanOptions::rows(lambent_store::limits::MAX_PAGE_ROWS).keys_only();
            let page = self
                .db
                .read(|txn| async move { Ok::<_, IdentityError>(txn.scan(range, options).await?) })
                .await?;
            for (key, _) in &page.rows {
                let (arn, usage, _) = parse(key)?;
                let count = counts.entry(arn).or_default();
                match usage {
                    Usage::Policy => count.attached += 1,
                    Usage::Boundary => count.boundaries += 1,
                }
            }
            left = range.rest(&page, false);
        }
        Ok(counts)
    }
}

/// Says that a principal uses these policies; for one that is made with them.
pub(crate) fn link(txn: &Txn, who: &PrincipalName<'_>, arn: &str, usage: Usage) {
    let key = keys::attachment(who.account, arn, usage.word(), who.kind.word(), who.name);
    txn.put(&key, who.name.as_bytes());
}

/// Says that a principal no longer uses a policy.
pub(crate) fn unlink(txn: &Txn, who: &PrincipalName<'_>, arn: &str, usage: Usage) {
    txn.delete(&keys::attachment(who.account, arn, usage.word(), who.kind.word(), who.name));
}

/// Has the policies of a principal know it by another name.
pub(crate) fn rename(
    txn: &Txn,
    old: &PrincipalName<'_>,
    new_name: &str,
    attached: &[String],
    boundary: Option<&str>,
) {
    let new = PrincipalName { name: new_name, ..*old };
    let policies = attached.iter().map(|arn| (arn.as_str(), Usage::Policy));
    for (arn, usage) in policies.chain(boundary.map(|arn| (arn, Usage::Boundary))) {
        unlink(txn, old, arn, usage);
        link(txn, &new, arn, usage);
    }
}

/// ARN, usage and kind that a key has.
fn parse(key: &[u8]) -> Result<(String, Usage, PrincipalKind), IdentityError> {
    let damaged = || IdentityError::Damaged(format!("attachment {}", key.escape_ascii()));
    let read = || -> Result<_, lambent_store::KeyError> {
        let mut parts = KeyReader::new(key, keys::PREFIX)?;
        let (_account, _kind) = (parts.str()?, parts.str()?);
        Ok((parts.str()?, parts.str()?, parts.str()?))
    };
    let (arn, usage, kind) = read().map_err(|_| damaged())?;
    let usage = [Usage::Policy, Usage::Boundary].into_iter().find(|known| known.word() == usage);
    let kind = [PrincipalKind::User, PrincipalKind::Group, PrincipalKind::Role]
        .into_iter()
        .find(|known| known.word() == kind);
    usage.zip(kind).map(|(usage, kind)| (arn, usage, kind)).ok_or_else(damaged)
}

/// The attachment of a row; `None` when its principal is gone.
async fn attachment(
    txn: &Txn,
    account: &str,
    key: &[u8],
    name: &[u8],
) -> Result<Option<Attachment>, IdentityError> {
    let (_, usage, kind) = parse(key)?;
    let name = std::str::from_utf8(name).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    let row = match PrincipalRow::load(txn, &PrincipalName { account, kind, name }).await {
        Ok(row) => row,
        Err(IdentityError::NoSuch { .. } | IdentityError::NoSuchRole(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (id, path) = match row {
        PrincipalRow::User(user) => (user.id, user.path),
        PrincipalRow::Group(group) => (group.id, group.path),
        PrincipalRow::Role(role) => (role.id, role.path),
    };
    Ok(Some(Attachment { usage, kind, name: name.to_owned(), id, path }))
}

impl PrincipalRow {
    pub(crate) async fn load(txn: &Txn, who: &PrincipalName<'_>) -> Result<Self, IdentityError> {
        let PrincipalName { account, name, .. } = *who;
        Ok(match who.kind {
            PrincipalKind::User => Self::User(load_user(txn, account, name).await?),
            PrincipalKind::Group => Self::Group(load_group(txn, account, name).await?),
            PrincipalKind::Role => Self::Role(load_role(txn, &RoleName { account, name }).await?),
        })
    }

    /// Roles of services are theirs alone to change.
    async fn load_to_change(txn: &Txn, who: &PrincipalName<'_>) -> Result<Self, IdentityError> {
        let row = Self::load(txn, who).await?;
        if let Self::Role(role) = &row {
            role.check_modifiable()?;
        }
        Ok(row)
    }

    pub(crate) fn attached(&mut self) -> &mut Vec<String> {
        match self {
            Self::User(user) => &mut user.attached,
            Self::Group(group) => &mut group.attached,
            Self::Role(role) => &mut role.attached,
        }
    }

    /// Inline policies by name.
    pub(crate) fn inline(&self) -> &BTreeMap<String, String> {
        match self {
            Self::User(user) => &user.policies,
            Self::Group(group) => &group.policies,
            Self::Role(role) => &role.policies,
        }
    }

    pub(crate) fn boundary(&self) -> Option<&str> {
        match self {
            Self::User(user) => user.boundary.as_deref(),
            Self::Role(role) => role.boundary.as_deref(),
            Self::Group(_) => None,
        }
    }

    /// Gives the boundary before. Groups have none, and get none.
    fn replace_boundary(&mut self, new: Option<String>) -> Option<String> {
        match self {
            Self::User(user) => std::mem::replace(&mut user.boundary, new),
            Self::Role(role) => std::mem::replace(&mut role.boundary, new),
            Self::Group(_) => None,
        }
    }

    fn put(self, txn: &Txn, revision: u64) -> Result<(), IdentityError> {
        match self {
            Self::User(user) => put_user(txn, &User { revision, ..user }),
            Self::Group(group) => put_group(txn, &Group { revision, ..group }),
            Self::Role(role) => put_role(txn, &Role { revision, ..role }),
        }
    }
}

impl PrincipalKind {
    /// As in ARNs.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// AWS's name of the quota of attached policies.
    fn quota(self) -> &'static str {
        match self {
            Self::User => "PoliciesPerUser",
            Self::Group => "PoliciesPerGroup",
            Self::Role => "PoliciesPerRole",
        }
    }
}

impl Usage {
    fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Boundary => "boundary",
        }
    }
}
