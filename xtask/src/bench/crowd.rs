//! Many calls at once, from nothing: how fast environments come, what they take, and how they go again.

use std::collections::HashSet;
use std::sync::Barrier;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_test_client::{Answer, Connection};
use serde::Deserialize;

use super::Bench;
use super::functions::{self, Kind, Packages, invocation, invocation_of};
use super::load::sorted;
use super::process::{self, Memory};
use super::server::{Folder, Server};
use super::table::{Row, Table};

/// Environments of one function, and calls of as many functions.
const ENVIRONMENTS: usize = 500;
/// How long each call holds its environment: the rest have to come meanwhile.
const HOLD_S: u64 = 10;
/// Until what was just used has come to rest.
const SETTLE: Duration = Duration::from_secs(1);
const KEEP_ALIVE_S: &str = "3";
const GONE_POLL: Duration = Duration::from_millis(100);
const GONE_POLLS_MAX: usize = 300;
/// tokio ends threads that had nothing to do for 10 s.
const REST: Duration = Duration::from_secs(11);
const REST_MEASURED: Duration = Duration::from_secs(5);
/// The stack of a thread that waits for one answer.
const STACK_BYTES: usize = 128 * 1024;
const MIB: f64 = 1024.0 * 1024.0;

/// What the function that holds its call answers, in Unix seconds.
#[derive(Deserialize)]
struct Held {
    began: f64,
    ended: f64,
    /// Of the environment.
    log_stream: String,
}

/// What a machine and a server's descendants use.
struct Usage {
    available: u64,
    processes: usize,
    memory: Memory,
    server: u64,
}

/// From no environment of a function to many that live at the same time.
pub(super) fn measure_scale_out(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = functions::server(bench, &folder, &[])?;
    let api = server.api(bench);
    let names = ["one".to_owned(), "many".to_owned()];
    Packages::of(Kind::Hold)?.deploy(bench, &server, &names, true)?;
    // What all environments share is there once there is one.
    let one = invocation_of(&api, "one", br#"{"hold": 0}"#)?;
    let answer = Connection::open(server.address)?.exchange(&one)?;
    held(&answer)?;
    std::thread::sleep(SETTLE);
    let before = usage(&server)?;

    let count = bench.count(ENVIRONMENTS);
    let many = invocation_of(&api, "many", format!("{{\"hold\": {HOLD_S}}}").as_bytes())?;
    let cpu = process::cpu(server.pid())?;
    let sent_ms = bench.clock.unix_ms();
    let answers = at_once(bench, &server, &vec![many; count])?;
    let cpu = process::cpu(server.pid())?.since(cpu);
    let refused = answers.iter().find(|(_, answer)| !answer.is_success());
    if let Some((_, first)) = refused {
        let refused = answers.iter().filter(|(_, answer)| !answer.is_success()).count();
        table.note(format!("scale-out: {refused} of {count} calls were refused, {}", first.text()));
    }
    let good = answers.iter().filter(|(_, answer)| answer.is_success());
    let held = good.map(|(_, answer)| held(answer)).collect::<anyhow::Result<Vec<_>>>()?;
    let last = held.iter().map(|one| one.began).fold(0.0, f64::max);
    let took = last - sent_ms as f64 / 1e3;
    let environments = held.iter().map(|one| &one.log_stream).collect::<HashSet<_>>().len();
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / environments.max(1) as f64;
    let figure = format!(
        "{:.0}/s: {environments} began within {:.0} ms, at most {} alive at once; CPU of the server {:.1} ms and of the \
         rest {:.1} ms each",
        environments as f64 / took,
        took * 1e3,
        most_at_once(&held),
        each(cpu.own()),
        each(cpu.children()),
    );
    let what = format!("Scale-out, 0 to {count} Python environments of one function");
    table.figure(what, figure, "at least 250/s");
    std::thread::sleep(SETTLE);
    memory_row(table, &before, &usage(&server)?, environments);
    Ok(())
}

/// First calls of many functions at once; then nothing.
pub(super) fn measure_burst(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = functions::server(bench, &folder, &["--keep-alive", KEEP_ALIVE_S])?;
    let api = server.api(bench);
    let count = bench.count(ENVIRONMENTS);
    let names = functions::names("burst", count);
    Packages::of(Kind::Python)?.deploy(bench, &server, &names, false)?;
    let requests = names.iter().map(|name| invocation(&api, name)).collect::<anyhow::Result<Vec<_>>>()?;
    let started = bench.clock.monotonic();
    let answers = at_once(bench, &server, &requests)?;
    let ended = bench.clock.monotonic();
    let refused = answers.iter().filter(|(_, answer)| !answer.is_success()).count();
    let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_success());
    let times_us: Vec<f64> = good.iter().map(|(took, _)| took.as_secs_f64() * 1e6).collect();
    if let Some((_, first)) = bad.first() {
        table.note(format!("burst: {refused} of {count} calls were refused, {}", first.text()));
    }
    let per_second = good.len() as f64 / (ended - started).as_secs_f64();
    table.row(Row {
        connections: Some(count),
        per_second: Some(per_second),
        ..Row::times(format!("Burst, first calls of {count} Python functions at once"), times_us)
    });
    after_a_burst(bench, table, &server, ended)
}

/// How long until its processes are gone, and what the server does then.
fn after_a_burst(bench: &Bench, table: &mut Table, server: &Server, ended: Duration) -> anyhow::Result<()> {
    let most = process::names(server.pid())?.len();
    let mut left = most;
    for _ in 0..GONE_POLLS_MAX {
        left = process::names(server.pid())?.len();
        if left == 0 {
            break;
        }
        std::thread::sleep(GONE_POLL);
    }
    let took = (bench.clock.monotonic() - ended).as_secs_f64();
    let figure = if left == 0 {
        format!("{most} processes were gone after {took:.1} s")
    } else {
        let names = process::summary(server.pid())?;
        format!("of {most} processes {left} were there after {took:.1} s: {names}")
    };
    let what = format!("After the burst, environments kept for {KEEP_ALIVE_S} s");
    table.figure(what, figure, "idle within the keep-alive");
    std::thread::sleep(REST);
    let before = process::cpu(server.pid())?;
    std::thread::sleep(REST_MEASURED);
    let cpu = process::cpu(server.pid())?.since(before);
    let ticks = cpu.own_ticks + cpu.children_ticks;
    let figure = format!(
        "{ticks} ticks of 10 ms over {} s, VmRSS {:.1} MiB",
        REST_MEASURED.as_secs(),
        process::memory_bytes(server.pid(), "VmRSS")? as f64 / MIB
    );
    table.figure("At rest after the burst", figure, "0 ticks");
    Ok(())
}

fn held(answer: &Answer) -> anyhow::Result<Held> {
    if answer.header("x-amz-function-error").is_some() || !answer.is_success() {
        bail!("expected when the call began and ended, got {}", answer.text());
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("the function answered {}", answer.text()))
}

/// How many of these calls ran at one moment.
fn most_at_once(held: &[Held]) -> usize {
    let begins = sorted(held.iter().map(|one| one.began).collect());
    let ends = sorted(held.iter().map(|one| one.ended).collect());
    let running = |(index, began): (usize, &f64)| index + 1 - ends.partition_point(|ended| ended < began);
    begins.iter().enumerate().map(running).max().unwrap_or(0)
}

fn usage(server: &Server) -> anyhow::Result<Usage> {
    Ok(Usage {
        available: process::available_bytes()?,
        processes: process::names(server.pid())?.len(),
        memory: process::memory_below(server.pid())?,
        server: process::memory_bytes(server.pid(), "VmRSS")?,
    })
}

fn memory_row(table: &mut Table, before: &Usage, after: &Usage, environments: usize) {
    let each = |more: u64, less: u64| more.saturating_sub(less) as f64 / MIB / environments as f64;
    let figure = format!(
        "{:.2} MiB less free memory each; private {:.2} MiB, Pss {:.2} MiB; {:.2} processes each; the server's own \
         VmRSS grew by {:.0} MiB",
        each(before.available, after.available),
        each(after.memory.private, before.memory.private),
        each(after.memory.pss, before.memory.pss),
        after.processes.saturating_sub(before.processes) as f64 / environments as f64,
        after.server.saturating_sub(before.server) as f64 / MIB,
    );
    table.figure("Memory of an idle Python environment beyond what all share", figure, "at most 4 MiB");
}

/// Sends every request over a connection of its own at the same moment; how long each took, and its answer.
fn at_once(bench: &Bench, server: &Server, requests: &[Vec<u8>]) -> anyhow::Result<Vec<(Duration, Answer)>> {
    let barrier = Barrier::new(requests.len());
    let connections = requests.iter().map(|_| Connection::open(server.address));
    let connections = connections.collect::<anyhow::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (mut connection, request) in connections.into_iter().zip(requests) {
            let (barrier, clock) = (&barrier, &bench.clock);
            let exchange = move || -> anyhow::Result<(Duration, Answer)> {
                barrier.wait();
                let started = clock.monotonic();
                let answer = connection.exchange(request)?;
                Ok((clock.monotonic() - started, answer))
            };
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            threads.push(thread.spawn_scoped(scope, exchange).context("could not start a thread")?);
        }
        let mut answers = Vec::new();
        for thread in threads {
            answers.push(thread.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??);
        }
        Ok(answers)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_overlap_are_counted() {
        let held = |began: f64, ended: f64| Held { began, ended, log_stream: String::new() };
        let calls = [held(0.0, 2.0), held(1.0, 3.0), held(1.5, 1.6), held(2.5, 4.0)];
        assert_eq!(most_at_once(&calls), 3);
        assert_eq!(most_at_once(&[]), 0);
    }
}
