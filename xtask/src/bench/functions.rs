//! Functions that return their event, warm and cold.

use std::io::{Cursor, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use lambent_test_client::{Answer, Api, Connection, FORM, Request, encoded};
use zip::write::SimpleFileOptions;

use super::load::{Load, median};
use super::server::{Folder, Server};
use super::table::Table;
use super::{Bench, CONNECTIONS};

const EVENT: &[u8] = br#"{"key1": "value1", "key2": "value2", "key3": "value3"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");
const FUNCTIONS: &str = "/2015-03-31/functions";
const ROLE: &str = "bench";
const ACCOUNT: &str = "000000000000";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const COLD_STARTS: usize = 10;
const ACTIVE_POLL: Duration = Duration::from_millis(20);
const ACTIVE_POLLS_MAX: usize = 500;
/// Before a row, so that there is a warm environment for each of its connections: this long for each, and at least.
const WARM_UP_EACH: Duration = Duration::from_millis(150);
const WARM_UP_MIN: Duration = Duration::from_secs(2);
const TARGET_WARM: &str = "at most 400 us p50 at 1 connection, growing with connections";

/// What a function is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    Node,
}

impl Language {
    const ALL: [Self; 2] = [Self::Python, Self::Node];

    fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Node => "Node",
        }
    }

    fn runtime(self) -> &'static str {
        match self {
            Self::Python => "python3.13",
            Self::Node => "nodejs22.x",
        }
    }

    /// File name and text of a function that returns its event.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Python => ("index.py", "def handler(event, context):\n    return event\n"),
            Self::Node => ("index.js", "exports.handler = async (event) => event;\n"),
        }
    }

    fn target_cold(self) -> &'static str {
        match self {
            Self::Python => "at most 150 ms",
            Self::Node => "at most 200 ms",
        }
    }
}

pub(super) fn measure_warm(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for language in Language::ALL {
        let folder = Folder::new(bench)?;
        let server = Server::lambent(bench, &folder)?;
        let api = server.api(bench);
        create_role(&api)?;
        deploy(&api, "echo", language)?;
        check_echo(&Connection::open(server.address)?.exchange(&invocation(&api, "echo")?)?)?;
        for connections in CONNECTIONS {
            let requests = [invocation(&api, "echo")?];
            let load =
                |time| Load { address: server.address, connections, requests: &requests, again: true, time };
            let warm_up = (WARM_UP_EACH * u32::try_from(connections)?).max(WARM_UP_MIN);
            load(warm_up).run(&bench.clock, server.pid())?;
            let outcome = load(bench.row_time()).run(&bench.clock, server.pid())?;
            let children = outcome.per_operation_us(outcome.cpu.children());
            let what = format!("Lambda Invoke, warm, {} echo", language.name());
            let figure = format!("environments' CPU {children:.1} us/op");
            table.load(what, connections, &outcome, figure, TARGET_WARM);
        }
    }
    Ok(())
}

pub(super) fn measure_cold(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = Server::lambent(bench, &folder)?;
    let api = server.api(bench);
    create_role(&api)?;
    for language in Language::ALL {
        let mut times_ms = Vec::new();
        for index in 0..COLD_STARTS {
            let name = format!("cold-{}-{index}", language.name());
            deploy(&api, &name, language)?;
            let request = invocation(&api, &name)?;
            let mut connection = Connection::open(server.address)?;
            let started = bench.clock.monotonic();
            let answer = connection.exchange(&request)?;
            times_ms.push((bench.clock.monotonic() - started).as_secs_f64() * 1e3);
            check_echo(&answer)?;
        }
        let worst = times_ms.iter().copied().fold(0.0, f64::max);
        let figure = format!("median {:.1} ms, slowest of {COLD_STARTS} {worst:.1} ms", median(times_ms));
        let what = format!("Lambda Invoke, first, {} echo", language.name());
        table.figure(what, figure, language.target_cold());
    }
    Ok(())
}

/// Makes the role that every function here has.
pub(super) fn create_role(api: &Api<'_>) -> anyhow::Result<()> {
    let body = format!(
        "Action=CreateRole&Version=2010-05-08&RoleName={ROLE}&AssumeRolePolicyDocument={}",
        encoded(TRUST)
    );
    api.call(Request {
        service: "iam",
        method: "POST",
        target: "/",
        headers: &[FORM],
        body: body.as_bytes(),
    })?;
    Ok(())
}

/// The zip with a function that returns its event, in base64. Another mark makes it other code, which the server has
/// not unpacked yet.
pub(super) fn package(language: Language, mark: &str) -> anyhow::Result<String> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let (name, source) = language.source();
    zip.start_file(name, SimpleFileOptions::default().unix_permissions(0o644))
        .context("could not begin a zip")?;
    zip.write_all(source.as_bytes())?;
    zip.start_file("mark.txt", SimpleFileOptions::default()).context("could not go on with a zip")?;
    zip.write_all(mark.as_bytes())?;
    let bytes = zip.finish().context("could not end a zip")?.into_inner();
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// The request that creates a function.
pub(super) fn create(
    api: &Api<'_>,
    name: &str,
    language: Language,
    package: &str,
) -> anyhow::Result<Vec<u8>> {
    let body = serde_json::json!({
        "FunctionName": name,
        "Runtime": language.runtime(),
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
        "Handler": "index.handler",
        "Code": { "ZipFile": package },
    });
    api.signed(Request {
        service: "lambda",
        method: "POST",
        target: FUNCTIONS,
        headers: &[JSON],
        body: body.to_string().as_bytes(),
    })
}

/// Asks until the function can be invoked.
pub(super) fn wait_until_active(api: &Api<'_>, name: &str) -> anyhow::Result<()> {
    let target = format!("{FUNCTIONS}/{name}/configuration");
    let mut connection = Connection::open(api.address)?;
    let mut last = String::new();
    for _ in 0..ACTIVE_POLLS_MAX {
        let get = Request { service: "lambda", method: "GET", target: &target, headers: &[], body: b"" };
        let answer = api.call_on(&mut connection, get)?;
        let function: serde_json::Value =
            serde_json::from_slice(&answer.body).context("GetFunctionConfiguration gave no JSON")?;
        match function["State"].as_str() {
            Some("Active") => return Ok(()),
            Some("Failed") => bail!("{name} failed: {function}"),
            _ => last = answer.text(),
        }
        std::thread::sleep(ACTIVE_POLL);
    }
    let waited = ACTIVE_POLL * u32::try_from(ACTIVE_POLLS_MAX).unwrap_or(u32::MAX);
    bail!("{name} was not active after {waited:?}: {last}")
}

fn deploy(api: &Api<'_>, name: &str, language: Language) -> anyhow::Result<()> {
    let request = create(api, name, language, &package(language, name)?)?;
    let answer = Connection::open(api.address)?.exchange(&request)?;
    if answer.status != 201 {
        bail!("CreateFunction: expected status 201, got {}", answer.text());
    }
    wait_until_active(api, name)
}

fn invocation(api: &Api<'_>, name: &str) -> anyhow::Result<Vec<u8>> {
    let target = format!("{FUNCTIONS}/{name}/invocations");
    api.signed(Request { service: "lambda", method: "POST", target: &target, headers: &[JSON], body: EVENT })
}

/// The answer must be the event, else the figure would be of an error.
fn check_echo(answer: &Answer) -> anyhow::Result<()> {
    let sent: serde_json::Value = serde_json::from_slice(EVENT).expect("the event is JSON");
    let came: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    if answer.status != 200 || came != Some(sent) {
        bail!("expected the event back, got {}", answer.text());
    }
    Ok(())
}
