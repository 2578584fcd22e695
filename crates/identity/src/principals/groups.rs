//! Groups and their inline policies.

use std::collections::BTreeMap;

use lambent_base::Arn;
use lambent_store::{ScanOptions, Txn};
use serde::{Deserialize, Serialize};

use super::attachments::{self, PrincipalKind, PrincipalName};
use super::lists::Counted;
use super::{ID_ALPHABET, ID_LENGTH, Kind, Listed, Principals, Rename, inline, limits};
use crate::{IdentityError, keys, policy_set};

/// A group as it is stored; who is in it stands in rows of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub account: String,
    pub name: String,
    /// Starts and ends with a slash.
    pub path: String,
    /// `AGPA` and seventeen letters; it stays when the group gets another name.
    pub id: String,
    pub created_ms: i64,
    /// Inline policies by name, as they were given.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub attached: Vec<String>,
    /// Another with every change.
    pub revision: u64,
}

impl Group {
    pub fn arn(&self) -> String {
        Arn::new("iam", "", &self.account, format!("group{}{}", self.path, self.name)).to_string()
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}

impl Principals<'_> {
    /// Makes a group. `account`, `id`, `created_ms` and `revision` of `group` are set here.
    pub async fn create_group(self, mut group: Group) -> Result<Group, IdentityError> {
        self.account().clone_into(&mut group.account);
        group.id = format!("AGPA{}", self.random.string(ID_ALPHABET, ID_LENGTH));
        group.created_ms = self.clock.unix_ms();
        group.revision = self.random.u64();
        let new = &group;
        self.db
            .run(|txn| async move {
                if txn.get(&keys::group(&new.account, &new.name)).await?.is_some() {
                    return Err(IdentityError::Exists { kind: Kind::Group, name: new.name.clone() });
                }
                Counted::Groups.one_more(&txn, &new.account).await?;
                put_group(&txn, new)
            })
            .await?;
        Ok(group)
    }

    pub async fn group(self, name: &str) -> Result<Group, IdentityError> {
        let account = self.account();
        self.db.read(|txn| async move { load_group(&txn, account, name).await }).await
    }

    /// A page of the groups whose path starts with `path_prefix`, by name.
    pub async fn groups(
        self,
        path_prefix: &str,
        marker: Option<&str>,
        max: usize,
    ) -> Result<Listed<Group>, IdentityError> {
        let account = self.account();
        let all = keys::groups(account).range();
        let range = match marker {
            Some(name) => all.after(&keys::group(account, name)),
            None => all,
        };
        let read = |row: &[u8]| {
            Group::from_row(row).map(|group| Some(group).filter(|group| group.path.starts_with(path_prefix)))
        };
        self.list(range, max, read, |group| &group.name).await
    }

    /// Gives a group another name or path; id, policies and members stay.
    pub async fn update_group(self, name: &str, new: Rename<'_>) -> Result<(), IdentityError> {
        let account = self.account();
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let mut group = load_group(&txn, account, name).await?;
                new.apply(&mut group.name, &mut group.path);
                group.revision = revision;
                let key = keys::group(account, &group.name);
                if key != keys::group(account, name) && txn.get(&key).await?.is_some() {
                    return Err(IdentityError::Exists { kind: Kind::Group, name: group.name });
                }
                txn.delete(&keys::group(account, name));
                let who = PrincipalName { account, kind: PrincipalKind::Group, name };
                attachments::rename(&txn, &who, &group.name, &group.attached, None);
                put_group(&txn, &group)
            })
            .await
    }

    /// Deletes a group without members and policies.
    pub async fn delete_group(self, name: &str) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let group = load_group(&txn, account, name).await?;
                let members = keys::members(account, &group.id).range();
                let members = txn.scan(&members, ScanOptions::rows(1)).await?;
                for (is_there, what) in [
                    (!group.policies.is_empty(), "delete policies"),
                    (!group.attached.is_empty(), "detach all policies"),
                    (!members.rows.is_empty(), "remove users from group"),
                ] {
                    if is_there {
                        return Err(IdentityError::DeleteConflict(what));
                    }
                }
                txn.delete(&keys::group(account, name));
                txn.delete(&keys::group_name(account, &group.id));
                Counted::Groups.one_less(&txn, account);
                policy_set::raise(&txn, account);
                Ok(())
            })
            .await
    }

    /// Adds or replaces an inline policy.
    pub async fn put_group_policy(
        self,
        name: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), IdentityError> {
        self.change_group(name, |group| {
            let whose = (Kind::Group, group.name.as_str());
            inline::put(&mut group.policies, whose, (policy, document), limits::GROUP_POLICIES_CHARS_MAX)
        })
        .await
    }

    pub async fn delete_group_policy(self, name: &str, policy: &str) -> Result<(), IdentityError> {
        self.change_group(name, |group| inline::remove(&mut group.policies, Kind::GroupPolicy, policy)).await
    }

    /// Changes a group, but not its name and path.
    pub(crate) async fn change_group(
        self,
        name: &str,
        change: impl Fn(&mut Group) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let account = self.account();
        let change = &change;
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let mut group = load_group(&txn, account, name).await?;
                change(&mut group)?;
                group.revision = revision;
                put_group(&txn, &group)
            })
            .await
    }
}

/// A group by its name, as its letters were written when it was made.
pub(crate) async fn load_group(txn: &Txn, account: &str, name: &str) -> Result<Group, IdentityError> {
    let row = txn.get(&keys::group(account, name)).await?;
    match row.map(|row| Group::from_row(&row)).transpose()? {
        Some(group) if group.name == name => Ok(group),
        _ => Err(IdentityError::NoSuch { kind: Kind::Group, name: name.to_owned() }),
    }
}

/// The group of an id; `None` when it is gone.
pub(crate) async fn load_group_by_id(
    txn: &Txn,
    account: &str,
    id: &str,
) -> Result<Option<Group>, IdentityError> {
    let Some(name) = txn.get(&keys::group_name(account, id)).await? else { return Ok(None) };
    let name = std::str::from_utf8(&name).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    load_group(txn, account, name).await.map(Some)
}

/// Writes a group; what was decided for anybody in the account before is to be decided anew.
pub(crate) fn put_group(txn: &Txn, group: &Group) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(group).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    txn.put(&keys::group(&group.account, &group.name), &row);
    txn.put(&keys::group_name(&group.account, &group.id), group.name.as_bytes());
    policy_set::raise(txn, &group.account);
    Ok(())
}
