//! Access keys.

use lambent_api::{ApiError, Call, not_implemented};
use lambent_identity::{AccessKey, CallerKind, IdentityError, KeyOwner, Kind};
use lambent_model_iam as model;
use lambent_model_iam::StatusType;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::{invalid, page, time, user_name};
use crate::errors::api_error;

/// What AWS says of the service and region of a key that was not used yet.
const NOT_USED: &str = "N/A";

impl Iam {
    pub(crate) async fn create_access_key(
        &self,
        call: &Call,
        input: model::CreateAccessKeyRequest,
    ) -> Result<model::CreateAccessKeyResponse, ApiError> {
        refuse_root(call, input.user_name.as_deref())?;
        let user_name = user_name(call, input.user_name)?;
        let made = self.principals(call).create_access_key(&user_name).await.map_err(api_error)?;
        let access_key = model::AccessKey {
            access_key_id: made.key.id,
            create_date: Some(time(made.key.created_ms)),
            secret_access_key: made.secret_access_key,
            status: status(made.key.is_active),
            user_name,
        };
        Ok(model::CreateAccessKeyResponse { access_key })
    }

    pub(crate) async fn list_access_keys(
        &self,
        call: &Call,
        input: model::ListAccessKeysRequest,
    ) -> Result<model::ListAccessKeysResponse, ApiError> {
        let keys = match (&input.user_name, &call.caller().kind) {
            (None, CallerKind::Root) => self.principals(call).root_access_keys().await.map_err(api_error)?,
            _ => {
                let name = user_name(call, input.user_name)?;
                self.principals(call).access_keys(&name).await.map_err(api_error)?
            }
        };
        // A user has two at most, in the order in which they were made: only the second can come after a marker.
        let rest = input
            .marker
            .map_or(0, |marker| keys.iter().position(|key| key.id == marker).map_or(keys.len(), |at| at + 1));
        let listed = page(keys[rest..].to_vec(), None, input.max_items, |key| &key.id);
        Ok(model::ListAccessKeysResponse {
            access_key_metadata: listed.items.into_iter().map(shown).collect(),
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
        })
    }

    pub(crate) async fn update_access_key(
        &self,
        call: &Call,
        input: model::UpdateAccessKeyRequest,
    ) -> Result<Empty, ApiError> {
        refuse_root(call, input.user_name.as_deref())?;
        let is_active = is_active(&input.status)?;
        let name = user_name(call, input.user_name)?;
        let set = self.principals(call).set_access_key_active(&name, &input.access_key_id, is_active);
        set.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn delete_access_key(
        &self,
        call: &Call,
        input: model::DeleteAccessKeyRequest,
    ) -> Result<Empty, ApiError> {
        refuse_root(call, input.user_name.as_deref())?;
        let name = user_name(call, input.user_name)?;
        let delete = self.principals(call).delete_access_key(&name, &input.access_key_id);
        delete.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn get_access_key_last_used(
        &self,
        call: &Call,
        input: model::GetAccessKeyLastUsedRequest,
    ) -> Result<model::GetAccessKeyLastUsedResponse, ApiError> {
        let id = input.access_key_id;
        let found = self.principals(call).access_key(&id).await.map_err(api_error)?;
        let Some(key) = found else {
            return Err(api_error(IdentityError::NoSuch { kind: Kind::AccessKey, name: id }));
        };
        let used = self.principals(call).last_use(&id).await.map_err(api_error)?;
        let last_used_date = used.as_ref().map(|used| time(used.time_ms));
        let (service_name, region) = used
            .map_or_else(|| (NOT_USED.to_owned(), NOT_USED.to_owned()), |used| (used.service, used.region));
        let last_used = model::AccessKeyLastUsed { last_used_date, region, service_name };
        Ok(model::GetAccessKeyLastUsedResponse {
            access_key_last_used: Some(last_used),
            user_name: user_of(key),
        })
    }
}

pub(crate) fn status(is_active: bool) -> StatusType {
    if is_active { StatusType::Active } else { StatusType::Inactive }
}

/// What a request sets a status to; nothing can be set to have expired.
pub(crate) fn is_active(status: &StatusType) -> Result<bool, ApiError> {
    match status {
        StatusType::Active => Ok(true),
        StatusType::Inactive => Ok(false),
        _ => Err(invalid(
            "1 validation error detected: Value at 'status' failed to satisfy constraint: Member must satisfy enum \
             value set",
        )),
    }
}

fn shown(key: AccessKey) -> model::AccessKeyMetadata {
    model::AccessKeyMetadata {
        access_key_id: Some(key.id.clone()),
        // The key that an installation began with has no date.
        create_date: (key.created_ms > 0).then(|| time(key.created_ms)),
        status: Some(status(key.is_active)),
        user_name: user_of(key),
    }
}

fn user_of(key: AccessKey) -> Option<String> {
    match key.owner {
        KeyOwner::Root => None,
        KeyOwner::User { name, .. } => Some(name),
    }
}

/// The keys of an account's root are not changed by requests.
fn refuse_root(call: &Call, user_name: Option<&str>) -> Result<(), ApiError> {
    match (user_name, &call.caller().kind) {
        (None, CallerKind::Root) => {
            Err(not_implemented("changing the access keys of an account's root by a request"))
        }
        _ => Ok(()),
    }
}
