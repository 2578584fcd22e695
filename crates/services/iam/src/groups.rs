//! Groups, and who is in them.

use lambent_api::{ApiError, Call};
use lambent_identity::{Group, Rename, Wanted};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::{max_items, page, path_prefix, time};
use crate::errors::api_error;
use crate::users::brief;

impl Iam {
    pub(crate) async fn create_group(
        &self,
        call: &Call,
        input: model::CreateGroupRequest,
    ) -> Result<model::CreateGroupResponse, ApiError> {
        let group = Group {
            name: input.group_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            ..Group::default()
        };
        let group = self.principals(call).create_group(group).await.map_err(api_error)?;
        Ok(model::CreateGroupResponse { group: shown(group) })
    }

    pub(crate) async fn get_group(
        &self,
        call: &Call,
        input: model::GetGroupRequest,
    ) -> Result<model::GetGroupResponse, ApiError> {
        let (marker, max) = (input.marker.as_deref(), max_items(input.max_items));
        let found = self.principals(call).group_with_members(&input.group_name, marker, max);
        let (group, members) = found.await.map_err(api_error)?;
        Ok(model::GetGroupResponse {
            group: shown(group),
            is_truncated: Some(members.marker.is_some()),
            marker: members.marker,
            users: members.items.into_iter().map(brief).collect(),
        })
    }

    pub(crate) async fn list_groups(
        &self,
        call: &Call,
        input: model::ListGroupsRequest,
    ) -> Result<model::ListGroupsResponse, ApiError> {
        let prefix = path_prefix(input.path_prefix.as_deref());
        let (marker, max) = (input.marker.as_deref(), max_items(input.max_items));
        let listed = self.principals(call).groups(prefix, marker, max).await.map_err(api_error)?;
        Ok(model::ListGroupsResponse {
            groups: listed.items.into_iter().map(shown).collect(),
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
        })
    }

    pub(crate) async fn list_groups_for_user(
        &self,
        call: &Call,
        input: model::ListGroupsForUserRequest,
    ) -> Result<model::ListGroupsForUserResponse, ApiError> {
        let groups = self.principals(call).groups_of_user(&input.user_name).await.map_err(api_error)?;
        let listed = page(groups, input.marker.as_deref(), input.max_items, |group| &group.name);
        Ok(model::ListGroupsForUserResponse {
            groups: listed.items.into_iter().map(shown).collect(),
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
        })
    }

    pub(crate) async fn update_group(
        &self,
        call: &Call,
        input: model::UpdateGroupRequest,
    ) -> Result<Empty, ApiError> {
        let new = Rename { name: input.new_group_name.as_deref(), path: input.new_path.as_deref() };
        let mut group = self.principals(call).group(&input.group_name).await.map_err(api_error)?;
        new.apply(&mut group.name, &mut group.path);
        // Who moves a group must be allowed to do so at both places.
        call.authorize(Wanted::new("iam:UpdateGroup", group.arn()).of_a_new_thing()).await?;
        self.principals(call).update_group(&input.group_name, new).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn delete_group(
        &self,
        call: &Call,
        input: model::DeleteGroupRequest,
    ) -> Result<Empty, ApiError> {
        self.principals(call).delete_group(&input.group_name).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn add_user_to_group(
        &self,
        call: &Call,
        input: model::AddUserToGroupRequest,
    ) -> Result<Empty, ApiError> {
        let (group, user) = (&input.group_name, &input.user_name);
        self.principals(call).add_user_to_group(group, user).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn remove_user_from_group(
        &self,
        call: &Call,
        input: model::RemoveUserFromGroupRequest,
    ) -> Result<Empty, ApiError> {
        let (group, user) = (&input.group_name, &input.user_name);
        self.principals(call).remove_user_from_group(group, user).await.map_err(api_error)?;
        Ok(Empty {})
    }
}

fn shown(group: Group) -> model::Group {
    model::Group {
        arn: group.arn(),
        create_date: time(group.created_ms),
        group_id: group.id,
        group_name: group.name,
        path: group.path,
    }
}
