//! Who is in which group: the user's row names its groups, and each group has a row for each member.

use lambent_store::{ScanOptions, Txn};

use super::groups::{load_group, load_group_by_id};
use super::users::{load_user, put_user};
use super::{Group, Kind, Listed, Principals, User, limits};
use crate::{IdentityError, keys};

impl Principals<'_> {
    /// Puts a user into a group; no harm when it is in it.
    pub async fn add_user_to_group(self, group: &str, user: &str) -> Result<(), IdentityError> {
        let account = self.account();
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let group = load_group(&txn, account, group).await?;
                let mut user = load_user(&txn, account, user).await?;
                if user.groups.contains(&group.id) {
                    return Ok(());
                }
                if user.groups.len() >= limits::GROUPS_OF_USER_MAX {
                    let max = limits::GROUPS_OF_USER_MAX;
                    return Err(IdentityError::Quota { quota: "GroupsPerUser", max });
                }
                put_member(&txn, &group.id, &user);
                user.groups.push(group.id);
                user.revision = revision;
                put_user(&txn, &user)
            })
            .await
    }

    pub async fn remove_user_from_group(self, group: &str, user: &str) -> Result<(), IdentityError> {
        let account = self.account();
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let group = load_group(&txn, account, group).await?;
                let mut user = load_user(&txn, account, user).await?;
                if !user.groups.contains(&group.id) {
                    return Err(IdentityError::NoSuch { kind: Kind::User, name: user.name });
                }
                txn.delete(&keys::member(account, &group.id, &user.name));
                user.groups.retain(|id| *id != group.id);
                user.revision = revision;
                put_user(&txn, &user)
            })
            .await
    }

    /// The groups that a user is in, by name.
    pub async fn groups_of_user(self, user: &str) -> Result<Vec<Group>, IdentityError> {
        let account = self.account();
        self.db
            .read(|txn| async move {
                let user = load_user(&txn, account, user).await?;
                groups_of(&txn, &user).await
            })
            .await
    }

    /// A group, and a page of the users in it, by name.
    pub async fn group_with_members(
        self,
        name: &str,
        marker: Option<&str>,
        max: usize,
    ) -> Result<(Group, Listed<User>), IdentityError> {
        let account = self.account();
        let max = max.clamp(1, limits::ITEMS_PER_PAGE_MAX);
        self.db
            .read(|txn| async move {
                let group = load_group(&txn, account, name).await?;
                let mut range = keys::members(account, &group.id).range();
                if let Some(user) = marker {
                    range = range.after(&keys::member(account, &group.id, user));
                }
                let page = txn.scan(&range, ScanOptions::rows(max)).await?;
                let mut users = Vec::with_capacity(page.rows.len());
                for (_, name) in &page.rows {
                    let name = std::str::from_utf8(name)
                        .map_err(|error| IdentityError::Damaged(error.to_string()))?;
                    users.push(load_user(&txn, account, name).await?);
                }
                let last = users.last().filter(|_| page.more.is_some());
                let marker = last.map(|user: &User| user.name.clone());
                Ok((group, Listed { items: users, marker }))
            })
            .await
    }
}

/// The groups that a user is in, by name.
pub(crate) async fn groups_of(txn: &Txn, user: &User) -> Result<Vec<Group>, IdentityError> {
    let mut groups = Vec::with_capacity(user.groups.len());
    for id in &user.groups {
        groups.extend(load_group_by_id(txn, &user.account, id).await?);
    }
    groups.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(groups)
}

/// Rewrites the rows of a user that has another name now.
pub(crate) fn move_user(txn: &Txn, old: &User, new: &User) {
    for group in &old.groups {
        txn.delete(&keys::member(&old.account, group, &old.name));
        put_member(txn, group, new);
    }
}

fn put_member(txn: &Txn, group: &str, user: &User) {
    txn.put(&keys::member(&user.account, group, &user.name), user.name.as_bytes());
}
