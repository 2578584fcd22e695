//! Starting, and doing nothing.

use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_test_client::{Api, Connection};

use super::Bench;
use super::calls::GET_CALLER_IDENTITY;
use super::functions::{self, Kind, Packages};
use super::load::median;
use super::process;
use super::server::{Folder, Server, free_port, lambent_command};
use super::table::Table;

const STARTS: usize = 10;
/// How often a server that starts is asked for a connection.
const CONNECT_POLL: Duration = Duration::from_micros(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// After the last request, until the server has come to rest: tokio ends threads that had nothing to do for 10 s.
const REST: Duration = Duration::from_secs(12);
const IDLE_TIME: Duration = Duration::from_secs(10);
const IDLE_FUNCTIONS: usize = 1000;
/// One of so many is called before.
const CALLED_OF: usize = 10;
/// Shorter than the rest.
const KEEP_ALIVE_S: &str = "3";
const MIB: f64 = 1024.0 * 1024.0;

/// From the start of the process to the first answer to a signed request, in an empty directory and in one that is there.
pub(super) fn measure_start(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..bench.count(STARTS).max(3) {
        let folder = Folder::new(bench)?;
        first.push(start_ms(bench, &folder)?);
        later.push(start_ms(bench, &folder)?);
    }
    let text = |times: Vec<f64>| format!("median {:.1} ms", median(times));
    table.figure("Start to first signed answer, new data directory", text(first), "at most 60 ms");
    table.figure("Start to first signed answer, data directory there", text(later), "at most 60 ms");
    Ok(())
}

pub(super) fn start_ms(bench: &Bench, folder: &Folder) -> anyhow::Result<f64> {
    let address = free_port()?;
    let api = Api { address, clock: &bench.clock };
    let request = api.signed(GET_CALLER_IDENTITY)?;
    let mut command = lambent_command(bench, folder, &address.to_string())?;
    command.stdout(Stdio::null());
    let started = bench.clock.monotonic();
    let server = Server::at(command.spawn().context("could not start lambent")?, address);
    while TcpStream::connect(address).is_err() {
        if bench.clock.monotonic() - started > CONNECT_TIMEOUT {
            bail!("`lambent up` did not listen on {address} within {CONNECT_TIMEOUT:?}");
        }
        std::thread::sleep(CONNECT_POLL);
    }
    let answer = Connection::open(address)?.exchange(&request)?;
    let took = bench.clock.monotonic() - started;
    if answer.status != 200 {
        bail!("expected status 200, got {}", answer.text());
    }
    drop(server);
    Ok(took.as_secs_f64() * 1e3)
}

/// Memory after the first answer, and what happens when nothing is asked.
pub(super) fn measure_idle(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = functions::server(bench, &folder, &["--keep-alive", KEEP_ALIVE_S])?;
    server.api(bench).call(GET_CALLER_IDENTITY)?;
    std::thread::sleep(REST);
    let memory = |field| process::memory_bytes(server.pid(), field).map(|bytes| bytes as f64 / MIB);
    let figure = format!("VmRSS {:.1} MiB, of it anonymous {:.1} MiB", memory("VmRSS")?, memory("RssAnon")?);
    table.figure("Idle resident memory", figure, "at most 25 MiB");

    let count = bench.count(IDLE_FUNCTIONS);
    let names = functions::names("idle", count);
    let per_second = Packages::of(Kind::Python)?.deploy(bench, &server, &names, true)?;
    call(bench, &server, &names[..count / CALLED_OF])?;
    std::thread::sleep(REST);
    let (cpu, switches) = (process::cpu(server.pid())?, process::switches(server.pid())?);
    std::thread::sleep(IDLE_TIME);
    let (cpu, switches) =
        (process::cpu(server.pid())?.since(cpu), process::switches(server.pid())?.saturating_sub(switches));
    let processes = process::names(server.pid())?.len();
    let figure = format!(
        "{} ticks of 10 ms over {} s, {switches} context switches, {processes} child processes ({}), VmRSS {:.1} MiB",
        cpu.own_ticks + cpu.children_ticks,
        IDLE_TIME.as_secs(),
        process::summary(server.pid())?,
        memory("VmRSS")?,
    );
    table.figure(
        format!("Idle with {count} functions deployed, some of them called"),
        figure,
        "0 ticks, no process",
    );
    table.figure("CreateFunction, 16 connections", format!("{per_second:.0}/s"), "");
    Ok(())
}

/// Calls each of these functions once.
fn call(bench: &Bench, server: &Server, names: &[String]) -> anyhow::Result<()> {
    let api = server.api(bench);
    let mut connection = Connection::open(server.address)?;
    for name in names {
        functions::check_echo(&connection.exchange(&functions::invocation(&api, name)?)?)?;
    }
    Ok(())
}
