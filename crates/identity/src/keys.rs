//! The key layout of identity:
//!
//! | key | value |
//! |---|---|
//! | `identity/1` account `role` name | the role as JSON ([`crate::Role`]), with its inline policies |
//! | `identity/1` account `user` name | the user as JSON ([`crate::User`]); names in keys have small letters |
//! | `identity/1` account `group` name | the group as JSON ([`crate::Group`]) |
//! | `identity/1` account `group-id` id | the group's name |
//! | `identity/1` account `member` group-id user | the user's name |
//! | `identity/1` account `service-credential` user-id id | the credential as JSON ([`crate::ServiceCredential`]) |
//! | `identity/1` account `settings` | the account's settings as JSON ([`crate::AccountSettings`]) |
//! | `identity/1` account `count` what | how many users or groups there are: a counter of the store |
//! | `identity/1` account `revision` | a counter of the store: rises with every change that decisions depend on |
//! | `identity/1` account `role-name` name | the name of a role as it was written; here it has small letters |
//! | `identity/1` account `role-use` role-id | when a role was last used, as JSON ([`crate::KeyUse`]) |
//! | `identity/1` account `deletion` role | the id of the task that deleted the role of a service |
//! | `identity/1` account `policy` name | the managed policy as JSON ([`crate::ManagedPolicy`]) |
//! | `identity/1` account `policy-version` name number | a version of it as JSON, with its document |
//! | `identity/1` account `attachment` policy-arn usage kind name | the name of a principal that uses a managed policy |
//! | `identity/1` account `oidc` issuer | the provider as JSON ([`crate::OidcProvider`]) |
//! | `identity/1` account `saml` name | the provider as JSON ([`crate::SamlProvider`]) |
//! | `identity/1` account `saml-metadata` name | its metadata, a long value |
//! | `identity/1` `account` account | an account beside the owner's as JSON ([`crate::Account`]) |
//! | `identity/1` `alias` alias | the account of this alias |
//! | `identity/1` `principal` id | whose a unique id (`AIDA...`, `AROA...`) is, as JSON |
//! | `identity/1` `key` access key id | the key as JSON: whose it is, its sealed secret |
//! | `identity/1` `key-use` access key id | its last use as JSON ([`crate::KeyUse`]) |

use lambent_store::{Key, KeyError, KeyRange, KeyReader};

pub(crate) const PREFIX: &[u8] = b"identity/1";
/// Woken when a revision rises.
pub(crate) const REVISED: &[u8] = b"identity/revised";

pub(crate) fn role(account: &str, name: &str) -> Key {
    Key::new(PREFIX).str(account).str("role").str(name)
}

/// All roles of all accounts.
pub(crate) fn all() -> KeyRange {
    KeyRange::prefix(PREFIX)
}

/// All roles of an account, by name.
pub(crate) fn roles(account: &str) -> Key {
    Key::new(PREFIX).str(account).str("role")
}

/// What a key is of: the kind of its row, as `user`, or `key` where no account stands in front.
pub(crate) fn kind(key: &[u8]) -> Result<String, KeyError> {
    let mut parts = KeyReader::new(key, PREFIX)?;
    let first = parts.str()?;
    if first.bytes().all(|byte| byte.is_ascii_digit()) { parts.str() } else { Ok(first) }
}

fn of(account: &str, kind: &str) -> Key {
    Key::new(PREFIX).str(account).str(kind)
}

pub(crate) fn user(account: &str, name: &str) -> Key {
    users(account).str(&name.to_lowercase())
}

/// All users of an account, by name.
pub(crate) fn users(account: &str) -> Key {
    of(account, "user")
}

pub(crate) fn group(account: &str, name: &str) -> Key {
    groups(account).str(&name.to_lowercase())
}

/// All groups of an account, by name.
pub(crate) fn groups(account: &str) -> Key {
    of(account, "group")
}

pub(crate) fn group_name(account: &str, id: &str) -> Key {
    of(account, "group-id").str(id)
}

pub(crate) fn member(account: &str, group_id: &str, user: &str) -> Key {
    members(account, group_id).str(&user.to_lowercase())
}

/// All members of a group, by name.
pub(crate) fn members(account: &str, group_id: &str) -> Key {
    of(account, "member").str(group_id)
}

pub(crate) fn service_credential(account: &str, user_id: &str, id: &str) -> Key {
    service_credentials(account, user_id).str(id)
}

pub(crate) fn service_credentials(account: &str, user_id: &str) -> Key {
    all_service_credentials(account).str(user_id)
}

pub(crate) fn all_service_credentials(account: &str) -> Key {
    of(account, "service-credential")
}

pub(crate) fn settings(account: &str) -> Key {
    of(account, "settings")
}

pub(crate) fn count(account: &str, what: &str) -> Key {
    of(account, "count").str(what)
}

pub(crate) fn revision(account: &str) -> Key {
    of(account, "revision")
}

pub(crate) fn account(id: &str) -> Key {
    accounts().str(id)
}

/// All accounts beside the owner's, by id.
pub(crate) fn accounts() -> Key {
    Key::new(PREFIX).str("account")
}

pub(crate) fn alias(alias: &str) -> Key {
    Key::new(PREFIX).str("alias").str(alias)
}

/// Whose a unique id is.
pub(crate) fn principal_id(id: &str) -> Key {
    Key::new(PREFIX).str("principal").str(id)
}

pub(crate) fn access_key(id: &str) -> Key {
    Key::new(PREFIX).str("key").str(id)
}

pub(crate) fn key_use(id: &str) -> Key {
    Key::new(PREFIX).str("key-use").str(id)
}

/// Names of roles are told apart without regard to case.
pub(crate) fn role_name(account: &str, name: &str) -> Key {
    of(account, "role-name").str(&name.to_lowercase())
}

pub(crate) fn role_use(account: &str, role_id: &str) -> Key {
    of(account, "role-use").str(role_id)
}

pub(crate) fn deletion_task(account: &str, role: &str) -> Key {
    of(account, "deletion").str(role)
}

pub(crate) fn managed_policy(account: &str, name: &str) -> Key {
    managed_policies(account).str(&name.to_lowercase())
}

/// All managed policies of an account, by name.
pub(crate) fn managed_policies(account: &str) -> Key {
    of(account, "policy")
}

pub(crate) fn policy_version(account: &str, name: &str, number: u64) -> Key {
    policy_versions(account, name).u64(number)
}

/// All versions of a managed policy, by number.
pub(crate) fn policy_versions(account: &str, name: &str) -> Key {
    all_policy_versions(account).str(&name.to_lowercase())
}

pub(crate) fn all_policy_versions(account: &str) -> Key {
    of(account, "policy-version")
}

pub(crate) fn attachment(account: &str, arn: &str, usage: &str, kind: &str, name: &str) -> Key {
    attachments_of(account, arn).str(usage).str(kind).str(&name.to_lowercase())
}

/// All principals that use a managed policy.
pub(crate) fn attachments_of(account: &str, arn: &str) -> Key {
    attachments(account).str(arn)
}

/// All uses of managed policies in an account.
pub(crate) fn attachments(account: &str) -> Key {
    of(account, "attachment")
}

pub(crate) fn oidc_provider(account: &str, issuer: &str) -> Key {
    oidc_providers(account).str(issuer)
}

pub(crate) fn oidc_providers(account: &str) -> Key {
    of(account, "oidc")
}

pub(crate) fn saml_provider(account: &str, name: &str) -> Key {
    saml_providers(account).str(name)
}

pub(crate) fn saml_providers(account: &str) -> Key {
    of(account, "saml")
}

pub(crate) fn saml_metadata(account: &str, name: &str) -> Key {
    of(account, "saml-metadata").str(name)
}
