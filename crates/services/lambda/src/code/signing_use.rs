//! Which functions have which code signing configuration.
//! Source: Lambda API Reference, "PutFunctionCodeSigningConfig", "ListFunctionsByCodeSigningConfig".

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    DeleteFunctionCodeSigningConfigRequest, GetFunctionCodeSigningConfigRequest,
    GetFunctionCodeSigningConfigResponse, ListFunctionsByCodeSigningConfigRequest,
    ListFunctionsByCodeSigningConfigResponse, PutFunctionCodeSigningConfigRequest,
    PutFunctionCodeSigningConfigResponse, errors as model,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::{ApiError, Empty};

use crate::code::signing::{by_arn, config_arn, not_found};
use crate::errors::{self, LambdaError};
use crate::functions::unqualified;
use crate::lambda::Lambda;
use crate::layers::lists::page_size;
use crate::names::function_arn;
use crate::{keys, markers, rows};

impl Lambda {
    pub(crate) async fn put_function_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: PutFunctionCodeSigningConfigRequest,
    ) -> Result<PutFunctionCodeSigningConfigResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let arn = &input.code_signing_config_arn;
        let put = self.db(call).run(|txn| async move {
            attach(&txn, &name.place, &name.name, arn).await?;
            check_function(&txn, &name.place, &name.name).await
        });
        put.await?;
        Ok(PutFunctionCodeSigningConfigResponse {
            code_signing_config_arn: arn.clone(),
            function_name: name.name.clone(),
        })
    }

    pub(crate) async fn get_function_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionCodeSigningConfigRequest,
    ) -> Result<GetFunctionCodeSigningConfigResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let read = self.db(call).read(|txn| async move {
            check_function(&txn, &name.place, &name.name).await?;
            rows::get::<String>(&txn, &keys::function_code_signing(&name.place, &name.name)).await
        });
        let id = read.await?;
        // AWS answers with empty members where there is none.
        Ok(GetFunctionCodeSigningConfigResponse {
            function_name: id.as_ref().map(|_| name.name.clone()).unwrap_or_default(),
            code_signing_config_arn: id.map(|id| config_arn(&name.place, &id)).unwrap_or_default(),
        })
    }

    pub(crate) async fn delete_function_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteFunctionCodeSigningConfigRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let deleted = self.db(call).run(|txn| async move {
            check_function(&txn, &name.place, &name.name).await?;
            detach(&txn, &name.place, &name.name).await
        });
        deleted.await?;
        Ok(Empty {})
    }

    pub(crate) async fn list_functions_by_code_signing_config(
        self: &Arc<Self>,
        call: &Call,
        input: ListFunctionsByCodeSigningConfigRequest,
    ) -> Result<ListFunctionsByCodeSigningConfigResponse, LambdaError> {
        let (place, arn) = (call.place(), &input.code_signing_config_arn);
        let wanted = page_size(input.max_items);
        let after = input.marker.as_deref().map(markers::read).transpose()?;
        let after = after.as_deref();
        let read = self.db(call).read(|txn| async move {
            let row = by_arn(&txn, place, arn).await?.ok_or_else(|| not_found(arn))?;
            let all = keys::code_signing_users(place, &row.id).range();
            let range = match after {
                None => all,
                Some(name) => all.after(&keys::code_signing_user(place, &row.id, name)),
            };
            Ok::<_, LambdaError>(txn.scan(&range, ScanOptions::rows(wanted).keys_only()).await?)
        });
        let page = read.await?;
        let names = page.rows.iter().map(|(key, _)| keys::read_code_signing_user(key));
        let names: Vec<String> = names.collect::<Result<_, _>>().map_err(LambdaError::row)?;
        let last = names.last().filter(|_| page.more.is_some());
        Ok(ListFunctionsByCodeSigningConfigResponse {
            next_marker: last.map(|name| markers::write(name)),
            function_arns: Some(names.iter().map(|name| function_arn(place, name)).collect()),
        })
    }
}

/// Gives a function a configuration in place of the one that it had.
///
/// Errors: CodeSigningConfigNotFoundException.
pub(crate) async fn attach(txn: &Txn, place: &Place, name: &str, arn: &str) -> Result<(), LambdaError> {
    let row = by_arn(txn, place, arn).await?.ok_or_else(|| no_config(arn))?;
    detach(txn, place, name).await?;
    rows::put(txn, &keys::function_code_signing(place, name), &row.id);
    txn.put(&keys::code_signing_user(place, &row.id, name), b"");
    Ok(())
}

/// Takes a function's configuration off it, if it has one.
pub(crate) async fn detach(txn: &Txn, place: &Place, name: &str) -> Result<(), LambdaError> {
    let key = keys::function_code_signing(place, name);
    if let Some(id) = rows::get::<String>(txn, &key).await? {
        txn.delete(&key);
        txn.delete(&keys::code_signing_user(place, &id, name));
    }
    Ok(())
}

async fn check_function(txn: &Txn, place: &Place, name: &str) -> Result<(), LambdaError> {
    match rows::get_function(txn, place, name).await? {
        Some(row) if row.settings.image.is_some() => Err(errors::not_for_images("Code signing is").into()),
        Some(_) => Ok(()),
        None => Err(errors::function_not_found(&function_arn(place, name)).into()),
    }
}

fn no_config(arn: &str) -> ApiError {
    model::code_signing_config_not_found_exception(format!(
        "The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    ))
}
