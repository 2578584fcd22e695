//! The account itself: alias, password policy, summary, preferences.

use std::collections::BTreeMap;

use lambent_api::{ApiError, Call};
use lambent_identity::{IdentityError, Kind, PasswordPolicy, limits, quotas};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::invalid;
use crate::errors::api_error;

/// What an alias must look like, as AWS writes it.
const ALIAS_PATTERN: &str = "^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$";
/// The shortest password where a policy does not say.
const PASSWORD_LENGTH_DEFAULT: i32 = 6;

impl Iam {
    pub(crate) async fn create_account_alias(
        &self,
        call: &Call,
        input: model::CreateAccountAliasRequest,
    ) -> Result<Empty, ApiError> {
        check_alias(&input.account_alias)?;
        let create = self.principals(call).create_account_alias(&input.account_alias);
        create.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_account_aliases(
        &self,
        call: &Call,
        _input: model::ListAccountAliasesRequest,
    ) -> Result<model::ListAccountAliasesResponse, ApiError> {
        let settings = self.principals(call).account_settings().await.map_err(api_error)?;
        Ok(model::ListAccountAliasesResponse {
            account_aliases: settings.alias.into_iter().collect(),
            is_truncated: Some(false),
            marker: None,
        })
    }

    pub(crate) async fn delete_account_alias(
        &self,
        call: &Call,
        input: model::DeleteAccountAliasRequest,
    ) -> Result<Empty, ApiError> {
        check_alias(&input.account_alias)?;
        let delete = self.principals(call).delete_account_alias(&input.account_alias);
        delete.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn update_account_password_policy(
        &self,
        call: &Call,
        input: model::UpdateAccountPasswordPolicyRequest,
    ) -> Result<Empty, ApiError> {
        let policy = PasswordPolicy {
            minimum_length: input.minimum_password_length.unwrap_or(PASSWORD_LENGTH_DEFAULT),
            require_symbols: input.require_symbols.unwrap_or_default(),
            require_numbers: input.require_numbers.unwrap_or_default(),
            require_uppercase: input.require_uppercase_characters.unwrap_or_default(),
            require_lowercase: input.require_lowercase_characters.unwrap_or_default(),
            allow_change: input.allow_users_to_change_password.unwrap_or_default(),
            max_age_days: input.max_password_age,
            reuse_prevention: input.password_reuse_prevention,
            hard_expiry: input.hard_expiry,
        };
        self.principals(call).set_password_policy(policy).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn get_account_password_policy(
        &self,
        call: &Call,
        _input: Empty,
    ) -> Result<model::GetAccountPasswordPolicyResponse, ApiError> {
        let settings = self.principals(call).account_settings().await.map_err(api_error)?;
        let policy = settings.password_policy.ok_or_else(|| {
            let name = call.account().to_owned();
            api_error(IdentityError::NoSuch { kind: Kind::PasswordPolicy, name })
        })?;
        let password_policy = model::PasswordPolicy {
            allow_users_to_change_password: Some(policy.allow_change),
            expire_passwords: Some(policy.max_age_days.is_some()),
            hard_expiry: policy.hard_expiry,
            max_password_age: policy.max_age_days,
            minimum_password_length: Some(policy.minimum_length),
            password_reuse_prevention: policy.reuse_prevention,
            require_lowercase_characters: Some(policy.require_lowercase),
            require_numbers: Some(policy.require_numbers),
            require_symbols: Some(policy.require_symbols),
            require_uppercase_characters: Some(policy.require_uppercase),
        };
        Ok(model::GetAccountPasswordPolicyResponse { password_policy })
    }

    pub(crate) async fn delete_account_password_policy(
        &self,
        call: &Call,
        _input: Empty,
    ) -> Result<Empty, ApiError> {
        self.principals(call).delete_password_policy().await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn set_security_token_service_preferences(
        &self,
        call: &Call,
        input: model::SetSecurityTokenServicePreferencesRequest,
    ) -> Result<Empty, ApiError> {
        let version = match input.global_endpoint_token_version {
            model::GlobalEndpointTokenVersion::V2Token => 2,
            _ => 1,
        };
        self.principals(call).set_token_version(version).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn get_account_summary(
        &self,
        call: &Call,
        _input: Empty,
    ) -> Result<model::GetAccountSummaryResponse, ApiError> {
        let counts = self.principals(call).account_counts().await.map_err(api_error)?;
        let settings = self.principals(call).account_settings().await.map_err(api_error)?;
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let mut map: BTreeMap<String, i32> =
            FIXED.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        for (name, value) in [
            ("Users", counts.users),
            ("UsersQuota", quotas::USERS_MAX),
            ("Groups", counts.groups),
            ("GroupsQuota", quotas::GROUPS_MAX),
            ("Roles", counts.roles),
            ("RolesQuota", quotas::ROLES_MAX),
            ("Policies", counts.policies),
            ("PoliciesQuota", quotas::POLICIES_MAX),
            ("PolicySizeQuota", quotas::MANAGED_POLICY_CHARS_MAX),
            ("PolicyVersionsInUse", counts.policy_versions),
            ("VersionsPerPolicyQuota", quotas::POLICY_VERSIONS_MAX),
            ("AttachedPoliciesPerGroupQuota", quotas::ATTACHED_POLICIES_MAX),
            ("AttachedPoliciesPerRoleQuota", quotas::ATTACHED_POLICIES_MAX),
            ("AttachedPoliciesPerUserQuota", quotas::ATTACHED_POLICIES_MAX),
            ("Providers", counts.providers),
            ("GroupsPerUserQuota", quotas::GROUPS_OF_USER_MAX),
            ("AccessKeysPerUserQuota", quotas::ACCESS_KEYS_MAX),
            ("UserPolicySizeQuota", quotas::USER_POLICIES_CHARS_MAX),
            ("GroupPolicySizeQuota", quotas::GROUP_POLICIES_CHARS_MAX),
            ("RolePolicySizeQuota", limits::INLINE_POLICIES_CHARS_MAX),
            ("GlobalEndpointTokenVersion", usize::from(settings.global_token_version.unwrap_or(1))),
        ] {
            map.insert(name.to_owned(), number(value));
        }
        Ok(model::GetAccountSummaryResponse { summary_map: Some(map) })
    }
}

/// What is the same for every account. Source: IAM API Reference, "GetAccountSummary".
const FIXED: [(&str, i32); 13] = [
    ("AccountAccessKeysPresent", 1),
    ("AccountMFAEnabled", 0),
    ("AccountPasswordPresent", 0),
    ("AccountSigningCertificatesPresent", 0),
    ("AssumeRolePolicySizeQuota", 2_048),
    ("InstanceProfiles", 0),
    ("InstanceProfilesQuota", 1_000),
    ("MFADevices", 0),
    ("MFADevicesInUse", 0),
    ("ServerCertificates", 0),
    ("ServerCertificatesQuota", 20),
    ("SigningCertificatesPerUserQuota", 2),
    ("PolicyVersionsInUseQuota", 10_000),
];

fn check_alias(alias: &str) -> Result<(), ApiError> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_edge = |byte: Option<u8>| byte.is_some_and(is_inner);
    let bytes = alias.as_bytes();
    let is_good = bytes.iter().all(|&byte| is_inner(byte) || byte == b'-')
        && is_edge(bytes.first().copied())
        && is_edge(bytes.last().copied())
        && !alias.contains("--");
    if is_good {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value at 'accountAlias' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: {ALIAS_PATTERN}"
    )))
}
