//! Functions: made, shown, changed, deleted.
//! Source: Lambda API Reference, "CreateFunction", "GetFunction", "ListFunctions", "DeleteFunction".

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    CreateFunctionRequest, DeleteFunctionRequest, DeleteFunctionResponse, FunctionCodeLocation,
    FunctionConfiguration, FunctionVersion, GetFunctionConfigurationRequest, GetFunctionRequest,
    GetFunctionResponse, ListFunctionsRequest, ListFunctionsResponse,
};
use lambent_store::{ScanOptions, Txn, delete_large};
use lambent_wire::ApiError;

use crate::errors::{self, LambdaError};
use crate::lambda::Lambda;
use crate::limits::{FUNCTION_NAME_MAX, PAGE_MAX};
use crate::names::{FunctionName, LATEST};
use crate::packages::{self, PackageSource, Staged};
use crate::rows::{self, FunctionRow, Phase};
use crate::spec::SERVICE_PRINCIPAL;
use crate::{configuration, describe, keys};

impl Lambda {
    pub(crate) async fn create_function(
        self: &Arc<Self>,
        call: &Call,
        mut input: CreateFunctionRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = new_name(&input.function_name, call.place())?;
        let mut settings = configuration::create(&input, &name.name)?;
        let tags = configuration::tags(input.tags.take())?;
        self.check_role(call, &settings.role).await?;
        if self.row(&name).await.is_ok() {
            return Err(errors::function_exists(&name.name).into());
        }
        let source = PackageSource::of_new(&mut input.code)?;
        let staged = self.keep(self.checked(call, source).await?).await?;
        settings.run_revision = self.parts.random.uuid();
        settings.last_modified_ms = call.time_ms();
        settings.code = staged.code.clone();
        let row = FunctionRow {
            name: name.name.clone(),
            revision_id: self.parts.random.uuid(),
            phase: Phase::Creating,
            settings,
            previous: None,
            tags,
        };
        self.commit_new(&name, &row, staged).await?;
        let shown = describe::whole(&row, &name.place, false, None);
        self.finish_soon(name.place, name.name);
        Ok(shown)
    }

    pub(crate) async fn get_function(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionRequest,
    ) -> Result<GetFunctionResponse, LambdaError> {
        let name = existing(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let row = self.latest_row(&name).await?;
        let location = self.code_url(&call.context.endpoint, &row.settings.code).await?;
        Ok(GetFunctionResponse {
            code: Some(FunctionCodeLocation {
                location: Some(location),
                repository_type: Some("S3".to_owned()),
                ..FunctionCodeLocation::default()
            }),
            configuration: Some(self.shown(&row, &name)),
            tags: (!row.tags.is_empty()).then_some(row.tags),
            ..GetFunctionResponse::default()
        })
    }

    pub(crate) async fn get_function_configuration(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = existing(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let row = self.latest_row(&name).await?;
        Ok(self.shown(&row, &name))
    }

    pub(crate) async fn list_functions(
        self: &Arc<Self>,
        call: &Call,
        input: ListFunctionsRequest,
    ) -> Result<ListFunctionsResponse, LambdaError> {
        if input.master_region.is_some() {
            return Err(
                errors::unsupported("MasterRegion", "leave it out: there are no edge functions").into()
            );
        }
        let is_qualified = input.function_version == Some(FunctionVersion::All);
        let wanted = input.max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_MAX);
        let options = ScanOptions::rows(wanted.clamp(1, PAGE_MAX));
        let place = call.place();
        let mut range = keys::functions(place).range();
        if let Some(marker) = &input.marker {
            range = range.after(&keys::function(place, &read_marker(marker)?));
        }
        let range = &range;
        let read = self.parts.db.read(|txn| async move {
            let page = txn.scan(range, options).await?;
            let mut functions = Vec::with_capacity(page.rows.len());
            for (key, row) in page.rows {
                functions.push(rows::load_function(&txn, &key, row).await?);
            }
            Ok::<_, LambdaError>((functions, page.more.is_some()))
        });
        let (functions, has_more) = read.await?;
        let last = functions.last().filter(|_| has_more);
        Ok(ListFunctionsResponse {
            next_marker: last.map(|row| URL_SAFE_NO_PAD.encode(&row.name)),
            functions: Some(functions.iter().map(|row| describe::listed(row, place, is_qualified)).collect()),
        })
    }

    pub(crate) async fn delete_function(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteFunctionRequest,
    ) -> Result<DeleteFunctionResponse, LambdaError> {
        let name = existing(&input.function_name, input.qualifier.as_deref(), call.place())?;
        refuse_qualified_delete(&name)?;
        let named = &name;
        self.parts
            .db
            .run(|txn| async move {
                let row = rows::get_function(&txn, &named.place, &named.name).await?;
                let row = row.ok_or_else(|| errors::function_not_found(&named.arn()))?;
                delete_rows(&txn, &named.place, &row).await
            })
            .await?;
        self.cache.forget(&name.arn());
        let lambda = self.clone();
        // Busy environments finish their calls first, for which nobody should wait.
        tokio::spawn(async move { lambda.parts.runner.retire(&name.place, &name.name).await });
        Ok(DeleteFunctionResponse { status_code: Some(204) })
    }

    /// Fails unless the caller may give the role to Lambda, and the role trusts Lambda.
    pub(crate) async fn check_role(&self, call: &Call, role_arn: &str) -> Result<(), LambdaError> {
        call.authorize("iam:PassRole", role_arn.to_owned()).await?;
        let trusted = self.parts.identity.service_may_assume(SERVICE_PRINCIPAL, role_arn).await;
        match trusted {
            Ok(true) => Ok(()),
            Ok(false) => Err(errors::role_not_assumable().into()),
            Err(error) => {
                tracing::warn!(%error, role_arn, "a role could not be looked at");
                Err(errors::role_not_assumable().into())
            }
        }
    }

    /// A function as this caller named it.
    pub(crate) fn shown(&self, row: &FunctionRow, name: &FunctionName) -> FunctionConfiguration {
        let note = self.runtime_note(&row.settings.runtime);
        describe::whole(row, &name.place, name.qualifier.is_some(), note)
    }

    /// A function, where the name means its only version.
    pub(crate) async fn latest_row(&self, name: &FunctionName) -> Result<FunctionRow, LambdaError> {
        if !name.is_latest() {
            return Err(errors::function_not_found(&name.qualified_arn()).into());
        }
        self.row(name).await
    }

    async fn commit_new(
        &self,
        name: &FunctionName,
        row: &FunctionRow,
        mut staged: Staged<'_>,
    ) -> Result<(), LambdaError> {
        let committed = loop {
            let package = &staged;
            let committed = self.parts.db.run(|txn| async move {
                if rows::get_function(&txn, &name.place, &name.name).await?.is_some() {
                    return Err(LambdaError::Api(errors::function_exists(&name.name)));
                }
                packages::use_code(&txn, package, &name.place, &name.name).await?;
                txn.put(&keys::pending(&name.place, &name.name), b"");
                rows::put_function(&txn, &name.place, row).await
            });
            match committed.await {
                Err(LambdaError::PackageGone) => staged = self.keep_anew(staged).await?,
                committed => break committed,
            }
        };
        self.settle_staged(staged, &committed).await;
        self.cache.forget(&name.arn());
        committed
    }
}

/// The name of a function to be made.
fn new_name(text: &str, place: &Place) -> Result<FunctionName, ApiError> {
    let name = unqualified(text, place)?;
    if name.name.len() > FUNCTION_NAME_MAX {
        return Err(errors::name_too_long(&name.name, FUNCTION_NAME_MAX));
    }
    Ok(name)
}

/// The name of a function that an operation changes as a whole.
pub(crate) fn unqualified(text: &str, place: &Place) -> Result<FunctionName, ApiError> {
    let name = existing(text, None, place)?;
    if name.is_latest() {
        return Ok(FunctionName { qualifier: None, ..name });
    }
    Err(errors::invalid(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
         operation. Please specify either a function name or an unqualified function ARN.",
    ))
}

/// The name of a function that should be there, in the caller's own place.
pub(crate) fn existing(text: &str, qualifier: Option<&str>, place: &Place) -> Result<FunctionName, ApiError> {
    FunctionName::parse(text, qualifier, place)?.within(place)
}

/// Deletes all that the store has of a function.
async fn delete_rows(txn: &Txn, place: &Place, row: &FunctionRow) -> Result<(), LambdaError> {
    delete_large(txn, &keys::function(place, &row.name)).await?;
    txn.delete(&keys::policy(place, &row.name));
    txn.delete(&keys::pending(place, &row.name));
    for sha256 in row.codes() {
        packages::drop_code(txn, sha256, place, &row.name);
    }
    txn.on_commit(keys::CHANGED);
    Ok(())
}

fn refuse_qualified_delete(name: &FunctionName) -> Result<(), ApiError> {
    match name.qualifier.as_deref() {
        None => Ok(()),
        Some(LATEST) => {
            Err(errors::invalid("$LATEST version cannot be deleted without deleting the function."))
        }
        Some(version) if version.starts_with('$') || version.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(errors::function_not_found(&name.arn()))
        }
        Some(_) => Err(errors::invalid("Deletion of aliases is not currently supported.")),
    }
}

fn read_marker(marker: &str) -> Result<String, ApiError> {
    let name = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| errors::invalid("The Marker is not one that ListFunctions gave."))
}
