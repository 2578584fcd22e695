//! What a running cloud answers to `lambent account`; for the owner's root key alone.

use std::sync::Arc;

use bytes::Bytes;
use lambent_api::{ApiError, Body};
use lambent_cli::account::{AccountKey, CREATE_PATH, LIST_PATH, ListedAccount, NEW_KEY_PATH};
use lambent_gateway::RootPath;
use lambent_identity::{Identity, IdentityError, NewAccessKey};
use serde::Serialize;

use crate::joints::parameter;

/// The paths. `region` is the one that the cloud answers for.
pub(crate) fn paths(identity: &Arc<Identity>, region: &str) -> Vec<RootPath> {
    vec![list(identity.clone()), create(identity.clone(), region), new_key(identity.clone(), region)]
}

fn list(identity: Arc<Identity>) -> RootPath {
    RootPath {
        path: LIST_PATH,
        handler: Arc::new(move |owner, _| {
            let identity = identity.clone();
            Box::pin(async move {
                let accounts = identity.accounts(owner).await.map_err(failed)?.into_iter();
                let listed = accounts.map(|one| ListedAccount {
                    id: one.id,
                    name: one.name,
                    created_ms: one.created_ms,
                });
                json(&listed.collect::<Vec<_>>())
            })
        }),
    }
}

fn create(identity: Arc<Identity>, region: &str) -> RootPath {
    let region = region.to_owned();
    RootPath {
        path: CREATE_PATH,
        handler: Arc::new(move |owner, query| {
            let (identity, region) = (identity.clone(), region.clone());
            Box::pin(async move {
                let name = parameter(&query, "name").unwrap_or_default();
                let made = identity.create_account(owner, name, parameter(&query, "id")).await;
                let (account, key) = made.map_err(failed)?;
                json(&shown(account.id, key, region))
            })
        }),
    }
}

fn new_key(identity: Arc<Identity>, region: &str) -> RootPath {
    let region = region.to_owned();
    RootPath {
        path: NEW_KEY_PATH,
        handler: Arc::new(move |owner, query| {
            let (identity, region) = (identity.clone(), region.clone());
            Box::pin(async move {
                let id = parameter(&query, "id").unwrap_or_default().to_owned();
                let key = identity.new_root_key(owner, &id).await.map_err(failed)?;
                json(&shown(id, key, region))
            })
        }),
    }
}

fn shown(account: String, key: NewAccessKey, region: String) -> AccountKey {
    AccountKey { access_key_id: key.key.id, secret_access_key: key.secret_access_key, account, region }
}

fn json(value: &impl Serialize) -> Result<Body, ApiError> {
    let text = serde_json::to_vec(value).map_err(|error| ApiError::internal(&error))?;
    Ok(Body::from(Bytes::from(text)))
}

fn failed(error: IdentityError) -> ApiError {
    match error {
        IdentityError::AccountExists(_) => ApiError::new("AccountExists", 409, error.to_string()),
        IdentityError::NoSuchAccount(_) => ApiError::new("NoSuchAccount", 404, error.to_string()),
        IdentityError::InvalidInput(_) => ApiError::client("ValidationException", error.to_string()),
        IdentityError::Quota { .. } => ApiError::new("LimitExceeded", 409, error.to_string()),
        other => ApiError::internal(&other),
    }
}
