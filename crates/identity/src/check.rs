//! Whether the rows of identity can be read.

use lambent_care::Findings;
use lambent_store::{Export, StoreError};

use crate::principals::{Holder, KeyRow, check_version};
use crate::{
    Account, AccountSettings, Group, IdentityError, KeyUse, ManagedPolicy, OidcProvider, Role, SamlProvider,
    ServiceCredential, User, keys,
};

/// Reads all rows of identity.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    view.for_each(keys::all(), |key, row| {
        if let Err(why) = read(key, row) {
            let what = format!("row {} cannot be read: {why}", key.escape_ascii());
            findings.unreadable("identity", what, (key, row), None);
        }
    })
    .await
}

/// Reads a row as what its key says that it is; rows of a kind that is not ours to read here are left alone.
fn read(key: &[u8], row: &[u8]) -> Result<(), IdentityError> {
    let kind = keys::kind(key).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    match kind.as_str() {
        "role" => Role::from_row(row).map(drop),
        "user" => User::from_row(row).map(drop),
        "group" => Group::from_row(row).map(drop),
        "service-credential" => ServiceCredential::from_row(row).map(drop),
        "settings" => AccountSettings::from_row(row).map(drop),
        "account" => Account::from_row(row).map(drop),
        "principal" => Holder::from_row(row).map(drop),
        "key" => KeyRow::from_row(row).map(drop),
        "key-use" => KeyUse::from_row(row).map(drop),
        "role-use" => KeyUse::from_row(row).map(drop),
        "policy" => ManagedPolicy::from_row(row).map(drop),
        "policy-version" => check_version(row),
        "oidc" => OidcProvider::from_row(row).map(drop),
        "saml" => SamlProvider::from_row(row).map(drop),
        "role-name" | "group-id" | "member" | "alias" | "attachment" | "deletion" => text(row),
        "count" | "revision" => number(row),
        _ => Ok(()),
    }
}

fn text(row: &[u8]) -> Result<(), IdentityError> {
    std::str::from_utf8(row).map(drop).map_err(|error| IdentityError::Damaged(error.to_string()))
}

fn number(row: &[u8]) -> Result<(), IdentityError> {
    let is_counter = row.len() == size_of::<i64>();
    is_counter.then_some(()).ok_or_else(|| IdentityError::Damaged(format!("{} bytes, not 8", row.len())))
}
