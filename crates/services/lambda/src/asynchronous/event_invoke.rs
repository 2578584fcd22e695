//! How asynchronous invocations of a function, a version or an alias are tried again, and where their records go.
//! Source: Lambda API Reference, "PutFunctionEventInvokeConfig"; recorded answers of AWS Lambda.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    DeleteFunctionEventInvokeConfigRequest, DestinationConfig, FunctionEventInvokeConfig,
    GetFunctionEventInvokeConfigRequest, ListFunctionEventInvokeConfigsRequest,
    ListFunctionEventInvokeConfigsResponse, OnFailure, OnSuccess, PutFunctionEventInvokeConfigRequest,
    UpdateFunctionEventInvokeConfigRequest, errors as model,
};
use lambent_store::Txn;
use lambent_wire::{ApiError, Empty, Timestamp};
use serde::{Deserialize, Serialize};

use crate::concurrency::all_rows;
use crate::errors::{self, LambdaError};
use crate::functions::{existing, unqualified};
use crate::lambda::Lambda;
use crate::limits::PAGE_MAX;
use crate::names::{FunctionName, LATEST};
use crate::resolve::resolve;
use crate::{keys, rows};

/// What PutFunctionEventInvokeConfig was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventInvokeRow {
    pub(crate) max_retries: Option<i32>,
    pub(crate) max_age_s: Option<i32>,
    /// ARNs.
    pub(crate) on_success: Option<String>,
    pub(crate) on_failure: Option<String>,
    pub(crate) last_modified_ms: i64,
}

/// The members that Put and Update share.
struct Given {
    destinations: Option<DestinationConfig>,
    max_age_s: Option<i32>,
    max_retries: Option<i32>,
}

impl Lambda {
    pub(crate) async fn put_function_event_invoke_config(
        self: &Arc<Self>,
        call: &Call,
        input: PutFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, LambdaError> {
        let name = named(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let (max_age_s, max_retries) = (input.maximum_event_age_in_seconds, input.maximum_retry_attempts);
        let given = Given { destinations: input.destination_config, max_age_s, max_retries };
        self.configure(call, &name, given, false).await
    }

    pub(crate) async fn update_function_event_invoke_config(
        self: &Arc<Self>,
        call: &Call,
        input: UpdateFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, LambdaError> {
        let name = named(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let (max_age_s, max_retries) = (input.maximum_event_age_in_seconds, input.maximum_retry_attempts);
        let given = Given { destinations: input.destination_config, max_age_s, max_retries };
        self.configure(call, &name, given, true).await
    }

    pub(crate) async fn get_function_event_invoke_config(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, LambdaError> {
        let name = &named(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let row = self.db(call).read(|txn| async move { get(&txn, name).await }).await?;
        Ok(shown(name, &row.ok_or_else(|| unconfigured(name))?))
    }

    pub(crate) async fn delete_function_event_invoke_config(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteFunctionEventInvokeConfigRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &named(&input.function_name, input.qualifier.as_deref(), call.place())?;
        let deleted = self.db(call).run(|txn| async move {
            get(&txn, name).await?.ok_or_else(|| unconfigured(name))?;
            txn.delete(&key(name));
            Ok::<_, LambdaError>(())
        });
        deleted.await?;
        Ok(Empty {})
    }

    pub(crate) async fn list_function_event_invoke_configs(
        self: &Arc<Self>,
        call: &Call,
        input: ListFunctionEventInvokeConfigsRequest,
    ) -> Result<ListFunctionEventInvokeConfigsResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let after = &input.marker.as_deref().map(read_marker).transpose()?;
        let read = self.db(call).read(|txn| async move {
            if txn.get(&keys::function(&name.place, &name.name)).await?.is_none() {
                return Err(LambdaError::Api(no_function()));
            }
            let all = keys::event_invokes(&name.place, &name.name).range();
            let range = match after {
                None => all,
                Some(after) => all.after(&keys::event_invoke(&name.place, &name.name, after)),
            };
            all_rows(&txn, range).await
        });
        let wanted = input.max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_MAX);
        let (mut configs, mut last, mut has_more) = (Vec::new(), None, false);
        for (key, row) in read.await? {
            if configs.len() == wanted.clamp(1, PAGE_MAX) {
                has_more = true;
                break;
            }
            let (_, _, qualifier) = keys::read_event_invoke(&key).map_err(LambdaError::row)?;
            let one = FunctionName { qualifier: Some(qualifier.clone()), ..name.clone() };
            configs.push(shown(&one, &rows::read(&row)?));
            last = Some(qualifier);
        }
        Ok(ListFunctionEventInvokeConfigsResponse {
            function_event_invoke_configs: Some(configs),
            next_marker: last.filter(|_| has_more).map(|qualifier| URL_SAFE_NO_PAD.encode(qualifier)),
        })
    }

    async fn configure(
        self: &Arc<Self>,
        call: &Call,
        name: &FunctionName,
        given: Given,
        is_update: bool,
    ) -> Result<FunctionEventInvokeConfig, LambdaError> {
        if given.destinations.is_none() && given.max_age_s.is_none() && given.max_retries.is_none() {
            let told = "You must specify at least one of error handling or destination setting.";
            return Err(errors::invalid(told).into());
        }
        let found = self.resolve(self.db(call), name).await?.ok_or_else(no_function)?;
        let settings = self.settings(call, name, found.which).await?.ok_or_else(no_function)?;
        if let Some(destinations) = &given.destinations {
            self.check_destinations(name, &settings.role, destinations).await?;
        }
        let given = &given;
        let committed = self.db(call).run(|txn| async move {
            if resolve(&txn, name).await?.is_none() {
                return Err(LambdaError::Api(no_function()));
            }
            let before = match get(&txn, name).await? {
                Some(row) if is_update => row,
                None if is_update => return Err(unconfigured(name).into()),
                _ => EventInvokeRow::default(),
            };
            let row = changed(before, given, call.time_ms());
            rows::put(&txn, &key(name), &row);
            Ok(row)
        });
        Ok(shown(name, &committed.await?))
    }
}

/// The configuration of a name, if there is one.
pub(crate) async fn get(txn: &Txn, name: &FunctionName) -> Result<Option<EventInvokeRow>, LambdaError> {
    rows::get(txn, &key(name)).await
}

fn changed(mut row: EventInvokeRow, given: &Given, now_ms: i64) -> EventInvokeRow {
    if let Some(destinations) = &given.destinations {
        let arn = |arn: Option<&String>| arn.filter(|arn| !arn.is_empty()).cloned();
        row.on_success = arn(destinations.on_success.as_ref().and_then(|one| one.destination.as_ref()));
        row.on_failure = arn(destinations.on_failure.as_ref().and_then(|one| one.destination.as_ref()));
    }
    row.max_age_s = given.max_age_s.or(row.max_age_s);
    row.max_retries = given.max_retries.or(row.max_retries);
    row.last_modified_ms = now_ms;
    row
}

fn shown(name: &FunctionName, row: &EventInvokeRow) -> FunctionEventInvokeConfig {
    let arn = format!("{}:{}", name.arn(), name.qualifier.as_deref().unwrap_or(LATEST));
    FunctionEventInvokeConfig {
        destination_config: Some(DestinationConfig {
            on_failure: Some(OnFailure { destination: row.on_failure.clone() }),
            on_success: Some(OnSuccess { destination: row.on_success.clone() }),
        }),
        function_arn: Some(arn),
        last_modified: Some(Timestamp::from_ms(row.last_modified_ms)),
        maximum_event_age_in_seconds: row.max_age_s,
        maximum_retry_attempts: row.max_retries,
    }
}

fn named(function: &str, qualifier: Option<&str>, place: &Place) -> Result<FunctionName, ApiError> {
    existing(function, qualifier, place)
}

fn key(name: &FunctionName) -> lambent_store::Key {
    keys::event_invoke(&name.place, &name.name, name.qualifier.as_deref().unwrap_or(LATEST))
}

fn no_function() -> ApiError {
    model::resource_not_found_exception("The function doesn't exist.")
}

fn unconfigured(name: &FunctionName) -> ApiError {
    let qualifier = name.qualifier.as_deref().unwrap_or(LATEST);
    let told = format!("The function {}:{qualifier} doesn't have an EventInvokeConfig", name.arn());
    model::resource_not_found_exception(told)
}

fn read_marker(text: &str) -> Result<String, ApiError> {
    let name = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(errors::bad_marker)
}
