//! Accounts beside the owner's: each a namespace of its own, with root keys that its row and theirs are all that is known of.

use lambent_store::{ScanOptions, Txn};
use serde::{Deserialize, Serialize};

use crate::principals::{KeyOwner, put_key};
use crate::{Caller, CallerKind, Identity, IdentityError, NewAccessKey, keys, quotas};

/// Accounts that one cloud has.
pub const ACCOUNTS_MAX: usize = 1_000;
/// Characters of an account's name. Source: AWS Organizations API Reference, "CreateAccount".
pub const ACCOUNT_NAME_CHARS_MAX: usize = 50;
const ID_DIGITS: usize = 12;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// For people; two may have the same.
    pub name: String,
    /// Milliseconds since 1970; 0 for the owner's account, which is as old as the cloud.
    pub created_ms: i64,
    /// Ids of its root's access keys, as they came.
    #[serde(default)]
    pub(crate) keys: Vec<String>,
}

/// Shows that it is the owner of the cloud who asks: accounts are no other's business.
#[derive(Clone, Copy, Debug)]
pub struct Owner(());

impl Account {
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}

impl Identity {
    /// Makes an account with this id, or with one that is free, and the first key of its root.
    ///
    /// Errors: `AccountExists`, `InvalidInput`, `Quota`.
    pub async fn create_account(
        &self,
        _proof: Owner,
        name: &str,
        id: Option<&str>,
    ) -> Result<(Account, NewAccessKey), IdentityError> {
        if name.is_empty()
            || name.chars().count() > ACCOUNT_NAME_CHARS_MAX
            || name.chars().any(char::is_control)
        {
            let max = ACCOUNT_NAME_CHARS_MAX;
            let told = format!("expected the name of an account to have 1 to {max} printable characters");
            return Err(IdentityError::InvalidInput(told));
        }
        let id = id.map_or_else(|| self.random.string(b"0123456789", ID_DIGITS), str::to_owned);
        if id.len() != ID_DIGITS || !id.bytes().all(|digit| digit.is_ascii_digit()) {
            let told = format!("expected the id of an account to have twelve digits, got `{id}`");
            return Err(IdentityError::InvalidInput(told));
        }
        if id == self.root.account {
            return Err(IdentityError::AccountExists(id));
        }
        let made = self.new_key();
        let account =
            Account { id, name: name.to_owned(), created_ms: made.created_ms, keys: vec![made.id.clone()] };
        let (new, key) = (&account, &made);
        self.db
            .run(|txn| async move {
                if txn.get(&keys::account(&new.id)).await?.is_some() {
                    return Err(IdentityError::AccountExists(new.id.clone()));
                }
                let others = txn.scan(&keys::accounts().range(), ScanOptions::rows(ACCOUNTS_MAX)).await?;
                if others.rows.len() >= ACCOUNTS_MAX {
                    return Err(IdentityError::Quota { quota: "Accounts", max: ACCOUNTS_MAX });
                }
                put_key(&txn, &key.id, &key.row(&new.id, KeyOwner::Root))?;
                put_account(&txn, new)
            })
            .await?;
        Ok((account, made.shown(KeyOwner::Root)))
    }

    /// The proof that this is the owner of the cloud; `None` for anybody else, also the root of another account.
    pub fn as_owner(&self, caller: &Caller) -> Option<Owner> {
        (caller.kind == CallerKind::Root && caller.account == self.root.account).then_some(Owner(()))
    }

    /// All accounts, the owner's first, the others by id.
    pub async fn accounts(&self, _proof: Owner) -> Result<Vec<Account>, IdentityError> {
        let (range, options) = (&keys::accounts().range(), ScanOptions::rows(ACCOUNTS_MAX));
        let page = self.db.read(|txn| async move { Ok::<_, IdentityError>(txn.scan(range, options).await?) });
        let others = page.await?.rows;
        let owner = Account {
            id: self.root.account.clone(),
            name: "owner".to_owned(),
            created_ms: 0,
            keys: vec![self.root.access_key_id.clone()],
        };
        let others = others.iter().map(|(_, row)| Account::from_row(row));
        std::iter::once(Ok(owner)).chain(others).collect()
    }

    /// Another key of an account's root. Of the two that there may be, the older one is deleted.
    ///
    /// Errors: `NoSuchAccount`, also for the owner's, whose key is the cloud's.
    pub async fn new_root_key(&self, _proof: Owner, id: &str) -> Result<NewAccessKey, IdentityError> {
        let made = self.new_key();
        let key = &made;
        self.db
            .run(|txn| async move {
                let row = txn.get(&keys::account(id)).await?;
                let mut account =
                    Account::from_row(&row.ok_or_else(|| IdentityError::NoSuchAccount(id.to_owned()))?)?;
                while account.keys.len() >= quotas::ACCESS_KEYS_MAX {
                    let oldest = account.keys.remove(0);
                    txn.delete(&keys::access_key(&oldest));
                    txn.delete(&keys::key_use(&oldest));
                }
                account.keys.push(key.id.clone());
                put_key(&txn, &key.id, &key.row(id, KeyOwner::Root))?;
                put_account(&txn, &account)
            })
            .await?;
        Ok(made.shown(KeyOwner::Root))
    }
}

fn put_account(txn: &Txn, account: &Account) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(account).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    txn.put(&keys::account(&account.id), &row);
    Ok(())
}

#[cfg(test)]
mod tests {
    use lambent_base::{Clock, Random};
    use lambent_store::Db;

    use super::*;
    use crate::{MasterKey, RootKey};

    const OWNER: Owner = Owner(());

    fn identity() -> Identity {
        let root = RootKey {
            account: "000000000000".into(),
            access_key_id: "AKIAROOT".into(),
            secret_access_key: "s".into(),
        };
        let db = Db::memory(Clock::system(), Random::system());
        Identity::new(db, Clock::system(), Random::system(), root, MasterKey::new([1; 32]))
    }

    #[tokio::test]
    async fn an_account_has_a_root_of_its_own() {
        let identity = identity();
        let (account, key) = identity.create_account(OWNER, "other", Some("111122223333")).await.unwrap();
        let found = identity.credential(&key.key.id, None).await.unwrap();
        assert_eq!(found.secret_access_key, key.secret_access_key);
        assert!(
            identity.as_owner(&found.caller).is_none()
                && identity.as_owner(&identity.root_caller()).is_some()
        );
        assert_eq!((found.caller.kind, found.caller.account.as_str()), (CallerKind::Root, "111122223333"));
        assert_eq!(found.caller.arn, "arn:aws:iam::111122223333:root");
        let ids: Vec<_> = identity.accounts(OWNER).await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["000000000000".to_owned(), account.id]);
    }

    #[tokio::test]
    async fn ids_are_twelve_digits_and_each_is_given_once() {
        let identity = identity();
        identity.create_account(OWNER, "other", Some("111122223333")).await.unwrap();
        for taken in ["111122223333", "000000000000"] {
            let refused = identity.create_account(OWNER, "again", Some(taken)).await;
            assert!(matches!(refused, Err(IdentityError::AccountExists(_))), "{taken}");
        }
        for (name, id) in [("x", Some("12")), ("x", Some("11112222333a")), ("", None), ("a\nb", None)] {
            let refused = identity.create_account(OWNER, name, id).await;
            assert!(matches!(refused, Err(IdentityError::InvalidInput(_))), "{name} {id:?}");
        }
    }

    #[tokio::test]
    async fn a_new_root_key_ends_the_oldest_of_two() {
        let identity = identity();
        let (account, first) = identity.create_account(OWNER, "other", None).await.unwrap();
        let second = identity.new_root_key(OWNER, &account.id).await.unwrap();
        assert!(identity.credential(&first.key.id, None).await.is_ok());
        let third = identity.new_root_key(OWNER, &account.id).await.unwrap();
        assert!(identity.credential(&first.key.id, None).await.is_err());
        for key in [second, third] {
            assert!(identity.credential(&key.key.id, None).await.is_ok());
        }
        assert!(matches!(
            identity.new_root_key(OWNER, "999999999999").await,
            Err(IdentityError::NoSuchAccount(_))
        ));
    }
}
