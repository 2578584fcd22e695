//! What IAM keeps of an account itself: alias, password policy, preferences.

use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use super::Kind;
use super::Principals;
use super::lists::{Counted, count};
use crate::{IdentityError, keys};

/// How long a credential report is good, in milliseconds. Source: IAM User Guide, "Generate credential reports".
pub const REPORT_LIFETIME_MS: i64 = 4 * 60 * 60 * 1_000;

/// The settings of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountSettings {
    pub alias: Option<String>,
    pub password_policy: Option<PasswordPolicy>,
    /// `1` or `2`: of SetSecurityTokenServicePreferences.
    pub global_token_version: Option<u8>,
    /// When a credential report was last asked for; milliseconds since 1970.
    pub report_ms: Option<i64>,
}

/// The rules for passwords: kept for who asks, as no user has one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordPolicy {
    pub minimum_length: i32,
    pub require_symbols: bool,
    pub require_numbers: bool,
    pub require_uppercase: bool,
    pub require_lowercase: bool,
    pub allow_change: bool,
    pub max_age_days: Option<i32>,
    pub reuse_prevention: Option<i32>,
    pub hard_expiry: Option<bool>,
}

/// How much an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountCounts {
    pub users: usize,
    pub groups: usize,
    pub roles: usize,
    pub policies: usize,
    /// Of all managed policies together.
    pub policy_versions: usize,
    /// OpenID Connect and SAML.
    pub providers: usize,
}

impl AccountSettings {
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}

impl Principals<'_> {
    pub async fn account_settings(self) -> Result<AccountSettings, IdentityError> {
        let account = self.account();
        let key = &keys::settings(account);
        let row = self.db.read(|txn| async move { Ok::<_, IdentityError>(txn.get(key).await?) }).await?;
        Ok(row.map(|row| AccountSettings::from_row(&row)).transpose()?.unwrap_or_default())
    }

    /// Gives an account its alias, which no other account has; one that it had goes.
    pub async fn create_account_alias(self, alias: &str) -> Result<(), IdentityError> {
        let account = self.account();
        let key = &keys::alias(alias);
        self.db
            .run(|txn| async move {
                let owner = txn.get(key).await?;
                if owner.as_deref().is_some_and(|owner| owner != account.as_bytes()) {
                    return Err(IdentityError::Exists { kind: Kind::AccountAlias, name: alias.to_owned() });
                }
                let mut settings = load(&txn, account).await?;
                if let Some(old) = settings.alias.replace(alias.to_owned()) {
                    txn.delete(&keys::alias(&old));
                }
                txn.put(key, account.as_bytes());
                put(&txn, account, &settings)
            })
            .await
    }

    pub async fn delete_account_alias(self, alias: &str) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let mut settings = load(&txn, account).await?;
                if settings.alias.as_deref() != Some(alias) {
                    return Err(IdentityError::NoSuch { kind: Kind::AccountAlias, name: alias.to_owned() });
                }
                settings.alias = None;
                txn.delete(&keys::alias(alias));
                put(&txn, account, &settings)
            })
            .await
    }

    pub async fn set_password_policy(self, policy: PasswordPolicy) -> Result<(), IdentityError> {
        self.change_settings(|settings| {
            settings.password_policy = Some(policy.clone());
            Ok(())
        })
        .await
    }

    pub async fn delete_password_policy(self) -> Result<(), IdentityError> {
        let account = self.account();
        self.change_settings(|settings| match settings.password_policy.take() {
            Some(_) => Ok(()),
            None => Err(IdentityError::NoSuch { kind: Kind::PasswordPolicy, name: account.to_owned() }),
        })
        .await
    }

    /// Keeps which version of session tokens the account wants: ours are the same for both.
    pub async fn set_token_version(self, version: u8) -> Result<(), IdentityError> {
        self.change_settings(|settings| {
            settings.global_token_version = Some(version);
            Ok(())
        })
        .await
    }

    /// Begins a credential report, unless there is a good one; gives whether it did.
    pub async fn begin_credential_report(self) -> Result<bool, IdentityError> {
        let now_ms = self.clock.unix_ms();
        let settings = self.account_settings().await?;
        if settings.report_ms.is_some_and(|made_ms| now_ms - made_ms < REPORT_LIFETIME_MS) {
            return Ok(false);
        }
        self.change_settings(|settings| {
            settings.report_ms = Some(now_ms);
            Ok(())
        })
        .await?;
        Ok(true)
    }

    pub async fn account_counts(self) -> Result<AccountCounts, IdentityError> {
        let account = self.account();
        let (users, groups) = self
            .db
            .read(|txn| async move {
                let users = count(&txn, account, Counted::Users).await?;
                Ok::<_, IdentityError>((users, count(&txn, account, Counted::Groups).await?))
            })
            .await?;
        let roles = self.count_rows(keys::roles(account).range()).await?;
        let policies = self.count_rows(keys::managed_policies(account).range()).await?;
        let policy_versions = self.count_rows(keys::all_policy_versions(account).range()).await?;
        let providers = self.count_rows(keys::oidc_providers(account).range()).await?
            + self.count_rows(keys::saml_providers(account).range()).await?;
        Ok(AccountCounts { users, groups, roles, policies, policy_versions, providers })
    }

    async fn change_settings(
        self,
        change: impl Fn(&mut AccountSettings) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let account = self.account();
        let change = &change;
        self.db
            .run(|txn| async move {
                let mut settings = load(&txn, account).await?;
                change(&mut settings)?;
                put(&txn, account, &settings)
            })
            .await
    }
}

async fn load(txn: &Txn, account: &str) -> Result<AccountSettings, IdentityError> {
    let row = txn.get(&keys::settings(account)).await?;
    Ok(row.map(|row| AccountSettings::from_row(&row)).transpose()?.unwrap_or_default())
}

fn put(txn: &Txn, account: &str, settings: &AccountSettings) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(settings).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    txn.put(&keys::settings(account), &row);
    Ok(())
}
