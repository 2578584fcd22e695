//! The store's engines, measured by a program of their own, `crates/store/examples/store_bench`: what takes part there is
//! in one process with its load, so its CPU time counts both.

use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::Bench;
use super::server::Folder;
use super::table::{Row, Table};

/// One line that the program prints.
#[derive(Deserialize)]
struct Found {
    what: String,
    clients: usize,
    p50_us: f64,
    p99_us: f64,
    per_second: f64,
    cpu_us: f64,
    figure: String,
    target: String,
}

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    // Cargo puts the examples side by side.
    let program = bench.floor.with_file_name("store_bench");
    let mut command = Command::new(&program);
    command.arg(folder.path()).arg(bench.row_time().as_secs_f64().to_string());
    let output = command.output().with_context(|| format!("could not start {}", program.display()))?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let found: Found =
            serde_json::from_str(line).with_context(|| format!("the program printed `{line}`"))?;
        table.row(Row {
            what: found.what,
            connections: Some(found.clients),
            p50_us: Some(found.p50_us),
            p99_us: Some(found.p99_us),
            per_second: Some(found.per_second),
            cpu_us: Some(found.cpu_us),
            figure: found.figure,
            target: found.target,
        });
    }
    if !output.status.success() {
        bail!("{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
