//! DynamoDB: items read, written, queried and counted, beside the machine's own fsync; and the same reads of a big table.

use std::fs::File;
use std::io::Write;

use anyhow::Context;
use lambent_test_client::{Api, Request};
use serde_json::{Value, json};

use super::Bench;
use super::load::{self, Load, Order};
use super::process;
use super::server::{Folder, Server};
use super::starts::start_ms;
use super::table::{Row, Table};

const TABLE: &str = "bench";
/// Items of the small table, and of the big one.
const ITEMS: usize = 10_000;
const ITEMS_BIG: usize = 10_000_000;
/// What an item has besides its key, so that it is of 100 bytes.
const TEXT_BYTES: usize = 80;
/// The partition that is queried, and its items.
const PARTITION: &str = "queried";
const PARTITION_ITEMS: usize = 100;
/// What BatchWriteItem takes at once.
const BATCH: usize = 25;
/// Batches that are prepared at once.
const PREPARED: usize = 4_000;
const LOADERS: usize = 16;
/// Requests of a row, which are sent in turn.
const REQUESTS: usize = 4_096;
const REGISTERS: usize = 64;
const FSYNCS: usize = 200;
const FSYNC_BYTES: usize = 512;
const MIB: f64 = 1024.0 * 1024.0;

/// The headers of an operation.
type Operation = [(&'static str, &'static str); 2];

const CREATE_TABLE: &Operation = &operation("DynamoDB_20120810.CreateTable");
const BATCH_WRITE: &Operation = &operation("DynamoDB_20120810.BatchWriteItem");
const GET: &Operation = &operation("DynamoDB_20120810.GetItem");
const PUT: &Operation = &operation("DynamoDB_20120810.PutItem");
const QUERY: &Operation = &operation("DynamoDB_20120810.Query");
const TRANSACT_WRITE: &Operation = &operation("DynamoDB_20120810.TransactWriteItems");
const UPDATE: &Operation = &operation("DynamoDB_20120810.UpdateItem");

const fn operation(target: &'static str) -> Operation {
    [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)]
}

fn call<'a>(operation: &'a Operation, body: &'a str) -> Request<'a> {
    Request { service: "dynamodb", method: "POST", target: "/", headers: operation, body: body.as_bytes() }
}

/// The usual operations, on a small table.
pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = Server::lambent(bench, &folder)?;
    create(&server.api(bench))?;
    fill(bench, &server, ITEMS)?;
    let text = "x".repeat(TEXT_BYTES);
    let key = |number: usize| json!({ "pk": { "S": name(number) }, "sk": { "S": "0" } });
    let item = |prefix: &str, number: usize| json!({ "pk": { "S": format!("{prefix}-{number}") }, "sk": { "S": "0" }, "text": { "S": text } });
    fsyncs(bench, &folder, table)?;
    gets(bench, table, &server, (ITEMS, "DynamoDB GetItem of 100 bytes"), "40 us CPU; 20,000/s at 64")?;
    let puts = |number| json!({ "TableName": TABLE, "Item": item("put", number) });
    let target = "90 us CPU; 12,000/s at 64; p50 within 0.3 ms of fsync";
    row(bench, table, &server, (PUT, REQUESTS, &puts), ("DynamoDB PutItem of 100 bytes, durable", target))?;
    let partition = |number: usize| {
        let mut item = item("", 0);
        item["pk"] = json!({ "S": PARTITION });
        item["sk"] = json!({ "S": format!("{number:05}") });
        item
    };
    write(bench, &server, PARTITION_ITEMS, &partition)?;
    let query = |_| {
        json!({
            "TableName": TABLE,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": PARTITION } },
        })
    };
    row(bench, table, &server, (QUERY, 1, &query), ("DynamoDB Query of 100 items", "400 us CPU"))?;
    let transaction = |number: usize| {
        let put =
            |part: usize| json!({ "Put": { "TableName": TABLE, "Item": item("moved", number * 4 + part) } });
        json!({ "TransactItems": (0..4).map(put).collect::<Vec<_>>() })
    };
    let transactions = (TRANSACT_WRITE, REQUESTS, &transaction as &dyn Fn(usize) -> Value);
    row(bench, table, &server, transactions, ("DynamoDB TransactWriteItems of 4, durable", "250 us CPU"))?;
    let add = |number: usize| {
        json!({
            "TableName": TABLE,
            "Key": key(number),
            "UpdateExpression": "ADD hits :one",
            "ExpressionAttributeValues": { ":one": { "N": "1" } },
        })
    };
    row(bench, table, &server, (UPDATE, 1, &add), ("DynamoDB UpdateItem, one counter", "2,000/s at 64"))?;
    row(bench, table, &server, (UPDATE, REGISTERS, &add), ("DynamoDB UpdateItem, 64 counters", ""))?;
    Ok(())
}

/// Point reads of a table of ten million items, the memory that they take, and a start with them.
pub(super) fn measure_big(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = Server::lambent(bench, &folder)?;
    create(&server.api(bench))?;
    let items = bench.count(ITEMS_BIG);
    let began = bench.clock.monotonic();
    fill(bench, &server, items)?;
    let rate = items as f64 / (bench.clock.monotonic() - began).as_secs_f64();
    table.figure(format!("DynamoDB BatchWriteItem of {items} items"), format!("{rate:.0} items/s"), "");
    let what = format!("DynamoDB GetItem among {items}");
    gets(bench, table, &server, (items, &what), "1.5 of the figure at 10,000")?;
    let memory = process::memory_bytes(server.pid(), "VmRSS")? as f64 / MIB;
    let peak = process::memory_bytes(server.pid(), "VmHWM")? as f64 / MIB;
    let figure = format!("VmRSS {memory:.0} MiB, VmHWM {peak:.0} MiB");
    table.figure(format!("Memory with {items} items"), figure, "below 300 MiB");
    server.kill()?;
    let figure = format!("{:.0} ms", start_ms(bench, &folder)?);
    table.figure(format!("Start after kill -9 with {items} items"), figure, "below 1 s");
    Ok(())
}

fn create(api: &Api<'_>) -> anyhow::Result<()> {
    let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let table = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [attribute("pk"), attribute("sk")],
        "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        "BillingMode": "PAY_PER_REQUEST",
    });
    api.call(call(CREATE_TABLE, &table.to_string()))?;
    Ok(())
}

fn name(number: usize) -> String {
    format!("item-{number:08}")
}

fn fill(bench: &Bench, server: &Server, items: usize) -> anyhow::Result<()> {
    let text = "x".repeat(TEXT_BYTES);
    write(
        bench,
        server,
        items,
        &|number| json!({ "pk": { "S": name(number) }, "sk": { "S": "0" }, "text": { "S": text } }),
    )
}

/// Writes that many items.
fn write(bench: &Bench, server: &Server, items: usize, item: &dyn Fn(usize) -> Value) -> anyhow::Result<()> {
    let api = server.api(bench);
    let batches: Vec<usize> = (0..items).step_by(BATCH).collect();
    for part in batches.chunks(PREPARED) {
        let batch = |first: &usize| {
            let puts = (*first..items.min(first + BATCH))
                .map(|number| json!({ "PutRequest": { "Item": item(number) } }));
            let body = json!({ "RequestItems": { TABLE: puts.collect::<Vec<_>>() } });
            api.signed(call(BATCH_WRITE, &body.to_string()))
        };
        let requests = part.iter().map(batch).collect::<anyhow::Result<Vec<_>>>()?;
        let load = Load {
            address: server.address,
            connections: LOADERS,
            requests: &requests,
            order: Order::Once,
            time: std::time::Duration::from_secs(600),
        };
        let outcome = load.run(&bench.clock, server.pid())?;
        if let Some((count, first)) = outcome.refused {
            anyhow::bail!("{count} batches were refused: {first}");
        }
    }
    Ok(())
}

/// Reads of items here and there in the table.
fn gets(
    bench: &Bench,
    table: &mut Table,
    server: &Server,
    (items, what): (usize, &str),
    target: &'static str,
) -> anyhow::Result<()> {
    let body = |number: usize| {
        // A step that is prime to the count meets all of them.
        let number = number.wrapping_mul(7_368_787) % items;
        json!({ "TableName": TABLE, "Key": { "pk": { "S": name(number) }, "sk": { "S": "0" } } })
    };
    row(bench, table, server, (GET, REQUESTS * 16, &body), (what, target))
}

/// The rows of one operation, whose requests are made by their number.
fn row(
    bench: &Bench,
    table: &mut Table,
    server: &Server,
    (operation, count, body): (&Operation, usize, &dyn Fn(usize) -> Value),
    (what, target): (&str, &'static str),
) -> anyhow::Result<()> {
    let api = server.api(bench);
    let signed = |number| api.signed(call(operation, &body(number).to_string()));
    let requests = (0..count).map(signed).collect::<anyhow::Result<Vec<_>>>()?;
    load::rows(bench, table, server, &requests, (what, target))
}

/// What a durable write cannot be faster than: the end of a file, synced.
fn fsyncs(bench: &Bench, folder: &Folder, table: &mut Table) -> anyhow::Result<()> {
    let path = folder.path().join("fsync");
    let mut file = File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
    let mut times_us = Vec::new();
    for _ in 0..bench.count(FSYNCS).max(20) {
        let began = bench.clock.monotonic();
        file.write_all(&[b'x'; FSYNC_BYTES])?;
        file.sync_data()?;
        times_us.push((bench.clock.monotonic() - began).as_secs_f64() * 1e6);
    }
    table.row(Row::times("Floor: 512 bytes appended and synced", times_us));
    Ok(())
}
