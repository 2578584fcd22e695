//! `lambent audit`: who asked for what, and what was decided.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use lambent_audit::{Event, cloud_trail};
use lambent_base::Clock;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::client::{Client, Request};
use crate::cloud::{Cloud, DataArg};
use crate::table::table;
use crate::text::{self, LEFT};
use crate::{CliError, exit, ui};

const PATH: &str = "/_lambent/audit";
const ACTION: &str = "ListEvents";
/// How many events are shown unless told.
const LIMIT_DEFAULT: usize = 50;
/// How many events are held in memory to be shown.
const LIMIT_MAX: usize = 100_000;
/// How many pages are asked for: a search through more than so many ends, and says so.
const PAGES_MAX: usize = 10_000;

/// Show who asked for what and what was decided, the newest first
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Only requests in which something was denied
    #[arg(long)]
    pub denied: bool,
    /// Only this principal's: an ARN, or the name of a user or a role
    #[arg(long, value_name = "ARN|NAME")]
    pub principal: Option<String>,
    /// Only with this action, as s3:PutObject, or with one that begins so, as s3:*
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only the last ones, as 10m, 2h, 3d
    #[arg(long, value_name = "SPAN", value_parser = text::parse_span_ms)]
    pub since: Option<i64>,
    /// How many events to show
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = parse_limit)]
    pub limit: usize,
    /// Print the events as JSON, in CloudTrail's shape
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data: DataArg,
}

/// A page of events.
#[derive(Deserialize)]
struct Page {
    events: Vec<Event>,
    next: Option<String>,
}

/// Which events are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    pub(crate) is_denied: bool,
    pub(crate) request_id: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) action: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) since_ms: Option<i64>,
}

/// Prints events of the audit log.
pub fn run(arguments: &AuditArgs) -> ExitCode {
    ui::finish(ui::block_on(show(arguments)))
}

async fn show(arguments: &AuditArgs) -> Result<u8, CliError> {
    let client = Client::new(Cloud::find(&arguments.data.data)?, Clock::system());
    let search = Search {
        is_denied: arguments.denied,
        principal: arguments.principal.clone(),
        action: arguments.action.clone(),
        since_ms: arguments.since.map(|span| client.clock().unix_ms() - span),
        request_id: None,
    };
    let events = search.fetch(&client, arguments.limit).await?;
    if arguments.json {
        let events: Vec<_> = events.iter().map(cloud_trail).collect();
        ui::print(&text::harmless_json(&format!("{:#}\n", serde_json::Value::from(events))))?;
    } else if events.is_empty() {
        ui::say("no such event is on record");
    } else {
        ui::print(&report(&events))?;
    }
    Ok(exit::DONE)
}

impl Search {
    /// The newest events that fit, at most `limit`, page by page.
    pub(crate) async fn fetch(&self, client: &Client, limit: usize) -> Result<Vec<Event>, CliError> {
        let mut events: Vec<Event> = Vec::new();
        let mut before = String::new();
        for _page in 0..PAGES_MAX {
            let path = format!("{PATH}?limit={}{}{before}", limit - events.len(), self.query());
            let body = client.expect(&Request::new(ACTION, "lambent", Method::GET, &path)).await?;
            let page: Page = serde_json::from_slice(&body).map_err(|error| CliError::Answer {
                action: ACTION.to_owned(),
                expected: "events",
                found: error.to_string(),
            })?;
            events.extend(page.events);
            events.truncate(limit);
            match page.next {
                Some(next) if events.len() < limit => before = format!("&before={next}"),
                _ => return Ok(events),
            }
        }
        ui::warn("the log is longer than what was looked through; say --since");
        Ok(events)
    }

    fn query(&self) -> String {
        let mut query = String::new();
        let texts = [("request", &self.request_id), ("principal", &self.principal), ("action", &self.action)];
        for (name, value) in texts {
            if let Some(value) = value {
                query += &format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        }
        if self.is_denied {
            query += "&denied=true";
        }
        if let Some(since) = self.since_ms {
            query += &format!("&since={since}");
        }
        query
    }
}

fn parse_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| format!("expected a number from 1 to {LIMIT_MAX}, got `{text}`"))
}

fn report(events: &[Event]) -> String {
    let head = [
        ("TIME", LEFT),
        ("OPERATION", LEFT),
        ("DECISION", LEFT),
        ("PRINCIPAL", LEFT),
        ("RESOURCE", LEFT),
        ("ERROR", LEFT),
        ("REQUEST ID", LEFT),
    ];
    table(&head, &events.iter().map(row).collect::<Vec<_>>())
}

fn row(event: &Event) -> Vec<String> {
    // What was denied says most; without it the first decision is that of the operation itself.
    let decided = event.decisions.iter().find(|decided| !decided.is_allowed).or(event.decisions.first());
    let more = event.decisions.len().saturating_sub(1);
    let resource = decided.map(|decided| decided.resource.as_str()).unwrap_or_default();
    vec![
        text::time(event.time_ms),
        text::cell(&format!("{}:{}", event.service, event.operation)),
        if event.is_denied() { "denied" } else { "allowed" }.to_owned(),
        text::cell(&event.who.arn),
        text::cell(&if more == 0 { resource.to_owned() } else { format!("{resource} and {more} more") }),
        text::cell(event.error.as_ref().map(|(code, _)| code.as_str()).unwrap_or_default()),
        text::cell(&event.request_id),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use lambent_audit::{Decided, Statement, Who};

    use super::*;

    /// A PutObject that a statement denied to a role's session.
    pub(crate) fn denied() -> Event {
        Event {
            id: "ab".to_owned(),
            request_id: "r1".to_owned(),
            time_ms: 1_795_282_400_120,
            region: "us-east-1".to_owned(),
            who: Who {
                kind: "AssumedRole".to_owned(),
                account: "000000000000".to_owned(),
                arn: "arn:aws:sts::000000000000:assumed-role/app/me".to_owned(),
                user_id: "AROA:me".to_owned(),
                access_key_id: "ASIA".to_owned(),
                name: Some("app".to_owned()),
                role_arn: Some("arn:aws:iam::000000000000:role/app".to_owned()),
                session_unix_s: Some(1_795_282_000),
            },
            source_ip: Some("127.0.0.1".to_owned()),
            user_agent: None,
            is_secure: false,
            service: "s3".to_owned(),
            operation: "PutObject".to_owned(),
            decisions: vec![Decided {
                action: "s3:PutObject".to_owned(),
                resource: "arn:aws:s3:::photos/a\x1b[2J".to_owned(),
                owner: "000000000000".to_owned(),
                is_allowed: false,
                is_explicit: true,
                denied_by: Some("identity-based policy".to_owned()),
                statements: vec![Statement {
                    kind: "identity-based policy".to_owned(),
                    policy: "keep".to_owned(),
                    sid: None,
                    index: 1,
                    is_allow: false,
                }],
            }],
            omitted: 0,
            error: Some(("AccessDenied".to_owned(), "no".to_owned())),
            is_answered: true,
        }
    }

    #[test]
    fn an_event_is_a_line() {
        let cells = row(&denied());
        assert_eq!(cells[1..3], ["s3:PutObject", "denied"]);
        assert_eq!(cells[4], "arn:aws:s3:::photos/a\\u{1b}[2J");
        assert_eq!(cells[5..], ["AccessDenied", "r1"]);
        let mut two = denied();
        two.decisions.push(two.decisions[0].clone());
        assert!(row(&two)[4].ends_with("and 1 more"));
    }

    #[test]
    fn what_is_asked_for_stands_in_the_query() {
        let search = Search {
            is_denied: true,
            principal: Some("arn:aws:iam::0:role/a&b".to_owned()),
            since_ms: Some(5),
            ..Search::default()
        };
        let expected = "&principal=arn%3Aaws%3Aiam%3A%3A0%3Arole%2Fa%26b&denied=true&since=5";
        assert_eq!(search.query(), expected);
    }
}
