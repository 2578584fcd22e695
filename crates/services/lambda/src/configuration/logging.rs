//! LoggingConfig and TracingConfig: in which form functions log, how much of it is kept, and whether calls are traced.
//! Source: AWS Lambda Developer Guide, "Configuring advanced logging controls for Lambda functions".

use lambent_model_lambda::{
    ApplicationLogLevel, LogFormat, LoggingConfig, SystemLogLevel, TracingConfig, TracingConfigResponse,
    TracingMode,
};
use lambent_pool::{JsonLogging, Logging, SystemLevel};
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::rows::Settings;

const DEFAULT_LEVEL: &str = "INFO";

/// LogFormat JSON's levels, as they are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JsonRow {
    pub(crate) application_level: String,
    pub(crate) system_level: String,
}

/// Takes over what a request says; what it leaves out stays.
pub(crate) fn apply(settings: &mut Settings, config: Option<&LoggingConfig>) -> Result<(), ApiError> {
    let Some(config) = config else { return Ok(()) };
    let is_json = match &config.log_format {
        Some(format) => *format == LogFormat::Json,
        None => settings.json_logging.is_some(),
    };
    let application = config.application_log_level.as_ref().map(ApplicationLogLevel::as_str);
    let system = config.system_log_level.as_ref().map(SystemLogLevel::as_str);
    if !is_json && (application.is_some() || system.is_some()) {
        return Err(errors::invalid(
            "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change \
             the LogFormat to \"Json\" and try again.",
        ));
    }
    if let Some(group) = &config.log_group {
        group.clone_into(&mut settings.log_group);
    }
    let old = settings.json_logging.take();
    if is_json {
        let (old_application, old_system) = old.map(|old| (old.application_level, old.system_level)).unzip();
        let level = |new: Option<&str>, old: Option<String>| {
            new.map(str::to_owned).or(old).unwrap_or_else(|| DEFAULT_LEVEL.to_owned())
        };
        settings.json_logging = Some(JsonRow {
            application_level: level(application, old_application),
            system_level: level(system, old_system),
        });
    }
    Ok(())
}

/// As answers show it.
pub(crate) fn shown(settings: &Settings) -> LoggingConfig {
    let json = settings.json_logging.as_ref();
    LoggingConfig {
        log_format: Some(if json.is_some() { LogFormat::Json } else { LogFormat::Text }),
        application_log_level: json.map(|json| ApplicationLogLevel::from(json.application_level.as_str())),
        system_log_level: json.map(|json| SystemLogLevel::from(json.system_level.as_str())),
        log_group: Some(settings.log_group.clone()),
    }
}

/// As the pool acts on it.
pub(crate) fn for_pool(settings: &Settings) -> Logging {
    let json = settings.json_logging.as_ref().map(|json| JsonLogging {
        application_level: json.application_level.clone(),
        system_level: match json.system_level.as_str() {
            "DEBUG" => SystemLevel::Debug,
            "WARN" => SystemLevel::Warn,
            _ => SystemLevel::Info,
        },
    });
    Logging { json }
}

/// Takes over whether calls are traced.
pub(crate) fn apply_tracing(settings: &mut Settings, config: Option<&TracingConfig>) {
    if let Some(mode) = config.and_then(|config| config.mode.as_ref()) {
        settings.tracing_active = *mode == TracingMode::Active;
    }
}

/// As answers show it.
pub(crate) fn shown_tracing(settings: &Settings) -> TracingConfigResponse {
    let mode = if settings.tracing_active { TracingMode::Active } else { TracingMode::PassThrough };
    TracingConfigResponse { mode: Some(mode) }
}
