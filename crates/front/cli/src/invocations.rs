//! `lambent invocations`: the last calls of a function, one by one.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use lambent_base::Clock;
use lambent_metering::{LISTED_MAX, RunOutcome, RunPage, RunRecord, SLOWEST_OF};

use crate::client::{Client, Request};
use crate::cloud::{Cloud, DataArg};
use crate::table::table;
use crate::text::{self, LEFT, RIGHT, count};
use crate::{CliError, exit, ui};

const PATH: &str = "/_lambent/invocations";
const ACTION: &str = "ListInvocations";
/// How many calls are shown unless told.
const LIMIT_DEFAULT: usize = 50;
/// How many calls are held in memory to be shown.
const LIMIT_MAX: usize = 100_000;
/// How much of an error's type stands in its line.
const TYPE_CHARS: usize = 40;

/// Show a function's last calls, the newest first
#[derive(Args, Clone, Debug)]
pub struct InvocationsArgs {
    /// A function's name
    #[arg(value_parser = text::parse_function_name)]
    pub name: String,
    /// Only calls that failed
    #[arg(long)]
    pub failed: bool,
    #[arg(long, help = format!("The slowest of the last {} calls first, starts included; at most {}", count(SLOWEST_OF as u64), count(LISTED_MAX as u64)))]
    pub slow: bool,
    /// How many calls to show
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = parse_limit)]
    pub limit: usize,
    /// Print the records as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data: DataArg,
}

/// Prints the last calls of a function.
pub fn run(arguments: &InvocationsArgs) -> ExitCode {
    ui::finish(ui::block_on(show(arguments)))
}

async fn show(arguments: &InvocationsArgs) -> Result<u8, CliError> {
    if arguments.slow && arguments.limit > LISTED_MAX {
        return Err(CliError::TooManySlow { asked: arguments.limit, most: LISTED_MAX });
    }
    let client = Client::new(Cloud::find(&arguments.data.data)?, Clock::system());
    let runs = fetch(&client, arguments).await?;
    if arguments.json {
        let runs = serde_json::to_value(&runs).expect("records are texts and numbers");
        ui::print(&text::harmless_json(&format!("{runs:#}\n")))?;
    } else if runs.is_empty() {
        let what = if arguments.failed { "failed call" } else { "call" };
        ui::say(format_args!("no {what} of `{}` is on record", arguments.name));
    } else {
        ui::print(&report(&runs))?;
    }
    Ok(exit::DONE)
}

/// As many runs as are wanted, page by page.
async fn fetch(client: &Client, arguments: &InvocationsArgs) -> Result<Vec<RunRecord>, CliError> {
    let InvocationsArgs { name, failed, slow, limit, .. } = arguments;
    let mut runs: Vec<RunRecord> = Vec::new();
    let mut before = String::new();
    while runs.len() < *limit {
        let left = LISTED_MAX.min(limit - runs.len());
        let path = format!("{PATH}?function={name}&failed={failed}&slow={slow}&limit={left}{before}");
        let body = client.expect(&Request::new(ACTION, "lambent", Method::GET, &path)).await?;
        let page: RunPage = serde_json::from_slice(&body).map_err(|error| CliError::Answer {
            action: ACTION.to_owned(),
            expected: "records of calls",
            found: error.to_string(),
        })?;
        runs.extend(page.runs);
        let Some(next) = page.next else { break };
        before = format!("&before={next}");
    }
    Ok(runs)
}

fn parse_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| format!("expected a number from 1 to {LIMIT_MAX}, got `{text}`"))
}

fn report(runs: &[RunRecord]) -> String {
    let head = [
        ("START", LEFT),
        ("DURATION", RIGHT),
        ("BILLED", RIGHT),
        ("INIT", RIGHT),
        ("MEMORY", RIGHT),
        ("ENDED", LEFT),
        ("VERSION", LEFT),
        ("REQUEST ID", LEFT),
        ("LOG STREAM", LEFT),
    ];
    table(&head, &runs.iter().map(row).collect::<Vec<_>>())
}

fn row(run: &RunRecord) -> Vec<String> {
    let init = match run.init_us {
        Some(us) => text::milliseconds(us),
        None if run.cold_start => "cold".to_owned(),
        None => String::new(),
    };
    vec![
        text::time(run.started_unix_ms),
        text::milliseconds(run.duration_us),
        format!("{} ms", count(run.billed_ms)),
        init,
        format!("{}/{} MB", run.max_memory_mib, run.memory_mib),
        ended(run),
        text::cell(&run.version),
        text::cell(&run.request_id),
        text::cell(run.log_stream.as_deref().unwrap_or_default()),
    ]
}

/// `ok`, or the error's type.
fn ended(run: &RunRecord) -> String {
    match (&run.error_type, run.outcome) {
        (_, RunOutcome::Success) => "ok".to_owned(),
        (Some(kind), _) => {
            let kind: String = kind.trim().chars().take(TYPE_CHARS).collect();
            text::cell(&kind)
        }
        (None, outcome) => outcome.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> RunRecord {
        RunRecord {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            function: "f".to_owned(),
            version: "$LATEST".to_owned(),
            request_id: "id".to_owned(),
            started_unix_ms: 1_795_282_400_120,
            init_us: None,
            duration_us: 1_234_567,
            billed_ms: 1_235,
            memory_mib: 128,
            max_memory_mib: 31,
            ephemeral_mib: 512,
            outcome: RunOutcome::Success,
            cold_start: false,
            error_type: None,
            log_stream: None,
        }
    }

    #[test]
    fn a_call_is_a_line() {
        let cold = RunRecord {
            init_us: Some(4_120),
            cold_start: true,
            outcome: RunOutcome::FunctionError,
            error_type: Some("My\x1b[2JError\n".to_owned()),
            log_stream: Some("2026/11/21/[$LATEST]ab".to_owned()),
            ..one()
        };
        let told = report(&[one(), cold]);
        let expected = "\
START                        DURATION    BILLED     INIT     MEMORY  ENDED             VERSION  REQUEST ID  LOG STREAM
2026-11-21T17:33:20.120Z  1,234.57 ms  1,235 ms           31/128 MB  ok                $LATEST  id
2026-11-21T17:33:20.120Z  1,234.57 ms  1,235 ms  4.12 ms  31/128 MB  My\\u{1b}[2JError  $LATEST  id          2026/11/21/[$LATEST]ab
";
        assert_eq!(told, expected);
    }

    #[test]
    fn ends_without_a_type_have_a_name() {
        let old = RunRecord { outcome: RunOutcome::TimedOut, ..one() };
        assert_eq!(ended(&old), "timed-out");
    }

    #[test]
    fn the_slowest_come_on_one_page() {
        let data = DataArg { data: "/nonexistent".into() };
        let arguments = |limit| InvocationsArgs {
            name: "f".to_owned(),
            failed: false,
            slow: true,
            limit,
            json: false,
            data: data.clone(),
        };
        let error = |limit| ui::block_on(show(&arguments(limit))).unwrap_err();
        let refused = error(5_000);
        assert_eq!(refused.exit_code(), exit::USAGE);
        assert!(refused.to_string().contains("at most 1000"), "{refused}");
        assert!(matches!(error(LISTED_MAX), CliError::NoCloud { .. }));
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(parse_limit("7"), Ok(7));
        for text in ["0", "-1", "x", "100001"] {
            assert!(parse_limit(text).is_err(), "{text}");
        }
    }
}
