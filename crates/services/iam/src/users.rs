//! Users and their tags.

use lambent_api::{ApiError, Call};
use lambent_identity::{CallerKind, Rename, User, Wanted};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::{max_items, page, path_prefix, tags_in, tags_out, time, user_name};
use crate::errors::api_error;
use crate::policy_operations::tagged;

impl Iam {
    pub(crate) async fn create_user(
        &self,
        call: &Call,
        input: model::CreateUserRequest,
    ) -> Result<model::CreateUserResponse, ApiError> {
        let tags = input.tags.unwrap_or_default();
        let user = User {
            account: self.principals(call).account().to_owned(),
            name: input.user_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            boundary: input.permissions_boundary,
            ..User::default()
        };
        if !tags.is_empty() {
            // Who may make users may not by that give them tags that policies ask for.
            let wanted = tagged(Wanted::new("iam:TagUser", user.arn()), Some(&tags));
            call.authorize(wanted).await?;
        }
        let user = User { tags: tags_in(tags), ..user };
        let user = self.principals(call).create_user(user).await.map_err(api_error)?;
        Ok(model::CreateUserResponse { user: Some(shown(user)) })
    }

    pub(crate) async fn get_user(
        &self,
        call: &Call,
        input: model::GetUserRequest,
    ) -> Result<model::GetUserResponse, ApiError> {
        if input.user_name.is_none() && matches!(call.caller().kind, CallerKind::Root) {
            return Ok(model::GetUserResponse { user: root(call) });
        }
        let name = user_name(call, input.user_name)?;
        let user = self.principals(call).user(&name).await.map_err(api_error)?;
        Ok(model::GetUserResponse { user: shown(user) })
    }

    pub(crate) async fn list_users(
        &self,
        call: &Call,
        input: model::ListUsersRequest,
    ) -> Result<model::ListUsersResponse, ApiError> {
        let prefix = path_prefix(input.path_prefix.as_deref());
        let (marker, max) = (input.marker.as_deref(), max_items(input.max_items));
        let listed = self.principals(call).users(prefix, marker, max).await.map_err(api_error)?;
        Ok(model::ListUsersResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            users: listed.items.into_iter().map(brief).collect(),
        })
    }

    pub(crate) async fn update_user(
        &self,
        call: &Call,
        input: model::UpdateUserRequest,
    ) -> Result<Empty, ApiError> {
        let new = Rename { name: input.new_user_name.as_deref(), path: input.new_path.as_deref() };
        let mut user = self.principals(call).user(&input.user_name).await.map_err(api_error)?;
        new.apply(&mut user.name, &mut user.path);
        // Who moves a user must be allowed to do so at both places.
        call.authorize(Wanted::new("iam:UpdateUser", user.arn()).of_a_new_thing()).await?;
        self.principals(call).update_user(&input.user_name, new).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn delete_user(
        &self,
        call: &Call,
        input: model::DeleteUserRequest,
    ) -> Result<Empty, ApiError> {
        self.principals(call).delete_user(&input.user_name).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn tag_user(
        &self,
        call: &Call,
        input: model::TagUserRequest,
    ) -> Result<Empty, ApiError> {
        let tags = tags_in(input.tags);
        self.principals(call).tag_user(&input.user_name, &tags).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn untag_user(
        &self,
        call: &Call,
        input: model::UntagUserRequest,
    ) -> Result<Empty, ApiError> {
        let gone = &input.tag_keys;
        self.principals(call).untag_user(&input.user_name, gone).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_user_tags(
        &self,
        call: &Call,
        input: model::ListUserTagsRequest,
    ) -> Result<model::ListUserTagsResponse, ApiError> {
        let user = self.principals(call).user(&input.user_name).await.map_err(api_error)?;
        let listed = page(user.tags, input.marker.as_deref(), input.max_items, |(key, _)| key);
        Ok(model::ListUserTagsResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            tags: tags_out(&listed.items),
        })
    }
}

/// A user with all that is known of it.
pub(crate) fn shown(user: User) -> model::User {
    let tags = (!user.tags.is_empty()).then(|| tags_out(&user.tags));
    model::User {
        arn: user.arn(),
        create_date: time(user.created_ms),
        password_last_used: None,
        path: user.path,
        permissions_boundary: user.boundary.map(boundary),
        tags,
        user_id: user.id,
        user_name: user.name,
    }
}

/// A user as lists show it.
pub(crate) fn brief(user: User) -> model::User {
    model::User { permissions_boundary: None, tags: None, ..shown(user) }
}

pub(crate) fn boundary(arn: String) -> model::AttachedPermissionsBoundary {
    model::AttachedPermissionsBoundary {
        permissions_boundary_arn: Some(arn),
        // The model knows no such type, and AWS tells no other.
        permissions_boundary_type: Some(model::PermissionsBoundaryAttachmentType::Unknown(
            "Policy".to_owned(),
        )),
    }
}

/// The account itself, which has neither name nor path.
fn root(call: &Call) -> model::User {
    let caller = call.caller();
    model::User { arn: caller.arn.clone(), user_id: caller.user_id.clone(), ..model::User::default() }
}
