//! What the platform itself says about an environment: as a line of text, as a JSON log record, as a telemetry event.
//!
//! Sources: AWS Lambda Developer Guide, "Lambda Telemetry API Event schema reference", "Configuring advanced logging
//! controls", "Viewing CloudWatch logs for Lambda functions".

use serde_json::{Value, json};

use crate::function::SystemLevel;
use crate::invocation::{InvocationRecord, Restore};
use crate::texts;

/// The part of a call in which only its extensions were at work.
const EXTENSION_OVERHEAD: &str = "extensionOverhead";

/// One event of the platform's.
#[derive(Clone, Debug)]
pub(crate) enum Platform<'a> {
    InitStart {
        initialization: &'a str,
        identifier: Option<&'a str>,
        region: &'a str,
        name: &'a str,
        version: &'a str,
    },
    InitRuntimeDone {
        initialization: &'a str,
        status: Status<'a>,
    },
    InitReport {
        initialization: &'a str,
        ms: f64,
        status: Status<'a>,
    },
    RestoreStart {
        identifier: Option<&'a str>,
        region: &'a str,
        name: &'a str,
        version: &'a str,
    },
    RestoreRuntimeDone {
        status: Status<'a>,
    },
    RestoreReport {
        ms: f64,
        status: Status<'a>,
    },
    Extension {
        name: &'a str,
        state: &'a str,
        events: &'a [&'a str],
        error_type: Option<&'a str>,
    },
    /// By the Telemetry API, or the older Logs API.
    Subscription {
        is_logs: bool,
        name: &'a str,
        types: &'a [&'a str],
    },
    Start {
        request_id: &'a str,
        version: &'a str,
        trace: Option<&'a str>,
    },
    RuntimeDone {
        request_id: &'a str,
        status: Status<'a>,
        ms: f64,
        produced_bytes: Option<u64>,
        trace: Option<&'a str>,
    },
    /// For text logs and the Logs API.
    End {
        request_id: &'a str,
    },
    Report {
        record: &'a InvocationRecord,
        trace: Option<&'a str>,
    },
    LogsDropped {
        reason: &'a str,
        records: usize,
        bytes: usize,
    },
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status<'a> {
    Success,
    Timeout,
    /// With a type.
    Error(&'a str),
    /// A process ended: the same for what is not the function's own error.
    Failure(&'a str),
}

impl<'a> Status<'a> {
    fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Timeout => "timeout",
            Self::Error(_) => "error",
            Self::Failure(_) => "failure",
        }
    }

    fn error_type(self) -> Option<&'a str> {
        match self {
            Self::Error(kind) | Self::Failure(kind) => Some(kind),
            Self::Success | Self::Timeout => None,
        }
    }

    /// As text lines end with it.
    fn text(self) -> String {
        match self {
            Self::Success => String::new(),
            Self::Timeout => "timeout".to_owned(),
            Self::Error(kind) | Self::Failure(kind) => format!("error\tError Type: {kind}"),
        }
    }

    /// Of a finished call.
    pub(crate) fn of(record: &'a InvocationRecord) -> Self {
        match &record.error_type {
            None => Self::Success,
            Some(_) if record.timed_out => Self::Timeout,
            Some(kind) if kind.starts_with("Runtime.") || kind.starts_with("Extension.") => {
                Self::Failure(kind)
            }
            Some(kind) => Self::Error(kind),
        }
    }
}

impl Platform<'_> {
    /// The event's type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::InitStart { .. } => "platform.initStart",
            Self::InitRuntimeDone { .. } => "platform.initRuntimeDone",
            Self::InitReport { .. } => "platform.initReport",
            Self::RestoreStart { .. } => "platform.restoreStart",
            Self::RestoreRuntimeDone { .. } => "platform.restoreRuntimeDone",
            Self::RestoreReport { .. } => "platform.restoreReport",
            Self::Extension { .. } => "platform.extension",
            Self::Subscription { is_logs: false, .. } => "platform.telemetrySubscription",
            Self::Subscription { is_logs: true, .. } => "platform.logsSubscription",
            Self::Start { .. } => "platform.start",
            Self::RuntimeDone { .. } => "platform.runtimeDone",
            Self::End { .. } => "platform.end",
            Self::Report { .. } => "platform.report",
            Self::LogsDropped { .. } => "platform.logsDropped",
        }
    }

    /// The least SystemLogLevel at which it is in a JSON log; none for what never is.
    pub(crate) fn level(&self) -> Option<SystemLevel> {
        use SystemLevel::{Debug, Info, Warn};
        let by = |status: &Status<'_>, success| if *status == Status::Success { success } else { Warn };
        Some(match self {
            Self::InitStart { identifier: None, .. } | Self::RestoreStart { identifier: None, .. } => Debug,
            Self::InitStart { .. } | Self::RestoreStart { .. } | Self::Start { .. } => Info,
            Self::Subscription { .. } => Info,
            Self::InitRuntimeDone { status, .. }
            | Self::RestoreRuntimeDone { status }
            | Self::RuntimeDone { status, .. } => by(status, Debug),
            Self::InitReport { initialization, status, .. } => {
                by(status, if *initialization == texts::ON_DEMAND { Debug } else { Info })
            }
            Self::RestoreReport { status, .. } => by(status, Info),
            Self::Report { record, .. } => by(&Status::of(record), Info),
            Self::Extension { error_type, .. } => {
                if error_type.is_some() {
                    Warn
                } else {
                    Info
                }
            }
            Self::LogsDropped { .. } => Warn,
            Self::End { .. } => return None,
        })
    }

    /// The line in a text log, if it has one.
    pub(crate) fn text(&self) -> Option<String> {
        Some(match self {
            Self::InitStart { identifier, region, .. } => texts::init_start_line((*identifier)?, region),
            Self::RestoreStart { identifier, region, .. } => {
                texts::restore_start_line((*identifier)?, region)
            }
            Self::InitReport { status: Status::Success, .. } => return None,
            Self::InitReport { ms, status, .. } => texts::init_report_line(*ms, &status.text()),
            Self::RestoreReport { ms, status } => {
                let text = status.text();
                texts::restore_report_line(*ms, (!text.is_empty()).then_some(&text))
            }
            Self::Extension { name, state, events, error_type } => {
                let kind = error_type.map(|kind| format!("\tError Type: {kind}")).unwrap_or_default();
                format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{}]{kind}\n", events.join(", "))
            }
            Self::Subscription { is_logs, name, types } => {
                let api = if *is_logs { "LOGS" } else { "TELEMETRY" };
                let types: Vec<String> = types.iter().map(|one| capital(one)).collect();
                format!("{api}\tName: {name}\tState: Subscribed\tTypes: [{}]\n", types.join(", "))
            }
            Self::Start { request_id, version, .. } => texts::start_line(request_id, version),
            Self::End { request_id } => texts::end_line(request_id),
            Self::Report { record, trace } => texts::report_line(record, *trace),
            Self::InitRuntimeDone { .. }
            | Self::RestoreRuntimeDone { .. }
            | Self::RuntimeDone { .. }
            | Self::LogsDropped { .. } => return None,
        })
    }

    /// The event's record.
    pub(crate) fn record(&self) -> Value {
        match self {
            Self::InitStart { initialization, identifier, region, name, version } => with_runtime(
                json!({
                    "initializationType": initialization,
                    "phase": "init",
                    "functionName": name,
                    "functionVersion": version,
                }),
                *identifier,
                region,
            ),
            Self::InitRuntimeDone { initialization, status } => {
                with_status(json!({ "initializationType": initialization, "phase": "init" }), *status)
            }
            Self::InitReport { initialization, ms, status } => with_status(
                json!({
                    "initializationType": initialization,
                    "phase": "init",
                    "metrics": { "durationMs": hundredths(*ms) },
                }),
                *status,
            ),
            Self::RestoreStart { identifier, region, name, version } => {
                let record = json!({ "functionName": name, "functionVersion": version });
                with_runtime(record, *identifier, region)
            }
            Self::RestoreRuntimeDone { status } => with_status(json!({}), *status),
            Self::RestoreReport { ms, status } => {
                with_status(json!({ "metrics": { "durationMs": hundredths(*ms) } }), *status)
            }
            Self::Extension { name, state, events, error_type } => {
                let mut record = json!({ "name": name, "state": state, "events": events });
                if let Some(kind) = error_type {
                    record["errorType"] = json!(kind);
                }
                record
            }
            Self::Subscription { name, types, .. } => {
                json!({ "name": name, "state": "Subscribed", "types": types })
            }
            Self::Start { request_id, version, trace } => {
                with_trace(json!({ "requestId": request_id, "version": version }), *trace)
            }
            Self::RuntimeDone { request_id, status, ms, produced_bytes, trace } => {
                let mut metrics = json!({ "durationMs": hundredths(*ms) });
                if let Some(bytes) = produced_bytes {
                    metrics["producedBytes"] = json!(bytes);
                }
                let record = json!({ "requestId": request_id, "metrics": metrics });
                with_status(with_trace(record, *trace), *status)
            }
            Self::End { request_id } => json!({ "requestId": request_id }),
            Self::Report { record, trace } => report(record, *trace),
            Self::LogsDropped { reason, records, bytes } => {
                json!({ "reason": reason, "droppedRecords": records, "droppedBytes": bytes })
            }
        }
    }
}

fn report(record: &InvocationRecord, trace: Option<&str>) -> Value {
    let mut metrics = json!({
        "durationMs": hundredths(record.duration_ms),
        "billedDurationMs": record.billed_ms,
        "memorySizeMB": record.memory_mib,
        "maxMemoryUsedMB": record.max_memory_mib,
    });
    if let Some(ms) = record.init_ms {
        metrics["initDurationMs"] = json!(hundredths(ms));
    }
    if let Some(Restore { ms, billed_ms }) = record.restore {
        metrics["restoreDurationMs"] = json!(hundredths(ms));
        metrics["billedRestoreDurationMs"] = json!(billed_ms);
    }
    let mut report = with_trace(json!({ "requestId": record.request_id, "metrics": metrics }), trace);
    if let Some(ms) = record.extensions_ms {
        let start = texts::iso(record.started_unix_ms + whole_ms(record.duration_ms - ms));
        report["spans"] =
            json!([{ "name": EXTENSION_OVERHEAD, "start": start, "durationMs": hundredths(ms) }]);
    }
    with_status(report, Status::of(record))
}

/// With the runtime's version, where there is one.
fn with_runtime(mut record: Value, identifier: Option<&str>, region: &str) -> Value {
    if let Some(identifier) = identifier {
        record["runtimeVersion"] = json!(texts::runtime_version(identifier));
        record["runtimeVersionArn"] = json!(texts::runtime_version_arn(identifier, region));
    }
    record
}

fn with_status(mut record: Value, status: Status<'_>) -> Value {
    record["status"] = json!(status.word());
    if let Some(kind) = status.error_type() {
        record["errorType"] = json!(kind);
    }
    record
}

/// With the trace of a call that is sampled.
fn with_trace(mut record: Value, trace: Option<&str>) -> Value {
    if let Some(trace) = trace {
        let parent = texts::trace_field(trace, "Parent").unwrap_or_default();
        record["tracing"] = json!({ "spanId": parent, "type": "X-Amzn-Trace-Id", "value": trace });
    }
    record
}

#[expect(clippy::cast_possible_truncation, reason = "no call takes so long")]
fn whole_ms(ms: f64) -> i64 {
    ms.max(0.0) as i64
}

fn hundredths(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
