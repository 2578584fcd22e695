//! CloudWatch Logs: durable batches of log events.

use lambent_test_client::Request;
use serde_json::json;

use super::Bench;
use super::load;
use super::server::{Folder, Server};
use super::table::Table;

const GROUP: &str = "bench";
/// Streams that are written in turn: one for each connection.
const STREAMS: usize = 64;
const BATCH_EVENTS: usize = 10;
const EVENT_BYTES: usize = 100;

/// The headers of an operation.
type Operation = [(&'static str, &'static str); 2];

const CREATE_GROUP: &Operation = &operation("Logs_20140328.CreateLogGroup");
const CREATE_STREAM: &Operation = &operation("Logs_20140328.CreateLogStream");
const PUT_EVENTS: &Operation = &operation("Logs_20140328.PutLogEvents");

const fn operation(target: &'static str) -> Operation {
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)]
}

fn logs<'a>(operation: &'a Operation, body: &'a str) -> Request<'a> {
    Request { service: "logs", method: "POST", target: "/", headers: operation, body: body.as_bytes() }
}

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = Server::lambent(bench, &folder)?;
    batches(bench, table, &server, "Logs PutLogEvents of 10, durable")
}

/// Writes batches of events to a server.
pub(super) fn batches(bench: &Bench, table: &mut Table, server: &Server, what: &str) -> anyhow::Result<()> {
    let api = server.api(bench);
    api.call(logs(CREATE_GROUP, &json!({ "logGroupName": GROUP }).to_string()))?;
    let message = "x".repeat(EVENT_BYTES);
    let mut requests = Vec::new();
    for stream in (0..STREAMS).map(|number| format!("stream-{number}")) {
        let names = json!({ "logGroupName": GROUP, "logStreamName": stream });
        api.call(logs(CREATE_STREAM, &names.to_string()))?;
        let event = json!({ "timestamp": bench.clock.unix_ms(), "message": message });
        let mut batch = names;
        batch["logEvents"] = vec![event; BATCH_EVENTS].into();
        requests.push(api.signed(logs(PUT_EVENTS, &batch.to_string()))?);
    }
    load::rows(bench, table, server, &requests, (what, ""))
}
