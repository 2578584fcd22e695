//! Users and their inline policies.

use std::collections::BTreeMap;

use lambent_base::Arn;
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use super::attachments::{self, PrincipalKind, PrincipalName, Usage};
use super::lists::Counted;
use super::managed::{Missing, load_policy};
use super::pins::Holder;
use super::{
    ID_ALPHABET, ID_LENGTH, Kind, Listed, Principals, access_keys, inline, limits, members,
    service_credentials, tags,
};
use crate::{IdentityError, keys, policy_set};

/// A user as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub account: String,
    pub name: String,
    /// Starts and ends with a slash.
    pub path: String,
    /// `AIDA` and seventeen letters; it stays when the user gets another name.
    pub id: String,
    pub created_ms: i64,
    /// Inline policies by name, as they were given.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub attached: Vec<String>,
    /// The ARN of the managed policy that bounds what the others allow.
    #[serde(default)]
    pub boundary: Option<String>,
    /// By key.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// Ids of the groups that the user is in, as they came.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Ids of the user's access keys, as they came.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Another with every change.
    pub revision: u64,
}

/// What UpdateUser and UpdateGroup change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rename<'a> {
    pub name: Option<&'a str>,
    pub path: Option<&'a str>,
}

impl Rename<'_> {
    /// Puts what is new in place of what was.
    pub fn apply(&self, name: &mut String, path: &mut String) {
        *name = self.name.map_or_else(|| std::mem::take(name), str::to_owned);
        *path = self.path.map_or_else(|| std::mem::take(path), str::to_owned);
    }
}

impl User {
    pub fn arn(&self) -> String {
        Arn::new("iam", "", &self.account, format!("user{}{}", self.path, self.name)).to_string()
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}

impl Principals<'_> {
    /// Makes a user. `account`, `id`, `created_ms` and `revision` of `user` are set here.
    pub async fn create_user(self, mut user: User) -> Result<User, IdentityError> {
        self.account().clone_into(&mut user.account);
        let given = std::mem::take(&mut user.tags);
        tags::add(&mut user.tags, &given)?;
        user.id = format!("AIDA{}", self.random.string(ID_ALPHABET, ID_LENGTH));
        user.created_ms = self.clock.unix_ms();
        user.revision = self.random.u64();
        let new = &user;
        self.db
            .run(|txn| async move {
                if txn.get(&keys::user(&new.account, &new.name)).await?.is_some() {
                    return Err(IdentityError::Exists { kind: Kind::User, name: new.name.clone() });
                }
                if let Some(boundary) = &new.boundary {
                    load_policy(&txn, &new.account, boundary, Missing::Scope).await?;
                    let (account, name) = (new.account.as_str(), new.name.as_str());
                    let who = PrincipalName { account, kind: PrincipalKind::User, name };
                    attachments::link(&txn, &who, boundary, Usage::Boundary);
                }
                put_holder(&txn, new)?;
                Counted::Users.one_more(&txn, &new.account).await?;
                put_user(&txn, new)
            })
            .await?;
        Ok(user)
    }

    pub async fn user(self, name: &str) -> Result<User, IdentityError> {
        let account = self.account();
        self.db.read(|txn| async move { load_user(&txn, account, name).await }).await
    }

    /// A page of the users whose path starts with `path_prefix`, by name.
    pub async fn users(
        self,
        path_prefix: &str,
        marker: Option<&str>,
        max: usize,
    ) -> Result<Listed<User>, IdentityError> {
        let account = self.account();
        let all = keys::users(account).range();
        let range = match marker {
            Some(name) => all.after(&keys::user(account, name)),
            None => all,
        };
        let read = |row: &[u8]| {
            User::from_row(row).map(|user| Some(user).filter(|user| user.path.starts_with(path_prefix)))
        };
        self.list(range, max, read, |user| &user.name).await
    }

    /// Gives a user another name or path; id, policies, groups and keys stay.
    pub async fn update_user(self, name: &str, new: Rename<'_>) -> Result<(), IdentityError> {
        let account = self.account();
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let old = load_user(&txn, account, name).await?;
                let mut user = User { revision, ..old.clone() };
                new.apply(&mut user.name, &mut user.path);
                let key = keys::user(account, &user.name);
                if key != keys::user(account, name) && txn.get(&key).await?.is_some() {
                    return Err(IdentityError::Exists { kind: Kind::User, name: user.name });
                }
                txn.delete(&keys::user(account, name));
                members::move_user(&txn, &old, &user);
                let who = PrincipalName { account, kind: PrincipalKind::User, name };
                attachments::rename(&txn, &who, &user.name, &user.attached, user.boundary.as_deref());
                access_keys::move_user(&txn, &user).await?;
                service_credentials::move_user(&txn, &user).await?;
                put_holder(&txn, &user)?;
                put_user(&txn, &user)
            })
            .await
    }

    /// Deletes a user that nothing hangs on any more.
    pub async fn delete_user(self, name: &str) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let user = load_user(&txn, account, name).await?;
                let credentials = keys::service_credentials(account, &user.id).range();
                let credentials = txn.scan(&credentials, lambent_store::ScanOptions::rows(1)).await?;
                for (is_there, what) in [
                    (!user.keys.is_empty(), "delete access keys"),
                    (!user.policies.is_empty(), "delete policies"),
                    (!user.attached.is_empty(), "detach all policies"),
                    (!user.groups.is_empty(), "remove users from group"),
                    (!credentials.rows.is_empty(), "remove referenced objects"),
                ] {
                    if is_there {
                        return Err(IdentityError::DeleteConflict(what));
                    }
                }
                if let Some(boundary) = &user.boundary {
                    let who = PrincipalName { account, kind: PrincipalKind::User, name };
                    attachments::unlink(&txn, &who, boundary, Usage::Boundary);
                }
                txn.delete(&keys::user(account, name));
                txn.delete(&keys::principal_id(&user.id));
                Counted::Users.one_less(&txn, account);
                policy_set::raise(&txn, account);
                Ok(())
            })
            .await
    }

    /// Adds or replaces an inline policy.
    pub async fn put_user_policy(
        self,
        name: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), IdentityError> {
        self.change_user(name, |user| {
            let whose = (Kind::User, user.name.as_str());
            inline::put(&mut user.policies, whose, (policy, document), limits::USER_POLICIES_CHARS_MAX)
        })
        .await
    }

    pub async fn delete_user_policy(self, name: &str, policy: &str) -> Result<(), IdentityError> {
        self.change_user(name, |user| inline::remove(&mut user.policies, Kind::UserPolicy, policy)).await
    }

    pub async fn tag_user(self, name: &str, new: &[(String, String)]) -> Result<(), IdentityError> {
        self.change_user(name, |user| tags::add(&mut user.tags, new)).await
    }

    pub async fn untag_user(self, name: &str, gone: &[String]) -> Result<(), IdentityError> {
        self.change_user(name, |user| {
            tags::remove(&mut user.tags, gone);
            Ok(())
        })
        .await
    }

    /// Changes a user, but not its name, path, groups and keys.
    pub(crate) async fn change_user(
        self,
        name: &str,
        change: impl Fn(&mut User) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let account = self.account();
        let change = &change;
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let mut user = load_user(&txn, account, name).await?;
                change(&mut user)?;
                user.revision = revision;
                put_user(&txn, &user)
            })
            .await
    }
}

/// A user by its name, as its letters were written when it was made.
pub(crate) async fn load_user(txn: &Txn, account: &str, name: &str) -> Result<User, IdentityError> {
    let row = txn.get(&keys::user(account, name)).await?;
    // Names are told apart without regard to case, but a policy that speaks of `Ann` must not be gone around by asking
    // for `ann`.
    match row.map(|row| User::from_row(&row)).transpose()? {
        Some(user) if user.name == name => Ok(user),
        _ => Err(IdentityError::NoSuch { kind: Kind::User, name: name.to_owned() }),
    }
}

/// Notes whose the user's id is.
fn put_holder(txn: &Txn, user: &User) -> Result<(), IdentityError> {
    let (account, name) = (user.account.clone(), user.name.clone());
    Holder { account, is_role: false, name }.put(txn, &user.id)
}

/// Writes a user; what was decided for anybody in the account before is to be decided anew.
pub(crate) fn put_user(txn: &Txn, user: &User) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(user).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    txn.put(&keys::user(&user.account, &user.name), &row);
    policy_set::raise(txn, &user.account);
    Ok(())
}
