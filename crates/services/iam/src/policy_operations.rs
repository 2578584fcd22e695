//! Which action on which resource each operation about roles, managed policies and identity providers takes.
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Identity and Access Management".

use std::sync::Arc;

use lambent_api::Service;
use lambent_base::{Arn, Place};
use lambent_identity::{Wanted, service_role_name};
use lambent_model_iam as model;
use lambent_model_iam::ops;

use crate::{Iam, role_arn};

pub(crate) fn add(service: &mut Service, iam: &Arc<Iam>) {
    add_roles(service, iam);
    add_service_roles(service, iam);
    add_policies(service, iam);
    add_attachments(service, iam);
    add_boundaries(service, iam);
    add_oidc_providers(service, iam);
    add_saml_providers(service, iam);
    add_questions(service, iam);
}

fn add_roles(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreateRole => create_role, |input, place| {
            let wanted = Wanted::new("iam:CreateRole", role_arn(place, input.path.as_deref(), &input.role_name));
            tagged(bounded(wanted, input.permissions_boundary.as_deref()), input.tags.as_deref())
        };
        plain ops::GetRole => get_role, "iam:GetRole", |input, place| role_arn(place, None, &input.role_name);
        plain ops::ListRoles => list_roles, "iam:ListRoles", |input, place| {
            role_arn(place, input.path_prefix.as_deref(), "")
        };
        plain ops::UpdateRole => update_role, "iam:UpdateRole", |input, place| role_arn(place, None, &input.role_name);
        plain ops::UpdateRoleDescription => update_role_description, "iam:UpdateRoleDescription", |input, place| {
            role_arn(place, None, &input.role_name)
        };
        plain ops::UpdateAssumeRolePolicy => update_assume_role_policy, "iam:UpdateAssumeRolePolicy", |input, place| {
            role_arn(place, None, &input.role_name)
        };
        plain ops::DeleteRole => delete_role, "iam:DeleteRole", |input, place| role_arn(place, None, &input.role_name);
        plain ops::TagRole => tag_role, |input, place| {
            tagged(Wanted::new("iam:TagRole", role_arn(place, None, &input.role_name)), Some(&input.tags))
        };
        plain ops::UntagRole => untag_role, |input, place| {
            Wanted::new("iam:UntagRole", role_arn(place, None, &input.role_name))
                .with_each("aws:TagKeys", input.tag_keys.clone())
        };
        plain ops::ListRoleTags => list_role_tags, "iam:ListRoleTags", |input, place| {
            role_arn(place, None, &input.role_name)
        };
        plain ops::PutRolePolicy => put_role_policy, "iam:PutRolePolicy", |input, place| {
            role_arn(place, None, &input.role_name)
        };
        plain ops::GetRolePolicy => get_role_policy, "iam:GetRolePolicy", |input, place| {
            role_arn(place, None, &input.role_name)
        };
        plain ops::ListRolePolicies => list_role_policies, "iam:ListRolePolicies", |input, place| {
            role_arn(place, None, &input.role_name)
        };
        plain ops::DeleteRolePolicy => delete_role_policy, "iam:DeleteRolePolicy", |input, place| {
            role_arn(place, None, &input.role_name)
        };
    });
}

fn add_service_roles(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreateServiceLinkedRole => create_service_linked_role, |input, place| {
            let path = format!("/aws-service-role/{}/", input.aws_service_name);
            let name = service_role_name(&input.aws_service_name, input.custom_suffix.as_deref());
            let arn = role_arn(place, Some(&path), name.as_deref().unwrap_or("*"));
            Wanted::new("iam:CreateServiceLinkedRole", arn)
                .with("iam:AWSServiceName", input.aws_service_name.clone())
        };
        plain ops::DeleteServiceLinkedRole => delete_service_linked_role, "iam:DeleteServiceLinkedRole",
            |input, place| role_arn(place, None, &input.role_name);
        plain ops::GetServiceLinkedRoleDeletionStatus => get_service_linked_role_deletion_status,
            "iam:GetServiceLinkedRoleDeletionStatus", |input, place| {
                let role = input.deletion_task_id.rsplit('/').nth(1).unwrap_or_default();
                role_arn(place, None, role)
            };
    });
}

fn add_policies(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreatePolicy => create_policy, |input, place| {
            let path = input.path.as_deref().unwrap_or("/");
            let arn = arn(place, "policy", &format!("{path}{}", input.policy_name));
            tagged(Wanted::new("iam:CreatePolicy", arn), input.tags.as_deref())
        };
        plain ops::GetPolicy => get_policy, "iam:GetPolicy", |input, _| input.policy_arn.clone();
        plain ops::DeletePolicy => delete_policy, "iam:DeletePolicy", |input, _| input.policy_arn.clone();
        plain ops::ListPolicies => list_policies, "iam:ListPolicies", |input, place| {
            arn(place, "policy", input.path_prefix.as_deref().unwrap_or("/"))
        };
        plain ops::CreatePolicyVersion => create_policy_version, "iam:CreatePolicyVersion", |input, _| {
            input.policy_arn.clone()
        };
        plain ops::GetPolicyVersion => get_policy_version, "iam:GetPolicyVersion", |input, _| input.policy_arn.clone();
        plain ops::ListPolicyVersions => list_policy_versions, "iam:ListPolicyVersions", |input, _| {
            input.policy_arn.clone()
        };
        plain ops::SetDefaultPolicyVersion => set_default_policy_version, "iam:SetDefaultPolicyVersion", |input, _| {
            input.policy_arn.clone()
        };
        plain ops::DeletePolicyVersion => delete_policy_version, "iam:DeletePolicyVersion", |input, _| {
            input.policy_arn.clone()
        };
        plain ops::TagPolicy => tag_policy, |input, _| {
            tagged(Wanted::new("iam:TagPolicy", input.policy_arn.clone()), Some(&input.tags))
        };
        plain ops::UntagPolicy => untag_policy, |input, _| {
            Wanted::new("iam:UntagPolicy", input.policy_arn.clone()).with_each("aws:TagKeys", input.tag_keys.clone())
        };
        plain ops::ListPolicyTags => list_policy_tags, "iam:ListPolicyTags", |input, _| input.policy_arn.clone();
        plain ops::ListEntitiesForPolicy => list_entities_for_policy, "iam:ListEntitiesForPolicy", |input, _| {
            input.policy_arn.clone()
        };
    });
}

fn add_attachments(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::AttachUserPolicy => attach_user_policy, |input, place| {
            attaching("iam:AttachUserPolicy", user_arn(place, &input.user_name), &input.policy_arn)
        };
        plain ops::DetachUserPolicy => detach_user_policy, |input, place| {
            attaching("iam:DetachUserPolicy", user_arn(place, &input.user_name), &input.policy_arn)
        };
        plain ops::ListAttachedUserPolicies => list_attached_user_policies, "iam:ListAttachedUserPolicies",
            |input, place| user_arn(place, &input.user_name);
        plain ops::AttachGroupPolicy => attach_group_policy, |input, place| {
            attaching("iam:AttachGroupPolicy", group_arn(place, &input.group_name), &input.policy_arn)
        };
        plain ops::DetachGroupPolicy => detach_group_policy, |input, place| {
            attaching("iam:DetachGroupPolicy", group_arn(place, &input.group_name), &input.policy_arn)
        };
        plain ops::ListAttachedGroupPolicies => list_attached_group_policies, "iam:ListAttachedGroupPolicies",
            |input, place| group_arn(place, &input.group_name);
        plain ops::AttachRolePolicy => attach_role_policy, |input, place| {
            attaching("iam:AttachRolePolicy", role_arn(place, None, &input.role_name), &input.policy_arn)
        };
        plain ops::DetachRolePolicy => detach_role_policy, |input, place| {
            attaching("iam:DetachRolePolicy", role_arn(place, None, &input.role_name), &input.policy_arn)
        };
        plain ops::ListAttachedRolePolicies => list_attached_role_policies, "iam:ListAttachedRolePolicies",
            |input, place| role_arn(place, None, &input.role_name);
    });
}

fn add_boundaries(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::PutUserPermissionsBoundary => put_user_permissions_boundary, |input, place| {
            let wanted = Wanted::new("iam:PutUserPermissionsBoundary", user_arn(place, &input.user_name));
            bounded(wanted, Some(&input.permissions_boundary))
        };
        plain ops::DeleteUserPermissionsBoundary => delete_user_permissions_boundary,
            "iam:DeleteUserPermissionsBoundary", |input, place| user_arn(place, &input.user_name);
        plain ops::PutRolePermissionsBoundary => put_role_permissions_boundary, |input, place| {
            let wanted = Wanted::new("iam:PutRolePermissionsBoundary", role_arn(place, None, &input.role_name));
            bounded(wanted, Some(&input.permissions_boundary))
        };
        plain ops::DeleteRolePermissionsBoundary => delete_role_permissions_boundary,
            "iam:DeleteRolePermissionsBoundary", |input, place| role_arn(place, None, &input.role_name);
    });
}

fn add_oidc_providers(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreateOpenIDConnectProvider => create_open_id_connect_provider, |input, place| {
            let issuer = input.url.split_once("://").map_or(input.url.as_str(), |(_, issuer)| issuer);
            let arn = arn(place, "oidc-provider/", issuer);
            tagged(Wanted::new("iam:CreateOpenIDConnectProvider", arn), input.tags.as_deref())
        };
        plain ops::GetOpenIDConnectProvider => get_open_id_connect_provider, "iam:GetOpenIDConnectProvider",
            |input, _| input.open_id_connect_provider_arn.clone();
        plain ops::ListOpenIDConnectProviders => list_open_id_connect_providers, "iam:ListOpenIDConnectProviders",
            |_, place| arn(place, "oidc-provider/", "*");
        plain ops::AddClientIDToOpenIDConnectProvider => add_client_id_to_open_id_connect_provider,
            "iam:AddClientIDToOpenIDConnectProvider", |input, _| input.open_id_connect_provider_arn.clone();
        plain ops::RemoveClientIDFromOpenIDConnectProvider => remove_client_id_from_open_id_connect_provider,
            "iam:RemoveClientIDFromOpenIDConnectProvider", |input, _| input.open_id_connect_provider_arn.clone();
        plain ops::UpdateOpenIDConnectProviderThumbprint => update_open_id_connect_provider_thumbprint,
            "iam:UpdateOpenIDConnectProviderThumbprint", |input, _| input.open_id_connect_provider_arn.clone();
        plain ops::DeleteOpenIDConnectProvider => delete_open_id_connect_provider,
            "iam:DeleteOpenIDConnectProvider", |input, _| input.open_id_connect_provider_arn.clone();
        plain ops::TagOpenIDConnectProvider => tag_open_id_connect_provider, |input, _| {
            let wanted = Wanted::new("iam:TagOpenIDConnectProvider", input.open_id_connect_provider_arn.clone());
            tagged(wanted, Some(&input.tags))
        };
        plain ops::UntagOpenIDConnectProvider => untag_open_id_connect_provider, |input, _| {
            Wanted::new("iam:UntagOpenIDConnectProvider", input.open_id_connect_provider_arn.clone())
                .with_each("aws:TagKeys", input.tag_keys.clone())
        };
        plain ops::ListOpenIDConnectProviderTags => list_open_id_connect_provider_tags,
            "iam:ListOpenIDConnectProviderTags", |input, _| input.open_id_connect_provider_arn.clone();
    });
}

fn add_saml_providers(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreateSAMLProvider => create_saml_provider, |input, place| {
            let arn = arn(place, "saml-provider/", &input.name);
            tagged(Wanted::new("iam:CreateSAMLProvider", arn), input.tags.as_deref())
        };
        plain ops::GetSAMLProvider => get_saml_provider, "iam:GetSAMLProvider", |input, _| {
            input.saml_provider_arn.clone()
        };
        plain ops::ListSAMLProviders => list_saml_providers, "iam:ListSAMLProviders", |_, place| {
            arn(place, "saml-provider/", "*")
        };
        plain ops::UpdateSAMLProvider => update_saml_provider, "iam:UpdateSAMLProvider", |input, _| {
            input.saml_provider_arn.clone()
        };
        plain ops::DeleteSAMLProvider => delete_saml_provider, "iam:DeleteSAMLProvider", |input, _| {
            input.saml_provider_arn.clone()
        };
        plain ops::TagSAMLProvider => tag_saml_provider, |input, _| {
            tagged(Wanted::new("iam:TagSAMLProvider", input.saml_provider_arn.clone()), Some(&input.tags))
        };
        plain ops::UntagSAMLProvider => untag_saml_provider, |input, _| {
            Wanted::new("iam:UntagSAMLProvider", input.saml_provider_arn.clone())
                .with_each("aws:TagKeys", input.tag_keys.clone())
        };
        plain ops::ListSAMLProviderTags => list_saml_provider_tags, "iam:ListSAMLProviderTags", |input, _| {
            input.saml_provider_arn.clone()
        };
    });
}

fn add_questions(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::SimulateCustomPolicy => simulate_custom_policy, "iam:SimulateCustomPolicy", |_, _| "*".to_owned();
        plain ops::SimulatePrincipalPolicy => simulate_principal_policy, "iam:SimulatePrincipalPolicy", |input, _| {
            input.policy_source_arn.clone()
        };
        plain ops::GetContextKeysForCustomPolicy => get_context_keys_for_custom_policy,
            "iam:GetContextKeysForCustomPolicy", |_, _| "*".to_owned();
        plain ops::GetContextKeysForPrincipalPolicy => get_context_keys_for_principal_policy,
            "iam:GetContextKeysForPrincipalPolicy", |input, _| input.policy_source_arn.clone();
        plain ops::ListPoliciesGrantingServiceAccess => list_policies_granting_service_access,
            "iam:ListPoliciesGrantingServiceAccess", |input, _| input.arn.clone();
    });
}

fn attaching(action: &'static str, principal: String, policy: &str) -> Wanted {
    Wanted::new(action, principal).with("iam:PolicyARN", policy)
}

pub(crate) fn bounded(wanted: Wanted, boundary: Option<&str>) -> Wanted {
    match boundary {
        Some(arn) => wanted.with("iam:PermissionsBoundary", arn),
        None => wanted,
    }
}

/// The tags that a request brings.
pub(crate) fn tagged(wanted: Wanted, tags: Option<&[model::Tag]>) -> Wanted {
    let Some(tags) = tags.filter(|tags| !tags.is_empty()) else { return wanted };
    let keys = tags.iter().map(|tag| tag.key.clone());
    tags.iter().fold(wanted.with_each("aws:TagKeys", keys), |wanted, tag| {
        wanted.with(format!("aws:RequestTag/{}", tag.key), tag.value.clone())
    })
}

fn user_arn(place: &Place, name: &str) -> String {
    arn(place, "user/", name)
}

fn group_arn(place: &Place, name: &str) -> String {
    arn(place, "group/", name)
}

fn arn(place: &Place, kind: &str, rest: &str) -> String {
    Arn::new("iam", "", &place.account, format!("{kind}{rest}")).to_string()
}
