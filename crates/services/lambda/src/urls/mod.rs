//! Function URLs: their configurations.
//! Source: Lambda API Reference, "CreateFunctionUrlConfig" and its fellows.

mod access;
mod answer;
mod cache;
mod cors;
mod event;
mod host;
mod rows;
mod serve;

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    CreateFunctionUrlConfigRequest, CreateFunctionUrlConfigResponse, DeleteFunctionUrlConfigRequest,
    FunctionUrlAuthType, FunctionUrlConfig, GetFunctionUrlConfigRequest, GetFunctionUrlConfigResponse,
    InvokeMode, ListFunctionUrlConfigsRequest, ListFunctionUrlConfigsResponse,
    UpdateFunctionUrlConfigRequest, UpdateFunctionUrlConfigResponse, errors as model,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::{ApiError, Empty, Timestamp};

use crate::configuration::tenancy;
use crate::errors::{self, LambdaError};
use crate::functions::existing;
use crate::lambda::Lambda;
use crate::limits::PAGE_MAX;
use crate::names::{FunctionName, function_arn};
use crate::resolve::resolve;
use crate::{keys, rows as store};

pub(crate) use cache::UrlCache;
pub(crate) use rows::{CorsRow, UrlRow, UrlTargetRow};
pub use serve::LambdaUrls;

/// The model's pattern, which looks ahead and is therefore not checked with the others.
const QUALIFIER_PATTERN: &str = r"((?!^\d+$)^[0-9a-zA-Z-_]+$)";
const ID_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const ID_CHARACTERS: usize = 32;

impl Lambda {
    pub(crate) async fn create_function_url_config(
        self: &Arc<Self>,
        call: &Call,
        input: CreateFunctionUrlConfigRequest,
    ) -> Result<CreateFunctionUrlConfigResponse, LambdaError> {
        let name = &url_name(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let row = &UrlRow {
            id: self.parts.random.string(ID_ALPHABET, ID_CHARACTERS),
            qualifier: name.qualifier.clone(),
            is_signed: input.auth_type == FunctionUrlAuthType::AwsIam,
            invoke_mode: input.invoke_mode.map(|mode| mode.as_str().to_owned()),
            cors: input.cors.map(CorsRow::from).filter(|cors| !cors.is_empty()),
            created_ms: call.time_ms(),
            modified_ms: call.time_ms(),
        };
        let committed = self.db(call).run(|txn| async move {
            if resolve(&txn, name).await?.is_none() {
                return Err(LambdaError::Api(no_function()));
            }
            if let Some(function) = store::get_function(&txn, &name.place, &name.name).await? {
                tenancy::refuse(&function.settings, "A function URL")?;
            }
            let key = keys::url(name);
            if txn.get(&key).await?.is_some() {
                return Err(LambdaError::Api(exists(name)));
            }
            store::put(&txn, &key, row);
            let target = UrlTargetRow {
                account: name.place.account.clone(),
                name: name.name.clone(),
                qualifier: name.qualifier.clone(),
            };
            store::put(&txn, &keys::url_id(&name.place.region, &row.id), &target);
            txn.on_commit(keys::CHANGED);
            Ok(())
        });
        committed.await?;
        self.urls.clear();
        let shown = self.shown_url(row, name, call);
        Ok(CreateFunctionUrlConfigResponse {
            auth_type: shown.auth_type,
            cors: shown.cors,
            creation_time: shown.creation_time,
            function_arn: shown.function_arn,
            function_url: shown.function_url,
            // As AWS: only what was asked for.
            invoke_mode: row.invoke_mode.as_deref().map(mode),
        })
    }

    pub(crate) async fn get_function_url_config(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionUrlConfigRequest,
    ) -> Result<GetFunctionUrlConfigResponse, LambdaError> {
        let name = &url_name(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let read =
            self.db(call).read(|txn| async move { store::get::<UrlRow>(&txn, &keys::url(name)).await });
        let row = read.await?.ok_or_else(no_config)?;
        let shown = self.shown_url(&row, name, call);
        Ok(GetFunctionUrlConfigResponse {
            auth_type: shown.auth_type,
            cors: shown.cors,
            creation_time: shown.creation_time,
            function_arn: shown.function_arn,
            function_url: shown.function_url,
            invoke_mode: shown.invoke_mode,
            last_modified_time: shown.last_modified_time,
        })
    }

    pub(crate) async fn update_function_url_config(
        self: &Arc<Self>,
        call: &Call,
        input: UpdateFunctionUrlConfigRequest,
    ) -> Result<UpdateFunctionUrlConfigResponse, LambdaError> {
        let name = &url_name(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let input = &input;
        let committed = self.db(call).run(|txn| async move {
            if resolve(&txn, name).await?.is_none() {
                return Err(LambdaError::Api(no_function()));
            }
            let key = keys::url(name);
            let mut row = store::get::<UrlRow>(&txn, &key).await?.ok_or_else(no_config)?;
            if let Some(kind) = &input.auth_type {
                row.is_signed = *kind == FunctionUrlAuthType::AwsIam;
            }
            if let Some(mode) = &input.invoke_mode {
                row.invoke_mode = Some(mode.as_str().to_owned());
            }
            if let Some(cors) = &input.cors {
                row.cors = Some(CorsRow::from(cors.clone())).filter(|cors| !cors.is_empty());
            }
            row.modified_ms = call.time_ms();
            store::put(&txn, &key, &row);
            txn.on_commit(keys::CHANGED);
            Ok::<_, LambdaError>(row)
        });
        let row = committed.await?;
        self.urls.clear();
        let shown = self.shown_url(&row, name, call);
        Ok(UpdateFunctionUrlConfigResponse {
            auth_type: shown.auth_type,
            cors: shown.cors,
            creation_time: shown.creation_time,
            function_arn: shown.function_arn,
            function_url: shown.function_url,
            invoke_mode: row.invoke_mode.as_deref().map(mode),
            last_modified_time: shown.last_modified_time,
        })
    }

    pub(crate) async fn delete_function_url_config(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteFunctionUrlConfigRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &url_name(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let committed = self.db(call).run(|txn| async move {
            let row = store::get::<UrlRow>(&txn, &keys::url(name)).await?.ok_or_else(no_config)?;
            delete(&txn, name, &row);
            Ok::<_, LambdaError>(())
        });
        committed.await?;
        self.urls.clear();
        Ok(Empty {})
    }

    pub(crate) async fn list_function_url_configs(
        self: &Arc<Self>,
        call: &Call,
        input: ListFunctionUrlConfigsRequest,
    ) -> Result<ListFunctionUrlConfigsResponse, LambdaError> {
        let name =
            &FunctionName { qualifier: None, ..existing(&input.function_name, None, &call.owner_place())? };
        let wanted = input.max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_MAX);
        let after = input.marker.as_deref();
        let read = self.db(call).read(|txn| async move {
            if resolve(&txn, name).await?.is_none() {
                return Err(LambdaError::Api(no_function()));
            }
            let all = keys::urls(name).range();
            let range = match after {
                None => all,
                Some(qualifier) => all.after(&keys::url(&qualified(name, qualifier))),
            };
            let page = txn.scan(&range, ScanOptions::rows(wanted)).await?;
            let rows = page.rows.iter().map(|(_, row)| store::read::<UrlRow>(row));
            Ok((rows.collect::<Result<Vec<_>, _>>()?, page.more.is_some()))
        });
        let (rows, has_more) = read.await?;
        let last = rows.last().filter(|_| has_more);
        let next_marker = last.map(|row| row.qualifier.clone().unwrap_or_default());
        let shown = rows.iter().map(|row| {
            let name = FunctionName { qualifier: row.qualifier.clone(), ..name.clone() };
            self.shown_url(row, &name, call)
        });
        Ok(ListFunctionUrlConfigsResponse { function_url_configs: shown.collect(), next_marker })
    }

    fn shown_url(&self, row: &UrlRow, name: &FunctionName, call: &Call) -> FunctionUrlConfig {
        let domain = &self.parts.domain;
        FunctionUrlConfig {
            auth_type: if row.is_signed { FunctionUrlAuthType::AwsIam } else { FunctionUrlAuthType::None },
            cors: row.cors.clone().map(Into::into),
            creation_time: Timestamp::from_ms(row.created_ms).iso8601_ms(),
            function_arn: name.qualified_arn(),
            function_url: host::url(&row.id, &name.place.region, domain, &call.context.endpoint),
            invoke_mode: Some(row.invoke_mode.as_deref().map_or(InvokeMode::Buffered, mode)),
            last_modified_time: Timestamp::from_ms(row.modified_ms).iso8601_ms(),
        }
    }
}

/// Deletes the URL of an alias that is to go, if it has one.
pub(crate) async fn delete_of_alias(
    txn: &Txn,
    place: &Place,
    name: &str,
    alias: &str,
) -> Result<(), LambdaError> {
    let name =
        FunctionName { place: place.clone(), name: name.to_owned(), qualifier: Some(alias.to_owned()) };
    if let Some(row) = store::get::<UrlRow>(txn, &keys::url(&name)).await? {
        delete(txn, &name, &row);
    }
    Ok(())
}

/// Deletes URLs of a function that is to go and of its aliases, at most `room` of them; how many.
pub(crate) async fn delete_some(
    txn: &Txn,
    place: &Place,
    name: &str,
    room: usize,
) -> Result<usize, LambdaError> {
    let name = FunctionName { place: place.clone(), name: name.to_owned(), qualifier: None };
    let page = txn.scan(&keys::urls(&name).range(), ScanOptions::rows(room)).await?;
    for (_, row) in &page.rows {
        let row = store::read::<UrlRow>(row)?;
        delete(txn, &FunctionName { qualifier: row.qualifier.clone(), ..name.clone() }, &row);
    }
    Ok(page.rows.len())
}

fn delete(txn: &Txn, name: &FunctionName, row: &UrlRow) {
    txn.delete(&keys::url(name));
    txn.delete(&keys::url_id(&name.place.region, &row.id));
    txn.on_commit(keys::CHANGED);
}

/// The function or alias whose URL is meant.
fn url_name(text: &str, qualifier: Option<&str>, place: &Place) -> Result<FunctionName, ApiError> {
    if let Some(given) = qualifier {
        let is_word = given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_word || given.bytes().all(|byte| byte.is_ascii_digit()) {
            let constraint = format!("Member must satisfy regular expression pattern: {QUALIFIER_PATTERN}");
            return Err(errors::violation(given, "qualifier", &constraint));
        }
    }
    let name = existing(text, qualifier, place)?;
    Ok(if name.is_latest() { FunctionName { qualifier: None, ..name } } else { name })
}

fn qualified(name: &FunctionName, qualifier: &str) -> FunctionName {
    let qualifier = Some(qualifier.to_owned()).filter(|qualifier| !qualifier.is_empty());
    FunctionName { qualifier, ..name.clone() }
}

fn mode(text: &str) -> InvokeMode {
    if text == InvokeMode::ResponseStream.as_str() {
        InvokeMode::ResponseStream
    } else {
        InvokeMode::Buffered
    }
}

fn no_function() -> ApiError {
    model::resource_not_found_exception("Function does not exist")
}

fn no_config() -> ApiError {
    model::resource_not_found_exception("The resource you requested does not exist.")
}

fn exists(name: &FunctionName) -> ApiError {
    let arn = function_arn(&name.place, &name.name);
    let arn = name.qualifier.as_ref().map_or(arn.clone(), |qualifier| format!("{arn}:{qualifier}"));
    model::resource_conflict_exception(format!(
        "Failed to create function url config for [functionArn = {arn}]. Error message:  FunctionUrlConfig \
         exists for this Lambda function"
    ))
}
