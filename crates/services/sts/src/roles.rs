//! AssumeRole.

use lambent_api::{ApiError, OpenCall};
use lambent_identity::AssumeRole;
use lambent_model_sts as model;

use crate::{Sts, errors, outputs};

/// Seconds that a role's session lasts when the caller does not say.
pub(crate) const DURATION_SECONDS_DEFAULT: i32 = 3_600;

impl Sts {
    pub(crate) async fn assume_role(
        &self,
        call: &OpenCall,
        input: model::AssumeRoleRequest,
    ) -> Result<model::AssumeRoleResponse, ApiError> {
        refuse_unsupported(&input)?;
        outputs::expect_arn(&input.role_arn)?;
        let is_narrowed = (input.policy.as_ref(), input.policy_arns.as_ref(), input.tags.as_ref());
        let request = AssumeRole {
            role_arn: &input.role_arn,
            session_name: &input.role_session_name,
            seconds: i64::from(input.duration_seconds.unwrap_or(DURATION_SECONDS_DEFAULT)),
            policy: input.policy.as_deref(),
            policy_arns: outputs::arns(input.policy_arns.as_ref()),
            tags: outputs::tags(input.tags.clone()),
            transitive_tag_keys: input.transitive_tag_keys.clone().unwrap_or_default(),
            source_identity: input.source_identity.as_deref(),
            external_id: input.external_id.as_deref(),
            at: call.context.circumstances(),
        };
        let given = self.identity.assume_role(&call.caller, request).await.map_err(errors::of_identity)?;
        let (policy, arns, tags) = is_narrowed;
        Ok(model::AssumeRoleResponse {
            assumed_role_user: Some(outputs::assumed_role_user(&given)),
            packed_policy_size: outputs::packed_size(&given, policy, arns, tags),
            source_identity: given.source_identity.clone(),
            credentials: Some(outputs::credentials(given)),
            ..Default::default()
        })
    }
}

/// What would change the session's power is refused rather than passed over.
fn refuse_unsupported(input: &model::AssumeRoleRequest) -> Result<(), ApiError> {
    for (given, what) in [
        (input.serial_number.is_some() || input.token_code.is_some(), "multi-factor authentication"),
        (input.provided_contexts.is_some(), "ProvidedContexts of a session"),
    ] {
        if given {
            return Err(lambent_api::not_implemented(what));
        }
    }
    Ok(())
}
