//! A layer version's policy: which other accounts may look at it and use it.
//! Source: Lambda API Reference, "AddLayerVersionPermission", "RemoveLayerVersionPermission", "GetLayerVersionPolicy".

use std::sync::Arc;

use lambent_api::Call;
use lambent_model_lambda::{
    AddLayerVersionPermissionRequest, AddLayerVersionPermissionResponse, GetLayerVersionPolicyRequest,
    GetLayerVersionPolicyResponse, RemoveLayerVersionPermissionRequest, errors as model,
};
use lambent_store::Txn;
use lambent_wire::{ApiError, Empty};
use serde::Serialize;

use crate::errors::{self, LambdaError};
use crate::keys;
use crate::lambda::Lambda;
use crate::layers::names::{LayerName, LayerVersionName};
use crate::layers::own;
use crate::policies::statements;
use crate::rows::{self, LayerPolicyRow, LayerStatementRow, LayerVersionRow};

const EVERYONE: &str = "*";

impl Lambda {
    pub(crate) async fn add_layer_version_permission(
        self: &Arc<Self>,
        call: &Call,
        input: AddLayerVersionPermissionRequest,
    ) -> Result<AddLayerVersionPermissionResponse, LambdaError> {
        let version = own(&input.layer_name, call.place())?.version(input.version_number)?;
        let statement = LayerStatementRow {
            sid: input.statement_id,
            action: input.action,
            principal: input.principal,
            organization_id: input.organization_id,
        };
        let (version, statement, expected) = (&version, &statement, input.revision_id.as_deref());
        let revision_id = &self.parts.random.uuid();
        let added = self.db(call).run(|txn| async move {
            let old = policy_of(&txn, version).await?;
            check_revision(old.as_ref(), expected)?;
            let mut statements = old.map_or_else(Vec::new, |policy| policy.statements);
            if statements.iter().any(|known| known.sid == statement.sid) {
                return Err(LambdaError::Api(statements::statement_exists(&statement.sid)));
            }
            statements.push(statement.clone());
            let policy = LayerPolicyRow { revision_id: revision_id.clone(), statements };
            statements::check_size(&document(&policy, &version.arn()))?;
            rows::put(&txn, &key(version), &policy);
            Ok(())
        });
        added.await?;
        Ok(AddLayerVersionPermissionResponse {
            revision_id: Some(revision_id.clone()),
            statement: Some(to_json(&shown(statement, &version.arn()))),
        })
    }

    pub(crate) async fn remove_layer_version_permission(
        self: &Arc<Self>,
        call: &Call,
        input: RemoveLayerVersionPermissionRequest,
    ) -> Result<Empty, LambdaError> {
        let version = &own(&input.layer_name, call.place())?.version(input.version_number)?;
        let (input, revision_id) = (&input, &self.parts.random.uuid());
        let removed = self.db(call).run(|txn| async move {
            let policy = policy_of(&txn, version).await?;
            let mut policy = policy.ok_or_else(no_policy)?;
            check_revision(Some(&policy), input.revision_id.as_deref())?;
            let before = policy.statements.len();
            policy.statements.retain(|statement| statement.sid != input.statement_id);
            if policy.statements.len() == before {
                return Err(LambdaError::Api(errors::statement_not_found(&input.statement_id)));
            }
            policy.revision_id.clone_from(revision_id);
            if policy.statements.is_empty() {
                txn.delete(&key(version));
            } else {
                rows::put(&txn, &key(version), &policy);
            }
            Ok(())
        });
        removed.await?;
        Ok(Empty {})
    }

    pub(crate) async fn get_layer_version_policy(
        self: &Arc<Self>,
        call: &Call,
        input: GetLayerVersionPolicyRequest,
    ) -> Result<GetLayerVersionPolicyResponse, LambdaError> {
        let version = &own(&input.layer_name, call.place())?.version(input.version_number)?;
        let read = self.db(call).read(|txn| async move { policy_of(&txn, version).await });
        let policy = read.await?.ok_or_else(no_policy)?;
        Ok(GetLayerVersionPolicyResponse {
            policy: Some(document(&policy, &version.arn())),
            revision_id: Some(policy.revision_id),
        })
    }
}

fn key(version: &LayerVersionName) -> lambent_store::Key {
    let LayerVersionName { layer: LayerName { place, name }, number } = version;
    keys::layer_policy(place, name, *number)
}

/// The policy of a version that must be there.
async fn policy_of(txn: &Txn, version: &LayerVersionName) -> Result<Option<LayerPolicyRow>, LambdaError> {
    let LayerVersionName { layer: LayerName { place, name }, number } = version;
    let row = rows::get::<LayerVersionRow>(txn, &keys::layer_version(place, name, *number)).await?;
    if row.is_none() {
        let message = format!("Layer version {} does not exist.", version.arn());
        return Err(model::resource_not_found_exception(message).into());
    }
    rows::get(txn, &key(version)).await
}

fn check_revision(policy: Option<&LayerPolicyRow>, expected: Option<&str>) -> Result<(), ApiError> {
    match (expected, policy) {
        (Some(expected), Some(policy)) if policy.revision_id == expected => Ok(()),
        (Some(_), _) => Err(errors::layer_policy_revision_mismatch()),
        (None, _) => Ok(()),
    }
}

fn no_policy() -> ApiError {
    model::resource_not_found_exception("No policy is associated with the given resource.")
}

/// The principal that stands for all of an account.
fn root_of(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}

/// As AWS writes it, its members in AWS's order.
pub(crate) fn document(policy: &LayerPolicyRow, arn: &str) -> String {
    let statement = policy.statements.iter().map(|statement| shown(statement, arn)).collect();
    to_json(&Document { version: "2012-10-17", id: "default", statement })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: &'static str,
    id: &'static str,
    statement: Vec<Statement<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    sid: &'a str,
    effect: &'static str,
    principal: Principal,
    action: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Principal {
    Everyone(&'static str),
    Account {
        #[serde(rename = "AWS")]
        aws: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Condition<'a> {
    string_equals: StringEquals<'a>,
}

#[derive(Serialize)]
struct StringEquals<'a> {
    #[serde(rename = "aws:PrincipalOrgID")]
    organization_id: &'a str,
}

fn shown<'a>(statement: &'a LayerStatementRow, arn: &'a str) -> Statement<'a> {
    let LayerStatementRow { sid, action, principal, organization_id } = statement;
    let condition = |organization_id| Condition { string_equals: StringEquals { organization_id } };
    Statement {
        sid,
        effect: "Allow",
        principal: match principal.as_str() {
            EVERYONE => Principal::Everyone(EVERYONE),
            arn if arn.starts_with("arn:") => Principal::Account { aws: arn.to_owned() },
            account => Principal::Account { aws: root_of(account) },
        },
        action,
        resource: arn,
        condition: organization_id.as_deref().map(condition),
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("structs of texts are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(principal: &str, organization_id: Option<&str>) -> LayerPolicyRow {
        let statement = LayerStatementRow {
            sid: "s".to_owned(),
            action: "lambda:GetLayerVersion".to_owned(),
            principal: principal.to_owned(),
            organization_id: organization_id.map(str::to_owned),
        };
        LayerPolicyRow { revision_id: String::new(), statements: vec![statement] }
    }

    #[test]
    fn documents_name_accounts_and_organizations_as_aws_does() {
        let text = document(&policy("111111111111", None), "arn:l:1");
        assert!(text.contains(r#""Principal":{"AWS":"arn:aws:iam::111111111111:root"}"#), "{text}");
        let text = document(&policy("*", Some("o-1234567890")), "arn:l:1");
        let condition = r#""Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}"#;
        assert!(text.contains(condition) && text.contains(r#""Principal":"*""#), "{text}");
    }
}
