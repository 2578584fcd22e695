//! The store's engines, the outbox over them, and decisions, measured by programs of their own:
//! `crates/store/examples/store_bench`, `crates/bus/examples/outbox_bench`, `crates/identity/examples/policy_bench`. What takes part there is in one process with its load, so its CPU time counts both.

use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::Bench;
use super::server::Folder;
use super::table::{Row, Table};

/// Pending events, and delivered ones, of the outbox.
const OUTBOX_EVENTS: usize = 1_000_000;
const OUTBOX_EVENTS_QUICK: usize = 50_000;

/// One line that the program prints.
#[derive(Deserialize)]
struct Found {
    what: String,
    clients: Option<usize>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    per_second: Option<f64>,
    cpu_us: Option<f64>,
    figure: String,
    target: String,
}

/// The engines.
pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    run(bench, table, "store_bench", &bench.row_time().as_secs_f64().to_string())
}

/// The outbox, with many events before and behind.
pub(super) fn measure_outbox(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let events = if bench.quick { OUTBOX_EVENTS_QUICK } else { OUTBOX_EVENTS };
    run(bench, table, "outbox_bench", &events.to_string())
}

/// Decisions for a principal with many policies.
pub(super) fn measure_policies(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    run(bench, table, "policy_bench", &(bench.row_time().as_secs_f64() / 10.0).to_string())
}

/// Runs a program with a folder and one more argument.
fn run(bench: &Bench, table: &mut Table, program: &str, argument: &str) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    // Cargo puts the examples side by side.
    let program = bench.floor.with_file_name(program);
    let mut command = Command::new(&program);
    command.arg(folder.path()).arg(argument);
    let output = command.output().with_context(|| format!("could not start {}", program.display()))?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let found: Found =
            serde_json::from_str(line).with_context(|| format!("the program printed `{line}`"))?;
        table.row(Row {
            what: found.what,
            connections: found.clients,
            p50_us: found.p50_us,
            p99_us: found.p99_us,
            per_second: found.per_second,
            cpu_us: found.cpu_us,
            figure: found.figure,
            target: found.target,
        });
    }
    if !output.status.success() {
        bail!("{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
