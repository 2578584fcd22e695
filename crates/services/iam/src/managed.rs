//! Managed policies.

use lambent_api::{ApiError, Call};
use lambent_identity::{ManagedPolicy, NewPolicy, PolicyScope, UsageCount};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::{expect_may_tag, max_items, page, path_prefix, tags_in, tags_out, time};
use crate::errors::api_error;

impl Iam {
    pub(crate) async fn create_policy(
        &self,
        call: &Call,
        input: model::CreatePolicyRequest,
    ) -> Result<model::CreatePolicyResponse, ApiError> {
        expect_may_tag(call, "iam:TagPolicy", input.tags.as_deref()).await?;
        let tags = tags_in(input.tags.unwrap_or_default());
        let new = NewPolicy {
            name: &input.policy_name,
            path: path_prefix(input.path.as_deref()),
            description: input.description.as_deref(),
            document: &input.policy_document,
            tags: &tags,
        };
        let policy = self.principals(call).create_policy(new).await.map_err(api_error)?;
        // CreatePolicy's answer leaves out the description.
        let shown = model::Policy { description: None, ..shown(&policy, UsageCount::default()) };
        Ok(model::CreatePolicyResponse { policy: Some(shown) })
    }

    pub(crate) async fn get_policy(
        &self,
        call: &Call,
        input: model::GetPolicyRequest,
    ) -> Result<model::GetPolicyResponse, ApiError> {
        let arn = &input.policy_arn;
        let policy = self.principals(call).managed_policy(arn).await.map_err(api_error)?;
        let usage = self.principals(call).policy_usage(arn).await.map_err(api_error)?;
        Ok(model::GetPolicyResponse { policy: Some(shown(&policy, usage)) })
    }

    pub(crate) async fn delete_policy(
        &self,
        call: &Call,
        input: model::DeletePolicyRequest,
    ) -> Result<Empty, ApiError> {
        self.principals(call).delete_policy(&input.policy_arn).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_policies(
        &self,
        call: &Call,
        input: model::ListPoliciesRequest,
    ) -> Result<model::ListPoliciesResponse, ApiError> {
        let scope = match input.scope {
            Some(model::PolicyScopeType::Aws) => PolicyScope::Aws,
            Some(model::PolicyScopeType::Local) => PolicyScope::Local,
            _ => PolicyScope::All,
        };
        let prefix = path_prefix(input.path_prefix.as_deref());
        let only_attached = input.only_attached.unwrap_or_default();
        let is_wanted = |policy: &ManagedPolicy, usage: UsageCount| {
            let is_used = match input.policy_usage_filter {
                Some(model::PolicyUsageType::PermissionsPolicy) => usage.attached > 0,
                Some(model::PolicyUsageType::PermissionsBoundary) => usage.boundaries > 0,
                _ => true,
            };
            is_used && policy.path.starts_with(prefix) && (!only_attached || usage.attached > 0)
        };
        let (marker, max) = (input.marker.as_deref(), max_items(input.max_items));
        let listed = self.principals(call).managed_policies(scope, is_wanted, marker, max);
        let listed = listed.await.map_err(api_error)?;
        let brief = |(policy, usage): &(ManagedPolicy, UsageCount)| model::Policy {
            description: None,
            tags: None,
            ..shown(policy, *usage)
        };
        Ok(model::ListPoliciesResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            policies: Some(listed.items.iter().map(brief).collect()),
        })
    }

    pub(crate) async fn tag_policy(
        &self,
        call: &Call,
        input: model::TagPolicyRequest,
    ) -> Result<Empty, ApiError> {
        let tags = tags_in(input.tags);
        self.principals(call).tag_policy(&input.policy_arn, &tags).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn untag_policy(
        &self,
        call: &Call,
        input: model::UntagPolicyRequest,
    ) -> Result<Empty, ApiError> {
        let untag = self.principals(call).untag_policy(&input.policy_arn, &input.tag_keys);
        untag.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_policy_tags(
        &self,
        call: &Call,
        input: model::ListPolicyTagsRequest,
    ) -> Result<model::ListPolicyTagsResponse, ApiError> {
        let policy = self.principals(call).managed_policy(&input.policy_arn).await;
        let tags = policy.map_err(api_error)?.tags;
        let listed = page(tags, input.marker.as_deref(), input.max_items, |(key, _)| key);
        Ok(model::ListPolicyTagsResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            tags: tags_out(&listed.items),
        })
    }
}

/// A policy with all that is known of it.
fn shown(policy: &ManagedPolicy, usage: UsageCount) -> model::Policy {
    model::Policy {
        arn: Some(policy.arn()),
        attachment_count: Some(count(usage.attached)),
        create_date: Some(time(policy.created_ms)),
        default_version_id: Some(version_id(policy.default_version)),
        description: policy.description.clone(),
        is_attachable: Some(true),
        path: Some(policy.path.clone()),
        permissions_boundary_usage_count: Some(count(usage.boundaries)),
        policy_id: Some(policy.id.clone()),
        policy_name: Some(policy.name.clone()),
        tags: (!policy.tags.is_empty()).then(|| tags_out(&policy.tags)),
        update_date: Some(time(policy.updated_ms)),
    }
}

/// As `v1`.
pub(crate) fn version_id(number: u64) -> String {
    format!("v{number}")
}

pub(crate) fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
