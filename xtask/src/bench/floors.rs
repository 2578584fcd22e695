//! What functions cannot be faster than on this machine: bare process starts, a byte's way to another process and back,
//! and AWS's own clients against a Runtime API that does nothing else.

mod pipes;
mod runtime_api;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use lambent_runtimes::Catalogue;

use super::Bench;
use super::server::Folder;
use super::table::{Row, Table};
use crate::e2e;
use runtime_api::Client;

/// Starts of each program.
const STARTS: usize = 20;
/// The first start reads files that are not in memory yet.
const STARTS_BEFORE: usize = 2;

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    process_starts(bench, table)?;
    pipes::measure(bench, table)?;
    let folder = Folder::new(bench)?;
    for client in [awslambdaric(&folder)?, lambda_runtime()?] {
        client.measure(bench, table)?;
    }
    Ok(())
}

/// From the start of a program that does nothing to its end.
fn process_starts(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let catalogue = Catalogue::new();
    let interpreter = |identifier: &str| -> anyhow::Result<PathBuf> {
        let runtime = catalogue.resolve(identifier)?;
        Ok(runtime.interpreter.with_context(|| format!("{identifier} has no interpreter"))?.program)
    };
    let programs: [(&str, PathBuf, &[&str]); 4] = [
        ("true", PathBuf::from("true"), &[]),
        ("python3 -S -c pass", interpreter("python3.13")?, &["-S", "-c", "pass"]),
        ("python3 -c 'import boto3'", e2e::python_environment()?.join("python"), &["-c", "import boto3"]),
        ("node -e 0", interpreter("nodejs22.x")?, &["-e", "0"]),
    ];
    for (name, program, arguments) in programs {
        let mut times_us = Vec::new();
        for index in 0..STARTS_BEFORE + bench.count(STARTS).max(5) {
            let started = bench.clock.monotonic();
            let mut command = Command::new(&program);
            let status = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
            let status = status.with_context(|| format!("could not start {}", program.display()))?;
            anyhow::ensure!(status.success(), "`{name}` ended with {status}");
            if index >= STARTS_BEFORE {
                times_us.push((bench.clock.monotonic() - started).as_secs_f64() * 1e6);
            }
        }
        table.row(Row::times(format!("Floor: process `{name}`, start to end"), times_us));
    }
    Ok(())
}

/// AWS's client for Python, with a handler that returns its event.
fn awslambdaric(folder: &Folder) -> anyhow::Result<Client> {
    let module = folder.path().join("app.py");
    std::fs::write(&module, "def handler(event, context):\n    return event\n")
        .with_context(|| format!("could not write {}", module.display()))?;
    Ok(Client {
        name: "awslambdaric",
        program: e2e::python_environment()?.join("python"),
        arguments: &["-m", "awslambdaric", "app.handler"],
        folder: folder.path().to_path_buf(),
    })
}

/// AWS's client for Rust; the function of the tests returns its event, too.
fn lambda_runtime() -> anyhow::Result<Client> {
    let program = e2e::rust_function()?;
    let folder = program.parent().unwrap_or(Path::new("/")).to_path_buf();
    Ok(Client { name: "lambda_runtime", program, arguments: &[], folder })
}
