//! From the commit of an item to the function that its table's stream is mapped to.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_test_client::{Api, Connection, FORM, Request, encoded};
use serde_json::{Value, json};

use super::Bench;
use super::functions::{self, Kind, Packages, ROLE};
use super::server::Folder;
use super::table::{Row, Table};

const TABLE: &str = "mapped";
const JSON: (&str, &str) = ("content-type", "application/json");
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}]}"#;
/// Items written one after another, and before those as many that warm everything up.
const ITEMS: usize = 300;
const WARM_UP: usize = 20;
/// Between two items: long enough that each is a batch of its own.
const PAUSE: Duration = Duration::from_millis(20);
/// Items written at once, to see how fast a shard goes.
const BURST: usize = 2_000;
const BATCH: usize = 25;
const POLL: Duration = Duration::from_millis(50);
const POLLS_MAX: usize = 600;
/// Lines of the function's log in one page.
const LINES: usize = 100;
/// What every line of the function's log that counts begins with.
const MARK: &str = "BENCH ";

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for kind in [Kind::Records, Kind::NodeRecords] {
        one_kind(bench, table, kind)?;
    }
    Ok(())
}

fn one_kind(bench: &Bench, table: &mut Table, kind: Kind) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = functions::server(bench, &folder, &[])?;
    let api = server.api(bench);
    let names = functions::names("mapped", 1);
    Packages::of(kind)?.deploy(bench, &server, &names, true)?;
    map(&api, &names[0])?;
    let mut connection = Connection::open(server.address)?;
    let count = WARM_UP + bench.count(ITEMS);
    let mut written = Vec::with_capacity(count);
    for number in 0..count {
        let put = json!({ "TableName": TABLE, "Item": item(number) });
        dynamodb(&api, &mut connection, "PutItem", &put)?;
        // Whoever is answered knows that it is committed.
        written.push(bench.clock.unix_us());
        std::thread::sleep(PAUSE);
    }
    let handled = handled(&api, &names[0], count)?;
    let times = written.iter().enumerate().skip(WARM_UP).map(|(number, written_us)| {
        let handled_us = handled.get(&number).context("an item never came")?;
        #[expect(clippy::cast_precision_loss, reason = "the difference is small")]
        Ok((handled_us - written_us).max(0) as f64)
    });
    let times = times.collect::<anyhow::Result<Vec<_>>>()?;
    let what = format!("DynamoDB stream, from PutItem's answer to the handler, {}", kind.name());
    table.row(Row { target: "p50 at most 10 ms".to_owned(), ..Row::times(what, times) });
    burst(bench, table, (&api, kind, &names[0]), count)
}

/// Many items at once: how many a second the function has had when it has had them all.
fn burst(
    bench: &Bench,
    table: &mut Table,
    (api, kind, function): (&Api<'_>, Kind, &str),
    from: usize,
) -> anyhow::Result<()> {
    let items = bench.count(BURST);
    let mut connection = Connection::open(api.address)?;
    let began_us = bench.clock.unix_us();
    for first in (from..from + items).step_by(BATCH) {
        let puts = (first..(first + BATCH).min(from + items))
            .map(|number| json!({ "PutRequest": { "Item": item(number) } }));
        let batch = json!({ "RequestItems": { TABLE: puts.collect::<Vec<_>>() } });
        dynamodb(api, &mut connection, "BatchWriteItem", &batch)?;
    }
    let handled = handled(api, function, from + items)?;
    let last_us = handled.values().max().context("no item came")?;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let rate = items as f64 / ((last_us - began_us).max(1) as f64 / 1e6);
    let what = format!("DynamoDB stream, {items} items at once through batches of 100, {}", kind.name());
    table.figure(what, format!("{rate:.0} items/s"), "");
    Ok(())
}

fn item(number: usize) -> Value {
    json!({ "pk": { "S": format!("item-{number}") }, "n": { "N": number.to_string() } })
}

/// Makes the table, and maps its stream to the function.
fn map(api: &Api<'_>, function: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(api.address)?;
    let allow = format!(
        "Action=PutRolePolicy&Version=2010-05-08&RoleName={ROLE}&PolicyName=read&PolicyDocument={}",
        encoded(POLICY)
    );
    let allow =
        Request { service: "iam", method: "POST", target: "/", headers: &[FORM], body: allow.as_bytes() };
    api.call_on(&mut connection, allow)?;
    let made = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
    });
    let made = dynamodb(api, &mut connection, "CreateTable", &made)?;
    let stream = &made["TableDescription"]["LatestStreamArn"];
    let mapping = json!({
        "FunctionName": function,
        "EventSourceArn": stream,
        "StartingPosition": "TRIM_HORIZON",
    })
    .to_string();
    let create = Request {
        service: "lambda",
        method: "POST",
        target: "/2015-03-31/event-source-mappings",
        headers: &[JSON],
        body: mapping.as_bytes(),
    };
    api.call_on(&mut connection, create)?;
    Ok(())
}

/// When the function saw each item, in microseconds since 1970, by the items' numbers; waits until there are so many.
fn handled(api: &Api<'_>, function: &str, count: usize) -> anyhow::Result<HashMap<usize, i64>> {
    let mut connection = Connection::open(api.address)?;
    for _ in 0..POLLS_MAX {
        let mut handled = HashMap::new();
        let mut wanted = json!({
            "logGroupName": format!("/aws/lambda/{function}"),
            "filterPattern": MARK.trim(),
            "limit": LINES,
        });
        loop {
            let page = call(api, &mut connection, "logs", "Logs_20140328.FilterLogEvents", &wanted)?;
            for line in page["events"].as_array().into_iter().flatten() {
                let line = line["message"].as_str().and_then(|line| line.strip_prefix(MARK));
                let Some((number, time)) = line.and_then(|line| line.trim().split_once(' ')) else {
                    continue;
                };
                handled.entry(number.parse()?).or_insert(time.parse()?);
            }
            match page["nextToken"].as_str() {
                Some(token) => wanted["nextToken"] = token.into(),
                None => break,
            }
        }
        if handled.len() >= count {
            return Ok(handled);
        }
        std::thread::sleep(POLL);
    }
    bail!("the function did not get {count} items")
}

fn dynamodb(
    api: &Api<'_>,
    connection: &mut Connection,
    operation: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    call(api, connection, "dynamodb", &format!("DynamoDB_20120810.{operation}"), body)
}

fn call(
    api: &Api<'_>,
    connection: &mut Connection,
    service: &str,
    target: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
    let body = body.to_string();
    let request = Request { service, method: "POST", target: "/", headers: &headers, body: body.as_bytes() };
    let answer = api.call_on(connection, request)?;
    serde_json::from_slice(&answer.body).with_context(|| format!("{target} gave no JSON"))
}
