//! The inline policies of users.

use lambent_api::{ApiError, Call};
use lambent_identity::{IdentityError, Kind};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::page;
use crate::errors::api_error;
use crate::roles::escaped;

impl Iam {
    pub(crate) async fn put_user_policy(
        &self,
        call: &Call,
        input: model::PutUserPolicyRequest,
    ) -> Result<Empty, ApiError> {
        let model::PutUserPolicyRequest { user_name, policy_name, policy_document } = input;
        let put = self.principals(call).put_user_policy(&user_name, &policy_name, &policy_document);
        put.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn get_user_policy(
        &self,
        call: &Call,
        input: model::GetUserPolicyRequest,
    ) -> Result<model::GetUserPolicyResponse, ApiError> {
        let mut user = self.principals(call).user(&input.user_name).await.map_err(api_error)?;
        let policy_name = input.policy_name;
        let document = user.policies.remove(&policy_name).ok_or_else(|| {
            api_error(IdentityError::NoSuch { kind: Kind::UserPolicy, name: policy_name.clone() })
        })?;
        let (policy_document, user_name) = (escaped(&document), user.name);
        Ok(model::GetUserPolicyResponse { policy_document, policy_name, user_name })
    }

    pub(crate) async fn list_user_policies(
        &self,
        call: &Call,
        input: model::ListUserPoliciesRequest,
    ) -> Result<model::ListUserPoliciesResponse, ApiError> {
        let user = self.principals(call).user(&input.user_name).await.map_err(api_error)?;
        let names = user.policies.into_keys().collect();
        let listed = page(names, input.marker.as_deref(), input.max_items, |name: &String| name);
        Ok(model::ListUserPoliciesResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            policy_names: listed.items,
        })
    }

    pub(crate) async fn delete_user_policy(
        &self,
        call: &Call,
        input: model::DeleteUserPolicyRequest,
    ) -> Result<Empty, ApiError> {
        let model::DeleteUserPolicyRequest { user_name, policy_name } = input;
        let delete = self.principals(call).delete_user_policy(&user_name, &policy_name);
        delete.await.map_err(api_error)?;
        Ok(Empty {})
    }
}
