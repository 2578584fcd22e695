//! GetSessionToken and GetFederationToken.

use lambent_api::{ApiError, Call};
use lambent_identity::{FederationToken, Wanted};
use lambent_model_sts as model;

use crate::{Sts, errors, outputs, tagged};

/// Seconds that a session of a user lasts when the caller does not say.
/// Source: AWS STS API Reference, "GetSessionToken" and "GetFederationToken".
const DURATION_SECONDS_DEFAULT: i32 = 43_200;

impl Sts {
    pub(crate) async fn get_session_token(
        &self,
        call: &Call,
        input: model::GetSessionTokenRequest,
    ) -> Result<model::GetSessionTokenResponse, ApiError> {
        if input.serial_number.is_some() || input.token_code.is_some() {
            return Err(lambent_api::not_implemented("multi-factor authentication"));
        }
        let seconds = input.duration_seconds.unwrap_or(DURATION_SECONDS_DEFAULT).into();
        let given = self.identity.session_token(call.authorized(), seconds).map_err(errors::of_identity)?;
        let credentials = Some(outputs::credentials(given));
        Ok(model::GetSessionTokenResponse { credentials, ..Default::default() })
    }

    pub(crate) async fn get_federation_token(
        &self,
        call: &Call,
        input: model::GetFederationTokenRequest,
    ) -> Result<model::GetFederationTokenResponse, ApiError> {
        if let Some(tags) = input.tags.as_deref().filter(|tags| !tags.is_empty()) {
            // Who may make sessions may not by that give them tags that policies ask for.
            let wanted = Wanted::new("sts:TagSession", call.authorized().resource());
            call.authorize(tagged(wanted, tags)).await?;
        }
        let request = FederationToken {
            name: &input.name,
            seconds: input.duration_seconds.unwrap_or(DURATION_SECONDS_DEFAULT).into(),
            policy: input.policy.as_deref(),
            policy_arns: outputs::arns(input.policy_arns.as_ref()),
            tags: outputs::tags(input.tags),
        };
        let given = self.identity.federation_token(call.authorized(), request).await;
        let given = given.map_err(errors::of_identity)?;
        Ok(model::GetFederationTokenResponse {
            federated_user: Some(model::FederatedUser {
                arn: given.principal_arn.clone(),
                federated_user_id: given.principal_id.clone(),
            }),
            packed_policy_size: Some(given.packed_percent),
            credentials: Some(outputs::credentials(given)),
            ..Default::default()
        })
    }
}
