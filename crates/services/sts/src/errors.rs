//! Failures of identity as STS tells them.

use lambent_api::ApiError;
use lambent_identity::{IdentityError, TokenError};
use lambent_model_sts::errors;

use crate::key_sets::FetchError;

pub(crate) fn of_identity(error: IdentityError) -> ApiError {
    let denied = |told: String| ApiError::new(lambent_api::ACCESS_DENIED, 403, told);
    match error {
        IdentityError::Denied(denial) => denied(denial.message),
        IdentityError::NeedsLongTermKey(_) | IdentityError::NotAuthorized(_) => denied(error.to_string()),
        IdentityError::DurationTooLong { .. } => ApiError::client(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ),
        IdentityError::Invalid(told) => ApiError::client("ValidationError", told),
        IdentityError::InvalidParameter(told) => ApiError::client("InvalidParameterValue", told),
        IdentityError::RejectedClaim(told) => errors::idp_rejected_claim_exception(told),
        IdentityError::PackedPolicyTooLarge { .. } => {
            errors::packed_policy_too_large_exception(error.to_string())
        }
        IdentityError::MalformedPolicy(problem) => {
            errors::malformed_policy_document_exception(problem.to_string())
        }
        // A managed policy that a session is to be narrowed by.
        IdentityError::NoSuch { .. } => ApiError::client("ValidationError", error.to_string()),
        other => ApiError::internal(&other),
    }
}

pub(crate) fn of_token(error: &TokenError) -> ApiError {
    match error {
        TokenError::Expired { expired_s, now_s } => errors::expired_token_exception(format!(
            "Token expired: current date/time {now_s} must be before the expiration date/time{expired_s}"
        )),
        TokenError::Early { .. } => errors::invalid_identity_token_exception(
            "The ID Token provided is not valid yet: its iat or nbf is in the future",
        ),
        TokenError::Signature | TokenError::NoKey => {
            errors::invalid_identity_token_exception("The ID Token provided has an invalid signature")
        }
        TokenError::Malformed(why) => errors::invalid_identity_token_exception(format!(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token): {why}"
        )),
    }
}

/// The operator is told what went wrong, the client only that something did: it might be asking what there is inside.
pub(crate) fn of_fetch(error: &FetchError) -> ApiError {
    match error {
        FetchError::Silent { .. } => errors::idp_communication_error_exception(
            "Could not reach the identity provider's openid-configuration or keys",
        ),
        FetchError::Refused { .. } | FetchError::Odd { .. } => errors::invalid_identity_token_exception(
            "Couldn't retrieve verification key from your identity provider,  please reference \
             AssumeRoleWithWebIdentity documentation for requirements",
        ),
    }
}
