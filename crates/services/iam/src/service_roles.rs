//! Roles of services.

use lambent_api::{ApiError, Call};
use lambent_model_iam as model;

use crate::Iam;
use crate::errors::api_error;
use crate::roles::created;

impl Iam {
    pub(crate) async fn create_service_linked_role(
        &self,
        call: &Call,
        input: model::CreateServiceLinkedRoleRequest,
    ) -> Result<model::CreateServiceLinkedRoleResponse, ApiError> {
        let (suffix, description) = (input.custom_suffix.as_deref(), input.description.as_deref());
        let service = &input.aws_service_name;
        let create = self.principals(call).create_service_linked_role(service, suffix, description);
        let role = created(create.await.map_err(api_error)?);
        Ok(model::CreateServiceLinkedRoleResponse { role: Some(role) })
    }

    pub(crate) async fn delete_service_linked_role(
        &self,
        call: &Call,
        input: model::DeleteServiceLinkedRoleRequest,
    ) -> Result<model::DeleteServiceLinkedRoleResponse, ApiError> {
        let delete = self.principals(call).delete_service_linked_role(&input.role_name);
        let deletion_task_id = delete.await.map_err(api_error)?;
        Ok(model::DeleteServiceLinkedRoleResponse { deletion_task_id })
    }

    pub(crate) async fn get_service_linked_role_deletion_status(
        &self,
        call: &Call,
        input: model::GetServiceLinkedRoleDeletionStatusRequest,
    ) -> Result<model::GetServiceLinkedRoleDeletionStatusResponse, ApiError> {
        self.principals(call).deletion_task(&input.deletion_task_id).await.map_err(api_error)?;
        let status = model::DeletionTaskStatusType::Succeeded;
        Ok(model::GetServiceLinkedRoleDeletionStatusResponse { reason: None, status })
    }
}
