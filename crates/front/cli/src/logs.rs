//! `lambent logs`: what a function wrote.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use lambent_base::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::cloud::{Cloud, DataArg};
use crate::{CliError, exit, text, ui};

/// How often `--follow` looks for new lines.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// How much later than its time a line may come in and still be seen by `--follow`.
const LATE_MS: i64 = 5_000;
const FILTER: &str = "Logs_20140328.FilterLogEvents";

/// Show what a function wrote, and its START, END and REPORT lines
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// A function's name, or a log group's (which starts with /)
    pub name: String,
    /// Wait for more lines, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// How far to look back: a number and s, m, h, d or w
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = text::parse_span_ms)]
    pub since: i64,
    #[command(flatten)]
    pub data: DataArg,
}

/// One line of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogEvent {
    pub(crate) event_id: String,
    pub(crate) log_stream_name: String,
    pub(crate) message: String,
    pub(crate) timestamp: i64,
}

/// Prints the lines of all streams in the order of their times.
pub fn run(arguments: &LogsArgs) -> ExitCode {
    ui::finish(ui::block_on(show(arguments)))
}

/// Every event of a group from a time on that matches a filter pattern; `None` when there is no such group.
pub(crate) async fn events(
    client: &Client,
    group: &str,
    start_ms: i64,
    pattern: &str,
) -> Result<Option<Vec<LogEvent>>, CliError> {
    let mut events = Vec::new();
    let mut pages = Pages::new(group, start_ms, pattern);
    loop {
        match pages.next(client).await? {
            Next::Page(found) => events.extend(found),
            Next::End => return Ok(Some(events)),
            Next::NoGroup => return Ok(None),
        }
    }
}

/// The events of a group from a time on that match a filter pattern, in their order, page by page: a log may be far
/// larger than memory.
struct Pages {
    input: Value,
    is_over: bool,
}

/// What follows.
enum Next {
    /// Maybe without events, though more follow.
    Page(Vec<LogEvent>),
    End,
    NoGroup,
}

impl Pages {
    fn new(group: &str, start_ms: i64, pattern: &str) -> Self {
        let input = json!({ "logGroupName": group, "startTime": start_ms.max(0), "filterPattern": pattern });
        Self { input, is_over: false }
    }

    async fn next(&mut self, client: &Client) -> Result<Next, CliError> {
        if self.is_over {
            return Ok(Next::End);
        }
        let answer = client.call_json("logs", FILTER, &self.input).await?;
        if answer.status != 200 {
            let missing = answer.code() == "ResourceNotFoundException";
            return if missing { Ok(Next::NoGroup) } else { Err(answer.refusal("FilterLogEvents")) };
        }
        let mut page = answer.json("FilterLogEvents")?;
        let found = serde_json::from_value(page["events"].take()).map_err(|error| {
            let action = "FilterLogEvents".to_owned();
            CliError::Answer { action, expected: "log events", found: error.to_string() }
        })?;
        let token = page["nextToken"].take();
        self.is_over = token.is_null();
        self.input["nextToken"] = token;
        Ok(Next::Page(found))
    }
}

/// The log group of a function, unless the name is a group's already.
pub(crate) fn group_of(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/aws/lambda/{name}") }
}

async fn show(arguments: &LogsArgs) -> Result<u8, CliError> {
    let client = Client::new(Cloud::find(&arguments.data.data)?, Clock::system());
    let group = group_of(&arguments.name);
    let start_ms = client.clock().unix_ms() - arguments.since;
    let mut follower = Follower { start_ms, seen: BTreeSet::new() };
    let first = print_from(&client, &group, &mut follower).await?;
    if !arguments.follow {
        return match first {
            None => Err(CliError::NoLogs { name: arguments.name.clone(), group }),
            Some(0) => {
                ui::say("no lines in that time; --since looks further back, as in --since 7d");
                Ok(exit::DONE)
            }
            Some(_) => Ok(exit::DONE),
        };
    }
    if first.is_none() {
        ui::say(format_args!("{group} is not there yet; waiting for it"));
    }
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        print_from(&client, &group, &mut follower).await?;
    }
}

/// Prints what was not shown yet, each page before the next is fetched. How many events that were; `None` when there is
/// no such group.
async fn print_from(
    client: &Client,
    group: &str,
    follower: &mut Follower,
) -> Result<Option<usize>, CliError> {
    let terminal = ui::stdout_is_terminal();
    let mut pages = Pages::new(group, follower.start_ms, "");
    let mut shown = 0;
    loop {
        let found = match pages.next(client).await? {
            Next::Page(found) => found,
            Next::End => return Ok(Some(shown)),
            Next::NoGroup => return Ok(None),
        };
        let fresh = follower.fresh(found);
        shown += fresh.len();
        ui::print(&fresh.iter().map(|event| line(event, terminal)).collect::<String>())?;
    }
}

/// Remembers what was shown: lines may come in later than others with a later time.
struct Follower {
    start_ms: i64,
    /// Times and ids of what was shown since `start_ms`.
    seen: BTreeSet<(i64, String)>,
}

impl Follower {
    /// The events that were not shown yet.
    fn fresh(&mut self, mut events: Vec<LogEvent>) -> Vec<LogEvent> {
        events.retain(|event| self.seen.insert((event.timestamp, event.event_id.clone())));
        if let Some((newest_ms, _)) = self.seen.last() {
            self.start_ms = self.start_ms.max(newest_ms - LATE_MS);
            self.seen = self.seen.split_off(&(self.start_ms, String::new()));
        }
        events
    }
}

/// The time, then the message; further lines of it stand below its first.
fn line(event: &LogEvent, terminal: bool) -> String {
    let time = text::time(event.timestamp);
    let message = event.message.trim_end_matches(['\r', '\n']);
    let message = if terminal { text::harmless(message) } else { message.to_owned() };
    let indent = format!("\n{}", " ".repeat(time.len() + 1));
    format!("{} {}\n", ui::faint(&time), message.replace('\n', &indent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        logs: LogsArgs,
    }

    fn event(timestamp: i64, message: &str) -> LogEvent {
        LogEvent {
            timestamp,
            message: message.to_owned(),
            event_id: message.to_owned(),
            ..LogEvent::default()
        }
    }

    #[test]
    fn arguments_are_read() {
        let logs = Line::try_parse_from(["logs", "thumbnail", "--follow", "--since", "10m"]).unwrap().logs;
        assert_eq!((logs.name.as_str(), logs.follow, logs.since), ("thumbnail", true, 600_000));
        assert_eq!(Line::try_parse_from(["logs", "f"]).unwrap().logs.since, 3_600_000);
        let error = Line::try_parse_from(["logs", "f", "--since", "soon"]).err().unwrap().to_string();
        assert!(error.contains("expected a number and a unit"), "{error}");
        assert!(Line::try_parse_from(["logs"]).is_err());
    }

    #[test]
    fn messages_of_many_lines_stand_below_each_other() {
        let shown = line(&event(1_795_282_400_000, "[ERROR] x\nTraceback:\n  deep\n"), false);
        let expected = "2026-11-21T17:33:20.000Z [ERROR] x\n                         Traceback:\n                           deep\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn followers_show_each_line_once_even_late_ones() {
        let mut follower = Follower { start_ms: 0, seen: BTreeSet::new() };
        let shown =
            |events: Vec<LogEvent>| events.into_iter().map(|one| one.message).collect::<Vec<_>>().concat();
        assert_eq!(shown(follower.fresh(vec![event(1, "a"), event(10_000, "b")])), "ab");
        assert_eq!(follower.start_ms, 5_000);
        assert_eq!(
            shown(follower.fresh(vec![event(6_000, "late"), event(10_000, "b"), event(10_000, "c")])),
            "latec"
        );
        assert_eq!(shown(follower.fresh(vec![event(10_000, "b"), event(10_000, "c")])), "");
        assert_eq!(follower.seen.len(), 3);
    }
}
