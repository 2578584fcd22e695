//! What requests say of mappings, checked.

use lambent_base::Arn;
use lambent_mappings::{Mapping, Phase, Settings, Start};
use lambent_model_lambda::{
    CreateEventSourceMappingRequest, DestinationConfig, EventSourceMappingMetricsConfig, EventSourcePosition,
    FilterCriteria, FunctionResponseType, UpdateEventSourceMappingRequest,
};
use lambent_patterns::Pattern;
use lambent_wire::ApiError;

use crate::errors;
use crate::limits::{FILTERS_MAX, RECORD_AGE_MIN_S};
use crate::names::PARTITION;

/// Records of a batch from a stream, unless more or fewer are wanted.
const BATCH_SIZE: i32 = 100;
/// The services that AWS has sources in, and whether they are streams.
const SOURCES: [(&str, bool); 6] =
    [("dynamodb", true), ("kinesis", true), ("sqs", false), ("kafka", false), ("mq", false), ("rds", false)];

/// The source that a request names.
pub(super) fn source_of(input: &CreateEventSourceMappingRequest) -> Result<Arn, ApiError> {
    let Some(text) = input.event_source_arn.as_deref() else {
        if input.self_managed_event_source.is_none() {
            return Err(errors::invalid("Unrecognized event source."));
        }
        if input.source_access_configurations.is_none() {
            return Err(errors::invalid("Required 'sourceAccessConfigurations' parameter is missing."));
        }
        return Err(errors::unsupported("SelfManagedEventSource", "map the stream of a DynamoDB table"));
    };
    let arn: Arn = text.parse().map_err(|_| errors::invalid("Unrecognized event source."))?;
    let kind = SOURCES.iter().find(|(service, _)| *service == arn.service && arn.partition == PARTITION);
    match kind {
        None => Err(errors::invalid("Unrecognized event source.")),
        Some(_) => Ok(arn),
    }
}

/// What a new mapping of a stream is to be like.
pub(super) fn settings(input: &CreateEventSourceMappingRequest, source: &Arn) -> Result<Settings, ApiError> {
    let is_stream = SOURCES.iter().any(|(service, is_stream)| *service == source.service && *is_stream);
    if !is_stream {
        if input.destination_config.is_some() {
            return Err(unfit("DestinationConfig"));
        }
        let what = format!("event source mappings of {}", source.service);
        return Err(errors::unsupported(&what, "map the stream of a DynamoDB table"));
    }
    let start = start(input, source)?;
    for (name, is_given) in [
        ("AmazonManagedKafkaEventSourceConfig", input.amazon_managed_kafka_event_source_config.is_some()),
        ("DocumentDBEventSourceConfig", input.document_db_event_source_config.is_some()),
        ("LoggingConfig", input.logging_config.is_some()),
        ("ProvisionedPollerConfig", input.provisioned_poller_config.is_some()),
        ("Queues", input.queues.is_some()),
        ("ScalingConfig", input.scaling_config.is_some()),
        ("SelfManagedEventSource", input.self_managed_event_source.is_some()),
        ("SelfManagedKafkaEventSourceConfig", input.self_managed_kafka_event_source_config.is_some()),
        ("SourceAccessConfigurations", input.source_access_configurations.is_some()),
        ("Topics", input.topics.is_some()),
    ] {
        if is_given {
            return Err(unfit(name));
        }
    }
    check_key(input.kms_key_arn.as_deref())?;
    check_age(input.maximum_record_age_in_seconds)?;
    Ok(Settings {
        batch_size: positive(input.batch_size.unwrap_or(BATCH_SIZE)),
        batching_window_s: seconds(input.maximum_batching_window_in_seconds),
        start,
        filters: filters(input.filter_criteria.as_ref())?,
        bisects: input.bisect_batch_on_function_error == Some(true),
        retries_max: input.maximum_retry_attempts.unwrap_or(-1),
        age_max_s: input.maximum_record_age_in_seconds.unwrap_or(-1),
        reports_item_failures: reports(input.function_response_types.as_deref()),
        parallelization_factor: input.parallelization_factor.unwrap_or(1).max(1).unsigned_abs().into(),
        on_failure: on_failure(input.destination_config.as_ref()),
        tumbling_window_s: seconds(input.tumbling_window_in_seconds),
        metrics: metrics(input.metrics_config.as_ref()),
    })
}

/// Fails for what no mapping of a stream can become.
pub(super) fn check_update(input: &UpdateEventSourceMappingRequest) -> Result<(), ApiError> {
    for (name, is_given) in [
        ("AmazonManagedKafkaEventSourceConfig", input.amazon_managed_kafka_event_source_config.is_some()),
        ("DocumentDBEventSourceConfig", input.document_db_event_source_config.is_some()),
        ("LoggingConfig", input.logging_config.is_some()),
        ("ProvisionedPollerConfig", input.provisioned_poller_config.is_some()),
        ("ScalingConfig", input.scaling_config.is_some()),
        ("SelfManagedKafkaEventSourceConfig", input.self_managed_kafka_event_source_config.is_some()),
        ("SourceAccessConfigurations", input.source_access_configurations.is_some()),
    ] {
        if is_given {
            return Err(unfit(name));
        }
    }
    check_key(input.kms_key_arn.as_deref())?;
    check_age(input.maximum_record_age_in_seconds)
}

/// Takes over what a request says; what it leaves out stays.
pub(super) fn update(row: &mut Mapping, input: &UpdateEventSourceMappingRequest) -> Result<(), ApiError> {
    let settings = &mut row.settings;
    if let Some(size) = input.batch_size {
        settings.batch_size = positive(size);
    }
    if input.maximum_batching_window_in_seconds.is_some() {
        settings.batching_window_s = seconds(input.maximum_batching_window_in_seconds);
    }
    if input.filter_criteria.is_some() {
        settings.filters = filters(input.filter_criteria.as_ref())?;
    }
    if let Some(bisects) = input.bisect_batch_on_function_error {
        settings.bisects = bisects;
    }
    if let Some(retries) = input.maximum_retry_attempts {
        settings.retries_max = retries;
    }
    if let Some(age) = input.maximum_record_age_in_seconds {
        settings.age_max_s = age;
    }
    if let Some(types) = &input.function_response_types {
        settings.reports_item_failures = reports(Some(types));
    }
    if let Some(factor) = input.parallelization_factor {
        settings.parallelization_factor = factor.max(1).unsigned_abs().into();
    }
    if input.destination_config.is_some() {
        settings.on_failure = on_failure(input.destination_config.as_ref());
    }
    if input.tumbling_window_in_seconds.is_some() {
        settings.tumbling_window_s = seconds(input.tumbling_window_in_seconds);
    }
    if input.metrics_config.is_some() {
        settings.metrics = metrics(input.metrics_config.as_ref());
    }
    row.phase = match input.enabled {
        Some(true) if !row.is_enabled => Phase::Enabling,
        Some(false) if row.is_enabled => Phase::Disabling,
        _ => Phase::Updating,
    };
    row.is_enabled = input.enabled.unwrap_or(row.is_enabled);
    Ok(())
}

fn start(input: &CreateEventSourceMappingRequest, source: &Arn) -> Result<Start, ApiError> {
    let unsupported = || errors::invalid(format!("Unsupported starting position for arn type: {source}"));
    match &input.starting_position {
        None => Err(errors::invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not \
             be null.",
        )),
        Some(EventSourcePosition::TrimHorizon) => Ok(Start::TrimHorizon),
        Some(EventSourcePosition::Latest) => Ok(Start::Latest),
        Some(EventSourcePosition::AtTimestamp) if source.service == "kinesis" => {
            let time = input.starting_position_timestamp.ok_or_else(|| {
                errors::invalid(
                    "StartingPositionTimestamp is required when StartingPosition is AT_TIMESTAMP.",
                )
            })?;
            Ok(Start::At(time.0.div_euclid(1000)))
        }
        Some(_) => Err(unsupported()),
    }
}

fn filters(criteria: Option<&FilterCriteria>) -> Result<Vec<String>, ApiError> {
    let filters = criteria.and_then(|criteria| criteria.filters.as_deref()).unwrap_or_default();
    if filters.len() > FILTERS_MAX {
        let told = format!("FilterCriteria may have {FILTERS_MAX} filters, and has {}.", filters.len());
        return Err(errors::invalid(told));
    }
    let pattern = |text: Option<&String>| {
        let text = text.filter(|text| Pattern::parse(text).is_ok());
        text.cloned().ok_or_else(|| errors::invalid("Invalid filter pattern definition."))
    };
    filters.iter().map(|filter| pattern(filter.pattern.as_ref())).collect()
}

fn reports(types: Option<&[FunctionResponseType]>) -> bool {
    types.is_some_and(|types| types.contains(&FunctionResponseType::ReportBatchItemFailures))
}

fn on_failure(config: Option<&DestinationConfig>) -> Option<String> {
    config?.on_failure.as_ref()?.destination.clone().filter(|arn| !arn.is_empty())
}

fn metrics(config: Option<&EventSourceMappingMetricsConfig>) -> Vec<String> {
    let metrics = config.and_then(|config| config.metrics.as_deref()).unwrap_or_default();
    metrics.iter().map(|metric| metric.as_str().to_owned()).collect()
}

fn check_age(age_s: Option<i32>) -> Result<(), ApiError> {
    match age_s {
        Some(age) if age != -1 && age < RECORD_AGE_MIN_S => Err(errors::violation(
            age,
            "maximumRecordAgeInSeconds",
            &format!("Member must have value greater than or equal to {RECORD_AGE_MIN_S}, or be -1"),
        )),
        _ => Ok(()),
    }
}

fn check_key(key: Option<&str>) -> Result<(), ApiError> {
    match key {
        Some(key) if !key.is_empty() => {
            Err(errors::unsupported("KMSKeyArn of an event source mapping", "leave it out"))
        }
        _ => Ok(()),
    }
}

fn unfit(parameter: &str) -> ApiError {
    errors::invalid(format!("Unsupported {parameter} parameter for given event source mapping type."))
}

/// The model lets no others pass.
fn positive(number: i32) -> usize {
    usize::try_from(number.max(1)).unwrap_or(1)
}

fn seconds(number: Option<i32>) -> u32 {
    number.unwrap_or(0).max(0).unsigned_abs()
}
