//! Service-specific credentials: recorded for who asks; no service here lets anybody in by one.

use lambent_store::{KeyRange, ScanOptions, Txn};
use serde::{Deserialize, Serialize};

use super::users::load_user;
use super::{ID_ALPHABET, ID_LENGTH, Kind, Listed, Principals, User, limits};
use crate::{IdentityError, keys};

/// What a credential's password is sealed for.
pub(crate) const SERVICE_CREDENTIAL_PURPOSE: &str = "service-credential/1";
const PASSWORD_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PASSWORD_LENGTH: usize = 44;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The services that AWS makes such credentials for; the second is whether it is an API key, not a password.
const SERVICES: [(&str, bool); 4] = [
    ("codecommit.amazonaws.com", false),
    ("cassandra.amazonaws.com", false),
    ("bedrock.amazonaws.com", true),
    ("logs.amazonaws.com", true),
];

/// A credential as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCredential {
    /// `ACCA` and seventeen letters.
    pub id: String,
    pub user_name: String,
    /// As `codecommit.amazonaws.com`.
    pub service: String,
    /// What the service knows the user as.
    pub service_user_name: String,
    pub is_api_key: bool,
    pub is_active: bool,
    pub created_ms: i64,
    pub expires_ms: Option<i64>,
    sealed: Vec<u8>,
}

/// A credential with its password, which is shown once.
#[derive(Clone)]
pub struct NewServiceCredential {
    pub credential: ServiceCredential,
    pub password: String,
}

/// Which credentials are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct CredentialSelection<'a> {
    /// `None`: those of all users.
    pub user: Option<&'a str>,
    pub service: Option<&'a str>,
}

impl ServiceCredential {
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}

impl Principals<'_> {
    pub async fn create_service_credential(
        self,
        user: &str,
        service: &str,
        age_days: Option<i32>,
    ) -> Result<NewServiceCredential, IdentityError> {
        let account = self.account();
        let created_ms = self.clock.unix_ms();
        let password = self.random.string(PASSWORD_ALPHABET, PASSWORD_LENGTH);
        let sealed = &self.seal(SERVICE_CREDENTIAL_PURPOSE, password.as_bytes());
        let id = &format!("ACCA{}", self.random.string(ID_ALPHABET, ID_LENGTH));
        let credential = self
            .db
            .run(|txn| async move {
                let user = load_user(&txn, account, user).await?;
                let is_api_key = known(service)?;
                let range = keys::service_credentials(account, &user.id).range();
                let others = read_all(&txn, &range).await?;
                let same = others.iter().filter(|other| other.service == service).count();
                let max = limits::SERVICE_CREDENTIALS_MAX;
                if same >= max {
                    return Err(IdentityError::Quota { quota: "ServiceSpecificCredentialsPerUser", max });
                }
                let number = if same == 0 { String::new() } else { format!("+{same}") };
                let credential = ServiceCredential {
                    id: id.clone(),
                    service_user_name: format!("{}{number}-at-{account}", user.name),
                    user_name: user.name,
                    service: service.to_owned(),
                    is_api_key,
                    is_active: true,
                    created_ms,
                    expires_ms: age_days.map(|days| created_ms + i64::from(days) * DAY_MS),
                    sealed: sealed.clone(),
                };
                put(&txn, &keys::service_credential(account, &user.id, id), &credential)?;
                Ok(credential)
            })
            .await?;
        Ok(NewServiceCredential { credential, password })
    }

    /// A page of credentials, by user and id.
    pub async fn service_credentials(
        self,
        which: CredentialSelection<'_>,
        marker: Option<&str>,
        max: usize,
    ) -> Result<Listed<ServiceCredential>, IdentityError> {
        let account = self.account();
        which.service.map(known).transpose()?;
        let range = match which.user {
            Some(user) => keys::service_credentials(account, &self.user(user).await?.id).range(),
            None => keys::all_service_credentials(account).range(),
        };
        let range = &range;
        let mut found = self.db.read(|txn| async move { read_all(&txn, range).await }).await?;
        found.retain(|credential| which.service.is_none_or(|service| service == credential.service));
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(Listed::of(found, marker, max, |credential| &credential.id))
    }

    pub async fn set_service_credential_active(
        self,
        user: &str,
        id: &str,
        is_active: bool,
    ) -> Result<(), IdentityError> {
        self.change_service_credential(user, id, |credential| credential.is_active = is_active).await?;
        Ok(())
    }

    /// Gives a credential another password; the old one is worth nothing from then on.
    pub async fn reset_service_credential(
        self,
        user: &str,
        id: &str,
    ) -> Result<NewServiceCredential, IdentityError> {
        let password = self.random.string(PASSWORD_ALPHABET, PASSWORD_LENGTH);
        let sealed = self.seal(SERVICE_CREDENTIAL_PURPOSE, password.as_bytes());
        let change = |credential: &mut ServiceCredential| credential.sealed.clone_from(&sealed);
        let credential = self.change_service_credential(user, id, change).await?;
        Ok(NewServiceCredential { credential, password })
    }

    pub async fn delete_service_credential(self, user: &str, id: &str) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let user = load_user(&txn, account, user).await?;
                load(&txn, account, &user.id, id).await?;
                txn.delete(&keys::service_credential(account, &user.id, id));
                Ok(())
            })
            .await
    }

    async fn change_service_credential(
        self,
        user: &str,
        id: &str,
        change: impl Fn(&mut ServiceCredential),
    ) -> Result<ServiceCredential, IdentityError> {
        let account = self.account();
        let change = &change;
        self.db
            .run(|txn| async move {
                let user = load_user(&txn, account, user).await?;
                let mut credential = load(&txn, account, &user.id, id).await?;
                change(&mut credential);
                put(&txn, &keys::service_credential(account, &user.id, id), &credential)?;
                Ok(credential)
            })
            .await
    }
}

/// Tells the credentials of a user that it has another name now.
pub(crate) async fn move_user(txn: &Txn, user: &User) -> Result<(), IdentityError> {
    let range = keys::service_credentials(&user.account, &user.id).range();
    for credential in read_all(txn, &range).await? {
        let key = keys::service_credential(&user.account, &user.id, &credential.id);
        put(txn, &key, &ServiceCredential { user_name: user.name.clone(), ..credential })?;
    }
    Ok(())
}

/// Whether a service's credentials are API keys; an error for a service that has none.
fn known(service: &str) -> Result<bool, IdentityError> {
    let found = SERVICES.iter().find(|(name, _)| *name == service);
    let unknown = || IdentityError::NoSuch { kind: Kind::CredentialService, name: service.to_owned() };
    found.map(|(_, is_api_key)| *is_api_key).ok_or_else(unknown)
}

async fn load(txn: &Txn, account: &str, user_id: &str, id: &str) -> Result<ServiceCredential, IdentityError> {
    let row = txn.get(&keys::service_credential(account, user_id, id)).await?;
    let missing = || IdentityError::NoSuch { kind: Kind::ServiceCredential, name: id.to_owned() };
    ServiceCredential::from_row(&row.ok_or_else(missing)?)
}

async fn read_all(txn: &Txn, range: &KeyRange) -> Result<Vec<ServiceCredential>, IdentityError> {
    let mut found = Vec::new();
    let mut left = Some(range.clone());
    while let Some(range) = left {
        let page = txn.scan(&range, ScanOptions::rows(limits::ITEMS_PER_PAGE_MAX)).await?;
        for (_, row) in &page.rows {
            found.push(ServiceCredential::from_row(row)?);
        }
        left = range.rest(&page, false);
    }
    Ok(found)
}

fn put(txn: &Txn, key: &[u8], credential: &ServiceCredential) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(credential).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    txn.put(key, &row);
    Ok(())
}
