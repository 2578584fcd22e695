//! Events: each that was acknowledged comes to the function, and none that was never sent.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};

use super::objects::read;
use crate::client::{Client, logs, logs_operation};
use crate::setup::{FUNCTION, TOLD_BUCKET, WITNESS_MARK};
use crate::work::{EventWorker, Round};

/// Within this time after the restart everything must have been delivered.
const DELIVERY_MAX: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Checks the objects of this round, and waits until the function has printed every event of it.
pub(crate) fn events(worker: &mut EventWorker, client: &mut Client, round: &Round) -> anyhow::Result<()> {
    for event in &worker.acknowledged {
        let Some(content) = &event.object else { continue };
        match read(client, TOLD_BUCKET, &event.key)? {
            Some((bytes, etag)) if content.is(&bytes, &etag) => {}
            found => {
                let found = found.map(|(bytes, etag)| (bytes.len(), etag));
                bail!("{}: found {found:?}\nledger: {event:?}", event.key);
            }
        }
    }
    if !worker.heard {
        return Ok(());
    }
    let expected: BTreeSet<&str> = worker.acknowledged.iter().map(|event| event.key.as_str()).collect();
    let end = round.clock.monotonic() + DELIVERY_MAX;
    loop {
        let printed = printed(client, round)?;
        let own = worker.prefix();
        let mut unknown =
            printed.iter().filter(|key| key.starts_with(&own) && !worker.attempted.contains(*key));
        if let Some(key) = unknown.next() {
            bail!("the function was told of `{key}`, which was never sent");
        }
        let missing: Vec<_> = expected.iter().filter(|key| !printed.contains(**key)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if round.clock.monotonic() > end {
            bail!(
                "{} of {} events did not come within {DELIVERY_MAX:?}: {missing:?}",
                missing.len(),
                expected.len()
            );
        }
        std::thread::sleep(POLL);
    }
}

/// The keys that the function has printed since the round began.
fn printed(client: &mut Client, round: &Round) -> anyhow::Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    let mut token: Option<String> = None;
    loop {
        let mut input = serde_json::json!({
            "logGroupName": format!("/aws/lambda/{FUNCTION}"),
            "filterPattern": WITNESS_MARK,
            "startTime": round.began_unix_ms,
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
