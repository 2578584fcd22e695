//! Members that several answers have.

use lambent_api::ApiError;
use lambent_identity::TemporaryCredentials;
use lambent_model_sts as model;
use lambent_wire::Timestamp;

/// How much of its room a session's policies and tags take, where there are some.
pub(crate) fn packed_size(
    given: &TemporaryCredentials,
    policy: Option<&String>,
    arns: Option<&Vec<model::PolicyDescriptorType>>,
    tags: Option<&Vec<model::Tag>>,
) -> Option<i32> {
    let is_any = policy.is_some() || arns.is_some() || tags.is_some();
    is_any.then_some(given.packed_percent)
}

pub(crate) fn assumed_role_user(given: &TemporaryCredentials) -> model::AssumedRoleUser {
    model::AssumedRoleUser { arn: given.principal_arn.clone(), assumed_role_id: given.principal_id.clone() }
}

pub(crate) fn credentials(given: TemporaryCredentials) -> model::Credentials {
    model::Credentials {
        access_key_id: given.access_key_id,
        expiration: Timestamp::from_s(given.expires_unix_s),
        secret_access_key: given.secret_access_key,
        session_token: given.session_token,
    }
}

pub(crate) fn tags(tags: Option<Vec<model::Tag>>) -> Vec<(String, String)> {
    tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect()
}

pub(crate) fn arns(arns: Option<&Vec<model::PolicyDescriptorType>>) -> Vec<String> {
    arns.into_iter().flatten().filter_map(|one| one.arn.clone()).collect()
}

/// Errors: ValidationError in AWS's words for what is no ARN.
pub(crate) fn expect_arn(text: &str) -> Result<(), ApiError> {
    match is_arn(text) {
        true => Ok(()),
        false => Err(ApiError::client("ValidationError", format!("{text} is invalid"))),
    }
}

/// Whether the text has an ARN's six parts; the region and the account may be empty.
fn is_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, service, _, _, resource]
        if !partition.is_empty() && !service.is_empty() && !resource.is_empty())
}
