//! Functions to measure: their packages, and how they come to be there.

use std::io::{Cursor, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use lambent_test_client::{Answer, Api, Connection, FORM, Request, encoded};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::Bench;
use super::load::{Load, Order};
use super::server::{Folder, Server};
use crate::e2e;

const EVENT: &[u8] = br#"{"key1": "value1", "key2": "value2", "key3": "value3"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");
const FUNCTIONS: &str = "/2015-03-31/functions";
pub(super) const ROLE: &str = "bench";
const ACCOUNT: &str = "000000000000";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// Seconds; no function that is measured takes as long.
const TIMEOUT_S: u32 = 60;
const POLL: Duration = Duration::from_millis(20);
const POLLS_MAX: usize = 500;
const DEPLOY_CONNECTIONS: usize = 16;
const BUNDLE_BYTES: usize = 5_000_000;
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(120);

/// What a function is made of. All but those that say otherwise return their event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Python,
    /// It imports boto3, and uses nothing of it.
    Boto3,
    /// It makes a client of boto3 when it is loaded.
    Client,
    Node,
    /// Node with [`BUNDLE_BYTES`] of code in one file, compiled when it is deployed.
    Bundle,
    /// The same with a word in it for whose sake it is not.
    BundleAsIs,
    /// On AWS's own Rust runtime, as `provided.al2023`.
    Rust,
    /// A WebAssembly component that takes events.
    Component,
    /// One that answers requests: it says `hello world` to all.
    HttpComponent,
    /// Node: it streams the Unix time in microseconds at which it writes, and ends 5 ms later.
    Stream,
    /// It prints of each record of a stream the number in its item, and when it came, in Unix microseconds.
    Records,
    NodeRecords,
    /// Python: it sleeps for the event's `hold` seconds, and says when it began and when it ended, in Unix seconds, and
    /// the log stream of its environment.
    Hold,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Python | Self::Hold | Self::Records => "Python",
            Self::Boto3 => "Python that imports boto3",
            Self::Client => "Python that makes a boto3 client",
            Self::Node | Self::Stream | Self::NodeRecords => "Node",
            Self::Bundle => "Node with 5 MB of code",
            Self::BundleAsIs => "Node with 5 MB of code, not compiled ahead",
            Self::Rust => "Rust (lambda_runtime)",
            Self::Component => "WebAssembly",
            Self::HttpComponent => "WebAssembly (wasi:http)",
        }
    }

    fn runtime(self) -> &'static str {
        match self {
            Self::Python | Self::Boto3 | Self::Client | Self::Hold | Self::Records => "python3.13",
            Self::Node | Self::Stream | Self::NodeRecords | Self::Bundle | Self::BundleAsIs => "nodejs22.x",
            Self::Rust => "provided.al2023",
            Self::Component => "wasi-lambda",
            Self::HttpComponent => "wasi-http",
        }
    }

    /// Name, contents and permissions of the package's one file.
    fn file(self) -> anyhow::Result<(&'static str, Vec<u8>, u32)> {
        let (name, text) = match self {
            Self::Python => ("index.py", "def handler(event, context):\n    return event\n"),
            Self::Boto3 => ("index.py", "import boto3\ndef handler(event, context):\n    return event\n"),
            Self::Client => (
                "index.py",
                "import boto3\ns3 = boto3.client('s3')\ndef handler(event, context):\n    return event\n",
            ),
            Self::Node => ("index.js", "exports.handler = async (event) => event;\n"),
            Self::Stream => (
                "index.js",
                "exports.handler = awslambda.streamifyResponse(async (event, stream) => {\n  \
                 stream.write(`${Math.round((performance.timeOrigin + performance.now()) * 1000)};`);\n  \
                 await new Promise((resolve) => setTimeout(resolve, 5));\n  stream.end();\n});\n",
            ),
            Self::Bundle => return Ok(("index.js", bundle().into_bytes(), 0o644)),
            Self::BundleAsIs => {
                return Ok(("index.js", (bundle() + "// eval\n").into_bytes(), 0o644));
            }
            Self::Hold => (
                "index.py",
                "import time\ndef handler(event, context):\n    began = time.time()\n    time.sleep(event['hold'])\n    \
                 return {'began': began, 'ended': time.time(), 'log_stream': context.log_stream_name}\n",
            ),
            Self::Records => (
                "index.py",
                "import time\ndef handler(event, context):\n    now = int(time.time() * 1e6)\n    \
                 for record in event['Records']:\n        \
                 print('BENCH', record['dynamodb']['NewImage']['n']['N'], now)\n",
            ),
            Self::NodeRecords => (
                "index.js",
                "exports.handler = async (event) => {\n  \
                 const now = Math.round((performance.timeOrigin + performance.now()) * 1000);\n  \
                 for (const { dynamodb } of event.Records)\n    \
                 process.stdout.write(`BENCH ${dynamodb.NewImage.n.N} ${now}\\n`);\n};\n",
            ),
            Self::Component => return component("event-echo"),
            Self::HttpComponent => return component("http-sized"),
            Self::Rust => {
                let program = e2e::rust_function()?;
                let bytes = std::fs::read(&program)
                    .with_context(|| format!("could not read {}", program.display()))?;
                return Ok(("bootstrap", bytes, 0o755));
            }
        };
        Ok((name, text.as_bytes().to_vec(), 0o644))
    }
}

fn component(name: &str) -> anyhow::Result<(&'static str, Vec<u8>, u32)> {
    let path = e2e::components()?.join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(("index.wasm", bytes, 0o644))
}

/// Code as a bundler would write it: many functions, of which few are called.
fn bundle() -> String {
    let mut text = String::from("'use strict';\nconst t = {};\n");
    let mut count = 0;
    while text.len() < BUNDLE_BYTES {
        text += &format!(
            "t.f{count} = function (a, b) {{ const o = {{ x: a + {count}, y: [b, 'text {count}'], z() {{ return this.x % 7; }} }};\n  \
             let r = 0;\n  for (let k = 0; k < b; k++) {{ if (k % 2) r += o.x * k; else r -= o.y.length; }}\n  return r + o.z(); }};\n"
        );
        count += 1;
    }
    text + "exports.handler = async (event) => { t.f7(1, 2); return event; };\n"
}

/// Packages of one kind.
pub(super) struct Packages {
    kind: Kind,
    file: (&'static str, Vec<u8>, u32),
    /// Whether functions are published as version 1, which has SnapStart.
    snap_start: bool,
}

impl Packages {
    pub(super) fn of(kind: Kind) -> anyhow::Result<Self> {
        Ok(Self { kind, file: kind.file()?, snap_start: false })
    }

    /// The same, published: `NAME:1` is to be called.
    pub(super) fn with_snap_start(kind: Kind) -> anyhow::Result<Self> {
        Ok(Self { snap_start: true, ..Self::of(kind)? })
    }

    /// The zip in base64. Another mark makes it other code, which the server has not unpacked yet.
    fn zip(&self, mark: &str) -> anyhow::Result<String> {
        let (name, contents, mode) = &self.file;
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        // A program is the same each time, and compressing it takes longer than storing it.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(*name, options.unix_permissions(*mode)).context("could not begin a zip")?;
        zip.write_all(contents)?;
        zip.start_file("mark.txt", options).context("could not go on with a zip")?;
        zip.write_all(mark.as_bytes())?;
        let bytes = zip.finish().context("could not end a zip")?.into_inner();
        Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
    }

    /// The request that creates a function.
    fn create(&self, api: &Api<'_>, name: &str, mark: &str) -> anyhow::Result<Vec<u8>> {
        let body = serde_json::json!({
            "FunctionName": name,
            "Runtime": self.kind.runtime(),
            "Role": format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
            "Handler": "index.handler",
            "Timeout": TIMEOUT_S,
            "Publish": self.snap_start,
            "SnapStart": { "ApplyOn": if self.snap_start { "PublishedVersions" } else { "None" } },
            "Code": { "ZipFile": self.zip(mark)? },
        });
        api.signed(Request {
            service: "lambda",
            method: "POST",
            target: FUNCTIONS,
            headers: &[JSON],
            body: body.to_string().as_bytes(),
        })
    }

    /// Gives functions other code, and waits until all have it.
    pub(super) fn update(&self, api: &Api<'_>, names: &[String], mark: &str) -> anyhow::Result<()> {
        let mut connection = Connection::open(api.address)?;
        for name in names {
            let body = serde_json::json!({ "ZipFile": self.zip(&format!("{name} {mark}"))? }).to_string();
            let target = format!("{FUNCTIONS}/{name}/code");
            let put = Request {
                service: "lambda",
                method: "PUT",
                target: &target,
                headers: &[JSON],
                body: body.as_bytes(),
            };
            api.call_on(&mut connection, put)?;
        }
        names.iter().try_for_each(|name| wait_until_ready(api, name))
    }

    /// Creates functions of the same code, or each of its own, and waits until all can be called; gives how many were
    /// created in a second.
    pub(super) fn deploy(
        &self,
        bench: &Bench,
        server: &Server,
        names: &[String],
        same_code: bool,
    ) -> anyhow::Result<f64> {
        let api = server.api(bench);
        let mark = |name: &String| if same_code { String::new() } else { name.clone() };
        let creates = names.iter().map(|name| self.create(&api, name, &mark(name)));
        let creates = creates.collect::<anyhow::Result<Vec<_>>>()?;
        let load = Load {
            address: server.address,
            connections: DEPLOY_CONNECTIONS.min(names.len()),
            requests: &creates,
            order: Order::Once,
            time: DEPLOY_TIMEOUT,
        };
        let outcome = load.run(&bench.clock, server.pid())?;
        if let Some((refused, first)) = &outcome.refused {
            bail!("{refused} of {} functions were refused; {first}", names.len());
        }
        names.iter().try_for_each(|name| wait_until_ready(&api, name))?;
        Ok(outcome.per_second())
    }
}

/// Creates functions that are one container image, and waits until all can be called.
pub(super) fn deploy_image(api: &Api<'_>, names: &[String], uri: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(api.address)?;
    for name in names {
        let body = serde_json::json!({
            "FunctionName": name,
            "PackageType": "Image",
            "Role": format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
            "Timeout": TIMEOUT_S,
            "Code": { "ImageUri": uri },
        });
        let body = body.to_string();
        let create = Request {
            service: "lambda",
            method: "POST",
            target: FUNCTIONS,
            headers: &[JSON],
            body: body.as_bytes(),
        };
        api.call_on(&mut connection, create)?;
    }
    names.iter().try_for_each(|name| wait_until_ready(api, name))
}

/// A server with a role for functions and with boto3 for those that want it; more options of `up` may be given.
pub(super) fn server(bench: &Bench, folder: &Folder, options: &[&str]) -> anyhow::Result<Server> {
    let data = folder.path().join("data");
    if !data.exists() {
        e2e::give_runtimes(&bench.lambent, &data)?;
    }
    let server = Server::lambent_with(bench, folder, options)?;
    create_role(&server.api(bench))?;
    Ok(server)
}

/// Makes the role that every function here has; it may be there.
fn create_role(api: &Api<'_>) -> anyhow::Result<()> {
    let body = format!(
        "Action=CreateRole&Version=2010-05-08&RoleName={ROLE}&AssumeRolePolicyDocument={}",
        encoded(TRUST)
    );
    let create =
        Request { service: "iam", method: "POST", target: "/", headers: &[FORM], body: body.as_bytes() };
    let answer = Connection::open(api.address)?.exchange(&api.signed(create)?)?;
    if !answer.is_success() && answer.status != 409 {
        bail!("CreateRole: {}", answer.text());
    }
    Ok(())
}

/// Names with a number behind a stem.
pub(super) fn names(stem: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{stem}-{index:05}")).collect()
}

/// What calls version 1 of these functions, once all can be called.
pub(super) fn first_versions(api: &Api<'_>, names: &[String]) -> anyhow::Result<Vec<String>> {
    let versions: Vec<_> = names.iter().map(|name| format!("{name}:1")).collect();
    versions.iter().try_for_each(|version| wait_until_ready(api, version))?;
    Ok(versions)
}

/// Asks until the function can be invoked, and has the code that it was given last.
fn wait_until_ready(api: &Api<'_>, name: &str) -> anyhow::Result<()> {
    let target = format!("{FUNCTIONS}/{name}/configuration");
    let mut connection = Connection::open(api.address)?;
    let mut last = String::new();
    for _ in 0..POLLS_MAX {
        let get = Request { service: "lambda", method: "GET", target: &target, headers: &[], body: b"" };
        let answer = api.call_on(&mut connection, get)?;
        let function: serde_json::Value =
            serde_json::from_slice(&answer.body).context("GetFunctionConfiguration gave no JSON")?;
        match (function["State"].as_str(), function["LastUpdateStatus"].as_str()) {
            (Some("Active"), Some("Successful")) => return Ok(()),
            (Some("Failed"), _) | (_, Some("Failed")) => bail!("{name} failed: {function}"),
            _ => last = answer.text(),
        }
        std::thread::sleep(POLL);
    }
    let waited = POLL * u32::try_from(POLLS_MAX).unwrap_or(u32::MAX);
    bail!("{name} was not ready after {waited:?}: {last}")
}

/// The request that calls a function with the usual event.
pub(super) fn invocation(api: &Api<'_>, name: &str) -> anyhow::Result<Vec<u8>> {
    invocation_of(api, name, EVENT)
}

/// The request that calls a function.
pub(super) fn invocation_of(api: &Api<'_>, name: &str, event: &[u8]) -> anyhow::Result<Vec<u8>> {
    let target = format!("{FUNCTIONS}/{name}/invocations");
    api.signed(Request { service: "lambda", method: "POST", target: &target, headers: &[JSON], body: event })
}

/// The answer must be the event, else the figure would be of an error.
pub(super) fn check_echo(answer: &Answer) -> anyhow::Result<()> {
    let sent: serde_json::Value = serde_json::from_slice(EVENT).expect("the event is JSON");
    let came: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    if answer.status != 200 || came != Some(sent) {
        bail!("expected the event back, got {}", answer.text());
    }
    Ok(())
}
