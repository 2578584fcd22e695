//! Identity providers outside: OpenID Connect, whose tokens roles trust, and SAML.

use lambent_base::Arn;
use lambent_store::{ScanOptions, Txn, delete_large, get_large, put_large};
use serde::{Deserialize, Serialize};

use super::{Kind, Principals, limits, tags};
use crate::{IdentityError, keys};

/// An OpenID Connect provider as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OidcProvider {
    pub account: String,
    /// The issuer as it was given, as `https://accounts.example.com`.
    pub url: String,
    /// Audiences that its tokens may have.
    pub client_ids: Vec<String>,
    /// SHA-1 of the certificates of its server's authority, in hexadecimal.
    pub thumbprints: Vec<String>,
    pub created_ms: i64,
    /// By key.
    pub tags: Vec<(String, String)>,
}

/// A SAML provider as it is stored, without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SamlProvider {
    pub account: String,
    pub name: String,
    pub uuid: String,
    pub created_ms: i64,
    /// `Required` or `Allowed`; nothing without a private key.
    pub encryption: Option<String>,
    /// By key.
    pub tags: Vec<(String, String)>,
}

impl OidcProvider {
    pub fn arn(&self) -> String {
        Arn::new("iam", "", &self.account, format!("oidc-provider/{}", self.issuer())).to_string()
    }

    /// The URL without its scheme, as answers and condition keys have it.
    pub fn issuer(&self) -> &str {
        issuer(&self.url)
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }

    fn put(&self, txn: &Txn) -> Result<(), IdentityError> {
        if self.client_ids.len() > limits::CLIENT_IDS_MAX {
            let quota = "ClientIdsPerOpenIdConnectProvider";
            return Err(IdentityError::Quota { quota, max: limits::CLIENT_IDS_MAX });
        }
        if self.thumbprints.len() > limits::THUMBPRINTS_MAX {
            let message = "Thumbprint list must contain fewer than 5 entries.";
            return Err(IdentityError::InvalidInput(message.to_owned()));
        }
        let row = serde_json::to_vec(self).map_err(|error| IdentityError::Damaged(error.to_string()))?;
        txn.put(&keys::oidc_provider(&self.account, self.issuer()), &row);
        Ok(())
    }
}

impl SamlProvider {
    pub fn arn(&self) -> String {
        Arn::new("iam", "", &self.account, format!("saml-provider/{}", self.name)).to_string()
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }

    fn put(&self, txn: &Txn) -> Result<(), IdentityError> {
        let row = serde_json::to_vec(self).map_err(|error| IdentityError::Damaged(error.to_string()))?;
        txn.put(&keys::saml_provider(&self.account, &self.name), &row);
        Ok(())
    }
}

impl Principals<'_> {
    /// Makes an OpenID Connect provider; `account` and `created_ms` are set here.
    pub async fn create_oidc_provider(
        self,
        mut provider: OidcProvider,
    ) -> Result<OidcProvider, IdentityError> {
        check_url(&provider.url)?;
        self.account().clone_into(&mut provider.account);
        let given = std::mem::take(&mut provider.tags);
        tags::add(&mut provider.tags, &given)?;
        dedup(&mut provider.client_ids);
        provider.created_ms = self.clock.unix_ms();
        let new = &provider;
        self.db
            .run(|txn| async move {
                if txn.get(&keys::oidc_provider(&new.account, new.issuer())).await?.is_some() {
                    return Err(IdentityError::Exists { kind: Kind::OidcProvider, name: new.url.clone() });
                }
                let all = keys::oidc_providers(&new.account).range();
                check_room(&txn, &all, "OpenIdConnectProvidersPerAccount", limits::OIDC_PROVIDERS_MAX)
                    .await?;
                new.put(&txn)
            })
            .await?;
        Ok(provider)
    }

    pub async fn oidc_provider(self, arn: &str) -> Result<OidcProvider, IdentityError> {
        let account = self.account();
        self.db.read(|txn| async move { load_oidc(&txn, account, arn).await }).await
    }

    /// All of an account, by URL.
    pub async fn oidc_providers(self) -> Result<Vec<OidcProvider>, IdentityError> {
        let account = self.account();
        self.db
            .read(|txn| async move {
                let range = keys::oidc_providers(account).range();
                let page = txn.scan(&range, ScanOptions::rows(limits::OIDC_PROVIDERS_MAX)).await?;
                page.rows.iter().map(|(_, row)| OidcProvider::from_row(row)).collect()
            })
            .await
    }

    /// Adds an audience; no harm when it is there.
    pub async fn add_client_id(self, arn: &str, id: &str) -> Result<(), IdentityError> {
        self.change_oidc(arn, |provider| {
            provider.client_ids.push(id.to_owned());
            dedup(&mut provider.client_ids);
            Ok(())
        })
        .await
    }

    /// Takes an audience away; no harm when it is not there.
    pub async fn remove_client_id(self, arn: &str, id: &str) -> Result<(), IdentityError> {
        self.change_oidc(arn, |provider| {
            provider.client_ids.retain(|known| known != id);
            Ok(())
        })
        .await
    }

    pub async fn set_thumbprints(self, arn: &str, thumbprints: &[String]) -> Result<(), IdentityError> {
        self.change_oidc(arn, |provider| {
            thumbprints.clone_into(&mut provider.thumbprints);
            Ok(())
        })
        .await
    }

    pub async fn tag_oidc_provider(self, arn: &str, new: &[(String, String)]) -> Result<(), IdentityError> {
        self.change_oidc(arn, |provider| tags::add(&mut provider.tags, new)).await
    }

    pub async fn untag_oidc_provider(self, arn: &str, gone: &[String]) -> Result<(), IdentityError> {
        self.change_oidc(arn, |provider| {
            tags::remove(&mut provider.tags, gone);
            Ok(())
        })
        .await
    }

    pub async fn delete_oidc_provider(self, arn: &str) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let provider = load_oidc(&txn, account, arn).await?;
                txn.delete(&keys::oidc_provider(account, provider.issuer()));
                Ok(())
            })
            .await
    }

    async fn change_oidc(
        self,
        arn: &str,
        change: impl Fn(&mut OidcProvider) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let account = self.account();
        let change = &change;
        self.db
            .run(|txn| async move {
                let mut provider = load_oidc(&txn, account, arn).await?;
                change(&mut provider)?;
                provider.put(&txn)
            })
            .await
    }

    /// Makes a SAML provider; `account`, `uuid` and `created_ms` are set here.
    pub async fn create_saml_provider(
        self,
        mut provider: SamlProvider,
        metadata: &str,
    ) -> Result<SamlProvider, IdentityError> {
        check_metadata(metadata)?;
        self.account().clone_into(&mut provider.account);
        let given = std::mem::take(&mut provider.tags);
        tags::add(&mut provider.tags, &given)?;
        provider.uuid = self.random.uuid();
        provider.created_ms = self.clock.unix_ms();
        let new = &provider;
        self.db
            .run(|txn| async move {
                if txn.get(&keys::saml_provider(&new.account, &new.name)).await?.is_some() {
                    return Err(IdentityError::Exists { kind: Kind::SamlProvider, name: new.name.clone() });
                }
                let all = keys::saml_providers(&new.account).range();
                check_room(&txn, &all, "SAMLProvidersPerAccount", limits::SAML_PROVIDERS_MAX).await?;
                put_large(&txn, &keys::saml_metadata(&new.account, &new.name), metadata.as_bytes()).await?;
                new.put(&txn)
            })
            .await?;
        Ok(provider)
    }

    /// A SAML provider with its metadata.
    pub async fn saml_provider(self, arn: &str) -> Result<(SamlProvider, String), IdentityError> {
        let account = self.account();
        self.db
            .read(|txn| async move {
                let provider = load_saml(&txn, account, arn).await?;
                let metadata = get_large(&txn, &keys::saml_metadata(account, &provider.name)).await?;
                let damaged = || IdentityError::Damaged(format!("the metadata of {arn}"));
                let metadata = String::from_utf8(metadata.ok_or_else(damaged)?.to_vec());
                Ok((provider, metadata.map_err(|_| damaged())?))
            })
            .await
    }

    /// All of an account, by name.
    pub async fn saml_providers(self) -> Result<Vec<SamlProvider>, IdentityError> {
        let account = self.account();
        self.db
            .read(|txn| async move {
                let range = keys::saml_providers(account).range();
                let page = txn.scan(&range, ScanOptions::rows(limits::SAML_PROVIDERS_MAX)).await?;
                page.rows.iter().map(|(_, row)| SamlProvider::from_row(row)).collect()
            })
            .await
    }

    /// Replaces the metadata.
    pub async fn update_saml_provider(self, arn: &str, metadata: &str) -> Result<(), IdentityError> {
        let account = self.account();
        check_metadata(metadata)?;
        self.db
            .run(|txn| async move {
                let provider = load_saml(&txn, account, arn).await?;
                put_large(&txn, &keys::saml_metadata(account, &provider.name), metadata.as_bytes()).await?;
                Ok(())
            })
            .await
    }

    pub async fn tag_saml_provider(self, arn: &str, new: &[(String, String)]) -> Result<(), IdentityError> {
        self.change_saml(arn, |provider| tags::add(&mut provider.tags, new)).await
    }

    pub async fn untag_saml_provider(self, arn: &str, gone: &[String]) -> Result<(), IdentityError> {
        self.change_saml(arn, |provider| {
            tags::remove(&mut provider.tags, gone);
            Ok(())
        })
        .await
    }

    pub async fn delete_saml_provider(self, arn: &str) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let provider = load_saml(&txn, account, arn).await?;
                delete_large(&txn, &keys::saml_metadata(account, &provider.name)).await?;
                txn.delete(&keys::saml_provider(account, &provider.name));
                Ok(())
            })
            .await
    }

    async fn change_saml(
        self,
        arn: &str,
        change: impl Fn(&mut SamlProvider) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let account = self.account();
        let change = &change;
        self.db
            .run(|txn| async move {
                let mut provider = load_saml(&txn, account, arn).await?;
                change(&mut provider)?;
                provider.put(&txn)
            })
            .await
    }
}

pub(crate) async fn load_oidc(txn: &Txn, account: &str, arn: &str) -> Result<OidcProvider, IdentityError> {
    let missing = || IdentityError::NoSuch { kind: Kind::OidcProvider, name: arn.to_owned() };
    let issuer = name_in(arn, account, "oidc-provider/").ok_or_else(missing)?;
    let row = txn.get(&keys::oidc_provider(account, &issuer)).await?;
    OidcProvider::from_row(&row.ok_or_else(missing)?)
}

pub(crate) async fn load_saml(txn: &Txn, account: &str, arn: &str) -> Result<SamlProvider, IdentityError> {
    let missing = || IdentityError::NoSuch { kind: Kind::SamlProvider, name: arn.to_owned() };
    let name = name_in(arn, account, "saml-provider/").ok_or_else(missing)?;
    let row = txn.get(&keys::saml_provider(account, &name)).await?;
    SamlProvider::from_row(&row.ok_or_else(missing)?)
}

/// What comes after `prefix` in an ARN of the account.
fn name_in(arn: &str, account: &str, prefix: &str) -> Option<String> {
    let arn: Arn = arn.parse().ok()?;
    let name = arn.resource.strip_prefix(prefix)?;
    (arn.service == "iam" && arn.account == account).then(|| name.to_owned())
}

async fn check_room(
    txn: &Txn,
    all: &lambent_store::KeyRange,
    quota: &'static str,
    max: usize,
) -> Result<(), IdentityError> {
    let count = txn.scan(all, ScanOptions::rows(max).keys_only()).await?.rows.len();
    if count >= max { Err(IdentityError::Quota { quota, max }) } else { Ok(()) }
}

fn issuer(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// An issuer is reached by HTTPS; on this host itself, where nobody listens in between, HTTP does.
fn check_url(url: &str) -> Result<(), IdentityError> {
    let invalid = || IdentityError::Invalid("Invalid Open ID Connect Provider URL".to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "::1");
    let is_plain =
        url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@' | b'\\'));
    let is_good = scheme == "https" || (scheme == "http" && is_here);
    if is_good && is_plain && !host.is_empty() { Ok(()) } else { Err(invalid()) }
}

fn check_metadata(metadata: &str) -> Result<(), IdentityError> {
    if metadata.len() > limits::SAML_METADATA_BYTES_MAX {
        let (quota, max) = ("SAMLMetadataSize", limits::SAML_METADATA_BYTES_MAX);
        return Err(IdentityError::Quota { quota, max });
    }
    if !metadata.contains("EntityDescriptor") {
        return Err(IdentityError::InvalidInput("Unable to parse metadata: no EntityDescriptor.".to_owned()));
    }
    Ok(())
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_reached_safely() {
        for good in [
            "https://accounts.example.com",
            "https://a.example/b/c",
            "http://127.0.0.1:8080",
            "http://[::1]:1/x",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "accounts.example.com",
            "http://accounts.example.com",
            "https://",
            "https://a/?x=1",
            "https://u@host",
            "ftp://a",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
