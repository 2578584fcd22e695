//! Event source mappings: the operations on them, and what their engine needs to know of functions.
//!
//! The rows are those of [`lambent_mappings`]: what an operation writes is taken up by whichever node works on the mapping.
//! Source: Lambda API Reference, "CreateEventSourceMapping" and its fellows; recorded answers of AWS Lambda.

mod given;
mod lists;
mod reading;
mod shown;
pub(crate) mod wanted;

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::{Arn, Place};
use lambent_identity::Wanted;
use lambent_mappings::{Mapping, MappingError, Phase};
use lambent_model_lambda::{
    CreateEventSourceMappingRequest, DeleteEventSourceMappingRequest, EventSourceMappingConfiguration,
    GetEventSourceMappingRequest, UpdateEventSourceMappingRequest, errors as model,
};
use lambent_store::Txn;
use lambent_wire::ApiError;

use crate::configuration;
use crate::errors::{self, LambdaError};
use crate::functions::existing as existing_name;
use crate::lambda::Lambda;
use crate::names::FunctionName;

/// More mappings than this are not looked through for one that is the same as a new one.
const COMPARED_MAX: usize = 10_000;
/// The first part of a mapping's resource in its ARN.
const KIND: &str = "event-source-mapping:";

impl Lambda {
    pub(crate) async fn create_event_source_mapping(
        self: &Arc<Self>,
        call: &Call,
        input: CreateEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, LambdaError> {
        let stream = given::source_of(&input)?;
        let name = self.mapped_function(call, &input.function_name).await?;
        let settings = given::settings(&input, &stream)?;
        let tags = configuration::tags(input.tags)?;
        let uuid = self.parts.random.uuid();
        let arn = &mapping_arn(call.place(), &uuid);
        if let Some(wanted) = crate::wanted::tag_new(arn, &tags) {
            call.authorize(wanted).await?;
        }
        let starts = self.engine(call).mapped_source(arn, &name, &stream, settings.start).await?;
        if let Some(config) = &input.destination_config {
            self.engine(call).check_discards(&name, config).await?;
        }
        let Place { account, region } = call.place().clone();
        let mapping = &Mapping {
            uuid,
            account,
            region,
            function_arn: name.qualified_arn(),
            source_arn: stream.to_string(),
            settings,
            is_enabled: input.enabled != Some(false),
            phase: Phase::Creating,
            revision: 1,
            modified_ms: call.time_ms(),
            tags,
        };
        let starts = &starts;
        let committed = self.db(call).run(|txn| async move {
            refuse_second(&txn, mapping).await?;
            mapping.create(&txn, starts).await.map_err(from_engine)?;
            shown::shown(&txn, mapping).await
        });
        committed.await
    }

    pub(crate) async fn get_event_source_mapping(
        self: &Arc<Self>,
        call: &Call,
        input: GetEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, LambdaError> {
        let (place, uuid) = (call.place(), &input.uuid);
        let read = self
            .db(call)
            .read(|txn| async move { shown::shown(&txn, &existing(&txn, place, uuid).await?).await });
        read.await
    }

    pub(crate) async fn update_event_source_mapping(
        self: &Arc<Self>,
        call: &Call,
        input: UpdateEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, LambdaError> {
        let (place, uuid) = (call.place(), &input.uuid);
        let read = self.db(call).read(|txn| async move { existing(&txn, place, uuid).await });
        let before = &read.await?.function_arn;
        decide_on(call, "lambda:UpdateEventSourceMapping", uuid, before).await?;
        let name = match input.function_name.as_deref() {
            Some(text) => self.mapped_function(call, text).await?,
            None => FunctionName::parse(before, None, place)?,
        };
        given::check_update(&input)?;
        if let Some(config) = &input.destination_config {
            self.engine(call).check_discards(&name, config).await?;
        }
        let (input, function_arn) = (&input, &name.qualified_arn());
        let committed = self.db(call).run(|txn| async move {
            let mut row = existing(&txn, place, uuid).await?;
            expect_function(&row, before)?;
            if row.phase == Phase::Deleting {
                return Err(in_use("update").into());
            }
            given::update(&mut row, input)?;
            if row.function_arn != *function_arn {
                row.function_arn.clone_from(function_arn);
                refuse_second(&txn, &row).await?;
            }
            row.revision += 1;
            row.modified_ms = call.time_ms();
            row.put(&txn);
            shown::shown(&txn, &row).await
        });
        committed.await
    }

    pub(crate) async fn delete_event_source_mapping(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, LambdaError> {
        let (place, uuid) = (call.place(), &input.uuid);
        let read = self.db(call).read(|txn| async move { existing(&txn, place, uuid).await });
        let before = &read.await?.function_arn;
        decide_on(call, "lambda:DeleteEventSourceMapping", uuid, before).await?;
        let committed = self.db(call).run(|txn| async move {
            let mut row = existing(&txn, place, uuid).await?;
            expect_function(&row, before)?;
            if row.phase == Phase::Deleting {
                return Err(in_use("delete").into());
            }
            row.phase = Phase::Deleting;
            row.revision += 1;
            row.put(&txn);
            shown::shown(&txn, &row).await
        });
        committed.await
    }

    /// The function that a mapping is to have.
    async fn mapped_function(&self, call: &Call, text: &str) -> Result<FunctionName, LambdaError> {
        let name = existing_name(text, None, call.place())?;
        match self.resolve(self.db(call), &name).await? {
            Some(_) => Ok(name),
            None => Err(errors::invalid("Function does not exist").into()),
        }
    }
}

/// A mapping, if it is there.
pub(crate) async fn find(txn: &Txn, place: &Place, uuid: &str) -> Result<Option<Mapping>, LambdaError> {
    Mapping::get(txn, place, uuid).await.map_err(from_engine)
}

pub(crate) fn mapping_arn(place: &Place, uuid: &str) -> String {
    format!("arn:aws:lambda:{}:{}:{KIND}{uuid}", place.region, place.account)
}

/// A mapping of the caller's own place.
pub(crate) async fn existing(txn: &Txn, place: &Place, uuid: &str) -> Result<Mapping, LambdaError> {
    let found = Mapping::get(txn, place, uuid).await.map_err(from_engine)?;
    Ok(found
        .ok_or_else(|| model::resource_not_found_exception("The resource you requested does not exist."))?)
}

/// Whether an ARN is one of a mapping.
pub(crate) fn is_mapping(arn: &str) -> bool {
    uuid_of(arn).is_some()
}

/// Place and id of a mapping's ARN.
fn uuid_of(arn: &str) -> Option<(Place, String)> {
    let arn: Arn = arn.parse().ok()?;
    let uuid = arn.resource.strip_prefix(KIND)?.to_owned();
    Some((Place { account: arn.account, region: arn.region }, uuid))
}

/// Decides again, on the function that the mapping has now: another request may have given it another one since the first
/// decision. [`expect_function`] holds the transaction to it.
async fn decide_on(
    call: &Call,
    action: &'static str,
    uuid: &str,
    function_arn: &str,
) -> Result<(), ApiError> {
    let wanted =
        Wanted::new(action, mapping_arn(call.place(), uuid)).with("lambda:functionarn", function_arn);
    call.authorize(wanted).await.map(drop)
}

/// Fails unless a mapping is still for the function that was decided on.
fn expect_function(row: &Mapping, function_arn: &str) -> Result<(), ApiError> {
    if row.function_arn == function_arn {
        return Ok(());
    }
    Err(model::resource_conflict_exception(
        "The function of the event source mapping was changed meanwhile. Please try again.",
    ))
}

/// A function has a source once.
async fn refuse_second(txn: &Txn, mapping: &Mapping) -> Result<(), LambdaError> {
    let place = mapping.place();
    let all = Mapping::list(txn, &place, None, COMPARED_MAX).await.map_err(from_engine)?;
    let is_same = |one: &&Mapping| {
        one.uuid != mapping.uuid
            && one.source_arn == mapping.source_arn
            && one.function_arn == mapping.function_arn
    };
    let Some(Mapping { uuid, source_arn, function_arn, .. }) = all.iter().find(is_same) else {
        return Ok(());
    };
    let function = function_arn.split_once(":function:").map_or(function_arn.as_str(), |(_, name)| name);
    Err(LambdaError::Api(model::resource_conflict_exception(format!(
        "The event source arn (\" {source_arn} \") and function (\" {function} \") provided mapping already exists. \
         Please update or delete the existing mapping with UUID {uuid}"
    ))))
}

fn in_use(doing: &str) -> ApiError {
    model::resource_in_use_exception(format!("Cannot {doing} the event source mapping because it is in use."))
}

fn from_engine(error: MappingError) -> LambdaError {
    match error {
        MappingError::Store(error) => LambdaError::Store(error),
        other => LambdaError::row(other),
    }
}
