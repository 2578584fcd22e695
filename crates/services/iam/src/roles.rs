//! CreateRole, GetRole, ListRoles, DeleteRole.

use lambent_api::{ApiError, Call};
use lambent_identity::{Role, RoleName, limits};
use lambent_model_iam as model;
use lambent_wire::{Empty, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Iam;
use crate::errors::api_error;

/// What IAM leaves as it is when it writes a policy document into an answer (RFC 3986's unreserved characters).
const DOCUMENT_ESCAPES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Roles on a page when the caller does not say.
const MAX_ITEMS_DEFAULT: i32 = 100;

impl Iam {
    pub(crate) async fn create_role(
        &self,
        call: &Call,
        input: model::CreateRoleRequest,
    ) -> Result<model::CreateRoleResponse, ApiError> {
        if input.permissions_boundary.is_some() {
            return Err(lambent_api::not_implemented("a role's PermissionsBoundary"));
        }
        let role = Role {
            account: call.account().to_owned(),
            name: input.role_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            trust_policy: input.assume_role_policy_document,
            description: input.description,
            max_session_seconds: input
                .max_session_duration
                .map_or(limits::SESSION_SECONDS_DEFAULT, i64::from),
            tags: input.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect(),
            ..Role::default()
        };
        let role = self.identity.create_role(role).await.map_err(api_error)?;
        // CreateRole's answer leaves out what GetRole's has.
        let shown = model::Role { max_session_duration: None, role_last_used: None, ..shown(role) };
        Ok(model::CreateRoleResponse { role: shown })
    }

    pub(crate) async fn get_role(
        &self,
        call: &Call,
        input: model::GetRoleRequest,
    ) -> Result<model::GetRoleResponse, ApiError> {
        let role = self.identity.role(name(call, &input.role_name)).await.map_err(api_error)?;
        Ok(model::GetRoleResponse { role: shown(role) })
    }

    pub(crate) async fn list_roles(
        &self,
        call: &Call,
        input: model::ListRolesRequest,
    ) -> Result<model::ListRolesResponse, ApiError> {
        let prefix = input.path_prefix.unwrap_or_else(|| "/".to_owned());
        let max = usize::try_from(input.max_items.unwrap_or(MAX_ITEMS_DEFAULT)).unwrap_or_default();
        let marker = input.marker.as_deref();
        let listed = self.identity.roles(call.account(), &prefix, marker, max).await.map_err(api_error)?;
        let brief = |role| model::Role { tags: None, role_last_used: None, ..shown(role) };
        Ok(model::ListRolesResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            roles: listed.items.into_iter().map(brief).collect(),
        })
    }

    pub(crate) async fn delete_role(
        &self,
        call: &Call,
        input: model::DeleteRoleRequest,
    ) -> Result<Empty, ApiError> {
        self.identity.delete_role(name(call, &input.role_name)).await.map_err(api_error)?;
        Ok(Empty {})
    }
}

pub(crate) fn name<'a>(call: &'a Call, name: &'a str) -> RoleName<'a> {
    RoleName { account: call.account(), name }
}

pub(crate) fn escaped(document: &str) -> String {
    utf8_percent_encode(document, DOCUMENT_ESCAPES).to_string()
}

fn shown(role: Role) -> model::Role {
    let tags: Vec<_> = role.tags.iter().cloned().map(|(key, value)| model::Tag { key, value }).collect();
    model::Role {
        arn: role.arn(),
        assume_role_policy_document: Some(escaped(&role.trust_policy)),
        create_date: Timestamp::from_s(role.created_ms.div_euclid(1000)),
        description: role.description,
        max_session_duration: i32::try_from(role.max_session_seconds).ok(),
        path: role.path,
        role_id: role.id,
        role_last_used: Some(model::RoleLastUsed::default()),
        role_name: role.name,
        tags: (!tags.is_empty()).then_some(tags),
        permissions_boundary: None,
        source_role_template: None,
    }
}
