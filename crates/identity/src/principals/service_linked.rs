//! Roles that belong to services: each service makes its own, under a name that AWS chose, and nobody else changes it.

use super::aws_managed::AWS;
use super::roles::{SERVICE_PATH, limits, load_role, remove_role};
use super::service_names::{self, LinkedService};
use super::{Kind, Principals, Role, RoleName};
use crate::{IdentityError, keys};

/// Characters that a role's name has at most.
const ROLE_NAME_CHARS_MAX: usize = 64;

impl Principals<'_> {
    /// Makes the role of a service, as `ecs.amazonaws.com`; a few services take a suffix and have several.
    pub async fn create_service_linked_role(
        self,
        service: &str,
        suffix: Option<&str>,
        description: Option<&str>,
    ) -> Result<Role, IdentityError> {
        let account = self.account();
        let known = service_names::find(service)
            .ok_or_else(|| IdentityError::InvalidInput("Invalid service principal name".to_owned()))?;
        let role = service_role(account, known, suffix, description)?;
        let taken = |role: &Role| {
            IdentityError::InvalidInput(format!(
                "Service role name {} has been taken in this account, please try a different suffix.",
                role.name
            ))
        };
        self.insert_role(role, taken).await
    }

    /// Deletes the role of a service, and gives the id of the task that did: no service of Lambent's holds on to one, so it
    /// is done at once.
    pub async fn delete_service_linked_role(self, name: &str) -> Result<String, IdentityError> {
        let name = RoleName { account: self.account(), name };
        let (name, task) = (&name, self.random.uuid());
        let task = &task;
        self.db
            .run(|txn| async move {
                let role = load_role(&txn, name).await?;
                if !role.is_service_linked() {
                    let message = format!("Role {} is not a service-linked role.", role.name);
                    return Err(IdentityError::InvalidInput(message));
                }
                remove_role(&txn, &role);
                let id = format!("task{}{}/{task}", role.path, role.name);
                txn.put(&keys::deletion_task(name.account, &role.name), id.as_bytes());
                Ok(id)
            })
            .await
    }

    /// Whether there was such a task, the last one for its role; all are done.
    pub async fn deletion_task(self, id: &str) -> Result<(), IdentityError> {
        let account = self.account();
        let role = id.rsplit('/').nth(1).unwrap_or_default();
        let key = &keys::deletion_task(account, role);
        let row = self.db.read(|txn| async move { Ok::<_, IdentityError>(txn.get(key).await?) }).await?;
        if row.is_some_and(|known| known == id.as_bytes()) {
            return Ok(());
        }
        Err(IdentityError::NoSuch { kind: Kind::DeletionTask, name: id.to_owned() })
    }
}

/// The name of the role that a service has, with the suffix that a request brings; `None` of a service that has no role.
pub fn service_role_name(service: &str, suffix: Option<&str>) -> Option<String> {
    let role = service_names::find(service)?.role;
    Some(suffix.map_or_else(|| role.to_owned(), |suffix| format!("{role}_{suffix}")))
}

fn service_role(
    account: &str,
    service: &LinkedService,
    suffix: Option<&str>,
    description: Option<&str>,
) -> Result<Role, IdentityError> {
    let principal = service.principal;
    let name = match suffix {
        None => service.role.to_owned(),
        Some(suffix) if service.takes_suffix => format!("{}_{suffix}", service.role),
        Some(_) => {
            let message = format!("Custom suffix is not allowed for {principal}");
            return Err(IdentityError::InvalidInput(message));
        }
    };
    if name.chars().count() > ROLE_NAME_CHARS_MAX {
        let message = format!("The name {name} has more than {ROLE_NAME_CHARS_MAX} characters.");
        return Err(IdentityError::InvalidInput(message));
    }
    let trust_policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    Ok(Role {
        account: account.to_owned(),
        name,
        path: format!("{SERVICE_PATH}{principal}/"),
        trust_policy,
        description: description.or(service.description).map(str::to_owned),
        max_session_seconds: limits::SESSION_SECONDS_DEFAULT,
        attached: vec![format!("arn:aws:iam::{AWS}:policy{SERVICE_PATH}{}", service.policy)],
        ..Role::default()
    })
}
