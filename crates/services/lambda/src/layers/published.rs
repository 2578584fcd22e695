//! Layers: made version by version, shown, deleted. A function that uses a version keeps its content, whoever deletes it.
//! Source: Lambda API Reference, "PublishLayerVersion", "GetLayerVersion", "GetLayerVersionByArn", "DeleteLayerVersion".

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lambent_api::Call;
use lambent_base::{Place, text};
use lambent_model_lambda::{
    Architecture, DeleteLayerVersionRequest, GetLayerVersionByArnRequest, GetLayerVersionRequest,
    GetLayerVersionResponse, LayerVersionContentOutput, LayerVersionsListItem, PublishLayerVersionRequest,
    PublishLayerVersionResponse, Runtime, errors as model,
};
use lambent_wire::{ApiError, Empty};

use crate::code::packages::{self, PackageSource, Staged};
use crate::configuration::runtime_names;
use crate::errors::{self, LambdaError};
use crate::functions::describe::last_modified;
use crate::keys;
use crate::lambda::Lambda;
use crate::layers::names::{LayerName, LayerVersionName};
use crate::rows::{self, CodeRef, LayerVersionRow};

impl Lambda {
    pub(crate) async fn publish_layer_version(
        self: &Arc<Self>,
        call: &Call,
        mut input: PublishLayerVersionRequest,
    ) -> Result<PublishLayerVersionResponse, LambdaError> {
        let layer = own(&input.layer_name, call.place())?;
        check_compatible(input.compatible_runtimes.as_deref())?;
        let source = PackageSource::of_layer(&mut input.content)?;
        let staged = self.keep(call, self.checked(call, source).await?).await?;
        let names = |list: Vec<Runtime>| list.iter().map(|one| one.as_str().to_owned()).collect();
        let architectures =
            |list: Vec<Architecture>| list.iter().map(|one| one.as_str().to_owned()).collect();
        let row = LayerVersionRow {
            number: 0,
            description: input.description.unwrap_or_default(),
            license_info: input.license_info,
            compatible_runtimes: input.compatible_runtimes.map(names),
            compatible_architectures: input.compatible_architectures.map(architectures),
            created_ms: call.time_ms(),
            code: staged.code.clone(),
        };
        let row = self.commit_layer(call, &layer, row, staged).await?;
        let shown = self.shown_layer(&layer, row, &call.context.endpoint).await?;
        Ok(PublishLayerVersionResponse {
            compatible_architectures: shown.compatible_architectures,
            compatible_runtimes: shown.compatible_runtimes,
            content: shown.content,
            created_date: shown.created_date,
            description: shown.description,
            layer_arn: shown.layer_arn,
            layer_version_arn: shown.layer_version_arn,
            license_info: shown.license_info,
            version: shown.version,
        })
    }

    pub(crate) async fn get_layer_version(
        self: &Arc<Self>,
        call: &Call,
        input: GetLayerVersionRequest,
    ) -> Result<GetLayerVersionResponse, LambdaError> {
        let version = LayerName::parse(&input.layer_name, call.place()).version(input.version_number)?;
        self.show_layer_version(call, version).await
    }

    pub(crate) async fn get_layer_version_by_arn(
        self: &Arc<Self>,
        call: &Call,
        input: GetLayerVersionByArnRequest,
    ) -> Result<GetLayerVersionResponse, LambdaError> {
        let version = LayerVersionName::parse(&input.arn).ok_or_else(not_there)?;
        self.show_layer_version(call, version).await
    }

    pub(crate) async fn delete_layer_version(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteLayerVersionRequest,
    ) -> Result<Empty, LambdaError> {
        let version = own(&input.layer_name, call.place())?.version(input.version_number)?;
        let version = &version;
        let deleted = self.db(call).run(|txn| async move {
            let LayerVersionName { layer: LayerName { place, name }, number } = version;
            let key = keys::layer_version(place, name, *number);
            if let Some(row) = rows::get::<LayerVersionRow>(&txn, &key).await? {
                txn.delete(&key);
                txn.delete(&keys::layer_policy(place, name, *number));
                packages::drop_by_layer(&txn, &row.code.sha256, place, name, *number);
            }
            Ok::<_, LambdaError>(())
        });
        deleted.await?;
        Ok(Empty {})
    }

    /// A version as the store has it, for who was allowed lambda:GetLayerVersion on it.
    pub(crate) async fn layer_version(
        &self,
        call: &Call,
        version: &LayerVersionName,
    ) -> Result<Option<LayerVersionRow>, LambdaError> {
        let LayerVersionName { layer: LayerName { place, name }, number } = version;
        let read = self
            .db(call)
            .read(|txn| async move { rows::get(&txn, &keys::layer_version(place, name, *number)).await });
        read.await
    }

    async fn show_layer_version(
        &self,
        call: &Call,
        version: LayerVersionName,
    ) -> Result<GetLayerVersionResponse, LambdaError> {
        if version.layer.place.region != call.region() {
            return Err(not_there().into());
        }
        let row = self.layer_version(call, &version).await?.ok_or_else(not_there)?;
        self.shown_layer(&version.layer, row, &call.context.endpoint).await
    }

    /// Gives a version its number and keeps it.
    async fn commit_layer(
        &self,
        call: &Call,
        layer: &LayerName,
        row: LayerVersionRow,
        mut staged: Staged<'_>,
    ) -> Result<LayerVersionRow, LambdaError> {
        let LayerName { place, name } = layer;
        let row = &row;
        let committed = loop {
            let package = &staged;
            let committed = self.db(call).run(|txn| async move {
                let last_key = keys::last_layer_version(place, name);
                let number = rows::get::<u64>(&txn, &last_key).await?.unwrap_or(0) + 1;
                packages::keep_code(&txn, package).await?;
                packages::use_by_layer(&txn, &package.code.sha256, place, name, number);
                let row = LayerVersionRow { number, ..row.clone() };
                rows::put(&txn, &last_key, &number);
                rows::put(&txn, &keys::layer_version(place, name, number), &row);
                Ok::<_, LambdaError>(row)
            });
            match committed.await {
                Err(LambdaError::PackageGone) => staged = self.keep_anew(call, staged).await?,
                committed => break committed,
            }
        };
        self.settle_staged(call, staged, &committed).await;
        committed
    }

    async fn shown_layer(
        &self,
        layer: &LayerName,
        row: LayerVersionRow,
        endpoint: &str,
    ) -> Result<GetLayerVersionResponse, LambdaError> {
        let content = self.shown_content(&row.code, endpoint).await?;
        let shown = listed(layer, row);
        Ok(GetLayerVersionResponse {
            compatible_architectures: shown.compatible_architectures,
            compatible_runtimes: shown.compatible_runtimes,
            content: Some(content),
            created_date: shown.created_date,
            description: shown.description,
            layer_arn: Some(layer.arn()),
            layer_version_arn: shown.layer_version_arn,
            license_info: shown.license_info,
            version: shown.version,
        })
    }

    async fn shown_content(
        &self,
        code: &CodeRef,
        endpoint: &str,
    ) -> Result<LayerVersionContentOutput, LambdaError> {
        Ok(LayerVersionContentOutput {
            code_sha256: Some(BASE64.encode(text::unhex(&code.sha256).unwrap_or_default())),
            code_size: Some(i64::try_from(code.size).unwrap_or(i64::MAX)),
            location: Some(self.code_url(endpoint, code)),
            ..LayerVersionContentOutput::default()
        })
    }
}

/// A version as lists show it.
pub(crate) fn listed(layer: &LayerName, row: LayerVersionRow) -> LayerVersionsListItem {
    let version = LayerVersionName { layer: layer.clone(), number: row.number };
    let runtimes = |list: Vec<String>| list.iter().map(|one| Runtime::from(one.as_str())).collect();
    let architectures = |list: Vec<String>| list.iter().map(|one| Architecture::from(one.as_str())).collect();
    LayerVersionsListItem {
        compatible_architectures: row.compatible_architectures.map(architectures),
        compatible_runtimes: row.compatible_runtimes.map(runtimes),
        created_date: Some(last_modified(row.created_ms)),
        description: Some(row.description),
        layer_version_arn: Some(version.arn()),
        license_info: row.license_info,
        version: Some(i64::try_from(row.number).unwrap_or(i64::MAX)),
    }
}

/// A layer of the caller's own.
///
/// Errors: for an ARN that leads to another account or region.
pub(crate) fn own(text: &str, place: &Place) -> Result<LayerName, ApiError> {
    let layer = LayerName::parse(text, place);
    // An ARN of another partition.
    if layer.name.contains(':') {
        return Err(errors::violation(text, "layerName", "Member must be a layer's name or ARN"));
    }
    if layer.place.account != place.account {
        return Err(errors::other_account(&layer.arn()));
    }
    if layer.place.region != place.region {
        return Err(not_there());
    }
    Ok(layer)
}

/// Runtimes that nobody knows; the wire has looked at architectures.
fn check_compatible(runtimes: Option<&[Runtime]>) -> Result<(), ApiError> {
    let runtimes = runtimes.unwrap_or_default();
    if !runtimes.iter().any(|one| matches!(one, Runtime::Unknown(_))) {
        return Ok(());
    }
    let names: Vec<&str> = runtimes.iter().map(Runtime::as_str).collect();
    let constraint = format!("Member must satisfy enum value set: [{}]", runtime_names::LISTED);
    Err(errors::violation(format!("[{}]", names.join(", ")), "compatibleRuntimes", &constraint))
}

fn not_there() -> ApiError {
    model::resource_not_found_exception("The resource you requested does not exist.")
}
