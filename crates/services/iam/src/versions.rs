//! Versions of managed policies.

use lambent_api::{ApiError, Call};
use lambent_identity::{IdentityError, Kind, PolicyVersion};
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::{max_items, time};
use crate::errors::api_error;
use crate::managed::version_id;
use crate::roles::escaped;

impl Iam {
    pub(crate) async fn create_policy_version(
        &self,
        call: &Call,
        input: model::CreatePolicyVersionRequest,
    ) -> Result<model::CreatePolicyVersionResponse, ApiError> {
        let model::CreatePolicyVersionRequest { policy_arn, policy_document, set_as_default } = input;
        let is_default = set_as_default.unwrap_or_default();
        let create = self.principals(call).create_policy_version(&policy_arn, &policy_document, is_default);
        let version = brief(create.await.map_err(api_error)?);
        Ok(model::CreatePolicyVersionResponse { policy_version: Some(version) })
    }

    pub(crate) async fn get_policy_version(
        &self,
        call: &Call,
        input: model::GetPolicyVersionRequest,
    ) -> Result<model::GetPolicyVersionResponse, ApiError> {
        let number = number(&input.policy_arn, &input.version_id)?;
        let version = self.principals(call).policy_version(&input.policy_arn, number).await;
        let version = version.map_err(api_error)?;
        let document = Some(escaped(&version.document));
        let shown = model::PolicyVersion { document, ..brief(version) };
        Ok(model::GetPolicyVersionResponse { policy_version: Some(shown) })
    }

    pub(crate) async fn list_policy_versions(
        &self,
        call: &Call,
        input: model::ListPolicyVersionsRequest,
    ) -> Result<model::ListPolicyVersionsResponse, ApiError> {
        let versions = self.principals(call).policy_versions(&input.policy_arn).await;
        let mut left: Vec<_> = versions.map_err(api_error)?;
        if let Some(marker) = &input.marker {
            // The newest comes first.
            let after = number(&input.policy_arn, marker)?;
            left.retain(|version| version.number < after);
        }
        let max = max_items(input.max_items).max(1);
        let is_truncated = left.len() > max;
        left.truncate(max);
        let marker = left.last().filter(|_| is_truncated).map(|last| version_id(last.number));
        let versions = left.into_iter().map(brief).collect();
        Ok(model::ListPolicyVersionsResponse {
            is_truncated: Some(is_truncated),
            marker,
            versions: Some(versions),
        })
    }

    pub(crate) async fn set_default_policy_version(
        &self,
        call: &Call,
        input: model::SetDefaultPolicyVersionRequest,
    ) -> Result<Empty, ApiError> {
        let number = number(&input.policy_arn, &input.version_id)?;
        let set = self.principals(call).set_default_version(&input.policy_arn, number);
        set.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn delete_policy_version(
        &self,
        call: &Call,
        input: model::DeletePolicyVersionRequest,
    ) -> Result<Empty, ApiError> {
        let number = number(&input.policy_arn, &input.version_id)?;
        let delete = self.principals(call).delete_policy_version(&input.policy_arn, number);
        delete.await.map_err(api_error)?;
        Ok(Empty {})
    }
}

/// A version without its document.
pub(crate) fn brief(version: PolicyVersion) -> model::PolicyVersion {
    model::PolicyVersion {
        create_date: Some(time(version.created_ms)),
        document: None,
        is_default_version: Some(version.is_default),
        version_id: Some(version_id(version.number)),
    }
}

/// The number in `v3`.
fn number(arn: &str, id: &str) -> Result<u64, ApiError> {
    id.strip_prefix('v').and_then(|number| number.parse().ok()).ok_or_else(|| {
        let name = format!("{arn} version {id}");
        api_error(IdentityError::NoSuch { kind: Kind::AttachablePolicy, name })
    })
}
