//! Which action on which resource each operation about users, groups, keys and the account takes.
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Identity and Access Management".

use std::sync::Arc;

use lambent_api::Service;
use lambent_base::{Arn, Place};
use lambent_identity::{Caller, CallerKind, Wanted};
use lambent_model_iam::ops;

use crate::policy_operations::{bounded, tagged};
use crate::{Iam, role_arn};

pub(crate) fn add(service: &mut Service, iam: &Arc<Iam>) {
    add_users(service, iam);
    add_groups(service, iam);
    add_credentials(service, iam);
    add_account(service, iam);
}

fn add_users(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreateUser => create_user, |input, place| {
            let arn = arn(place, "user", input.path.as_deref(), &input.user_name);
            let wanted = bounded(Wanted::new("iam:CreateUser", arn), input.permissions_boundary.as_deref());
            tagged(wanted, input.tags.as_deref())
        };
        own ops::GetUser => get_user, "iam:GetUser", |input, place, caller| own(place, input.user_name.as_deref(), caller);
        plain ops::ListUsers => list_users, "iam:ListUsers", |input, place| {
            arn(place, "user", input.path_prefix.as_deref(), "")
        };
        plain ops::UpdateUser => update_user, "iam:UpdateUser", |input, place| user(place, &input.user_name);
        plain ops::DeleteUser => delete_user, "iam:DeleteUser", |input, place| user(place, &input.user_name);
        plain ops::TagUser => tag_user, |input, place| {
            tagged(Wanted::new("iam:TagUser", user(place, &input.user_name)), Some(&input.tags))
        };
        plain ops::UntagUser => untag_user, |input, place| {
            Wanted::new("iam:UntagUser", user(place, &input.user_name))
                .with_each("aws:TagKeys", input.tag_keys.clone())
        };
        plain ops::ListUserTags => list_user_tags, "iam:ListUserTags", |input, place| user(place, &input.user_name);
        plain ops::PutUserPolicy => put_user_policy, "iam:PutUserPolicy", |input, place| user(place, &input.user_name);
        plain ops::GetUserPolicy => get_user_policy, "iam:GetUserPolicy", |input, place| user(place, &input.user_name);
        plain ops::ListUserPolicies => list_user_policies, "iam:ListUserPolicies", |input, place| {
            user(place, &input.user_name)
        };
        plain ops::DeleteUserPolicy => delete_user_policy, "iam:DeleteUserPolicy", |input, place| {
            user(place, &input.user_name)
        };
        plain ops::ListGroupsForUser => list_groups_for_user, "iam:ListGroupsForUser", |input, place| {
            user(place, &input.user_name)
        };
    });
}

fn add_groups(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreateGroup => create_group, "iam:CreateGroup", |input, place| {
            arn(place, "group", input.path.as_deref(), &input.group_name)
        };
        plain ops::GetGroup => get_group, "iam:GetGroup", |input, place| group(place, &input.group_name);
        plain ops::ListGroups => list_groups, "iam:ListGroups", |input, place| {
            arn(place, "group", input.path_prefix.as_deref(), "")
        };
        plain ops::UpdateGroup => update_group, "iam:UpdateGroup", |input, place| group(place, &input.group_name);
        plain ops::DeleteGroup => delete_group, "iam:DeleteGroup", |input, place| group(place, &input.group_name);
        plain ops::AddUserToGroup => add_user_to_group, "iam:AddUserToGroup", |input, place| {
            group(place, &input.group_name)
        };
        plain ops::RemoveUserFromGroup => remove_user_from_group, "iam:RemoveUserFromGroup", |input, place| {
            group(place, &input.group_name)
        };
        plain ops::PutGroupPolicy => put_group_policy, "iam:PutGroupPolicy", |input, place| {
            group(place, &input.group_name)
        };
        plain ops::GetGroupPolicy => get_group_policy, "iam:GetGroupPolicy", |input, place| {
            group(place, &input.group_name)
        };
        plain ops::ListGroupPolicies => list_group_policies, "iam:ListGroupPolicies", |input, place| {
            group(place, &input.group_name)
        };
        plain ops::DeleteGroupPolicy => delete_group_policy, "iam:DeleteGroupPolicy", |input, place| {
            group(place, &input.group_name)
        };
    });
}

fn add_credentials(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        own ops::CreateAccessKey => create_access_key, "iam:CreateAccessKey", |input, place, caller| {
            own(place, input.user_name.as_deref(), caller)
        };
        own ops::ListAccessKeys => list_access_keys, "iam:ListAccessKeys", |input, place, caller| {
            own(place, input.user_name.as_deref(), caller)
        };
        own ops::UpdateAccessKey => update_access_key, "iam:UpdateAccessKey", |input, place, caller| {
            own(place, input.user_name.as_deref(), caller)
        };
        own ops::DeleteAccessKey => delete_access_key, "iam:DeleteAccessKey", |input, place, caller| {
            own(place, input.user_name.as_deref(), caller)
        };
        plain ops::GetAccessKeyLastUsed => get_access_key_last_used, "iam:GetAccessKeyLastUsed", |_, place| {
            arn(place, "user", None, "*")
        };
        plain ops::CreateServiceSpecificCredential => create_service_specific_credential,
            "iam:CreateServiceSpecificCredential", |input, place| user(place, &input.user_name);
        own ops::ListServiceSpecificCredentials => list_service_specific_credentials,
            "iam:ListServiceSpecificCredentials", |input, place, caller| match input.all_users {
                Some(true) => arn(place, "user", None, "*"),
                _ => own(place, input.user_name.as_deref(), caller),
            };
        own ops::UpdateServiceSpecificCredential => update_service_specific_credential,
            "iam:UpdateServiceSpecificCredential", |input, place, caller| {
                own(place, input.user_name.as_deref(), caller)
            };
        own ops::ResetServiceSpecificCredential => reset_service_specific_credential,
            "iam:ResetServiceSpecificCredential", |input, place, caller| {
                own(place, input.user_name.as_deref(), caller)
            };
        own ops::DeleteServiceSpecificCredential => delete_service_specific_credential,
            "iam:DeleteServiceSpecificCredential", |input, place, caller| {
                own(place, input.user_name.as_deref(), caller)
            };
        own ops::GetLoginProfile => get_login_profile, "iam:GetLoginProfile", |input, place, caller| {
            own(place, input.user_name.as_deref(), caller)
        };
        own ops::ListMFADevices => list_mfa_devices, "iam:ListMFADevices", |input, place, caller| {
            own(place, input.user_name.as_deref(), caller)
        };
        own ops::ListSSHPublicKeys => list_ssh_public_keys, "iam:ListSSHPublicKeys", |input, place, caller| {
            own(place, input.user_name.as_deref(), caller)
        };
        own ops::ListSigningCertificates => list_signing_certificates, "iam:ListSigningCertificates",
            |input, place, caller| own(place, input.user_name.as_deref(), caller);
    });
}

fn add_account(service: &mut Service, iam: &Arc<Iam>) {
    lambent_api::operations!(service, iam, {
        plain ops::CreateAccountAlias => create_account_alias, "iam:CreateAccountAlias", |_, _| all();
        plain ops::ListAccountAliases => list_account_aliases, "iam:ListAccountAliases", |_, _| all();
        plain ops::DeleteAccountAlias => delete_account_alias, "iam:DeleteAccountAlias", |_, _| all();
        plain ops::UpdateAccountPasswordPolicy => update_account_password_policy,
            "iam:UpdateAccountPasswordPolicy", |_, _| all();
        plain ops::GetAccountPasswordPolicy => get_account_password_policy,
            "iam:GetAccountPasswordPolicy", |_, _| all();
        plain ops::DeleteAccountPasswordPolicy => delete_account_password_policy,
            "iam:DeleteAccountPasswordPolicy", |_, _| all();
        plain ops::SetSecurityTokenServicePreferences => set_security_token_service_preferences,
            "iam:SetSecurityTokenServicePreferences", |_, _| all();
        plain ops::GetAccountSummary => get_account_summary, "iam:GetAccountSummary", |_, _| all();
        plain ops::GetAccountAuthorizationDetails => get_account_authorization_details,
            "iam:GetAccountAuthorizationDetails", |_, _| all();
        plain ops::GenerateCredentialReport => generate_credential_report,
            "iam:GenerateCredentialReport", |_, _| all();
        plain ops::GetCredentialReport => get_credential_report, "iam:GetCredentialReport", |_, _| all();
        plain ops::ListServerCertificates => list_server_certificates, "iam:ListServerCertificates", |_, _| all();
        plain ops::ListInstanceProfiles => list_instance_profiles, "iam:ListInstanceProfiles", |input, place| {
            arn(place, "instance-profile", input.path_prefix.as_deref(), "")
        };
        plain ops::ListInstanceProfilesForRole => list_instance_profiles_for_role,
            "iam:ListInstanceProfilesForRole", |input, place| role_arn(place, None, &input.role_name);
    });
}

fn user(place: &Place, name: &str) -> String {
    arn(place, "user", None, name)
}

fn group(place: &Place, name: &str) -> String {
    arn(place, "group", None, name)
}

/// The user that a request names, or else the caller; who is no user is refused by the handler.
fn own(place: &Place, name: Option<&str>, caller: &Caller) -> String {
    match (name, &caller.kind) {
        (Some(name), _) => user(place, name),
        (None, CallerKind::User { .. }) => caller.arn.clone(),
        (None, _) => user(place, "*"),
    }
}

fn arn(place: &Place, kind: &str, path: Option<&str>, name: &str) -> String {
    Arn::new("iam", "", &place.account, format!("{kind}{}{name}", path.unwrap_or("/"))).to_string()
}

/// What is asked of the account as a whole.
fn all() -> String {
    "*".to_owned()
}
