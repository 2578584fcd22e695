//! Long-term access keys of users: two each, sealed, found by their id.

use lambent_base::Arn;
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use super::users::{load_user, put_user};
use super::{Kind, Principals, User, limits};
use crate::{Account, Caller, CallerKind, Credential, Identity, IdentityError, keys};

/// What the secret of an access key is sealed for.
pub(crate) const KEY_PURPOSE: &str = "access-key/1";
const KEY_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_LENGTH: usize = 16;
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LENGTH: usize = 40;

/// An access key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    pub id: String,
    pub owner: KeyOwner,
    pub is_active: bool,
    pub created_ms: i64,
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOwner {
    Root,
    User { id: String, name: String, path: String },
}

/// A key just made: the only time that its secret is shown.
#[derive(Clone)]
pub struct NewAccessKey {
    pub key: AccessKey,
    pub secret_access_key: String,
}

/// A key that has no owner yet.
pub(crate) struct FreshKey {
    pub id: String,
    pub secret_access_key: String,
    /// The secret, sealed under the master key.
    pub sealed: Vec<u8>,
    pub created_ms: i64,
}

/// An access key as it is stored, under its id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    pub account: String,
    pub owner: KeyOwner,
    /// The secret, sealed under the master key.
    pub sealed: Vec<u8>,
    pub is_active: bool,
    pub created_ms: i64,
}

impl KeyRow {
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }

    fn is_of(&self, account: &str, user: &str) -> bool {
        self.account == account && matches!(&self.owner, KeyOwner::User { name, .. } if name == user)
    }

    fn shown(self, id: &str) -> AccessKey {
        let Self { owner, is_active, created_ms, .. } = self;
        AccessKey { id: id.to_owned(), owner, is_active, created_ms }
    }

    /// Who signs with this key.
    pub(crate) fn caller(&self, id: &str) -> Caller {
        match &self.owner {
            KeyOwner::Root => Caller::root(&self.account, id),
            KeyOwner::User { id: user_id, name, path } => Caller {
                account: self.account.clone(),
                arn: Arn::new("iam", "", &self.account, format!("user{path}{name}")).to_string(),
                user_id: user_id.clone(),
                access_key_id: id.to_owned(),
                kind: CallerKind::User { name: name.clone() },
                session: None,
            },
        }
    }
}

impl FreshKey {
    pub(crate) fn row(&self, account: &str, owner: KeyOwner) -> KeyRow {
        let Self { sealed, created_ms, .. } = self;
        let (account, sealed, created_ms) = (account.to_owned(), sealed.clone(), *created_ms);
        KeyRow { account, owner, sealed, is_active: true, created_ms }
    }

    /// The key with its secret, once it is its owner's.
    pub(crate) fn shown(self, owner: KeyOwner) -> NewAccessKey {
        let key = AccessKey { id: self.id, owner, is_active: true, created_ms: self.created_ms };
        NewAccessKey { key, secret_access_key: self.secret_access_key }
    }
}

impl Identity {
    pub(crate) fn new_key(&self) -> FreshKey {
        let secret_access_key = self.random.string(SECRET_ALPHABET, SECRET_LENGTH);
        FreshKey {
            id: format!("AKIA{}", self.random.string(KEY_ALPHABET, KEY_LENGTH)),
            sealed: self.seal(KEY_PURPOSE, secret_access_key.as_bytes()),
            secret_access_key,
            created_ms: self.clock.unix_ms(),
        }
    }

    /// The secret and principal of a long-term key that lies in the store.
    pub(crate) async fn stored_credential(&self, id: &str) -> Result<Credential, IdentityError> {
        let unknown = || IdentityError::UnknownAccessKey(id.to_owned());
        // Read with every request, so that a key that was deleted or made inactive on any node is so on all.
        let row = self.key_row(id).await?.filter(|row| row.is_active).ok_or_else(unknown)?;
        let secret = self.open(KEY_PURPOSE, &row.sealed).and_then(|secret| String::from_utf8(secret).ok());
        let secret_access_key = secret.ok_or_else(|| IdentityError::Sealed(id.to_owned()))?;
        Ok(Credential { secret_access_key, caller: row.caller(id) })
    }

    pub(crate) async fn key_row(&self, id: &str) -> Result<Option<KeyRow>, IdentityError> {
        let key = &keys::access_key(id);
        let row = self.db.read(|txn| async move { Ok::<_, IdentityError>(txn.get(key).await?) }).await?;
        row.map(|row| KeyRow::from_row(&row)).transpose()
    }
}

impl Principals<'_> {
    /// Makes a user's access key.
    pub async fn create_access_key(self, user: &str) -> Result<NewAccessKey, IdentityError> {
        let account = self.account();
        let (made, revision) = (self.new_key(), self.random.u64());
        let key = &made;
        let owner = self
            .db
            .run(|txn| async move {
                let mut user = load_user(&txn, account, user).await?;
                if user.keys.len() >= limits::ACCESS_KEYS_MAX {
                    let max = limits::ACCESS_KEYS_MAX;
                    return Err(IdentityError::Quota { quota: "AccessKeysPerUser", max });
                }
                let owner = owner(&user);
                put_key(&txn, &key.id, &key.row(account, owner.clone()))?;
                user.keys.push(key.id.clone());
                user.revision = revision;
                put_user(&txn, &user)?;
                Ok(owner)
            })
            .await?;
        Ok(made.shown(owner))
    }

    /// The keys of a user, oldest first.
    pub async fn access_keys(self, user: &str) -> Result<Vec<AccessKey>, IdentityError> {
        let account = self.account();
        self.db
            .read(|txn| async move {
                let user = load_user(&txn, account, user).await?;
                let mut found = Vec::with_capacity(user.keys.len());
                for id in &user.keys {
                    let row = txn.get(&keys::access_key(id)).await?;
                    found.extend(row.map(|row| KeyRow::from_row(&row)).transpose()?.map(|row| row.shown(id)));
                }
                Ok(found)
            })
            .await
    }

    /// Lets a key be used, or not.
    pub async fn set_access_key_active(
        self,
        user: &str,
        id: &str,
        is_active: bool,
    ) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let row = load_key_of(&txn, account, user, id).await?;
                put_key(&txn, id, &KeyRow { is_active, ..row })
            })
            .await
    }

    pub async fn delete_access_key(self, user: &str, id: &str) -> Result<(), IdentityError> {
        let account = self.account();
        let revision = self.random.u64();
        self.db
            .run(|txn| async move {
                load_key_of(&txn, account, user, id).await?;
                let mut user = load_user(&txn, account, user).await?;
                user.keys.retain(|key| key != id);
                user.revision = revision;
                txn.delete(&keys::access_key(id));
                txn.delete(&keys::key_use(id));
                put_user(&txn, &user)
            })
            .await
    }

    /// An access key of the account; `None` when it has none of this id.
    pub async fn access_key(self, id: &str) -> Result<Option<AccessKey>, IdentityError> {
        let found = self.any_access_key(id).await?.filter(|(account, _)| account == self.account());
        Ok(found.map(|(_, key)| key))
    }

    /// An access key of any account, and the account.
    pub(crate) async fn any_access_key(self, id: &str) -> Result<Option<(String, AccessKey)>, IdentityError> {
        if id == self.root.access_key_id {
            let owner = KeyOwner::Root;
            let key = AccessKey { id: id.to_owned(), owner, is_active: true, created_ms: 0 };
            return Ok(Some((self.root.account.clone(), key)));
        }
        Ok(self.key_row(id).await?.map(|row| (row.account.clone(), row.shown(id))))
    }

    /// The keys of an account's root, oldest first.
    pub async fn root_access_keys(self) -> Result<Vec<AccessKey>, IdentityError> {
        let account = self.account();
        let ids = if account == self.root.account {
            vec![self.root.access_key_id.clone()]
        } else {
            let key = &keys::account(account);
            let row = self.db.read(|txn| async move { Ok::<_, IdentityError>(txn.get(key).await?) }).await?;
            row.map(|row| Account::from_row(&row))
                .transpose()?
                .map(|account| account.keys)
                .unwrap_or_default()
        };
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.access_key(&id).await?);
        }
        Ok(found)
    }
}

/// Tells the keys of a user that it has another name or path now.
pub(crate) async fn move_user(txn: &Txn, user: &User) -> Result<(), IdentityError> {
    for id in &user.keys {
        if let Some(row) = txn.get(&keys::access_key(id)).await? {
            put_key(txn, id, &KeyRow { owner: owner(user), ..KeyRow::from_row(&row)? })?;
        }
    }
    Ok(())
}

async fn load_key_of(txn: &Txn, account: &str, user: &str, id: &str) -> Result<KeyRow, IdentityError> {
    let user = load_user(txn, account, user).await?;
    let row = txn.get(&keys::access_key(id)).await?;
    let row = row.map(|row| KeyRow::from_row(&row)).transpose()?;
    row.filter(|row| row.is_of(account, &user.name))
        .ok_or_else(|| IdentityError::NoSuch { kind: Kind::AccessKey, name: id.to_owned() })
}

fn owner(user: &User) -> KeyOwner {
    KeyOwner::User { id: user.id.clone(), name: user.name.clone(), path: user.path.clone() }
}

pub(crate) fn put_key(txn: &Txn, id: &str, row: &KeyRow) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(row).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    txn.put(&keys::access_key(id), &row);
    Ok(())
}
