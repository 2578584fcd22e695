//! GetAccountAuthorizationDetails: everybody and all policies of an account, page by page.

use lambent_api::{ApiError, Call};
use lambent_identity::{Group, ManagedPolicy, PolicyScope, PolicyVersion, Role, UsageCount, User};
use lambent_model_iam as model;
use lambent_model_iam::EntityType;

use crate::Iam;
use crate::ask::{invalid, max_items, tags_out, time};
use crate::errors::api_error;
use crate::roles::escaped;
use crate::users::boundary;

/// The kinds in the order in which pages show them, each with the letter that its markers begin with.
const SECTIONS: [(char, EntityType); 5] = [
    ('u', EntityType::User),
    ('g', EntityType::Group),
    ('r', EntityType::Role),
    ('l', EntityType::LocalManagedPolicy),
    ('a', EntityType::AWSManagedPolicy),
];

/// A page under way.
#[derive(Default)]
struct Details {
    users: Vec<model::UserDetail>,
    groups: Vec<model::GroupDetail>,
    roles: Vec<model::RoleDetail>,
    policies: Vec<model::ManagedPolicyDetail>,
}

impl Iam {
    pub(crate) async fn get_account_authorization_details(
        &self,
        call: &Call,
        input: model::GetAccountAuthorizationDetailsRequest,
    ) -> Result<model::GetAccountAuthorizationDetailsResponse, ApiError> {
        let (first, mut after) = read_marker(input.marker.as_deref())?;
        let filter = input.filter.unwrap_or_default();
        let mut left = max_items(input.max_items);
        let mut details = Details::default();
        let mut marker = None;
        for (letter, section) in SECTIONS.into_iter().skip(first) {
            if !filter.is_empty() && !filter.contains(&section) {
                continue;
            }
            if left == 0 {
                marker = Some(letter.to_string());
                break;
            }
            let (count, more) = self.add_section(call, section, after.take(), left, &mut details).await?;
            if let Some(more) = more {
                marker = Some(format!("{letter}{more}"));
                break;
            }
            left -= count;
        }
        Ok(model::GetAccountAuthorizationDetailsResponse {
            group_detail_list: Some(details.groups),
            is_truncated: Some(marker.is_some()),
            marker,
            policies: Some(details.policies),
            role_detail_list: Some(details.roles),
            user_detail_list: Some(details.users),
        })
    }

    /// Adds at most `max` of a kind; gives how many, and where to go on.
    async fn add_section(
        &self,
        call: &Call,
        section: EntityType,
        after: Option<&str>,
        max: usize,
        details: &mut Details,
    ) -> Result<(usize, Option<String>), ApiError> {
        Ok(match section {
            EntityType::User => {
                let page = self.principals(call).users("/", after, max).await.map_err(api_error)?;
                let count = page.items.len();
                for user in page.items {
                    let groups = self.principals(call).groups_of_user(&user.name).await.map_err(api_error)?;
                    details.users.push(user_detail(user, groups));
                }
                (count, page.marker)
            }
            EntityType::Group => {
                let page = self.principals(call).groups("/", after, max).await.map_err(api_error)?;
                let count = page.items.len();
                details.groups.extend(page.items.into_iter().map(group_detail));
                (count, page.marker)
            }
            EntityType::Role => {
                let page = self.principals(call).roles("/", after, max).await.map_err(api_error)?;
                let count = page.items.len();
                for role in page.items {
                    details.roles.push(role_detail(self.as_shown(call, role).await?));
                }
                (count, page.marker)
            }
            _ => return self.add_policies(call, section, after, max, &mut details.policies).await,
        })
    }

    /// Adds policies of the account, or those of AWS that are in use.
    async fn add_policies(
        &self,
        call: &Call,
        section: EntityType,
        after: Option<&str>,
        max: usize,
        details: &mut Vec<model::ManagedPolicyDetail>,
    ) -> Result<(usize, Option<String>), ApiError> {
        let scope = match section {
            EntityType::LocalManagedPolicy => PolicyScope::Local,
            _ => PolicyScope::Aws,
        };
        let is_shown = |policy: &ManagedPolicy, usage: UsageCount| {
            !policy.is_aws() || usage.attached + usage.boundaries > 0
        };
        let page = self.principals(call).managed_policies(scope, is_shown, after, max);
        let page = page.await.map_err(api_error)?;
        let count = page.items.len();
        for (policy, usage) in page.items {
            let versions = self.principals(call).policy_versions(&policy.arn()).await.map_err(api_error)?;
            details.push(policy_detail(policy, usage, versions));
        }
        Ok((count, page.marker))
    }
}

/// Which kind a marker goes on with, and after what name in it.
fn read_marker(marker: Option<&str>) -> Result<(usize, Option<&str>), ApiError> {
    let Some(marker) = marker else { return Ok((0, None)) };
    let found = SECTIONS.iter().position(|(letter, _)| marker.starts_with(*letter));
    let section = found.ok_or_else(|| invalid("Invalid Marker."))?;
    let name = &marker[1..];
    Ok((section, Some(name).filter(|name| !name.is_empty())))
}

fn user_detail(user: User, groups: Vec<Group>) -> model::UserDetail {
    model::UserDetail {
        arn: Some(user.arn()),
        attached_managed_policies: Some(attached(&user.attached)),
        create_date: Some(time(user.created_ms)),
        group_list: Some(groups.into_iter().map(|group| group.name).collect()),
        path: Some(user.path),
        permissions_boundary: user.boundary.map(boundary),
        tags: Some(tags_out(&user.tags)),
        user_id: Some(user.id),
        user_name: Some(user.name),
        user_policy_list: Some(inline(user.policies)),
    }
}

fn group_detail(group: Group) -> model::GroupDetail {
    model::GroupDetail {
        arn: Some(group.arn()),
        attached_managed_policies: Some(attached(&group.attached)),
        create_date: Some(time(group.created_ms)),
        group_id: Some(group.id),
        group_name: Some(group.name),
        group_policy_list: Some(inline(group.policies)),
        path: Some(group.path),
    }
}

fn role_detail(role: Role) -> model::RoleDetail {
    model::RoleDetail {
        arn: Some(role.arn()),
        assume_role_policy_document: Some(escaped(&role.trust_policy)),
        attached_managed_policies: Some(attached(&role.attached)),
        create_date: Some(time(role.created_ms)),
        instance_profile_list: Some(Vec::new()),
        path: Some(role.path),
        permissions_boundary: role.boundary.map(boundary),
        role_id: Some(role.id),
        role_last_used: Some(model::RoleLastUsed::default()),
        role_name: Some(role.name),
        role_policy_list: Some(inline(role.policies)),
        tags: Some(tags_out(&role.tags)),
    }
}

fn policy_detail(
    policy: ManagedPolicy,
    usage: UsageCount,
    versions: Vec<PolicyVersion>,
) -> model::ManagedPolicyDetail {
    let number = |count: usize| i32::try_from(count).ok();
    let version = |version: PolicyVersion| model::PolicyVersion {
        create_date: Some(time(version.created_ms)),
        document: Some(escaped(&version.document)),
        is_default_version: Some(version.is_default),
        version_id: Some(format!("v{}", version.number)),
    };
    model::ManagedPolicyDetail {
        arn: Some(policy.arn()),
        attachment_count: number(usage.attached),
        create_date: Some(time(policy.created_ms)),
        default_version_id: Some(format!("v{}", policy.default_version)),
        description: policy.description,
        is_attachable: Some(true),
        path: Some(policy.path),
        permissions_boundary_usage_count: number(usage.boundaries),
        policy_id: Some(policy.id),
        policy_name: Some(policy.name),
        policy_version_list: Some(versions.into_iter().map(version).collect()),
        update_date: Some(time(policy.updated_ms)),
    }
}

fn inline(policies: impl IntoIterator<Item = (String, String)>) -> Vec<model::PolicyDetail> {
    let detail = |(name, document): (String, String)| model::PolicyDetail {
        policy_document: Some(escaped(&document)),
        policy_name: Some(name),
    };
    policies.into_iter().map(detail).collect()
}

/// Managed policies by their ARNs, which end with their names.
fn attached(arns: &[String]) -> Vec<model::AttachedPolicy> {
    let name = |arn: &String| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    arns.iter()
        .map(|arn| model::AttachedPolicy { policy_arn: Some(arn.clone()), policy_name: Some(name(arn)) })
        .collect()
}
