//! A stream: every acknowledged batch once and in order, an unanswered one wholly or not at all.

use anyhow::{Context, bail};

use crate::client::{Client, logs, logs_operation};
use crate::setup::LOG_GROUP;
use crate::work::Stream;

/// Checks a stream and settles its open batches.
pub(crate) fn stream(stream: &mut Stream, client: &mut Client) -> anyhow::Result<()> {
    let Some(found) = messages(client, &stream.name)? else {
        if stream.created {
            bail!("the log stream {} is gone", stream.name);
        }
        return Ok(());
    };
    let mut rest = &found[..];
    let (name, mut kept) = (&stream.name, Vec::new());
    for mut batch in std::mem::take(&mut stream.batches) {
        let expected = batch.messages(name);
        if rest.starts_with(&expected) {
            rest = &rest[expected.len()..];
            batch.acknowledged = true;
            kept.push(batch);
        } else if batch.acknowledged {
            bail!("{name}: expected `{}`, found {:?}\nledger: {batch:?}", expected[0], rest.first());
        }
    }
    if let Some(message) = rest.first() {
        bail!("{name}: `{message}` is there more than once, in part, or was never sent");
    }
    stream.batches = kept;
    Ok(())
}

/// All messages of a stream in order; `None` when there is no such stream.
fn messages(client: &mut Client, stream: &str) -> anyhow::Result<Option<Vec<String>>> {
    let mut messages = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut input = serde_json::json!({
            "logGroupName": LOG_GROUP,
            "logStreamName": stream,
            "startFromHead": true,
        });
        if let Some(token) = &token {
            input["nextToken"] = token.as_str().into();
        }
        let body = input.to_string();
        let answer = client.ask(logs(logs_operation!("GetLogEvents"), body.as_bytes()))?;
        if answer.status == 400 && answer.text().contains("ResourceNotFoundException") {
            return Ok(None);
        }
        if !answer.is_success() {
            bail!("GetLogEvents: {}", answer.text());
        }
        let page: serde_json::Value =
            serde_json::from_slice(&answer.body).context("GetLogEvents gave no JSON")?;
        for event in page["events"].as_array().into_iter().flatten() {
            messages.push(event["message"].as_str().unwrap_or_default().to_owned());
        }
        let next = page["nextForwardToken"].as_str().map(str::to_owned);
        if next.is_none() || next == token {
            return Ok(Some(messages));
        }
        token = next;
    }
}
