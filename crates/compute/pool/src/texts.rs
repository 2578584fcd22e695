//! The lines and error objects that the platform itself writes about a call, in AWS's words.
//! Source: AWS Lambda Developer Guide, "Viewing CloudWatch logs for Lambda functions".

use bytes::Bytes;
use jiff::Timestamp;
use lambent_sandbox::ExitStatus;

use crate::invocation::{InvocationRecord, Restore};

pub(crate) fn start_line(request_id: &str, version: &str) -> String {
    format!("START RequestId: {request_id} Version: {version}\n")
}

pub(crate) fn end_line(request_id: &str) -> String {
    format!("END RequestId: {request_id}\n")
}

/// `python3.12` and what it really runs on, `python3.12.1`; the ARN names this platform's runtime, not AWS's.
pub(crate) fn init_start_line(identifier: &str, region: &str) -> String {
    let (version, arn) = (runtime_version(identifier), runtime_version_arn(identifier, region));
    format!("INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}\n")
}

/// `python:3.12.v1`
pub(crate) fn runtime_version(identifier: &str) -> String {
    let version = identifier.replace("python3", "python:3").replace("nodejs", "nodejs:");
    format!("{}.v1", version.trim_end_matches(".x"))
}

pub(crate) fn runtime_version_arn(identifier: &str, region: &str) -> String {
    format!("arn:aws:lambda:{region}::runtime:lambent-{identifier}")
}

/// The value of a field of a tracing header.
pub(crate) fn trace_field<'a>(trace: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = trace.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// The first line of an environment that is forked from a snapshot.
pub(crate) fn restore_start_line(identifier: &str, region: &str) -> String {
    init_start_line(identifier, region).replacen("INIT_START", "RESTORE_START", 1)
}

/// What making a snapshot took, hooks included.
pub(crate) fn init_done_line(init_ms: f64) -> String {
    format!("INIT_REPORT Init Duration: {init_ms:.2} ms\n")
}

pub(crate) fn restore_report_line(restore_ms: f64, status: Option<&str>) -> String {
    let status = status.map(|status| format!("\tStatus: {status}")).unwrap_or_default();
    format!("RESTORE_REPORT Restore Duration: {restore_ms:.2} ms{status}\n")
}

/// Only when initialisation failed or took too long.
pub(crate) fn init_report_line(init_ms: f64, status: &str) -> String {
    format!("INIT_REPORT Init Duration: {init_ms:.2} ms\tPhase: init\tStatus: {status}\n")
}

/// With the trace of a call that is sampled.
pub(crate) fn report_line(record: &InvocationRecord, trace: Option<&str>) -> String {
    let mut line = format!(
        "REPORT RequestId: {}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB\t",
        record.request_id, record.duration_ms, record.billed_ms, record.memory_mib, record.max_memory_mib,
    );
    if let Some(init_ms) = record.init_ms {
        line.push_str(&format!("Init Duration: {init_ms:.2} ms\t"));
    }
    if let Some(Restore { ms, billed_ms }) = record.restore {
        line.push_str(&format!("Restore Duration: {ms:.2} ms\tBilled Restore Duration: {billed_ms} ms\t"));
    }
    // A handler's own error is the function's business, and the line does not mention it.
    match &record.error_type {
        _ if record.timed_out => line.push_str("Status: timeout"),
        Some(kind) if kind.starts_with("Runtime.") || kind.starts_with("Extension.") => {
            line.push_str(&format!("Status: error\tError Type: {kind}"));
        }
        _ => {}
    }
    line.push('\n');
    if let Some(trace) = trace {
        let field = |name| trace_field(trace, name).unwrap_or_default();
        let (root, segment) = (field("Root"), field("Parent"));
        line.push_str(&format!("XRAY TraceId: {root}\tSegmentId: {segment}\tSampled: true\n"));
    }
    line
}

pub(crate) fn timeout_line(request_id: &str, now_unix_ms: i64, timeout_ms: u32) -> String {
    let seconds = f64::from(timeout_ms) / 1000.0;
    format!("{} {request_id} Task timed out after {seconds:.2} seconds\n\n", iso(now_unix_ms))
}

pub(crate) fn timeout_object(request_id: &str, timeout_ms: u32) -> Bytes {
    let seconds = f64::from(timeout_ms) / 1000.0;
    let message = format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
    error_object("Sandbox.Timedout", &message)
}

/// `RequestId: X Error: Runtime exited with error: signal: killed` and the error type, as two lines.
pub(crate) fn exit_line(message: &str, kind: &str) -> String {
    format!("{message}\n{kind}\n")
}

pub(crate) fn exit_message(request_id: &str, status: ExitStatus) -> String {
    let why = match status {
        ExitStatus::Code(0) => "Runtime exited without providing a reason".to_owned(),
        ExitStatus::Code(code) => format!("Runtime exited with error: exit status {code}"),
        ExitStatus::Signal(signal) => format!("Runtime exited with error: signal: {}", signal_name(signal)),
    };
    format!("RequestId: {request_id} Error: {why}")
}

/// The error type of a call that a shutdown did not wait for.
pub(crate) const STOPPED: &str = "Runtime.Shutdown";

/// A call that a shutdown did not wait for.
pub(crate) fn stopped_message(request_id: &str) -> String {
    format!("RequestId: {request_id} Error: The platform was stopped while the function ran")
}

/// A custom runtime's `bootstrap` that cannot be executed. If it `is_there`, what was not found is its interpreter.
pub(crate) fn entrypoint_message(request_id: &str, errno: i32, is_there: bool) -> String {
    if errno == NOT_FOUND && !is_there {
        let places = "[/var/task/bootstrap /opt/bootstrap]";
        return format!("RequestId: {request_id} Error: Couldn't find valid bootstrap(s): {places}");
    }
    program_message(request_id, errno, "/var/task/bootstrap")
}

/// A program that cannot be executed.
pub(crate) fn program_message(request_id: &str, errno: i32, program: &str) -> String {
    format!("RequestId: {request_id} Error: fork/exec {program}: {}", errno_words(errno))
}

/// A working directory that is none.
pub(crate) fn work_dir_message(request_id: &str, errno: i32, folder: &str) -> String {
    format!("RequestId: {request_id} Error: chdir {folder}: {}", errno_words(errno))
}

/// Why a program could not be executed.
pub(crate) fn errno_words(errno: i32) -> String {
    match errno {
        NOT_FOUND => "no such file or directory".to_owned(),
        NOT_PERMITTED => "permission denied".to_owned(),
        NOT_A_PROGRAM => "exec format error".to_owned(),
        NOT_A_FOLDER => "not a directory".to_owned(),
        other => format!("errno {other}"),
    }
}

/// How an extension ended, as an error's message.
pub(crate) fn extension_message(request_id: &str, why: &str) -> String {
    format!("RequestId: {request_id} Error: {why}")
}

/// As Go words how a process ended.
pub(crate) fn exit_words(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exit status {code}"),
        ExitStatus::Signal(signal) => format!("signal: {}", signal_name(signal)),
    }
}

/// An initialization type.
pub(crate) const ON_DEMAND: &str = "on-demand";

const NOT_FOUND: i32 = 2;
const NOT_A_PROGRAM: i32 = 8;
const NOT_PERMITTED: i32 = 13;
const NOT_A_FOLDER: i32 = 20;

pub(crate) fn too_large_object(max_bytes: usize) -> Bytes {
    let message = format!("Response payload size exceeded maximum allowed payload size ({max_bytes} bytes).");
    error_object("Function.ResponseSizeTooLarge", &message)
}

/// `{"errorType":...,"errorMessage":...}`
pub(crate) fn error_object(kind: &str, message: &str) -> Bytes {
    let kind = serde_json::Value::from(kind);
    let message = serde_json::Value::from(message);
    Bytes::from(format!("{{\"errorType\":{kind},\"errorMessage\":{message}}}"))
}

/// The errorType member of an error object, if it has one.
pub(crate) fn error_type_of(object: &[u8]) -> Option<String> {
    member_of(object, "errorType")
}

/// The errorMessage member of an error object, if it has one.
pub(crate) fn message_of(object: &[u8]) -> Option<String> {
    member_of(object, "errorMessage")
}

fn member_of(object: &[u8], name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(object).ok()?;
    Some(value.get(name)?.as_str()?.to_owned())
}

/// `2026/11/21/[$LATEST]` and 32 hexadecimal digits.
pub(crate) fn stream_name(now_unix_ms: i64, version: &str, id: &str) -> String {
    let day = iso(now_unix_ms)[..10].replace('-', "/");
    format!("{day}/[{version}]{id}")
}

/// As `2026-11-21T16:00:00.000Z`.
pub(crate) fn iso(unix_ms: i64) -> String {
    let timestamp = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{timestamp:.3}")
}

/// As Go's syscall package words them, in which AWS's own init is written.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FunctionKey;

    fn record() -> InvocationRecord {
        InvocationRecord {
            function: FunctionKey {
                account: "000000000000".to_owned(),
                region: "us-east-1".to_owned(),
                name: "f".to_owned(),
                version: "$LATEST".to_owned(),
                revision: "1".to_owned(),
            },
            request_id: "r".to_owned(),
            log_group: "/aws/lambda/f".to_owned(),
            log_stream: "s".to_owned(),
            started_unix_ms: 0,
            cold_start: false,
            init_ms: None,
            restore: None,
            duration_ms: 2.904,
            extensions_ms: None,
            billed_ms: 3,
            memory_mib: 128,
            max_memory_mib: 36,
            ephemeral_mib: 512,
            error_type: None,
            timed_out: false,
            out_of_memory: false,
        }
    }

    #[test]
    fn report_lines_are_awss() {
        let warm = "REPORT RequestId: r\tDuration: 2.90 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t";
        assert_eq!(report_line(&record(), None), format!("{warm}\n"));
        let cold = InvocationRecord { init_ms: Some(110.1), ..record() };
        assert_eq!(report_line(&cold, None), format!("{warm}Init Duration: 110.10 ms\t\n"));
        let restored = InvocationRecord { restore: Some(Restore { ms: 3.456, billed_ms: 2 }), ..record() };
        let line = format!("{warm}Restore Duration: 3.46 ms\tBilled Restore Duration: 2 ms\t\n");
        assert_eq!(report_line(&restored, None), line);
        let dead = InvocationRecord { error_type: Some("Runtime.ExitError".to_owned()), ..record() };
        assert_eq!(report_line(&dead, None), format!("{warm}Status: error\tError Type: Runtime.ExitError\n"));
        let failed = InvocationRecord { error_type: Some("ValueError".to_owned()), ..record() };
        assert_eq!(report_line(&failed, None), format!("{warm}\n"));
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        let line = timeout_line("r", 1_700_000_000_120, 3_000);
        assert_eq!(line, "2023-11-14T22:13:20.120Z r Task timed out after 3.00 seconds\n\n");
        assert_eq!(stream_name(1_700_000_000_000, "$LATEST", "ab"), "2023/11/14/[$LATEST]ab");
    }

    #[test]
    fn runtime_versions_are_named_as_on_aws() {
        assert!(
            init_start_line("python3.12", "us-east-1")
                .starts_with("INIT_START Runtime Version: python:3.12.v1\t")
        );
        assert!(
            init_start_line("nodejs20.x", "us-east-1")
                .starts_with("INIT_START Runtime Version: nodejs:20.v1\t")
        );
    }
}
