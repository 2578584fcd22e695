//! Whom policies mean: who had the name when the policy was stored. Rows hold names as they were given, with unique ids beside them.

use std::collections::BTreeMap;

use lambent_api::{ApiError, Call};

use crate::errors::{self, LambdaError};
use crate::lambda::Lambda;
use crate::rows::{OneOrMore, PolicyRow, PrincipalRow, WrittenPrincipal};

impl Lambda {
    /// Whom AddPermission names, with the unique id of a user or role.
    ///
    /// Errors: `InvalidParameterValueException` for somebody whom there is not.
    pub(crate) async fn principal(
        &self,
        call: &Call,
        text: &str,
    ) -> Result<(PrincipalRow, Option<String>), LambdaError> {
        let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if text == "*" {
            return Ok((PrincipalRow::Everyone, None));
        }
        if is_account {
            return Ok((PrincipalRow::Aws(format!("arn:aws:iam::{text}:root")), None));
        }
        if text.ends_with(".amazonaws.com") || text.ends_with(".amazon.com") {
            return Ok((PrincipalRow::Service(text.to_owned()), None));
        }
        let invalid = || {
            errors::invalid("The provided principal was invalid. Please check the principal and try again.")
        };
        let arn = text.parse::<lambent_base::Arn>().map_err(|_| invalid())?;
        let id = match (arn.service.as_str(), arn.resource.as_str()) {
            ("iam", "root") => None,
            ("iam", _) => {
                let found = self.parts.identity.names(call.authorized()).id_of(text).await;
                Some(found.map_err(|error| ApiError::internal(&error))?.ok_or_else(invalid)?)
            }
            _ => return Err(invalid().into()),
        };
        Ok((PrincipalRow::Aws(text.to_owned()), id))
    }

    /// A policy as it is shown today: whoever has another name now has it here, too, and who is gone is an id.
    pub(crate) async fn as_shown(
        &self,
        call: &Call,
        mut policy: PolicyRow,
    ) -> Result<PolicyRow, LambdaError> {
        let names = self.parts.identity.names(call.authorized());
        let failed = |error| ApiError::internal(&error);
        for statement in &mut policy.statements {
            if let (PrincipalRow::Aws(name), Some(id)) = (&mut statement.principal, &statement.principal_id) {
                *name = names.name_of(name, id).await.map_err(failed)?;
            }
        }
        let new: BTreeMap<String, String> = names.new_names(&policy.pins).await.map_err(failed)?;
        policy.rename_written(|name| new.get(name).cloned());
        Ok(policy)
    }
}

impl PolicyRow {
    /// The policy as decisions want it: unique ids stand in place of names.
    pub(crate) fn by_id(mut self) -> Self {
        for statement in &mut self.statements {
            if let (PrincipalRow::Aws(name), Some(id)) = (&mut statement.principal, &statement.principal_id) {
                name.clone_from(id);
            }
        }
        let pins = std::mem::take(&mut self.pins);
        self.rename_written(|name| pins.id_of(name).map(str::to_owned));
        self
    }

    fn rename_written(&mut self, new: impl Fn(&str) -> Option<String>) {
        for statement in &mut self.written {
            let WrittenPrincipal::Named(named) = &mut statement.principal else { continue };
            let names = match named.get_mut("AWS") {
                Some(OneOrMore::One(name)) => std::slice::from_mut(name),
                Some(OneOrMore::More(names)) => names,
                None => continue,
            };
            for name in names {
                if let Some(new) = new(name) {
                    *name = new;
                }
            }
        }
    }
}
