//! The inline policies of roles.

use lambent_api::{ApiError, Call};
use lambent_identity::{IdentityError, Kind};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::errors::api_error;
use crate::roles::escaped;

impl Iam {
    pub(crate) async fn put_role_policy(
        &self,
        call: &Call,
        input: model::PutRolePolicyRequest,
    ) -> Result<Empty, ApiError> {
        let role = &input.role_name;
        self.principals(call)
            .put_role_policy(role, &input.policy_name, &input.policy_document)
            .await
            .map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn get_role_policy(
        &self,
        call: &Call,
        input: model::GetRolePolicyRequest,
    ) -> Result<model::GetRolePolicyResponse, ApiError> {
        let role = self.principals(call).role(&input.role_name).await.map_err(api_error)?;
        let document = role.policies.get(&input.policy_name).ok_or_else(|| {
            api_error(IdentityError::NoSuch { kind: Kind::RolePolicy, name: input.policy_name.clone() })
        })?;
        Ok(model::GetRolePolicyResponse {
            policy_document: escaped(document),
            policy_name: input.policy_name,
            role_name: role.name,
        })
    }

    pub(crate) async fn list_role_policies(
        &self,
        call: &Call,
        input: model::ListRolePoliciesRequest,
    ) -> Result<model::ListRolePoliciesResponse, ApiError> {
        let role = self.principals(call).role(&input.role_name).await.map_err(api_error)?;
        // All inline policies fit into ten kilobytes, so one page always has them all.
        let policy_names =
            role.policies.into_keys().filter(|name| input.marker.as_ref().is_none_or(|after| name > after));
        Ok(model::ListRolePoliciesResponse {
            is_truncated: Some(false),
            marker: None,
            policy_names: policy_names.collect(),
        })
    }

    pub(crate) async fn delete_role_policy(
        &self,
        call: &Call,
        input: model::DeleteRolePolicyRequest,
    ) -> Result<Empty, ApiError> {
        let role = &input.role_name;
        self.principals(call).delete_role_policy(role, &input.policy_name).await.map_err(api_error)?;
        Ok(Empty {})
    }
}
