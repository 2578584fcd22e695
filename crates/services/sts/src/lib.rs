//! STS as its clients see it: who am I, and may I be somebody else? Decided in `lambent-identity`.
#![forbid(unsafe_code)]

mod errors;
mod key_sets;
mod outputs;
mod roles;
mod users;
mod web_identity;

use std::sync::Arc;

use lambent_api::{ApiError, Call, Service, Signing};
use lambent_base::{Arn, Place};
use lambent_identity::{Identity, Wanted};
use lambent_model_sts::{self as model, SERVICE, ops};

pub use key_sets::KeySets;

struct Sts {
    identity: Arc<Identity>,
    key_sets: KeySets,
}

/// The service, ready for the gateway. `key_sets` are those of identity providers.
pub fn service(identity: Arc<Identity>, key_sets: KeySets) -> Service {
    let sts = Arc::new(Sts { identity, key_sets });
    let mut service = Service::new(&SERVICE, Some("ValidationError"));
    lambent_api::operations!(service, sts, {
        // AWS lets everybody ask who they are, whatever their policies say; identity knows of this one.
        plain ops::GetCallerIdentity => get_caller_identity, "sts:GetCallerIdentity", |_, _| "*".to_owned();
        plain ops::GetFederationToken => get_federation_token, federation_wanted;
        plain ops::GetAccessKeyInfo => get_access_key_info, "sts:GetAccessKeyInfo", |_, _| "*".to_owned();
        plain ops::DecodeAuthorizationMessage => decode_authorization_message,
            "sts:DecodeAuthorizationMessage", |_, _| "*".to_owned();
        // Nobody needs a permission for it, and one may be refused it; identity knows of this one, too.
        plain ops::GetSessionToken => get_session_token, "sts:GetSessionToken", |_, _| "*".to_owned();
        // Decided where a session is made: by the role's trust policy, with what the request brings.
        open ops::AssumeRole => assume_role, Signing::Needed;
        open ops::AssumeRoleWithWebIdentity => assume_role_with_web_identity, Signing::Needless;
    });
    service
}

fn federation_wanted(input: &model::GetFederationTokenRequest, place: &Place) -> Wanted {
    let user = Arn::new("sts", "", &place.account, format!("federated-user/{}", input.name));
    let tags = input.tags.as_deref().unwrap_or_default();
    tagged(Wanted::new("sts:GetFederationToken", user.to_string()), tags)
}

/// The tags that a request brings.
fn tagged(mut wanted: Wanted, tags: &[model::Tag]) -> Wanted {
    for tag in tags {
        wanted = wanted.with(format!("aws:RequestTag/{}", tag.key), &tag.value);
    }
    if !tags.is_empty() {
        wanted = wanted.with_each("aws:TagKeys", tags.iter().map(|tag| tag.key.as_str()));
    }
    wanted
}

impl Sts {
    async fn get_caller_identity(
        &self,
        call: &Call,
        _input: model::GetCallerIdentityRequest,
    ) -> Result<model::GetCallerIdentityResponse, ApiError> {
        let caller = call.caller();
        Ok(model::GetCallerIdentityResponse {
            account: Some(caller.account.clone()),
            arn: Some(caller.arn.clone()),
            user_id: Some(caller.user_id.clone()),
        })
    }

    async fn get_access_key_info(
        &self,
        call: &Call,
        input: model::GetAccessKeyInfoRequest,
    ) -> Result<model::GetAccessKeyInfoResponse, ApiError> {
        let principals = self.identity.principals(call.authorized());
        let account = principals.account_of_key(&input.access_key_id).await.map_err(errors::of_identity)?;
        let unknown = || ApiError::client("ValidationError", "The access key ID is not known.");
        Ok(model::GetAccessKeyInfoResponse { account: Some(account.ok_or_else(unknown)?) })
    }

    async fn decode_authorization_message(
        &self,
        call: &Call,
        input: model::DecodeAuthorizationMessageRequest,
    ) -> Result<model::DecodeAuthorizationMessageResponse, ApiError> {
        let decoded = self.identity.principals(call.authorized()).decode_denial(&input.encoded_message);
        let invalid = || {
            let told = "Message is not valid: it was not given to a request of this account";
            model::errors::invalid_authorization_message_exception(told)
        };
        Ok(model::DecodeAuthorizationMessageResponse { decoded_message: Some(decoded.ok_or_else(invalid)?) })
    }
}
