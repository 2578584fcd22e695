//! Code signing configurations, and which functions have them: kept and shown. Nobody here signs or verifies code.
//! Source: Lambda API Reference, "CreateCodeSigningConfig" and "PutFunctionCodeSigningConfig".

use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::{Arn, Place};
use lambent_model_lambda::{
    AllowedPublishers, CodeSigningConfig, CodeSigningPolicies, CodeSigningPolicy,
    CreateCodeSigningConfigRequest, CreateCodeSigningConfigResponse, DeleteCodeSigningConfigRequest,
    DeleteCodeSigningConfigResponse, GetCodeSigningConfigRequest, GetCodeSigningConfigResponse,
    ListCodeSigningConfigsRequest, ListCodeSigningConfigsResponse, UpdateCodeSigningConfigRequest,
    UpdateCodeSigningConfigResponse, errors as model,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};

use crate::errors::LambdaError;
use crate::functions::describe::last_modified;
use crate::lambda::Lambda;
use crate::layers::lists::page_size;
use crate::names::PARTITION;
use crate::{configuration, keys, markers, rows, wanted};

/// Characters after `csc-`.
const ID_CHARACTERS: usize = 17;

/// One configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeSigningRow {
    pub(crate) id: String,
    pub(crate) description: Option<String>,
    /// ARNs of signing profiles' versions.
    pub(crate) publishers: Vec<String>,
    /// Whether UntrustedArtifactOnDeployment is Enforce.
    pub(crate) enforces: bool,
    /// Milliseconds since 1970.
    pub(crate) last_modified_ms: i64,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Lambda {
    pub(crate) async fn create_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: CreateCodeSigningConfigRequest,
    ) -> Result<CreateCodeSigningConfigResponse, LambdaError> {
        let row = &CodeSigningRow {
            id: self.new_id(),
            description: input.description,
            publishers: input.allowed_publishers.signing_profile_version_arns,
            enforces: input.code_signing_policies.is_some_and(|policies| enforces(&policies)),
            last_modified_ms: call.time_ms(),
            tags: configuration::tags(input.tags)?,
        };
        let place = call.place();
        if let Some(wanted) = wanted::tag_new(&config_arn(place, &row.id), &row.tags) {
            call.authorize(wanted).await?;
        }
        let made = self.db(call).run(|txn| async move {
            rows::put(&txn, &keys::code_signing(place, &row.id), row);
            Ok::<_, LambdaError>(())
        });
        made.await?;
        Ok(CreateCodeSigningConfigResponse { code_signing_config: shown(place, row) })
    }

    pub(crate) async fn get_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: GetCodeSigningConfigRequest,
    ) -> Result<GetCodeSigningConfigResponse, LambdaError> {
        let (place, arn) = (call.place(), &input.code_signing_config_arn);
        let read = self.db(call).read(|txn| async move { by_arn(&txn, place, arn).await });
        let row = read.await?.ok_or_else(|| not_found(arn))?;
        Ok(GetCodeSigningConfigResponse { code_signing_config: shown(place, &row) })
    }

    pub(crate) async fn update_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: UpdateCodeSigningConfigRequest,
    ) -> Result<UpdateCodeSigningConfigResponse, LambdaError> {
        let (place, input) = (call.place(), &input);
        let changed = self.db(call).run(|txn| async move {
            let arn = &input.code_signing_config_arn;
            let mut row = by_arn(&txn, place, arn).await?.ok_or_else(|| not_found(arn))?;
            if let Some(description) = &input.description {
                row.description = Some(description.clone());
            }
            if let Some(publishers) = &input.allowed_publishers {
                row.publishers.clone_from(&publishers.signing_profile_version_arns);
            }
            if let Some(policies) = &input.code_signing_policies {
                row.enforces = enforces(policies);
            }
            row.last_modified_ms = call.time_ms();
            rows::put(&txn, &keys::code_signing(place, &row.id), &row);
            Ok::<_, LambdaError>(row)
        });
        Ok(UpdateCodeSigningConfigResponse { code_signing_config: shown(place, &changed.await?) })
    }

    pub(crate) async fn delete_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteCodeSigningConfigRequest,
    ) -> Result<DeleteCodeSigningConfigResponse, LambdaError> {
        let (place, arn) = (call.place(), &input.code_signing_config_arn);
        let deleted = self.db(call).run(|txn| async move {
            let row = by_arn(&txn, place, arn).await?.ok_or_else(|| not_found(arn))?;
            let users = keys::code_signing_users(place, &row.id).range();
            if !txn.scan(&users, ScanOptions::rows(1).keys_only()).await?.rows.is_empty() {
                return Err(LambdaError::Api(in_use(arn)));
            }
            txn.delete(&keys::code_signing(place, &row.id));
            Ok(())
        });
        deleted.await?;
        Ok(DeleteCodeSigningConfigResponse {})
    }

    pub(crate) async fn list_code_signing_configs(
        self: &Arc<Self>,
        call: &Call,
        input: ListCodeSigningConfigsRequest,
    ) -> Result<ListCodeSigningConfigsResponse, LambdaError> {
        let place = call.place();
        let wanted = page_size(input.max_items);
        let after = input.marker.as_deref().map(markers::read).transpose()?;
        let all = keys::code_signings(place).range();
        let range = &match &after {
            None => all,
            Some(id) => all.after(&keys::code_signing(place, id)),
        };
        let read = self.db(call).read(|txn| async move {
            Ok::<_, LambdaError>(txn.scan(range, ScanOptions::rows(wanted)).await?)
        });
        let page = read.await?;
        let mut list = Vec::new();
        for (_, row) in &page.rows {
            list.push(shown(place, &rows::read::<CodeSigningRow>(row)?));
        }
        let last = list.last().map(|config| config.code_signing_config_id.clone());
        Ok(ListCodeSigningConfigsResponse {
            next_marker: last.filter(|_| page.more.is_some()).map(|id| markers::write(&id)),
            code_signing_configs: Some(list),
        })
    }

    fn new_id(&self) -> String {
        let uuid = self.parts.random.uuid();
        let characters: String =
            uuid.chars().filter(char::is_ascii_alphanumeric).take(ID_CHARACTERS).collect();
        format!("csc-{characters}")
    }
}

/// The configuration that an ARN of this place names.
pub(crate) async fn by_arn(
    txn: &Txn,
    place: &Place,
    arn: &str,
) -> Result<Option<CodeSigningRow>, LambdaError> {
    match id_of(arn, place) {
        Some(id) => rows::get(txn, &keys::code_signing(place, &id)).await,
        None => Ok(None),
    }
}

/// The same by its id; an error for the caller when there is none.
pub(crate) async fn existing(txn: &Txn, place: &Place, id: &str) -> Result<CodeSigningRow, LambdaError> {
    let row = rows::get(txn, &keys::code_signing(place, id)).await?;
    Ok(row.ok_or_else(|| not_found(&config_arn(place, id)))?)
}

pub(crate) fn config_arn(place: &Place, id: &str) -> String {
    format!("arn:aws:lambda:{}:{}:code-signing-config:{id}", place.region, place.account)
}

pub(crate) fn not_found(arn: &str) -> ApiError {
    // Unlike others of this name, AWS's has no Type.
    let told = format!("The Lambda code signing configuration {arn} can not be found.");
    ApiError::new("ResourceNotFoundException", 404, told).message_in("Message")
}

fn in_use(arn: &str) -> ApiError {
    model::resource_conflict_exception(format!(
        "The code signing configuration {arn} is in use by functions. Take it off them with \
         DeleteFunctionCodeSigningConfig, and delete it then."
    ))
}

fn id_of(arn: &str, place: &Place) -> Option<String> {
    let arn: Arn = arn.parse().ok()?;
    let id = arn.resource.strip_prefix("code-signing-config:")?;
    let is_here = arn.partition == PARTITION
        && arn.service == "lambda"
        && arn.region == place.region
        && arn.account == place.account;
    is_here.then(|| id.to_owned())
}

fn enforces(policies: &CodeSigningPolicies) -> bool {
    policies.untrusted_artifact_on_deployment == Some(CodeSigningPolicy::Enforce)
}

fn shown(place: &Place, row: &CodeSigningRow) -> CodeSigningConfig {
    let policy = if row.enforces { CodeSigningPolicy::Enforce } else { CodeSigningPolicy::Warn };
    CodeSigningConfig {
        allowed_publishers: AllowedPublishers { signing_profile_version_arns: row.publishers.clone() },
        code_signing_config_arn: config_arn(place, &row.id),
        code_signing_config_id: row.id.clone(),
        code_signing_policies: CodeSigningPolicies { untrusted_artifact_on_deployment: Some(policy) },
        description: row.description.clone(),
        last_modified: last_modified(row.last_modified_ms),
    }
}
