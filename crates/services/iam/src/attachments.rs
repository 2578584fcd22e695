//! Managed policies of users, groups and roles; boundaries of users and roles.

use lambent_api::{ApiError, Call};
use lambent_identity::{Attachment, PrincipalKind, PrincipalName, Usage};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::{page, path_prefix};
use crate::errors::api_error;

/// What all requests for lists of attached policies ask.
struct Asked {
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i32>,
}

/// Attaches, detaches, or lists for one kind of principal.
macro_rules! attaching {
    ($kind:ident, $name:ident, $attach:ident, $attach_input:ident, $detach:ident, $detach_input:ident,
     $list:ident, $list_input:ident, $list_output:ident) => {
        impl Iam {
            pub(crate) async fn $attach(
                &self,
                call: &Call,
                input: model::$attach_input,
            ) -> Result<Empty, ApiError> {
                let to = self.principals(call).named(PrincipalKind::$kind, &input.$name);
                self.principals(call).attach_policy(to, &input.policy_arn).await.map_err(api_error)?;
                Ok(Empty {})
            }

            pub(crate) async fn $detach(
                &self,
                call: &Call,
                input: model::$detach_input,
            ) -> Result<Empty, ApiError> {
                let from = self.principals(call).named(PrincipalKind::$kind, &input.$name);
                self.principals(call).detach_policy(from, &input.policy_arn).await.map_err(api_error)?;
                Ok(Empty {})
            }

            pub(crate) async fn $list(
                &self,
                call: &Call,
                input: model::$list_input,
            ) -> Result<model::$list_output, ApiError> {
                let of = self.principals(call).named(PrincipalKind::$kind, &input.$name);
                let asked = Asked {
                    path_prefix: input.path_prefix,
                    marker: input.marker,
                    max_items: input.max_items,
                };
                let (policies, marker) = self.attached(call, of, asked).await?;
                Ok(model::$list_output {
                    attached_policies: Some(policies),
                    is_truncated: Some(marker.is_some()),
                    marker,
                })
            }
        }
    };
}

attaching!(
    User,
    user_name,
    attach_user_policy,
    AttachUserPolicyRequest,
    detach_user_policy,
    DetachUserPolicyRequest,
    list_attached_user_policies,
    ListAttachedUserPoliciesRequest,
    ListAttachedUserPoliciesResponse
);
attaching!(
    Group,
    group_name,
    attach_group_policy,
    AttachGroupPolicyRequest,
    detach_group_policy,
    DetachGroupPolicyRequest,
    list_attached_group_policies,
    ListAttachedGroupPoliciesRequest,
    ListAttachedGroupPoliciesResponse
);
attaching!(
    Role,
    role_name,
    attach_role_policy,
    AttachRolePolicyRequest,
    detach_role_policy,
    DetachRolePolicyRequest,
    list_attached_role_policies,
    ListAttachedRolePoliciesRequest,
    ListAttachedRolePoliciesResponse
);

impl Iam {
    async fn attached(
        &self,
        call: &Call,
        of: PrincipalName<'_>,
        asked: Asked,
    ) -> Result<(Vec<model::AttachedPolicy>, Option<String>), ApiError> {
        let mut arns = self.principals(call).attached_policies(of).await.map_err(api_error)?;
        let prefix = format!(":policy{}", path_prefix(asked.path_prefix.as_deref()));
        arns.retain(|arn| arn.contains(&prefix));
        arns.sort_by(|one, other| policy_name(one).cmp(policy_name(other)));
        let listed = page(arns, asked.marker.as_deref(), asked.max_items, |arn| policy_name(arn));
        let shown = |arn: String| model::AttachedPolicy {
            policy_name: Some(policy_name(&arn).to_owned()),
            policy_arn: Some(arn),
        };
        Ok((listed.items.into_iter().map(shown).collect(), listed.marker))
    }

    pub(crate) async fn put_user_permissions_boundary(
        &self,
        call: &Call,
        input: model::PutUserPermissionsBoundaryRequest,
    ) -> Result<Empty, ApiError> {
        self.bound(
            call,
            self.principals(call).named(PrincipalKind::User, &input.user_name),
            Some(&input.permissions_boundary),
        )
        .await
    }

    pub(crate) async fn delete_user_permissions_boundary(
        &self,
        call: &Call,
        input: model::DeleteUserPermissionsBoundaryRequest,
    ) -> Result<Empty, ApiError> {
        self.bound(call, self.principals(call).named(PrincipalKind::User, &input.user_name), None).await
    }

    pub(crate) async fn put_role_permissions_boundary(
        &self,
        call: &Call,
        input: model::PutRolePermissionsBoundaryRequest,
    ) -> Result<Empty, ApiError> {
        self.bound(
            call,
            self.principals(call).named(PrincipalKind::Role, &input.role_name),
            Some(&input.permissions_boundary),
        )
        .await
    }

    pub(crate) async fn delete_role_permissions_boundary(
        &self,
        call: &Call,
        input: model::DeleteRolePermissionsBoundaryRequest,
    ) -> Result<Empty, ApiError> {
        self.bound(call, self.principals(call).named(PrincipalKind::Role, &input.role_name), None).await
    }

    async fn bound(&self, call: &Call, who: PrincipalName<'_>, arn: Option<&str>) -> Result<Empty, ApiError> {
        self.principals(call).set_boundary(who, arn).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_entities_for_policy(
        &self,
        call: &Call,
        input: model::ListEntitiesForPolicyRequest,
    ) -> Result<model::ListEntitiesForPolicyResponse, ApiError> {
        let arn = &input.policy_arn;
        self.principals(call).managed_policy(arn).await.map_err(api_error)?;
        let mut all = self.principals(call).attachments_of(arn).await.map_err(api_error)?;
        let prefix = path_prefix(input.path_prefix.as_deref());
        all.retain(|found| {
            let is_kind = match &input.entity_filter {
                Some(model::EntityType::User) => found.kind == PrincipalKind::User,
                Some(model::EntityType::Group) => found.kind == PrincipalKind::Group,
                Some(model::EntityType::Role) => found.kind == PrincipalKind::Role,
                _ => true,
            };
            let is_use = match &input.policy_usage_filter {
                Some(model::PolicyUsageType::PermissionsPolicy) => found.usage == Usage::Policy,
                Some(model::PolicyUsageType::PermissionsBoundary) => found.usage == Usage::Boundary,
                _ => true,
            };
            is_kind && is_use && found.path.starts_with(prefix)
        });
        let mut all: Vec<_> = all.into_iter().map(|found| (order(&found), found)).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        // Who has it as a policy and as a boundary is one entity.
        all.dedup_by(|(one, _), (other, _)| one == other);
        let listed = page(all, input.marker.as_deref(), input.max_items, |(order, _)| order);
        let mut answer = model::ListEntitiesForPolicyResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            policy_groups: Some(Vec::new()),
            policy_roles: Some(Vec::new()),
            policy_users: Some(Vec::new()),
        };
        for (_, found) in listed.items {
            add_entity(&mut answer, found);
        }
        Ok(answer)
    }
}

fn add_entity(answer: &mut model::ListEntitiesForPolicyResponse, found: Attachment) {
    let (id, name) = (Some(found.id), Some(found.name));
    match found.kind {
        PrincipalKind::User => {
            let user = model::PolicyUser { user_id: id, user_name: name };
            answer.policy_users.get_or_insert_default().push(user);
        }
        PrincipalKind::Group => {
            let group = model::PolicyGroup { group_id: id, group_name: name };
            answer.policy_groups.get_or_insert_default().push(group);
        }
        PrincipalKind::Role => {
            let role = model::PolicyRole { role_id: id, role_name: name };
            answer.policy_roles.get_or_insert_default().push(role);
        }
    }
}

fn order(found: &Attachment) -> String {
    format!("{}/{}", found.kind.word(), found.name)
}

/// An ARN of a policy ends with its name.
fn policy_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
