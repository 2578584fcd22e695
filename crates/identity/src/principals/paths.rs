//! Requests to IAM name users, groups and roles without their paths; policies name them with them.

use lambent_base::Arn;
use lambent_store::Txn;

use super::groups::load_group;
use super::users::load_user;
use crate::{Identity, IdentityError, RoleName};

impl Identity {
    /// The ARN that policies know a resource by: with its path, where a request to IAM names a principal that is there.
    pub(crate) async fn with_path(&self, action: &str, resource: &str) -> Result<String, IdentityError> {
        let arn: Option<Arn> = resource.parse().ok().filter(|_| action.starts_with("iam:"));
        let named =
            arn.as_ref().and_then(|arn| arn.resource.split_once('/').map(|name| (&arn.account, name)));
        // A name with a slash has its path already, and one with an asterisk means all.
        let Some((account, (kind, name))) = named.filter(|(_, (_, name))| !name.contains(['/', '*'])) else {
            return Ok(resource.to_owned());
        };
        let found = match kind {
            "role" => self.role(RoleName { account, name }).await.map(|role| role.arn()),
            "user" | "group" => {
                self.db.read(|txn| async move { arn_of(&txn, account, kind, name).await }).await
            }
            _ => return Ok(resource.to_owned()),
        };
        match found {
            Err(IdentityError::NoSuchRole(_) | IdentityError::NoSuch { .. }) => Ok(resource.to_owned()),
            found => found,
        }
    }
}

async fn arn_of(txn: &Txn, account: &str, kind: &str, name: &str) -> Result<String, IdentityError> {
    Ok(match kind {
        "user" => load_user(txn, account, name).await?.arn(),
        _ => load_group(txn, account, name).await?.arn(),
    })
}
