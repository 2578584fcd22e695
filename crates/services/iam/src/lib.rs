//! IAM as its clients see it. What principals and policies mean is decided in `lambent-identity`.
#![forbid(unsafe_code)]

mod absent;
mod access_keys;
mod account;
mod ask;
mod attachments;
mod credential_report;
mod details;
mod errors;
mod group_policies;
mod groups;
mod managed;
mod oidc_providers;
mod policies;
mod policy_operations;
mod positions;
mod principal_operations;
mod roles;
mod saml_providers;
mod service_credentials;
mod service_roles;
mod simulate;
mod simulated_principal;
mod user_policies;
mod users;
mod versions;
mod violations;

use std::sync::Arc;

use lambent_api::{Call, Service};
use lambent_base::{Arn, Place};
use lambent_identity::{Identity, Principals};
use lambent_model_iam::SERVICE;

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
    policy_operations::add(&mut service, &iam);
    service
}

impl Iam {
    /// Who there is, for a call that was decided on.
    pub(crate) fn principals<'a>(&'a self, call: &'a Call) -> Principals<'a> {
        self.identity.principals(call.authorized())
    }
}

fn role_arn(place: &Place, path: Option<&str>, name: &str) -> String {
    Arn::new("iam", "", &place.account, format!("role{}{name}", path.unwrap_or("/"))).to_string()
}
