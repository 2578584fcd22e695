//! When a function moves to another version of its runtime: kept and shown. There is one version of each runtime here, the
//! one that this host has, so that nothing ever moves.
//! Source: Lambda API Reference, "PutRuntimeManagementConfig", "GetRuntimeManagementConfig".

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    GetRuntimeManagementConfigRequest, GetRuntimeManagementConfigResponse, PutRuntimeManagementConfigRequest,
    PutRuntimeManagementConfigResponse, UpdateRuntimeOn,
};
use lambent_store::Txn;
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};

use crate::errors::{self, LambdaError};
use crate::functions::existing;
use crate::lambda::Lambda;
use crate::names::{FunctionName, LATEST};
use crate::{keys, rows};

/// What PutRuntimeManagementConfig was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuntimeManagementRow {
    /// `Auto`, `FunctionUpdate` or `Manual`.
    pub(crate) update_runtime_on: String,
    pub(crate) runtime_version_arn: Option<String>,
}

impl Lambda {
    pub(crate) async fn put_runtime_management_config(
        self: &Arc<Self>,
        call: &Call,
        input: PutRuntimeManagementConfigRequest,
    ) -> Result<PutRuntimeManagementConfigResponse, LambdaError> {
        let name = &existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        let found = self.found(call, name).await?;
        let settings = found.shown().settings();
        if settings.image.is_some() {
            return Err(errors::not_for_images("Runtime management is").into());
        }
        let runtime = settings.runtime.clone();
        check(&input, &version_arn(&runtime, &name.place.region))?;
        let row = &RuntimeManagementRow {
            update_runtime_on: input.update_runtime_on.as_str().to_owned(),
            runtime_version_arn: input.runtime_version_arn,
        };
        let put = self.db(call).run(|txn| async move {
            if rows::get_function(&txn, &name.place, &name.name).await?.is_none() {
                return Err(LambdaError::Api(errors::function_not_found(&name.qualified_arn())));
            }
            rows::put(&txn, &key(name), row);
            Ok(())
        });
        put.await?;
        Ok(PutRuntimeManagementConfigResponse {
            function_arn: shown_arn(name),
            runtime_version_arn: row.runtime_version_arn.clone(),
            update_runtime_on: input.update_runtime_on,
        })
    }

    pub(crate) async fn get_runtime_management_config(
        self: &Arc<Self>,
        call: &Call,
        input: GetRuntimeManagementConfigRequest,
    ) -> Result<GetRuntimeManagementConfigResponse, LambdaError> {
        let name = &existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        self.found(call, name).await?;
        let read = self
            .db(call)
            .read(|txn| async move { rows::get::<RuntimeManagementRow>(&txn, &key(name)).await });
        let row = read.await?;
        let mode = row.as_ref().map_or(UpdateRuntimeOn::Auto, |row| row.update_runtime_on.as_str().into());
        Ok(GetRuntimeManagementConfigResponse {
            function_arn: Some(shown_arn(name)),
            runtime_version_arn: row.and_then(|row| row.runtime_version_arn),
            update_runtime_on: Some(mode),
        })
    }
}

/// Gives a new version what its function has, as AWS does.
pub(crate) async fn copy_to_version(
    txn: &Txn,
    place: &Place,
    name: &str,
    number: u64,
) -> Result<(), LambdaError> {
    let all = keys::runtime_management(place, name);
    if let Some(row) = rows::get::<RuntimeManagementRow>(txn, &all.clone().str(LATEST)).await? {
        rows::put(txn, &all.str(&number.to_string()), &row);
    }
    Ok(())
}

/// The ARN of the one version that a runtime has here.
pub(crate) fn version_arn(runtime: &str, region: &str) -> String {
    format!("arn:aws:lambda:{region}::runtime:lambent-{runtime}")
}

fn key(name: &FunctionName) -> lambent_store::Key {
    let qualifier = name.qualifier.as_deref().unwrap_or(LATEST);
    keys::runtime_management(&name.place, &name.name).str(qualifier)
}

fn shown_arn(name: &FunctionName) -> String {
    format!("{}:{}", name.arn(), name.qualifier.as_deref().unwrap_or(LATEST))
}

fn check(input: &PutRuntimeManagementConfigRequest, only: &str) -> Result<(), ApiError> {
    match (&input.update_runtime_on, input.runtime_version_arn.as_deref()) {
        (UpdateRuntimeOn::Manual, None) => {
            Err(errors::invalid("RuntimeVersionArn is required where UpdateRuntimeOn is Manual."))
        }
        (UpdateRuntimeOn::Manual, Some(arn)) if arn == only => Ok(()),
        (UpdateRuntimeOn::Manual, Some(arn)) => Err(errors::invalid(format!(
            "The runtime version {arn} is not one of the function's runtime: this host has {only}."
        ))),
        (_, Some(_)) => {
            Err(errors::invalid("RuntimeVersionArn can only be given where UpdateRuntimeOn is Manual."))
        }
        (_, None) => Ok(()),
    }
}
