//! Service-specific credentials.

use lambent_api::{ApiError, Call};
use lambent_identity::{CredentialSelection, NewServiceCredential, ServiceCredential};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::access_keys::{is_active, status};
use crate::ask::{max_items, time, user_name};
use crate::errors::api_error;

impl Iam {
    pub(crate) async fn create_service_specific_credential(
        &self,
        call: &Call,
        input: model::CreateServiceSpecificCredentialRequest,
    ) -> Result<model::CreateServiceSpecificCredentialResponse, ApiError> {
        let (user, service) = (&input.user_name, &input.service_name);
        let create =
            self.principals(call).create_service_credential(user, service, input.credential_age_days);
        let made = create.await.map_err(api_error)?;
        Ok(model::CreateServiceSpecificCredentialResponse { service_specific_credential: Some(shown(made)) })
    }

    pub(crate) async fn list_service_specific_credentials(
        &self,
        call: &Call,
        input: model::ListServiceSpecificCredentialsRequest,
    ) -> Result<model::ListServiceSpecificCredentialsResponse, ApiError> {
        let user = match input.all_users {
            Some(true) => None,
            _ => Some(user_name(call, input.user_name)?),
        };
        let which = CredentialSelection { user: user.as_deref(), service: input.service_name.as_deref() };
        let max = max_items(input.max_items);
        let listed = self.principals(call).service_credentials(which, input.marker.as_deref(), max);
        let listed = listed.await.map_err(api_error)?;
        Ok(model::ListServiceSpecificCredentialsResponse {
            // AWS says so only where pages were asked for.
            is_truncated: listed.marker.is_some().then_some(true),
            marker: listed.marker,
            service_specific_credentials: Some(listed.items.into_iter().map(brief).collect()),
        })
    }

    pub(crate) async fn update_service_specific_credential(
        &self,
        call: &Call,
        input: model::UpdateServiceSpecificCredentialRequest,
    ) -> Result<Empty, ApiError> {
        let is_active = is_active(&input.status)?;
        let (name, id) = (user_name(call, input.user_name)?, &input.service_specific_credential_id);
        let set = self.principals(call).set_service_credential_active(&name, id, is_active);
        set.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn reset_service_specific_credential(
        &self,
        call: &Call,
        input: model::ResetServiceSpecificCredentialRequest,
    ) -> Result<model::ResetServiceSpecificCredentialResponse, ApiError> {
        let (name, id) = (user_name(call, input.user_name)?, &input.service_specific_credential_id);
        let made = self.principals(call).reset_service_credential(&name, id).await.map_err(api_error)?;
        Ok(model::ResetServiceSpecificCredentialResponse { service_specific_credential: Some(shown(made)) })
    }

    pub(crate) async fn delete_service_specific_credential(
        &self,
        call: &Call,
        input: model::DeleteServiceSpecificCredentialRequest,
    ) -> Result<Empty, ApiError> {
        let (name, id) = (user_name(call, input.user_name)?, &input.service_specific_credential_id);
        self.principals(call).delete_service_credential(&name, id).await.map_err(api_error)?;
        Ok(Empty {})
    }
}

/// A credential when it is new: services with passwords have names and passwords, those with API keys aliases and secrets.
fn shown(new: NewServiceCredential) -> model::ServiceSpecificCredential {
    let NewServiceCredential { credential, password } = new;
    let is_api_key = credential.is_api_key;
    let known = brief(credential);
    model::ServiceSpecificCredential {
        create_date: known.create_date,
        expiration_date: known.expiration_date,
        service_credential_alias: known.service_credential_alias,
        service_credential_secret: is_api_key.then(|| password.clone()),
        service_name: known.service_name,
        service_password: (!is_api_key).then_some(password),
        service_specific_credential_id: known.service_specific_credential_id,
        service_user_name: known.service_user_name,
        status: known.status,
        user_name: known.user_name,
    }
}

fn brief(credential: ServiceCredential) -> model::ServiceSpecificCredentialMetadata {
    let is_api_key = credential.is_api_key;
    let name = credential.service_user_name;
    model::ServiceSpecificCredentialMetadata {
        create_date: time(credential.created_ms),
        expiration_date: credential.expires_ms.map(time),
        service_credential_alias: is_api_key.then(|| name.clone()),
        service_name: credential.service,
        service_specific_credential_id: credential.id,
        service_user_name: (!is_api_key).then_some(name),
        status: status(credential.is_active),
        user_name: credential.user_name,
    }
}
