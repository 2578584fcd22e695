//! Mappings as answers have them.

use lambent_mappings::{Mapping, Settings, Start};
use lambent_model_lambda::{
    DestinationConfig, EventSourceMappingConfiguration, EventSourceMappingMetricsConfig, EventSourcePosition,
    Filter, FilterCriteria, FunctionResponseType, OnFailure,
};
use lambent_store::Txn;
use lambent_wire::Timestamp;

use crate::errors::LambdaError;
use crate::mappings::from_engine;

/// Why a mapping is in its state: nothing but requests changes any.
const REASON: &str = "User action";

pub(super) async fn shown(
    txn: &Txn,
    mapping: &Mapping,
) -> Result<EventSourceMappingConfiguration, LambdaError> {
    let result = mapping.result(txn).await.map_err(from_engine)?;
    let Settings { filters, metrics, .. } = &mapping.settings;
    let settings = &mapping.settings;
    let (starting_position, started_ms) = match settings.start {
        Start::TrimHorizon => (EventSourcePosition::TrimHorizon, None),
        Start::Latest => (EventSourcePosition::Latest, None),
        Start::At(ms) => (EventSourcePosition::AtTimestamp, Some(ms)),
    };
    let reports = settings.reports_item_failures.then_some(FunctionResponseType::ReportBatchItemFailures);
    let criteria = || FilterCriteria {
        filters: Some(filters.iter().map(|text| Filter { pattern: Some(text.clone()) }).collect()),
    };
    Ok(EventSourceMappingConfiguration {
        batch_size: Some(number(settings.batch_size)),
        bisect_batch_on_function_error: Some(settings.bisects),
        destination_config: Some(DestinationConfig {
            on_failure: Some(OnFailure { destination: settings.on_failure.clone() }),
            ..DestinationConfig::default()
        }),
        event_source_arn: Some(mapping.source_arn.clone()),
        event_source_mapping_arn: Some(mapping.arn().to_string()),
        filter_criteria: (!filters.is_empty()).then(criteria),
        function_arn: Some(mapping.function_arn.clone()),
        function_response_types: Some(reports.into_iter().collect()),
        last_modified: Some(Timestamp::from_ms(mapping.modified_ms)),
        last_processing_result: Some(result),
        maximum_batching_window_in_seconds: Some(number(settings.batching_window_s)),
        maximum_record_age_in_seconds: Some(settings.age_max_s),
        maximum_retry_attempts: Some(settings.retries_max),
        metrics_config: (!metrics.is_empty()).then(|| EventSourceMappingMetricsConfig {
            metrics: Some(metrics.iter().map(|metric| metric.as_str().into()).collect()),
        }),
        parallelization_factor: Some(number(settings.parallelization_factor)),
        starting_position: Some(starting_position),
        starting_position_timestamp: started_ms.map(Timestamp::from_ms),
        state: Some(mapping.state().to_owned()),
        state_transition_reason: Some(REASON.to_owned()),
        tumbling_window_in_seconds: Some(number(settings.tumbling_window_s)),
        uuid: Some(mapping.uuid.clone()),
        ..EventSourceMappingConfiguration::default()
    })
}

fn number(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
