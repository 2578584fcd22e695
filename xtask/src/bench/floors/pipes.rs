//! A few bytes to another process and back, through two pipes.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::super::Bench;
use super::super::table::{Row, Table};

const MESSAGE: [u8; 64] = [b'x'; 64];
const ROUND_TRIPS: usize = 20_000;
const ROUND_TRIPS_BEFORE: usize = 200;

/// With both processes on one CPU, and on two.
pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let cpus = cpus()?;
    let Some(&first) = cpus.first() else { bail!("this process may run on no CPU") };
    row(bench, table, "on one CPU", (first, first))?;
    match cpus.get(1) {
        Some(&second) => row(bench, table, "on two CPUs", (first, second)),
        None => Ok(()),
    }
}

fn row(bench: &Bench, table: &mut Table, what: &str, places: (usize, usize)) -> anyhow::Result<()> {
    // In a thread of its own, as only that is bound to a CPU.
    let times_us = std::thread::scope(|scope| {
        let measuring = scope.spawn(|| round_trips(bench, places));
        measuring.join().map_err(|_| anyhow::anyhow!("the thread that measures pipes panicked"))?
    })?;
    let what = format!("Floor: 64 bytes to another process and back through pipes, {what}");
    table.row(Row::times(what, times_us));
    Ok(())
}

/// `cat` returns what it is given.
fn round_trips(bench: &Bench, (own, other): (usize, usize)) -> anyhow::Result<Vec<f64>> {
    bind_to(other)?;
    let mut cat = Command::new("cat");
    let mut cat =
        cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("could not start `cat`")?;
    bind_to(own)?;
    let (mut to, mut from) =
        (cat.stdin.take().context("cat has no input")?, cat.stdout.take().context("cat has no output")?);
    let mut times_us = Vec::new();
    let mut message = MESSAGE;
    for index in 0..ROUND_TRIPS_BEFORE + bench.count(ROUND_TRIPS) {
        let started = bench.clock.monotonic();
        to.write_all(&message).context("could not write to `cat`")?;
        from.read_exact(&mut message).context("could not read from `cat`")?;
        if index >= ROUND_TRIPS_BEFORE {
            times_us.push((bench.clock.monotonic() - started).as_secs_f64() * 1e6);
        }
    }
    drop(to);
    cat.wait().context("could not wait for `cat`")?;
    Ok(times_us)
}

/// The CPUs that this process may run on, in order.
pub(super) fn cpus() -> anyhow::Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("could not ask for the CPUs of this process")?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Binds this thread, and what it starts, to one CPU.
pub(super) fn bind_to(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("could not bind a thread to CPU {cpu}"))
}
