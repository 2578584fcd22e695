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
        other => ApiError::internal(&other),
    }
}
