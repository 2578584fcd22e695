//! Whom policies of resources and roles mean: the one who had the name when the policy was stored, and nobody who gets it later.
//! Source: IAM User Guide, "AWS JSON policy elements: Principal", on unique ids in place of ARNs.

use std::collections::BTreeMap;

use lambent_base::Arn;
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use super::Names;
use super::roles::load_role;
use super::users::load_user;
use crate::{IdentityError, MalformedPolicy, Policy, RoleName, keys};

/// The unique ids of the users and roles that a policy's principals name, by the name that stands in the policy. Stored with
/// the policy, as it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pins(BTreeMap<String, String>);

/// Whose a unique id is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) account: String,
    pub(crate) is_role: bool,
    pub(crate) name: String,
}

impl Pins {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of whom a name in the policy means.
    pub fn id_of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Holder {
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }

    pub(crate) fn put(&self, txn: &Txn, id: &str) -> Result<(), IdentityError> {
        let row = serde_json::to_vec(self).map_err(|error| IdentityError::Damaged(error.to_string()))?;
        txn.put(&keys::principal_id(id), &row);
        Ok(())
    }
}

impl Names<'_> {
    /// Whom the principals of a policy mean now.
    ///
    /// Errors: `MalformedPolicy` for a user or role that is not there.
    pub async fn pin(self, policy: &Policy) -> Result<Pins, IdentityError> {
        let names = &policy.principal_names();
        let read = self.identity().db.read(|txn| async move {
            let mut pins = BTreeMap::new();
            for name in names {
                let id = id_of(&txn, name).await?.ok_or_else(|| {
                    let (kind, name) = ("AWS".to_owned(), name.clone());
                    IdentityError::MalformedPolicy(MalformedPolicy::Principal { kind, name })
                })?;
                pins.insert(name.clone(), id);
            }
            Ok::<_, IdentityError>(Pins(pins))
        });
        read.await
    }

    /// The unique id of the user or role that has this ARN; `None` where there is none.
    pub async fn id_of(self, arn: &str) -> Result<Option<String>, IdentityError> {
        self.identity().db.read(|txn| async move { id_of(&txn, arn).await }).await
    }

    /// What a policy shows today for a user or role that it was stored with: its ARN, also a new one, and its id once it is gone.
    pub async fn name_of(self, written: &str, id: &str) -> Result<String, IdentityError> {
        self.identity().db.read(|txn| async move { name_of(&txn, written, id).await }).await
    }

    /// A policy as it is shown today.
    pub async fn shown(self, text: &str, pins: &Pins) -> Result<String, IdentityError> {
        let new = self.new_names(pins).await?;
        if new.is_empty() {
            return Ok(text.to_owned());
        }
        Ok(Policy::renamed(text, |name| new.get(name).cloned()).unwrap_or_else(|| text.to_owned()))
    }

    /// What a policy shows today in place of what was written, where that is something else.
    pub async fn new_names(self, pins: &Pins) -> Result<BTreeMap<String, String>, IdentityError> {
        if pins.is_empty() {
            return Ok(BTreeMap::new());
        }
        let read = self.identity().db.read(|txn| async move {
            let mut new = BTreeMap::new();
            for (written, id) in &pins.0 {
                let name = name_of(&txn, written, id).await?;
                if name != *written {
                    new.insert(written.clone(), name);
                }
            }
            Ok::<_, IdentityError>(new)
        });
        read.await
    }
}

/// The id of the user or role that an ARN, or an id itself, means.
async fn id_of(txn: &Txn, name: &str) -> Result<Option<String>, IdentityError> {
    let Ok(arn) = name.parse::<Arn>() else {
        let found = arn_of(txn, name).await?;
        return Ok(found.map(|_| name.to_owned()));
    };
    let bare = arn.resource.rsplit('/').next().unwrap_or_default();
    let (known, id) = if arn.resource.starts_with("role/") {
        match load_role(txn, &RoleName { account: &arn.account, name: bare }).await {
            Ok(role) => (role.arn(), role.id),
            Err(IdentityError::NoSuchRole(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    } else {
        match load_user(txn, &arn.account, bare).await {
            Ok(user) => (user.arn(), user.id),
            Err(IdentityError::NoSuch { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    };
    Ok((known == name).then_some(id))
}

async fn name_of(txn: &Txn, written: &str, id: &str) -> Result<String, IdentityError> {
    // Most keep their name; who was made before ids were kept has no row of its own, and is found by it.
    if written != id && id_of(txn, written).await?.as_deref() == Some(id) {
        return Ok(written.to_owned());
    }
    Ok(arn_of(txn, id).await?.unwrap_or_else(|| id.to_owned()))
}

/// The ARN of who has an id now.
async fn arn_of(txn: &Txn, id: &str) -> Result<Option<String>, IdentityError> {
    let Some(row) = txn.get(&keys::principal_id(id)).await? else { return Ok(None) };
    let Holder { account, is_role, name } = Holder::from_row(&row)?;
    if is_role {
        return Ok(Some(load_role(txn, &RoleName { account: &account, name: &name }).await?.arn()));
    }
    Ok(Some(load_user(txn, &account, &name).await?.arn()))
}
