//! Identity's failures in IAM's words.

use lambent_api::ApiError;
use lambent_identity::IdentityError;
use lambent_model_iam::errors;

pub(crate) fn api_error(error: IdentityError) -> ApiError {
    match error {
        IdentityError::NoSuchRole(name) => {
            errors::no_such_entity_exception(format!("The role with name {name} cannot be found."))
        }
        IdentityError::NoSuchPolicy { policy, .. } => {
            errors::no_such_entity_exception(format!("The role policy with name {policy} cannot be found."))
        }
        IdentityError::RoleExists(name) => {
            errors::entity_already_exists_exception(format!("Role with name {name} already exists."))
        }
        IdentityError::RoleHasPolicies(_) => {
            errors::delete_conflict_exception("Cannot delete entity, must delete policies first.")
        }
        IdentityError::PoliciesTooLarge { role, max } => errors::limit_exceeded_exception(format!(
            "Maximum policy size of {max} bytes exceeded for role {role}"
        )),
        IdentityError::MalformedPolicy(problem) => {
            errors::malformed_policy_document_exception(problem.to_string())
        }
        found @ IdentityError::NoSuch { .. } => errors::no_such_entity_exception(found.to_string()),
        found @ IdentityError::Exists { .. } => errors::entity_already_exists_exception(found.to_string()),
        conflict @ IdentityError::DeleteConflict(_) => {
            errors::delete_conflict_exception(conflict.to_string())
        }
        limit @ (IdentityError::Quota { .. }
        | IdentityError::TooManyTags { .. }
        | IdentityError::PolicyTooLarge { .. }) => errors::limit_exceeded_exception(limit.to_string()),
        IdentityError::Invalid(message) => ApiError::client("ValidationError", message),
        IdentityError::InvalidInput(message) => errors::invalid_input_exception(message),
        other => ApiError::internal(&other),
    }
}
