//! A function's resource policy: who, besides the account's own principals, may invoke it.
//! Source: Lambda API Reference, "AddPermission", "RemovePermission", "GetPolicy".

use std::sync::Arc;

use lambent_api::Call;
use lambent_model_lambda::{
    AddPermissionRequest, AddPermissionResponse, GetPolicyRequest, GetPolicyResponse,
    RemovePermissionRequest, errors as model,
};
use lambent_store::{Key, Txn};
use lambent_wire::{ApiError, Empty};

use crate::errors::{self, LambdaError};
use crate::functions::existing;
use crate::keys;
use crate::lambda::Lambda;
use crate::limits::POLICY_BYTES_MAX;
use crate::names::{FunctionName, LATEST, Which};
use crate::policies::document::{document, statement_text};
use crate::resolve::{Resolved, resolve};
use crate::rows::{self, PolicyRow, StatementRow};

/// The action that an invocation needs.
pub(crate) const INVOKE: &str = "lambda:InvokeFunction";

pub(crate) const NO_POLICY: &str = "No policy is associated with the given resource.";

/// Where the policy of what a name means is kept.
pub(crate) fn key(name: &FunctionName) -> Key {
    match &name.qualifier {
        Some(qualifier) if !name.is_latest() => keys::qualified_policy(&name.place, &name.name, qualifier),
        _ => keys::policy(&name.place, &name.name),
    }
}

impl Lambda {
    pub(crate) async fn add_permission(
        self: &Arc<Self>,
        call: &Call,
        input: AddPermissionRequest,
    ) -> Result<AddPermissionResponse, LambdaError> {
        let name = &existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        if name.qualifier.as_deref() == Some(LATEST) {
            return Err(errors::invalid("We currently do not support adding policies for $LATEST.").into());
        }
        self.db(call).read(|txn| async move { target(&txn, name).await }).await?;
        let (statement, revision) = &self.statement(call, input).await?;
        let revision_id = &self.parts.random.uuid();
        self.db(call)
            .run(|txn| async move {
                let target = target(&txn, name).await?;
                let key = key(name);
                let old = rows::get::<PolicyRow>(&txn, &key).await?;
                check_revision(old.as_ref(), target.as_deref(), revision.as_deref())?;
                let mut policy = old.unwrap_or_default();
                if policy.has_statement(&statement.sid) {
                    return Err(LambdaError::Api(statement_exists(&statement.sid)));
                }
                policy.statements.push(statement.clone());
                policy.revision_id.clone_from(revision_id);
                check_size(&document(&policy, &name.qualified_arn()))?;
                rows::put(&txn, &key, &policy);
                txn.on_commit(keys::CHANGED);
                Ok(())
            })
            .await?;
        self.forget(&name.arn());
        Ok(AddPermissionResponse { statement: Some(statement_text(statement, &name.qualified_arn())) })
    }

    pub(crate) async fn remove_permission(
        self: &Arc<Self>,
        call: &Call,
        input: RemovePermissionRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        let (input, revision_id) = (&input, &self.parts.random.uuid());
        self.db(call)
            .run(|txn| async move {
                if txn.get(&keys::function(&name.place, &name.name)).await?.is_none() {
                    return Err(not_found(format!("No policy found for: {}", name.arn())));
                }
                target(&txn, name).await?;
                let key = key(name);
                let policy = rows::get::<PolicyRow>(&txn, &key).await?;
                let mut policy = policy.ok_or_else(|| not_found(NO_POLICY))?;
                check_revision(Some(&policy), None, input.revision_id.as_deref())?;
                if !policy.remove_statement(&input.statement_id) {
                    let sid = &input.statement_id;
                    return Err(not_found(format!("Statement {sid} is not found in resource policy.")));
                }
                policy.revision_id.clone_from(revision_id);
                if policy.is_empty() {
                    txn.delete(&key);
                } else {
                    rows::put(&txn, &key, &policy);
                }
                txn.on_commit(keys::CHANGED);
                Ok(())
            })
            .await?;
        self.forget(&name.arn());
        Ok(Empty {})
    }

    pub(crate) async fn get_policy(
        self: &Arc<Self>,
        call: &Call,
        input: GetPolicyRequest,
    ) -> Result<GetPolicyResponse, LambdaError> {
        let name = existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        let (policy, revision_id) = self.policy_text(call, &name).await?;
        Ok(GetPolicyResponse { policy: Some(policy), revision_id: Some(revision_id) })
    }

    /// The document of a name's policy, and its revision.
    pub(crate) async fn policy_text(
        &self,
        call: &Call,
        name: &FunctionName,
    ) -> Result<(String, String), LambdaError> {
        let key = &key(name);
        let read = self.db(call).read(|txn| async move { rows::get::<PolicyRow>(&txn, key).await });
        let policy = read.await?.ok_or_else(|| not_found("The resource you requested does not exist."))?;
        let arn = if name.is_latest() { name.arn() } else { name.qualified_arn() };
        let policy = self.as_shown(call, policy).await?;
        Ok((document(&policy, &arn), policy.revision_id))
    }

    /// The statement that a request asks for, and the revision that it expects.
    async fn statement(
        &self,
        call: &Call,
        input: AddPermissionRequest,
    ) -> Result<(StatementRow, Option<String>), LambdaError> {
        let (principal, principal_id) = self.principal(call, &input.principal).await?;
        let statement = StatementRow {
            principal,
            principal_id,
            sid: input.statement_id,
            action: input.action,
            source_arn: input.source_arn,
            source_account: input.source_account,
            principal_org_id: input.principal_org_id,
            event_source_token: input.event_source_token,
            function_url_auth_type: input.function_url_auth_type.map(|kind| kind.as_str().to_owned()),
            invoked_via_function_url: input.invoked_via_function_url,
        };
        Ok((statement, input.revision_id))
    }
}

/// Fails where a name means nothing. Gives the revision of the version or alias that it means.
pub(crate) async fn target(txn: &Txn, name: &FunctionName) -> Result<Option<String>, LambdaError> {
    let FunctionName { place, name: bare, .. } = name;
    if txn.get(&keys::function(place, bare)).await?.is_none() {
        return Err(errors::function_not_found(&name.arn()).into());
    }
    let resolved = resolve(txn, name).await?.ok_or_else(|| missing_qualifier(name))?;
    Ok(match resolved {
        Resolved { alias: Some(alias), .. } => Some(alias.revision_id),
        Resolved { which: Which::Latest, .. } => None,
        Resolved { which: Which::Published(number), .. } => {
            rows::get_version(txn, place, bare, number).await?.map(|version| version.revision_id)
        }
    })
}

/// As long as there is no policy, its revision is that of the version or alias on which it will hang.
pub(crate) fn check_revision(
    policy: Option<&PolicyRow>,
    target: Option<&str>,
    expected: Option<&str>,
) -> Result<(), ApiError> {
    let current = policy.map_or(target, |policy| Some(&policy.revision_id));
    if expected.is_none() || expected == current {
        return Ok(());
    }
    Err(errors::policy_revision_mismatch())
}

pub(crate) fn check_size(document: &str) -> Result<(), ApiError> {
    if document.len() <= POLICY_BYTES_MAX {
        return Ok(());
    }
    Err(model::policy_length_exceeded_exception(format!(
        "The final policy size ({}) is bigger than the limit ({POLICY_BYTES_MAX}).",
        document.len()
    )))
}

pub(crate) fn statement_exists(sid: &str) -> ApiError {
    model::resource_conflict_exception(format!(
        "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the \
         existing statement."
    ))
}

fn missing_qualifier(name: &FunctionName) -> ApiError {
    let qualifier = name.qualifier.as_deref().unwrap_or_default();
    let is_version = qualifier.bytes().all(|byte| byte.is_ascii_digit());
    if is_version || qualifier.contains('$') {
        return errors::function_not_found(&name.qualified_arn());
    }
    errors::alias_not_found(&name.qualified_arn())
}

pub(crate) fn not_found(message: impl Into<String>) -> LambdaError {
    model::resource_not_found_exception(message).into()
}
