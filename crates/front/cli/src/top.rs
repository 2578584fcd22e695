//! `lambent top`: what every function does now.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::Method;
use lambent_base::Clock;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Client, Request};
use crate::cloud::{Cloud, DataArg};
use crate::screen::Screen;
use crate::table::table;
use crate::text::{self, LEFT, RIGHT, count, dollars};
use crate::{CliError, exit, ui};

/// Where the gateway answers with a [`Top`].
pub const PATH: &str = "/_lambent/top";
const ACTION: &str = "GetTop";
/// How often the table is drawn.
const EVERY: Duration = Duration::from_secs(1);

/// Show what every function does now, again each second
#[derive(Args, Clone, Debug)]
pub struct TopArgs {
    /// Show it once; that is what happens, too, when stdout is no terminal
    #[arg(long)]
    pub once: bool,
    /// Print it once, as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data: DataArg,
}

/// Every function of an account and region that has done something: on the node that answers since it was started, or this
/// month on any node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Top {
    pub account: String,
    pub region: String,
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// What costs are of: as `2026-11`, UTC.
    pub month: String,
    /// By name.
    pub functions: Vec<TopFunction>,
}

/// One function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopFunction {
    pub function: String,
    /// Environments that wait for a call.
    pub warm: u64,
    /// Environments that run a call, or start for one.
    pub busy: u64,
    /// Environments that were started since the node was.
    pub cold_starts: u64,
    /// Calls that were turned away since the node was started.
    pub throttles: u64,
    /// Of all its environments together.
    pub memory_bytes: u64,
    /// Of its last calls; `None` before the first.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Of this month, on all nodes, some seconds old.
    pub requests: u64,
    pub cost_nano_usd: u64,
}

/// Shows the table.
pub fn run(arguments: &TopArgs) -> ExitCode {
    ui::finish(ui::block_on(show(arguments)))
}

async fn show(arguments: &TopArgs) -> Result<u8, CliError> {
    let top = fetch(&arguments.data).await?;
    if arguments.json {
        let top = serde_json::to_value(&top).expect("a table of texts and numbers");
        ui::print(&text::harmless_json(&format!("{top:#}\n")))?;
        return Ok(exit::DONE);
    }
    if arguments.once || !ui::stdout_is_terminal() {
        ui::print(&report(&top))?;
        return Ok(exit::DONE);
    }
    // Before the other screen, so that a signal that comes early finds a way back.
    let stop = stopped()?;
    let screen = Screen::enter()?;
    tokio::select! {
        () = stop => Ok(exit::INTERRUPTED),
        ended = draw(&screen, &arguments.data, top) => ended,
    }
}

/// Resolves when somebody wants the command to end; from now on nothing else comes of the signals.
fn stopped() -> Result<impl Future<Output = ()>, CliError> {
    let watch = |kind| signal(kind).map_err(CliError::Start);
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut hangup = watch(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Draws the table again and again. When the cloud does not answer, the last one stays, and above it why.
async fn draw(screen: &Screen, data: &DataArg, mut top: Top) -> Result<u8, CliError> {
    let mut error = None;
    loop {
        screen.draw(&drawn(&top, error.as_ref()))?;
        tokio::time::sleep(EVERY).await;
        error = fetch(data).await.map(|fetched| top = fetched).err();
    }
}

fn drawn(top: &Top, error: Option<&CliError>) -> String {
    let error = error.map(|error| format!("error: {}\n", text::cell(&error.to_string())));
    error.unwrap_or_default() + &report(top)
}

/// Finds the cloud anew each time: one that was started again may listen elsewhere.
async fn fetch(data: &DataArg) -> Result<Top, CliError> {
    let client = Client::new(Cloud::find(&data.data)?, Clock::system());
    let body = client.expect(&Request::new(ACTION, "lambent", Method::GET, PATH)).await?;
    serde_json::from_slice(&body).map_err(|error| CliError::Answer {
        action: ACTION.to_owned(),
        expected: "a table of functions",
        found: error.to_string(),
    })
}

fn report(top: &Top) -> String {
    let head = [
        ("FUNCTION", LEFT),
        ("WARM", RIGHT),
        ("BUSY", RIGHT),
        ("COLD STARTS", RIGHT),
        ("P50", RIGHT),
        ("P99", RIGHT),
        ("MEMORY", RIGHT),
        ("THROTTLES", RIGHT),
        ("COST", RIGHT),
    ];
    let mut functions: Vec<&TopFunction> = top.functions.iter().collect();
    // The busiest first: what does not fit on the screen did the least.
    functions.sort_by(|one, other| {
        let activity = |one: &TopFunction| (one.busy, one.warm, one.cost_nano_usd);
        activity(other).cmp(&activity(one)).then_with(|| one.function.cmp(&other.function))
    });
    let sum = |of: fn(&TopFunction) -> u64| top.functions.iter().map(of).sum::<u64>();
    let rows: Vec<Vec<String>> = functions.into_iter().map(row).collect();
    format!(
        "{} in {}, {} (UTC)\n{} functions, {} warm and {} busy environments, {} of memory; {} in {}\n\n{}",
        top.account,
        top.region,
        text::time(top.unix_ms),
        count(top.functions.len() as u64),
        count(sum(|one| one.warm)),
        count(sum(|one| one.busy)),
        text::size(sum(|one| one.memory_bytes)),
        dollars(sum(|one| one.cost_nano_usd)),
        top.month,
        table(&head, &rows)
    )
}

fn row(one: &TopFunction) -> Vec<String> {
    let duration = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"));
    vec![
        text::cell(&one.function),
        count(one.warm),
        count(one.busy),
        count(one.cold_starts),
        duration(one.p50_ms),
        duration(one.p99_ms),
        text::size(one.memory_bytes),
        count(one.throttles),
        dollars(one.cost_nano_usd),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_come_first() {
        let idle = TopFunction {
            function: "idle".to_owned(),
            requests: 3,
            cost_nano_usd: 1_500,
            ..TopFunction::default()
        };
        let busy = TopFunction {
            function: "resize".to_owned(),
            warm: 2,
            busy: 1,
            cold_starts: 1_003,
            throttles: 4,
            memory_bytes: 96 << 20,
            p50_ms: Some(1.234),
            p99_ms: Some(20.0),
            requests: 10,
            cost_nano_usd: 2_000_000_000,
        };
        let top = Top {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            unix_ms: 1_795_282_400_120,
            month: "2026-11".to_owned(),
            functions: vec![idle, busy],
        };
        let expected = "\
000000000000 in us-east-1, 2026-11-21T17:33:20.120Z (UTC)
2 functions, 2 warm and 1 busy environments, 96.0 MiB of memory; $2.000001500 in 2026-11

FUNCTION  WARM  BUSY  COLD STARTS      P50       P99    MEMORY  THROTTLES          COST
resize       2     1        1,003  1.23 ms  20.00 ms  96.0 MiB          4  $2.000000000
idle         0     0            0        -         -       0 B          0  $0.000001500
";
        assert_eq!(report(&top), expected);
        assert_eq!(drawn(&top, None), expected);
        let error = CliError::NoCloud { data: "/a\u{202e}".into() };
        let above = "error: expected a running cloud in /a\\u{202e}, found none\n";
        assert_eq!(drawn(&top, Some(&error)), above.to_owned() + expected);
        let again: Top = serde_json::from_value(serde_json::to_value(&top).unwrap()).unwrap();
        assert_eq!(again, top);
    }
}
