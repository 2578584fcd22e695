//! Identity's failures in IAM's words.

use lambent_api::ApiError;
use lambent_identity::IdentityError;
use lambent_model_iam::errors;

pub(crate) fn api_error(error: IdentityError) -> ApiError {
    match error {
        IdentityError::NoSuchRole(name) => {
            errors::no_such_entity_exception(format!("The role with name {name} cannot be found."))
        }
        IdentityError::MalformedPolicy(problem) => {
            errors::malformed_policy_document_exception(problem.to_string())
        }
        found @ IdentityError::NoSuch { .. } => errors::no_such_entity_exception(found.to_string()),
        found @ IdentityError::Exists { .. } => errors::entity_already_exists_exception(found.to_string()),
        conflict @ (IdentityError::DeleteConflict(_) | IdentityError::Conflict(_)) => {
            errors::delete_conflict_exception(conflict.to_string())
        }
        limit @ (IdentityError::Quota { .. }
        | IdentityError::TooManyTags { .. }
        | IdentityError::TooManyVersions { .. }
        | IdentityError::PolicyTooLarge { .. }) => errors::limit_exceeded_exception(limit.to_string()),
        IdentityError::Invalid(message) => ApiError::client("ValidationError", message),
        IdentityError::InvalidInput(message) => errors::invalid_input_exception(message),
        protected @ IdentityError::ProtectedRole(_) => {
            errors::unmodifiable_entity_exception(protected.to_string())
        }
        theirs @ IdentityError::OwnedByAws { .. } => {
            ApiError::new(lambent_api::ACCESS_DENIED, 403, theirs.to_string())
        }
        other => ApiError::internal(&other),
    }
}
