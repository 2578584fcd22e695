//! Events: each that was acknowledged comes to the function, and none that was never sent. Cause and event are there
//! together, or neither is, also where no answer came.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};

use super::objects::read;
use crate::client::{Client, logs, logs_operation};
use crate::setup::{FUNCTION, TOLD_BUCKET, WITNESS_MARK};
use crate::work::{Event, EventWorker, Outcome};

/// Within this time after the restart everything must have been delivered.
const DELIVERY_MAX: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Reads every object that was attempted from `first` on, and waits until the function has printed every event of what has
/// happened; what was not answered is settled. `began_unix_ms` is when the first of them was sent, or before.
pub(crate) fn events(
    worker: &mut EventWorker,
    first: usize,
    began_unix_ms: i64,
    client: &mut Client,
) -> anyhow::Result<()> {
    worker.events[first..].iter_mut().try_for_each(|event| settle(event, client))?;
    if !worker.heard {
        return Ok(());
    }
    let own = worker.prefix();
    let attempted: BTreeSet<&str> = worker.events.iter().map(|event| event.key.as_str()).collect();
    let end = client.now() + DELIVERY_MAX;
    loop {
        let printed = printed(client, began_unix_ms)?;
        let mut told = printed.iter().filter(|key| key.starts_with(&own));
        if let Some(key) = told.find(|key| !attempted.contains(key.as_str())) {
            bail!("the function was told of `{key}`, which was never sent");
        }
        let of = |outcome| worker.events[first..].iter().filter(move |event| event.outcome == outcome);
        if let Some(event) = of(Outcome::Missed).find(|event| printed.contains(&event.key)) {
            bail!("the function was told of `{}`, which is not there\nledger: {event:?}", event.key);
        }
        let missing: Vec<_> = of(Outcome::Happened).filter(|event| !printed.contains(&event.key)).collect();
        let Some(one) = missing.first() else { return Ok(()) };
        if client.now() > end {
            let (missing, all) = (missing.len(), of(Outcome::Happened).count());
            bail!("{missing} of {all} events did not come within {DELIVERY_MAX:?}, one of them: {one:?}");
        }
        std::thread::sleep(POLL);
    }
}

/// Reads the object of an event, whole or not there; of one that was not answered it is known afterwards what became.
fn settle(event: &mut Event, client: &mut Client) -> anyhow::Result<()> {
    let Some(content) = &event.object else { return Ok(()) };
    event.outcome = match (event.outcome, read(client, TOLD_BUCKET, &event.key)?) {
        (Outcome::Open | Outcome::Happened, Some((bytes, etag))) if content.is(&bytes, &etag) => {
            Outcome::Happened
        }
        (Outcome::Open | Outcome::Missed, None) => Outcome::Missed,
        (_, found) => {
            let found = found.map(|(bytes, etag)| (bytes.len(), etag));
            bail!("{}: found {found:?}\nledger: {event:?}", event.key);
        }
    };
    Ok(())
}

/// The keys that the function has printed since then.
pub(crate) fn printed(client: &mut Client, began_unix_ms: i64) -> anyhow::Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    let mut token: Option<String> = None;
    loop {
        let mut input = serde_json::json!({
            "logGroupName": format!("/aws/lambda/{FUNCTION}"),
            "filterPattern": WITNESS_MARK,
            "startTime": began_unix_ms,
        });
        if let Some(token) = &token {
            input["nextToken"] = token.as_str().into();
        }
        let body = input.to_string();
        let answer = client.ask(logs(logs_operation!("FilterLogEvents"), body.as_bytes()))?;
        if answer.status == 400 && answer.text().contains("ResourceNotFoundException") {
            return Ok(keys);
        }
        if !answer.is_success() {
            bail!("FilterLogEvents: {}", answer.text());
        }
        let page: serde_json::Value =
            serde_json::from_slice(&answer.body).context("FilterLogEvents gave no JSON")?;
        for event in page["events"].as_array().into_iter().flatten() {
            let message = event["message"].as_str().unwrap_or_default();
            let key = message.strip_prefix(WITNESS_MARK).and_then(|rest| rest.split_whitespace().next());
            keys.extend(key.map(str::to_owned));
        }
        token = page["nextToken"].as_str().map(str::to_owned);
        if token.is_none() {
            return Ok(keys);
        }
    }
}
