//! `lambent dead-letters`: events that were given up.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use lambent_base::Clock;
use serde::Deserialize;

use crate::client::{Client, Request};
use crate::cloud::{Cloud, DataArg};
use crate::table::table;
use crate::text::{self, LEFT, RIGHT};
use crate::{CliError, exit, ui};

const PATH: &str = "/_lambent/dead-letters";
const ACTION: &str = "ListDeadLetters";
/// How much of an error's text stands in its line.
const WHY_CHARS: usize = 120;

/// Show events that were given up, and why
#[derive(Args, Clone, Debug)]
pub struct DeadLettersArgs {
    #[command(flatten)]
    pub data: DataArg,
}

/// A page of dead letters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    dead_letters: Vec<Letter>,
    /// Where the next page begins; none after an empty one.
    next: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    target: String,
    request_id: String,
    died_ms: i64,
    failures: u32,
    last_error: Option<String>,
}

/// Prints the dead letters of all functions.
pub fn run(arguments: &DeadLettersArgs) -> ExitCode {
    ui::finish(ui::block_on(show(arguments)))
}

async fn show(arguments: &DeadLettersArgs) -> Result<u8, CliError> {
    let client = Client::new(Cloud::find(&arguments.data.data)?, Clock::system());
    let mut rows = Vec::new();
    let mut path = PATH.to_owned();
    loop {
        let body = client.expect(&Request::new(ACTION, "lambent", Method::GET, &path)).await?;
        let page: Page = serde_json::from_slice(&body).map_err(|error| CliError::Answer {
            action: ACTION.to_owned(),
            expected: "dead letters",
            found: error.to_string(),
        })?;
        rows.extend(page.dead_letters.iter().map(row));
        let Some(next) = page.next else { break };
        path = format!("{PATH}?after={next}");
    }
    if rows.is_empty() {
        ui::say("no event was given up");
        return Ok(exit::DONE);
    }
    let head = [("DIED", LEFT), ("FAILURES", RIGHT), ("FUNCTION", LEFT), ("REQUEST ID", LEFT), ("WHY", LEFT)];
    ui::print(&table(&head, &rows))?;
    Ok(exit::DONE)
}

fn row(letter: &Letter) -> Vec<String> {
    let name = letter.target.split_once(":function:").map_or(letter.target.as_str(), |(_, name)| name);
    let why = letter.last_error.as_deref().unwrap_or("it says nothing");
    let why: String = why.lines().next().unwrap_or_default().chars().take(WHY_CHARS).collect();
    vec![
        text::time(letter.died_ms),
        letter.failures.to_string(),
        text::cell(name),
        text::cell(&letter.request_id),
        text::cell(&why),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_line() {
        let page = r#"{"next": "00", "deadLetters": [{"key": "00", "target": "arn:aws:lambda:us-east-1:0:function:f",
            "requestId": "id", "createdMs": 1, "diedMs": 1795282400000, "failures": 3, "busy": 0,
            "lastError": "Unhandled: boom\nmore", "payloadBytes": 2}]}"#;
        let page: Page = serde_json::from_str(page).unwrap();
        let cells = ["2026-11-21T17:33:20.000Z", "3", "f", "id", "Unhandled: boom"];
        assert_eq!(row(&page.dead_letters[0]), cells);
        assert_eq!(page.next.as_deref(), Some("00"));
    }
}
