//! Roles, their tags, and who may take them.

use lambent_api::{ApiError, Call};
use lambent_identity::{KeyUse, Role, RoleUpdate, limits};
use lambent_model_iam as model;
use lambent_wire::Empty;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Iam;
use crate::ask::{expect_may_tag, max_items, page, path_prefix, tags_in, tags_out, time};
use crate::errors::api_error;
use crate::users::boundary;

/// What IAM leaves as it is when it writes a policy document into an answer (RFC 3986's unreserved characters).
const DOCUMENT_ESCAPES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Iam {
    pub(crate) async fn create_role(
        &self,
        call: &Call,
        input: model::CreateRoleRequest,
    ) -> Result<model::CreateRoleResponse, ApiError> {
        expect_may_tag(call, "iam:TagRole", input.tags.as_deref()).await?;
        let role = Role {
            name: input.role_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            trust_policy: input.assume_role_policy_document,
            description: input.description,
            max_session_seconds: input
                .max_session_duration
                .map_or(limits::SESSION_SECONDS_DEFAULT, i64::from),
            tags: tags_in(input.tags.unwrap_or_default()),
            boundary: input.permissions_boundary,
            ..Role::default()
        };
        let role = self.principals(call).create_role(role).await.map_err(api_error)?;
        let role = self.as_shown(call, role).await?;
        Ok(model::CreateRoleResponse { role: created(role) })
    }

    pub(crate) async fn get_role(
        &self,
        call: &Call,
        input: model::GetRoleRequest,
    ) -> Result<model::GetRoleResponse, ApiError> {
        let role = self.principals(call).role(&input.role_name).await.map_err(api_error)?;
        let used = self.principals(call).role_use(&role).await.map_err(api_error)?;
        let role = self.as_shown(call, role).await?;
        Ok(model::GetRoleResponse { role: shown(role, used) })
    }

    pub(crate) async fn list_roles(
        &self,
        call: &Call,
        input: model::ListRolesRequest,
    ) -> Result<model::ListRolesResponse, ApiError> {
        let prefix = path_prefix(input.path_prefix.as_deref());
        let (marker, max) = (input.marker.as_deref(), max_items(input.max_items));
        let listed = self.principals(call).roles(prefix, marker, max).await.map_err(api_error)?;
        let mut roles = Vec::with_capacity(listed.items.len());
        for role in listed.items {
            roles.push(brief(self.as_shown(call, role).await?));
        }
        Ok(model::ListRolesResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            roles,
        })
    }

    pub(crate) async fn update_role(
        &self,
        call: &Call,
        input: model::UpdateRoleRequest,
    ) -> Result<model::UpdateRoleResponse, ApiError> {
        let update = RoleUpdate {
            description: input.description.as_deref(),
            max_session_seconds: input.max_session_duration.map(i64::from),
        };
        self.principals(call).update_role(&input.role_name, update).await.map_err(api_error)?;
        Ok(model::UpdateRoleResponse {})
    }

    pub(crate) async fn update_role_description(
        &self,
        call: &Call,
        input: model::UpdateRoleDescriptionRequest,
    ) -> Result<model::UpdateRoleDescriptionResponse, ApiError> {
        let update = RoleUpdate { description: Some(&input.description), ..RoleUpdate::default() };
        let role = self.principals(call).update_role(&input.role_name, update).await;
        let role = self.as_shown(call, role.map_err(api_error)?).await?;
        Ok(model::UpdateRoleDescriptionResponse { role: Some(created(role)) })
    }

    pub(crate) async fn update_assume_role_policy(
        &self,
        call: &Call,
        input: model::UpdateAssumeRolePolicyRequest,
    ) -> Result<Empty, ApiError> {
        let role = &input.role_name;
        self.principals(call).update_trust_policy(role, &input.policy_document).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn delete_role(
        &self,
        call: &Call,
        input: model::DeleteRoleRequest,
    ) -> Result<Empty, ApiError> {
        self.principals(call).delete_role(&input.role_name).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn tag_role(
        &self,
        call: &Call,
        input: model::TagRoleRequest,
    ) -> Result<Empty, ApiError> {
        let tags = tags_in(input.tags);
        self.principals(call).tag_role(&input.role_name, &tags).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn untag_role(
        &self,
        call: &Call,
        input: model::UntagRoleRequest,
    ) -> Result<Empty, ApiError> {
        let role = &input.role_name;
        self.principals(call).untag_role(role, &input.tag_keys).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_role_tags(
        &self,
        call: &Call,
        input: model::ListRoleTagsRequest,
    ) -> Result<model::ListRoleTagsResponse, ApiError> {
        let role = self.principals(call).role(&input.role_name).await.map_err(api_error)?;
        let listed = page(role.tags, input.marker.as_deref(), input.max_items, |(key, _)| key);
        Ok(model::ListRoleTagsResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            tags: tags_out(&listed.items),
        })
    }
}

impl Iam {
    /// A role with its trust policy as it is shown today.
    pub(crate) async fn as_shown(&self, call: &Call, mut role: Role) -> Result<Role, ApiError> {
        let shown = self.identity.names(call.authorized()).shown(&role.trust_policy, &role.trust_pins).await;
        role.trust_policy = shown.map_err(api_error)?;
        Ok(role)
    }
}

pub(crate) fn escaped(document: &str) -> String {
    utf8_percent_encode(document, DOCUMENT_ESCAPES).to_string()
}

/// A role with all that is known of it.
fn shown(role: Role, used: Option<KeyUse>) -> model::Role {
    let tags = (!role.tags.is_empty()).then(|| tags_out(&role.tags));
    model::Role {
        arn: role.arn(),
        assume_role_policy_document: Some(escaped(&role.trust_policy)),
        create_date: time(role.created_ms),
        description: role.description,
        max_session_duration: i32::try_from(role.max_session_seconds).ok(),
        path: role.path,
        role_id: role.id,
        role_last_used: Some(last_used(used)),
        role_name: role.name,
        tags,
        permissions_boundary: role.boundary.map(boundary),
        source_role_template: None,
    }
}

/// What an answer about a new or changed role has: less than GetRole's.
pub(crate) fn created(role: Role) -> model::Role {
    model::Role {
        max_session_duration: None,
        role_last_used: None,
        permissions_boundary: None,
        ..shown(role, None)
    }
}

/// A role as lists show it.
fn brief(role: Role) -> model::Role {
    model::Role { tags: None, role_last_used: None, permissions_boundary: None, ..shown(role, None) }
}

pub(crate) fn last_used(used: Option<KeyUse>) -> model::RoleLastUsed {
    model::RoleLastUsed {
        last_used_date: used.as_ref().map(|used| time(used.time_ms)),
        region: used.map(|used| used.region),
    }
}
