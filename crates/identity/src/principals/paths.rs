//! What a decision knows of IAM's own things. Requests to IAM name users, groups and roles without their paths; policies name
//! them with them, and ask for their tags and boundaries.

use lambent_base::Arn;
use lambent_store::Txn;

use super::groups::load_group;
use super::managed::{Missing, load_policy};
use super::providers::{load_oidc, load_saml};
use super::roles::load_role;
use super::users::load_user;
use crate::{Identity, IdentityError, RoleName};

/// A thing of IAM's as a decision sees it.
#[derive(Debug, Default)]
pub(crate) struct IamThing {
    /// With its path.
    pub(crate) arn: String,
    /// For `aws:ResourceTag/...`.
    pub(crate) tags: Vec<(String, String)>,
    /// For `iam:PermissionsBoundary`: whose it is, where a request does not bring one.
    pub(crate) boundary: Option<String>,
}

impl Identity {
    /// What is known of the thing that a request to IAM is about; of one that is not there, what the request calls it.
    pub(crate) async fn iam_thing(&self, resource: &str) -> Result<IamThing, IdentityError> {
        let unknown = || IamThing { arn: resource.to_owned(), ..IamThing::default() };
        let arn: Option<Arn> = resource.parse().ok();
        // One with an asterisk means all.
        let Some(arn) = arn.filter(|arn| arn.service == "iam" && !arn.resource.contains('*')) else {
            return Ok(unknown());
        };
        let arn = &arn;
        let found = self.db.read(|txn| async move { load(&txn, arn, resource).await }).await;
        match found {
            // A name with a slash has its path already: then only the thing of that very path is meant.
            Ok(thing) if thing.arn == resource || is_bare(arn) => Ok(thing),
            Ok(_)
            | Err(IdentityError::NoSuchRole(_) | IdentityError::NoSuch { .. } | IdentityError::Invalid(_)) => {
                Ok(unknown())
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether an ARN names its thing without a path.
fn is_bare(arn: &Arn) -> bool {
    arn.resource.matches('/').count() == 1
}

async fn load(txn: &Txn, arn: &Arn, resource: &str) -> Result<IamThing, IdentityError> {
    let account = arn.account.as_str();
    let (kind, path) = arn.resource.split_once('/').unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok(match kind {
        "user" => {
            let user = load_user(txn, account, name).await?;
            IamThing { arn: user.arn(), tags: user.tags, boundary: user.boundary }
        }
        "role" => {
            let role = load_role(txn, &RoleName { account, name }).await?;
            IamThing { arn: role.arn(), tags: role.tags, boundary: role.boundary }
        }
        "group" => IamThing { arn: load_group(txn, account, name).await?.arn(), ..IamThing::default() },
        kind => {
            let tags = match kind {
                "policy" => load_policy(txn, account, resource, Missing::Policy).await?.tags,
                "oidc-provider" => load_oidc(txn, account, resource).await?.tags,
                "saml-provider" => load_saml(txn, account, resource).await?.tags,
                _ => Vec::new(),
            };
            IamThing { arn: resource.to_owned(), tags, boundary: None }
        }
    })
}
