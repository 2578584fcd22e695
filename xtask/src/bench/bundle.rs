//! First calls of Node functions with much code, whose compiled form is made when they are deployed, and of the same without.

use std::time::Duration;

use anyhow::{Context, bail};

use super::Bench;
use super::functions::{self, Kind, Packages};
use super::server::Folder;
use super::table::{Row, Table};

/// Functions of each kind; they have the same code.
const FUNCTIONS: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(100);
const POLLS_MAX: usize = 600;

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for kind in [Kind::BundleAsIs, Kind::Bundle] {
        let folder = Folder::new(bench)?;
        let server = functions::server(bench, &folder, &[])?;
        let names = functions::names("bundle", bench.count(FUNCTIONS).max(5) + 1);
        Packages::of(kind)?.deploy(bench, &server, &names, true)?;
        if kind == Kind::Bundle {
            wait_until_compiled(&folder)?;
        }
        let (very_first, names) = names.split_first().context("there is at least one name")?;
        super::cold::one_by_one(bench, &server, std::slice::from_ref(very_first), PAUSE)?;
        let times_us = super::cold::one_by_one(bench, &server, names, PAUSE)?;
        table.row(Row::times(format!("Invoke, cold, never-seen function, {}", kind.name()), times_us));
    }
    Ok(())
}

/// Waits for the compiled code that all functions share.
fn wait_until_compiled(folder: &Folder) -> anyhow::Result<()> {
    let code = folder.path().join("data/code");
    for _ in 0..POLLS_MAX {
        for entry in std::fs::read_dir(&code).context("could not list the unpacked code")? {
            let path = entry.context("could not list the unpacked code")?.path();
            if path.extension().is_some_and(|extension| extension == "compiled") {
                return Ok(());
            }
        }
        std::thread::sleep(POLL);
    }
    bail!("expected compiled code beside {}, found none", code.display())
}
