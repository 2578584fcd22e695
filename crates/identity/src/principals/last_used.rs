//! When an access key was last used: kept coarsely, so that requests do not wait for it.

use serde::{Deserialize, Serialize};

use super::roles::load_role;
use super::{Principals, Role, RoleName};
use crate::{Identity, IdentityError, keys};

/// Uses of a key that come sooner after the one that was written down are not. Source: AWS says that it tells the last
/// use within some 15 minutes.
const WRITTEN_EVERY_MS: i64 = 15 * 60 * 1_000;

/// Keys whose last writing is remembered; beyond it all are forgotten, and written down once too often.
const REMEMBERED_MAX: usize = 10_000;

/// A use of an access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    pub time_ms: i64,
    /// The signing name of the service, as `s3`.
    pub service: String,
    pub region: String,
}

impl Identity {
    /// Says that a key signed a request that was good, and gives what is to be written down, if it is time for that:
    /// [`Identity::write_use`] takes it, which nobody need wait for.
    pub fn note_use(&self, access_key_id: &str, service: &str, region: &str) -> Option<KeyUse> {
        let now_ms = self.clock.unix_ms();
        let is_due = |written_ms: &i64| now_ms - written_ms >= WRITTEN_EVERY_MS;
        if !self.uses.read().get(access_key_id).is_none_or(is_due) {
            return None;
        }
        let mut uses = self.uses.write();
        if !uses.get(access_key_id).is_none_or(is_due) {
            return None;
        }
        if uses.len() >= REMEMBERED_MAX {
            uses.clear();
        }
        uses.insert(access_key_id.to_owned(), now_ms);
        Some(KeyUse { time_ms: now_ms, service: service.to_owned(), region: region.to_owned() })
    }

    /// Writes down a use of a long-term key that is still there.
    pub async fn write_use(&self, access_key_id: &str, used: &KeyUse) -> Result<(), IdentityError> {
        let row = serde_json::to_vec(used).map_err(|error| IdentityError::Damaged(error.to_string()))?;
        let (key, row) = (&keys::key_use(access_key_id), &row);
        let is_root = access_key_id == self.root.access_key_id;
        self.db
            .run(|txn| async move {
                if is_root || txn.get(&keys::access_key(access_key_id)).await?.is_some() {
                    txn.put(key, row);
                }
                Ok(())
            })
            .await
    }

    /// Writes down a use of a role that is still there.
    pub async fn write_role_use(&self, role: RoleName<'_>, used: &KeyUse) -> Result<(), IdentityError> {
        let row = serde_json::to_vec(used).map_err(|error| IdentityError::Damaged(error.to_string()))?;
        let (role, row) = (&role, &row);
        self.db
            .run(|txn| async move {
                match load_role(&txn, role).await {
                    Ok(found) => txn.put(&keys::role_use(&found.account, &found.id), row),
                    Err(IdentityError::NoSuchRole(_)) => {}
                    Err(error) => return Err(error),
                }
                Ok(())
            })
            .await
    }
}

impl Principals<'_> {
    /// When and where a role was last used, as far as it is written down.
    pub async fn role_use(self, role: &Role) -> Result<Option<KeyUse>, IdentityError> {
        let key = &keys::role_use(self.account(), &role.id);
        let row = self.db.read(|txn| async move { Ok::<_, IdentityError>(txn.get(key).await?) }).await?;
        row.map(|row| KeyUse::from_row(&row)).transpose()
    }

    /// When and for what a key was last used, as far as it is written down.
    pub async fn last_use(self, access_key_id: &str) -> Result<Option<KeyUse>, IdentityError> {
        if self.access_key(access_key_id).await?.is_none() {
            return Ok(None);
        }
        let key = &keys::key_use(access_key_id);
        let row = self.db.read(|txn| async move { Ok::<_, IdentityError>(txn.get(key).await?) }).await?;
        row.map(|row| KeyUse::from_row(&row)).transpose()
    }
}

impl KeyUse {
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}
