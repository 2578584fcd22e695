//! Function URLs: warm calls beside those of Invoke, and how soon a streamed byte is there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_test_client::{Api, Connection, Request};
use serde_json::{Value, json};

use super::Bench;
use super::functions::{self, Kind, Packages, invocation};
use super::load::{Load, Order, median};
use super::server::{Folder, Server};
use super::table::{Row, Table};

const JSON: (&str, &str) = ("content-type", "application/json");
const WARM_UP: Duration = Duration::from_secs(2);
const STREAMS: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 16 * 1024;

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for kind in [Kind::Python, Kind::Node] {
        let folder = Folder::new(bench)?;
        let server = functions::server(bench, &folder, &[])?;
        let names = functions::names("url", 1);
        Packages::of(kind)?.deploy(bench, &server, &names, true)?;
        let direct = invocation(&server.api(bench), &names[0])?;
        let by_url = get(&open_url(&server.api(bench), &names[0], "BUFFERED")?);
        for (what, request, target) in [
            (format!("Invoke, beside a URL, {}", kind.name()), direct, ""),
            (format!("function URL, warm, {}", kind.name()), by_url, "p50 at most 60 us above Invoke's"),
        ] {
            let requests = [request];
            let load = |time| Load {
                address: server.address,
                connections: 1,
                requests: &requests,
                order: Order::Own,
                time,
            };
            load(WARM_UP.min(4 * bench.row_time())).run(&bench.clock, server.pid())?;
            let outcome = load(bench.row_time()).run(&bench.clock, server.pid())?;
            table.load(what, 1, &outcome, String::new(), target);
        }
    }
    first_bytes(bench, table)
}

/// From when a handler writes its first byte to when the client has it.
fn first_bytes(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = functions::server(bench, &folder, &[])?;
    let names = functions::names("stream", 1);
    Packages::of(Kind::Stream)?.deploy(bench, &server, &names, true)?;
    let request = get(&open_url(&server.api(bench), &names[0], "RESPONSE_STREAM")?);
    first_byte_us(bench, &server, &request)?;
    let times = (0..bench.count(STREAMS).max(10)).map(|_| first_byte_us(bench, &server, &request));
    let times = times.collect::<anyhow::Result<Vec<_>>>()?;
    let middle = median(times.clone());
    let row = Row::times("function URL, first streamed byte after it was written, Node", times);
    table.row(Row {
        figure: format!("{}, median {middle:.0} us", row.figure),
        target: "at most 1 ms".to_owned(),
        ..row
    });
    Ok(())
}

fn first_byte_us(bench: &Bench, server: &Server, request: &[u8]) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let (mut seen, mut piece) = (Vec::new(), vec![0; READ_BYTES]);
    loop {
        let length = stream.read(&mut piece)?;
        let now_us = bench.clock.unix_us();
        if length == 0 {
            bail!("the stream ended without a time: {}", String::from_utf8_lossy(&seen));
        }
        seen.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&seen);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        // The chunk: its size, a line end, and the time with a semicolon behind it.
        let Some(written) = body.split_once("\r\n").and_then(|(_, rest)| rest.split_once(';')) else {
            continue;
        };
        let written_us: i64 = written.0.trim().parse().context("the stream begins with no time")?;
        #[expect(clippy::cast_precision_loss, reason = "the difference is small")]
        return Ok((now_us - written_us) as f64);
    }
}

/// Gives a function a URL that everybody may use; the URL's host.
fn open_url(api: &Api<'_>, name: &str, mode: &str) -> anyhow::Result<String> {
    let created = call(
        api,
        &format!("/2021-10-31/functions/{name}/url"),
        &json!({ "AuthType": "NONE", "InvokeMode": mode }),
    )?;
    let permissions = [
        json!({ "StatementId": "url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*",
            "FunctionUrlAuthType": "NONE" }),
        json!({ "StatementId": "via", "Action": "lambda:InvokeFunction", "Principal": "*",
            "InvokedViaFunctionUrl": true }),
    ];
    for permission in &permissions {
        call(api, &format!("/2015-03-31/functions/{name}/policy"), permission)?;
    }
    let url = created["FunctionUrl"].as_str().context("CreateFunctionUrlConfig gave no URL")?;
    let host = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
    host.map(str::to_owned).with_context(|| format!("`{url}` is not what a URL looks like"))
}

fn call(api: &Api<'_>, target: &str, body: &Value) -> anyhow::Result<Value> {
    let body = body.to_string();
    let post = Request { service: "lambda", method: "POST", target, headers: &[JSON], body: body.as_bytes() };
    let answer = api.call_on(&mut Connection::open(api.address)?, post)?;
    serde_json::from_slice(&answer.body).with_context(|| format!("{target}: {}", answer.text()))
}

fn get(host: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nhost: {host}\r\nuser-agent: bench\r\n\r\n").into_bytes()
}
