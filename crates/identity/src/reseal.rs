//! Secrets of principals under another master key.

use bytes::Bytes;
use lambent_store::{KeyRange, ScanOptions};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::principals::{KEY_PURPOSE, SERVICE_CREDENTIAL_PURPOSE};
use crate::{Identity, IdentityError, MasterKey, keys};

/// Rows that are looked at in one transaction.
const PAGE_ROWS: usize = 500;
/// The member of rows that holds what is sealed, as bytes.
const SEALED: &str = "sealed";

impl Identity {
    /// Seals under the cloud's own key what only a replaced one opens: the secrets of access keys and of service-specific
    /// credentials. Others stay as they are. Safe with two at once.
    pub async fn reseal(&self, replaced: &[MasterKey]) -> Result<(), IdentityError> {
        let mut left = Some(keys::all());
        while let Some(range) = left {
            let range = &range;
            let rest = self.db.run(|txn| async move {
                let page = txn.scan(range, ScanOptions::rows(PAGE_ROWS)).await?;
                for (key, row) in &page.rows {
                    if let Some(new) = self.resealed(key, row, replaced) {
                        txn.put(key, &new);
                    }
                }
                Ok::<Option<KeyRange>, IdentityError>(range.rest(&page, false))
            });
            left = rest.await?;
        }
        Ok(())
    }

    /// The row as it should be; `None` where there is nothing to change, or nothing that these keys open.
    fn resealed(&self, key: &Bytes, row: &Bytes, replaced: &[MasterKey]) -> Option<Vec<u8>> {
        let purpose = match keys::kind(key).ok()?.as_str() {
            "key" => KEY_PURPOSE,
            "service-credential" => SERVICE_CREDENTIAL_PURPOSE,
            _ => return None,
        };
        let mut value: Value = serde_json::from_slice(row).ok()?;
        let sealed: Vec<u8> = serde_json::from_value(value.get(SEALED)?.clone()).ok()?;
        if self.open(purpose, &sealed).map(Zeroizing::new).is_some() {
            return None;
        }
        let plain =
            replaced.iter().find_map(|key| key.open(purpose.as_bytes(), &sealed)).map(Zeroizing::new)?;
        value[SEALED] = self.seal(purpose, &plain).into();
        serde_json::to_vec(&value).ok()
    }
}

#[cfg(test)]
mod tests {
    use lambent_base::{Clock, Random};
    use lambent_store::Db;

    use super::*;
    use crate::{RootKey, User};

    const ACCOUNT: &str = "000000000000";

    fn identity(db: &Db, key: u8) -> Identity {
        let root = RootKey {
            account: ACCOUNT.into(),
            access_key_id: "AKIAROOT".into(),
            secret_access_key: "s".into(),
        };
        Identity::new(db.clone(), Clock::system(), Random::system(), root, MasterKey::new([key; 32]))
    }

    #[tokio::test]
    async fn access_keys_outlive_the_master_key() {
        let db = Db::memory(Clock::system(), Random::system());
        let (old, new) = (identity(&db, 1), identity(&db, 2));
        let user = User { account: ACCOUNT.into(), name: "anna".into(), path: "/".into(), ..User::default() };
        old.own_principals(ACCOUNT).create_user(user).await.unwrap();
        let made = old.own_principals(ACCOUNT).create_access_key("anna").await.unwrap();
        assert!(new.credential(&made.key.id, None).await.is_err());
        new.reseal(&[MasterKey::new([9; 32])]).await.unwrap();
        assert!(new.credential(&made.key.id, None).await.is_err(), "no key that opens it was given");
        new.reseal(&[MasterKey::new([9; 32]), MasterKey::new([1; 32])]).await.unwrap();
        let found = new.credential(&made.key.id, None).await.unwrap();
        assert_eq!(found.secret_access_key, made.secret_access_key);
        assert_eq!(found.caller.arn, format!("arn:aws:iam::{ACCOUNT}:user/anna"));
        assert!(old.credential(&made.key.id, None).await.is_err());
    }
}
