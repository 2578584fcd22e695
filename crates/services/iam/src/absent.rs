//! What no user or role here has: passwords, devices, certificates, instances. Programs that look through an account ask for them
//! all, and are told that there are none.

use lambent_api::{ApiError, Call};
use lambent_identity::{IdentityError, Kind};
use lambent_model_iam as model;

use crate::Iam;
use crate::ask::user_name;
use crate::errors::api_error;

impl Iam {
    pub(crate) async fn get_login_profile(
        &self,
        call: &Call,
        input: model::GetLoginProfileRequest,
    ) -> Result<model::GetLoginProfileResponse, ApiError> {
        let name = user_name(call, input.user_name)?;
        self.principals(call).user(&name).await.map_err(api_error)?;
        Err(api_error(IdentityError::NoSuch { kind: Kind::LoginProfile, name }))
    }

    pub(crate) async fn list_mfa_devices(
        &self,
        call: &Call,
        input: model::ListMFADevicesRequest,
    ) -> Result<model::ListMFADevicesResponse, ApiError> {
        self.check_user(call, input.user_name.as_deref()).await?;
        Ok(model::ListMFADevicesResponse {
            is_truncated: Some(false),
            ..model::ListMFADevicesResponse::default()
        })
    }

    pub(crate) async fn list_ssh_public_keys(
        &self,
        call: &Call,
        input: model::ListSSHPublicKeysRequest,
    ) -> Result<model::ListSSHPublicKeysResponse, ApiError> {
        self.check_user(call, input.user_name.as_deref()).await?;
        Ok(model::ListSSHPublicKeysResponse {
            is_truncated: Some(false),
            marker: None,
            ssh_public_keys: Some(Vec::new()),
        })
    }

    pub(crate) async fn list_signing_certificates(
        &self,
        call: &Call,
        input: model::ListSigningCertificatesRequest,
    ) -> Result<model::ListSigningCertificatesResponse, ApiError> {
        self.check_user(call, input.user_name.as_deref()).await?;
        Ok(model::ListSigningCertificatesResponse {
            is_truncated: Some(false),
            ..model::ListSigningCertificatesResponse::default()
        })
    }

    pub(crate) async fn list_server_certificates(
        &self,
        _call: &Call,
        _input: model::ListServerCertificatesRequest,
    ) -> Result<model::ListServerCertificatesResponse, ApiError> {
        Ok(model::ListServerCertificatesResponse {
            is_truncated: Some(false),
            ..model::ListServerCertificatesResponse::default()
        })
    }

    pub(crate) async fn list_instance_profiles(
        &self,
        _call: &Call,
        _input: model::ListInstanceProfilesRequest,
    ) -> Result<model::ListInstanceProfilesResponse, ApiError> {
        Ok(model::ListInstanceProfilesResponse {
            is_truncated: Some(false),
            ..model::ListInstanceProfilesResponse::default()
        })
    }

    pub(crate) async fn list_instance_profiles_for_role(
        &self,
        call: &Call,
        input: model::ListInstanceProfilesForRoleRequest,
    ) -> Result<model::ListInstanceProfilesForRoleResponse, ApiError> {
        self.principals(call).role(&input.role_name).await.map_err(api_error)?;
        Ok(model::ListInstanceProfilesForRoleResponse {
            is_truncated: Some(false),
            ..model::ListInstanceProfilesForRoleResponse::default()
        })
    }

    /// Refuses a user that is not there.
    async fn check_user(&self, call: &Call, name: Option<&str>) -> Result<(), ApiError> {
        if let Some(name) = name {
            self.principals(call).user(name).await.map_err(api_error)?;
        }
        Ok(())
    }
}
