//! IAM as its clients see it. What principals and policies mean is decided in `lambent-identity`.
#![forbid(unsafe_code)]

mod absent;
mod access_keys;
mod account;
mod ask;
mod credential_report;
mod details;
mod errors;
mod group_policies;
mod groups;
mod policies;
mod principal_operations;
mod roles;
mod service_credentials;
mod user_policies;
mod users;
mod violations;

use std::sync::Arc;

use lambent_api::Service;
use lambent_base::{Arn, Place};
use lambent_identity::Identity;
use lambent_model_iam::{SERVICE, ops};

/// The state that handlers share.
pub(crate) struct Iam {
    identity: Arc<Identity>,
}

/// The service, ready for the gateway.
pub fn service(identity: Arc<Identity>) -> Service {
    let iam = Arc::new(Iam { identity });
    let mut service = Service::new(&SERVICE, Some("ValidationError"));
    service.word_violations(violations::words);
    principal_operations::add(&mut service, &iam);
    lambent_api::operations!(service, iam, {
        plain ops::CreateRole => create_role, "iam:CreateRole", |input, place| {
            role_arn(place, input.path.as_deref(), &input.role_name)
        };
        plain ops::GetRole => get_role, "iam:GetRole", |input, place| role_arn(place, None, &input.role_name);
        plain ops::ListRoles => list_roles, "iam:ListRoles", |_, place| role_arn(place, None, "*");
        plain ops::DeleteRole => delete_role, "iam:DeleteRole", |input, place| role_arn(place, None, &input.role_name);
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
    service
}

fn role_arn(place: &Place, path: Option<&str>, name: &str) -> String {
    Arn::new("iam", "", &place.account, format!("role{}{name}", path.unwrap_or("/"))).to_string()
}
