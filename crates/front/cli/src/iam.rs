//! `lambent iam`: why a request was allowed or denied, and the least policy for what a role does.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use lambent_audit::{Decided, Event, Statement, suggest};
use lambent_base::Clock;

use crate::audit::Search;
use crate::client::Client;
use crate::cloud::{Cloud, DataArg};
use crate::{CliError, exit, text, ui};

/// Events that a suggestion is made of at most.
const SUGGEST_EVENTS_MAX: usize = 100_000;

/// Explain decisions, and suggest policies
#[derive(Args, Clone, Debug)]
pub struct IamArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Show which statements decided on a request
    Explain(ExplainArgs),
    /// Print the least policy that would have allowed what a role or a user did
    Suggest(SuggestArgs),
}

#[derive(Args, Clone, Debug)]
struct ExplainArgs {
    /// What the answer's header x-amzn-requestid (of S3: x-amz-request-id) or the client's error says
    request_id: String,
    #[command(flatten)]
    data: DataArg,
}

#[derive(Args, Clone, Debug)]
struct SuggestArgs {
    /// The name or ARN of a role or a user
    principal: String,
    /// How far to look back, as 10m, 2h, 3d
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = text::parse_span_ms)]
    since: i64,
    #[command(flatten)]
    data: DataArg,
}

/// Runs one of the commands.
pub fn run(arguments: &IamArgs) -> ExitCode {
    ui::finish(ui::block_on(async {
        match &arguments.command {
            Command::Explain(arguments) => explain(arguments).await,
            Command::Suggest(arguments) => suggest_policy(arguments).await,
        }
    }))
}

async fn explain(arguments: &ExplainArgs) -> Result<u8, CliError> {
    let client = Client::new(Cloud::find(&arguments.data.data)?, Clock::system());
    let id = &arguments.request_id;
    // Those with a no are few, so they are looked through first.
    for is_denied in [true, false] {
        let search = Search { is_denied, request_id: Some(id.clone()), ..Search::default() };
        if let Some(event) = search.fetch(&client, 1).await?.first() {
            ui::print(&explanation(event))?;
            return Ok(exit::DONE);
        }
    }
    ui::say(format_args!(
        "no decision on a request {} is on record: either it is not the id of one, or its signature was not valid, so that nothing \
         was decided",
        text::harmless(id)
    ));
    Ok(exit::FAILED)
}

async fn suggest_policy(arguments: &SuggestArgs) -> Result<u8, CliError> {
    let client = Client::new(Cloud::find(&arguments.data.data)?, Clock::system());
    let since_ms = client.clock().unix_ms() - arguments.since;
    let principal = Some(arguments.principal.clone());
    let search = Search { principal, since_ms: Some(since_ms), ..Search::default() };
    let events = search.fetch(&client, SUGGEST_EVENTS_MAX).await?;
    if events.is_empty() {
        ui::say(format_args!("nothing that {} did is on record", text::harmless(&arguments.principal)));
        return Ok(exit::FAILED);
    }
    let is_role = |event: &Event| event.who.role_arn.is_some();
    if events.iter().any(is_role) && !events.iter().all(is_role) {
        ui::say("a role and a user have this name: say the ARN of the one that is meant");
        return Ok(exit::FAILED);
    }
    let suggestion = suggest(&events);
    ui::say(format_args!("made of {} requests, denied ones among them", text::count(events.len() as u64)));
    if events.len() == SUGGEST_EVENTS_MAX {
        ui::warn("there are more requests than were looked at; say a shorter --since");
    }
    ui::print(&text::harmless_json(&format!("{:#}\n", suggestion.policy())))?;
    Ok(exit::DONE)
}

fn explanation(event: &Event) -> String {
    let mut told = format!(
        "{} {}:{} by {}\n",
        text::time(event.time_ms),
        text::cell(&event.service),
        text::cell(&event.operation),
        text::cell(&event.who.arn)
    );
    if let Some((code, message)) = &event.error {
        told += &format!("answered: {}: {}\n", text::cell(code), text::cell(message));
    }
    for decided in &event.decisions {
        told += &reasons(decided);
    }
    told
}

fn reasons(decided: &Decided) -> String {
    let (action, resource) = (text::cell(&decided.action), text::cell(&decided.resource));
    let verdict = if decided.is_allowed { "allowed" } else { "denied" };
    let mut told = format!("\n{verdict}: {action} on {resource}\n");
    if !decided.is_allowed && !decided.is_explicit {
        let kind = decided.denied_by.as_deref().unwrap_or("policy");
        told += &format!("  no {kind} allows it\n");
    }
    if decided.is_allowed && decided.statements.is_empty() {
        told += "  the account's root may do everything in it\n";
    }
    for statement in &decided.statements {
        told += &format!("  {}\n", line_of(statement));
    }
    told
}

fn line_of(statement: &Statement) -> String {
    let effect = if statement.is_allow { "Allow" } else { "Deny" };
    let number = statement.index + 1;
    let sid = statement.sid.as_deref().map(|sid| format!(" ({})", text::cell(sid))).unwrap_or_default();
    let of = match statement.policy.as_str() {
        "" => statement.kind.clone(),
        policy => format!("{} {}", statement.kind, text::cell(policy)),
    };
    format!("{effect}: statement {number}{sid} of the {of}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::denied;

    #[test]
    fn a_no_names_its_statement() {
        let expected = "\
2026-11-21T17:33:20.120Z s3:PutObject by arn:aws:sts::000000000000:assumed-role/app/me
answered: AccessDenied: no

denied: s3:PutObject on arn:aws:s3:::photos/a\\u{1b}[2J
  Deny: statement 2 of the identity-based policy keep
";
        assert_eq!(explanation(&denied()), expected);
    }

    #[test]
    fn silence_and_root_are_told() {
        let mut event = denied();
        event.decisions[0].is_explicit = false;
        event.decisions[0].statements.clear();
        assert!(explanation(&event).contains("no identity-based policy allows it"));
        event.decisions[0].is_allowed = true;
        assert!(explanation(&event).contains("root may do everything"));
    }
}
