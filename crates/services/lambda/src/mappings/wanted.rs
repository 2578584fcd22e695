//! What operations on mappings want: a policy may ask whose function a mapping is for, which its row says.
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Lambda".

use lambent_base::{BoxFuture, Place};
use lambent_identity::Wanted;
use lambent_model_lambda::{
    DeleteEventSourceMappingRequest, GetEventSourceMappingRequest, UpdateEventSourceMappingRequest,
};
use lambent_wire::ApiError;

use crate::engine::Engine;
use crate::mappings::{find, mapping_arn};
use crate::names::resource;

type WantedAll<'a> = BoxFuture<'a, Result<Vec<Wanted>, ApiError>>;

/// What GetEventSourceMapping wants.
pub(crate) fn get<'a>(
    engine: &'a Engine,
    input: &'a GetEventSourceMappingRequest,
    place: &'a Place,
) -> WantedAll<'a> {
    Box::pin(on_mapping(engine, "lambda:GetEventSourceMapping", &input.uuid, place, None))
}

/// What UpdateEventSourceMapping wants: of the function that it is for, and of the one that it is to be for.
pub(crate) fn update<'a>(
    engine: &'a Engine,
    input: &'a UpdateEventSourceMappingRequest,
    place: &'a Place,
) -> WantedAll<'a> {
    let function = input.function_name.as_deref();
    Box::pin(on_mapping(engine, "lambda:UpdateEventSourceMapping", &input.uuid, place, function))
}

/// What DeleteEventSourceMapping wants.
pub(crate) fn delete<'a>(
    engine: &'a Engine,
    input: &'a DeleteEventSourceMappingRequest,
    place: &'a Place,
) -> WantedAll<'a> {
    Box::pin(on_mapping(engine, "lambda:DeleteEventSourceMapping", &input.uuid, place, None))
}

async fn on_mapping(
    engine: &Engine,
    action: &'static str,
    uuid: &str,
    place: &Place,
    function: Option<&str>,
) -> Result<Vec<Wanted>, ApiError> {
    let arn = mapping_arn(place, uuid);
    let row = engine.db.read(|txn| async move { find(&txn, place, uuid).await }).await?;
    let of_function =
        |function: String| Wanted::new(action, arn.clone()).with("lambda:functionarn", function);
    let mut wanted = match row {
        Some(row) => vec![of_function(row.function_arn)],
        None => vec![Wanted::new(action, arn.clone())],
    };
    wanted.extend(function.map(|function| of_function(resource(function, None, place))));
    Ok(wanted)
}
