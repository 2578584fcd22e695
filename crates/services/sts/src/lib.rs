//! STS as its clients see it: who am I, and may I be somebody else? Decided in `lambent-identity`.
#![forbid(unsafe_code)]

use std::sync::Arc;

use lambent_api::{ApiError, Call, Service};
use lambent_identity::{AssumeRole, Identity, IdentityError};
use lambent_model_sts::{self as model, SERVICE, errors, ops};
use lambent_wire::Timestamp;

/// Seconds that a session lasts when the caller does not say.
const DURATION_SECONDS_DEFAULT: i32 = 3_600;

struct Sts {
    identity: Arc<Identity>,
}

/// The service, ready for the gateway.
pub fn service(identity: Arc<Identity>) -> Service {
    let sts = Arc::new(Sts { identity });
    let mut service = Service::new(&SERVICE, Some("ValidationError"));
    lambent_api::operations!(service, sts, {
        // AWS lets everybody ask who they are, whatever their policies say; identity knows of this one.
        plain ops::GetCallerIdentity => get_caller_identity, "sts:GetCallerIdentity", |_, _| "*".to_owned();
        plain ops::AssumeRole => assume_role, "sts:AssumeRole", |input, _| input.role_arn.clone();
    });
    service
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

    async fn assume_role(
        &self,
        call: &Call,
        input: model::AssumeRoleRequest,
    ) -> Result<model::AssumeRoleResponse, ApiError> {
        refuse_unsupported(&input)?;
        if !is_arn(&input.role_arn) {
            return Err(ApiError::client("ValidationError", format!("{} is invalid", input.role_arn)));
        }
        let request = AssumeRole {
            role_arn: &input.role_arn,
            session_name: &input.role_session_name,
            seconds: i64::from(input.duration_seconds.unwrap_or(DURATION_SECONDS_DEFAULT)),
            policy: input.policy.as_deref(),
        };
        let session = self.identity.assume_role(call.caller(), request).await.map_err(api_error)?;
        Ok(model::AssumeRoleResponse {
            assumed_role_user: Some(model::AssumedRoleUser {
                arn: session.assumed_role_arn,
                assumed_role_id: session.assumed_role_id,
            }),
            credentials: Some(model::Credentials {
                access_key_id: session.access_key_id,
                expiration: Timestamp::from_s(session.expires_unix_s),
                secret_access_key: session.secret_access_key,
                session_token: session.session_token,
            }),
            ..Default::default()
        })
    }
}

/// Whether the text has an ARN's six parts; the region and the account may be empty.
fn is_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, service, _, _, resource]
        if !partition.is_empty() && !service.is_empty() && !resource.is_empty())
}

/// What would change the session's power is refused rather than passed over.
fn refuse_unsupported(input: &model::AssumeRoleRequest) -> Result<(), ApiError> {
    for (given, what) in [
        (input.policy_arns.is_some(), "PolicyArns of a session"),
        (input.tags.is_some(), "Tags of a session"),
        (input.transitive_tag_keys.is_some(), "TransitiveTagKeys of a session"),
        (input.serial_number.is_some() || input.token_code.is_some(), "multi-factor authentication"),
        (input.provided_contexts.is_some(), "ProvidedContexts of a session"),
        (input.source_identity.is_some(), "the SourceIdentity of a session"),
    ] {
        if given {
            return Err(lambent_api::not_implemented(what));
        }
    }
    Ok(())
}

fn api_error(error: IdentityError) -> ApiError {
    match error {
        IdentityError::Denied(denial) => ApiError::new(lambent_api::ACCESS_DENIED, 403, denial.message),
        IdentityError::DurationTooLong { .. } => ApiError::client(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ),
        IdentityError::MalformedPolicy(problem) => {
            errors::malformed_policy_document_exception(problem.to_string())
        }
        other => ApiError::internal(&other),
    }
}
