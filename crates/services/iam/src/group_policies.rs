//! The inline policies of groups.

use lambent_api::{ApiError, Call};
use lambent_identity::{IdentityError, Kind};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::page;
use crate::errors::api_error;
use crate::roles::escaped;

impl Iam {
    pub(crate) async fn put_group_policy(
        &self,
        call: &Call,
        input: model::PutGroupPolicyRequest,
    ) -> Result<Empty, ApiError> {
        let model::PutGroupPolicyRequest { group_name, policy_name, policy_document } = input;
        let put = self.principals(call).put_group_policy(&group_name, &policy_name, &policy_document);
        put.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn get_group_policy(
        &self,
        call: &Call,
        input: model::GetGroupPolicyRequest,
    ) -> Result<model::GetGroupPolicyResponse, ApiError> {
        let mut group = self.principals(call).group(&input.group_name).await.map_err(api_error)?;
        let policy_name = input.policy_name;
        let document = group.policies.remove(&policy_name).ok_or_else(|| {
            api_error(IdentityError::NoSuch { kind: Kind::GroupPolicy, name: policy_name.clone() })
        })?;
        let (policy_document, group_name) = (escaped(&document), group.name);
        Ok(model::GetGroupPolicyResponse { policy_document, policy_name, group_name })
    }

    pub(crate) async fn list_group_policies(
        &self,
        call: &Call,
        input: model::ListGroupPoliciesRequest,
    ) -> Result<model::ListGroupPoliciesResponse, ApiError> {
        let group = self.principals(call).group(&input.group_name).await.map_err(api_error)?;
        let names = group.policies.into_keys().collect();
        let listed = page(names, input.marker.as_deref(), input.max_items, |name: &String| name);
        Ok(model::ListGroupPoliciesResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            policy_names: listed.items,
        })
    }

    pub(crate) async fn delete_group_policy(
        &self,
        call: &Call,
        input: model::DeleteGroupPolicyRequest,
    ) -> Result<Empty, ApiError> {
        let model::DeleteGroupPolicyRequest { group_name, policy_name } = input;
        let delete = self.principals(call).delete_group_policy(&group_name, &policy_name);
        delete.await.map_err(api_error)?;
        Ok(Empty {})
    }
}
