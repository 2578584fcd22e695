//! Roles and their inline policies.

use std::collections::BTreeMap;

use lambent_base::Arn;
use lambent_store::{KeyRange, Page, ScanOptions, Txn};
use serde::{Deserialize, Serialize};

use crate::{Identity, IdentityError, Policy, keys};

/// Bounds on roles. Source: IAM User Guide, "IAM and AWS STS quotas".
pub mod limits {
    /// Characters of all inline policies of one role together, white space apart.
    pub const INLINE_POLICIES_CHARS_MAX: usize = 10_240;
    /// Seconds that a session of a role lasts at most, unless the role says more.
    pub const SESSION_SECONDS_DEFAULT: i64 = 3_600;
    /// Roles on one page of ListRoles.
    pub const ROLES_PER_PAGE: usize = 1_000;
}

/// Letters of the part of a RoleId after `AROA`.
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_LENGTH: usize = 17;

/// A role as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub account: String,
    pub name: String,
    /// Starts and ends with a slash.
    pub path: String,
    /// `AROA` and seventeen letters; a role made anew under an old name has another.
    pub id: String,
    /// The trust policy, as it was given.
    pub trust_policy: String,
    pub description: Option<String>,
    pub max_session_seconds: i64,
    pub created_ms: i64,
    /// Inline policies by name, as they were given.
    pub policies: BTreeMap<String, String>,
    pub tags: Vec<(String, String)>,
    /// Counts changes: compiled policies are kept by it.
    pub revision: u64,
}

/// What CreateRole says of the new role.
pub struct RoleName<'a> {
    pub account: &'a str,
    pub name: &'a str,
}

impl Role {
    pub fn arn(&self) -> String {
        Arn::new("iam", "", &self.account, format!("role{}{}", self.path, self.name)).to_string()
    }
}

impl Identity {
    /// Makes a role; its trust policy is checked first. `id`, `created_ms` and `revision` of `role` are set here.
    pub async fn create_role(&self, mut role: Role) -> Result<Role, IdentityError> {
        Policy::trust(&role.trust_policy)?;
        role.id = format!("AROA{}", self.random.string(ID_ALPHABET, ID_LENGTH));
        role.created_ms = self.clock.unix_ms();
        role.revision = self.random.u64();
        let key = keys::role(&role.account, &role.name).into_bytes();
        let row = to_row(&role)?;
        let (key, row, name) = (&key, &row, &role.name);
        self.db
            .run(|txn| async move {
                if txn.get(key).await?.is_some() {
                    return Err(IdentityError::RoleExists(name.clone()));
                }
                txn.put(key, row);
                Ok(())
            })
            .await?;
        Ok(role)
    }

    pub async fn role(&self, name: RoleName<'_>) -> Result<Role, IdentityError> {
        let name = &name;
        self.db.read(|txn| async move { load(&txn, name).await }).await
    }

    /// The role that an ARN names, if there is one.
    pub async fn role_by_arn(&self, arn: &str) -> Result<Role, IdentityError> {
        let missing = || IdentityError::NoSuchRole(arn.to_owned());
        let parsed: Arn = arn.parse().map_err(|_| missing())?;
        let path = parsed.resource.strip_prefix("role/").ok_or_else(missing)?;
        let name = path.rsplit('/').next().unwrap_or(path);
        let role =
            self.role(RoleName { account: &parsed.account, name }).await.map_err(|error| match error {
                IdentityError::NoSuchRole(_) => missing(),
                other => other,
            })?;
        if role.arn() == arn { Ok(role) } else { Err(missing()) }
    }

    pub async fn delete_role(&self, name: RoleName<'_>) -> Result<(), IdentityError> {
        let name = &name;
        self.db
            .run(|txn| async move {
                let role = load(&txn, name).await?;
                if !role.policies.is_empty() {
                    return Err(IdentityError::RoleHasPolicies(role.name));
                }
                txn.delete(&keys::role(name.account, name.name).into_bytes());
                Ok(())
            })
            .await
    }

    /// One page of an account's roles, by name, after the role named `after`; and whether there are more.
    pub async fn roles(
        &self,
        account: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Vec<Role>, bool), IdentityError> {
        let range = match after {
            Some(name) => keys::roles(account).range().after(&keys::role(account, name).into_bytes()),
            None => keys::roles(account).range(),
        };
        let page = self.page(&range, max.min(limits::ROLES_PER_PAGE)).await?;
        let roles = page.rows.iter().map(|(_, row)| from_row(row)).collect::<Result<_, _>>()?;
        Ok((roles, page.more.is_some()))
    }

    /// Adds or replaces an inline policy.
    pub async fn put_role_policy(
        &self,
        name: RoleName<'_>,
        policy: &str,
        document: &str,
    ) -> Result<(), IdentityError> {
        Policy::identity(document)?;
        self.change(&name, |role| {
            role.policies.insert(policy.to_owned(), document.to_owned());
            let chars: usize =
                role.policies.values().map(|text| text.chars().filter(|c| !c.is_whitespace()).count()).sum();
            if chars > limits::INLINE_POLICIES_CHARS_MAX {
                let max = limits::INLINE_POLICIES_CHARS_MAX;
                return Err(IdentityError::PoliciesTooLarge { role: role.name.clone(), max });
            }
            Ok(())
        })
        .await
    }

    pub async fn delete_role_policy(&self, name: RoleName<'_>, policy: &str) -> Result<(), IdentityError> {
        self.change(&name, |role| match role.policies.remove(policy) {
            Some(_) => Ok(()),
            None => Err(IdentityError::NoSuchPolicy { role: role.name.clone(), policy: policy.to_owned() }),
        })
        .await
    }

    async fn change(
        &self,
        name: &RoleName<'_>,
        change: impl Fn(&mut Role) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let change = &change;
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                let mut role = load(&txn, name).await?;
                change(&mut role)?;
                role.revision = revision;
                txn.put(&keys::role(name.account, name.name).into_bytes(), &to_row(&role)?);
                Ok(())
            })
            .await
    }

    async fn page(&self, range: &KeyRange, rows: usize) -> Result<Page, IdentityError> {
        let options = ScanOptions { max_rows: rows, ..ScanOptions::default() };
        self.db.read(|txn| async move { Ok(txn.scan(range, options).await?) }).await
    }
}

async fn load(txn: &Txn, name: &RoleName<'_>) -> Result<Role, IdentityError> {
    let row = txn.get(&keys::role(name.account, name.name).into_bytes()).await?;
    from_row(&row.ok_or_else(|| IdentityError::NoSuchRole(name.name.to_owned()))?)
}

fn to_row(role: &Role) -> Result<Vec<u8>, IdentityError> {
    serde_json::to_vec(role).map_err(|error| IdentityError::Damaged(error.to_string()))
}

pub(crate) fn from_row(row: &[u8]) -> Result<Role, IdentityError> {
    serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
}
