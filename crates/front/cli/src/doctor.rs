//! `lambent doctor`: what this host can isolate.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use lambent_sandbox::{Capabilities, Sandbox, SandboxConfig};

use crate::cloud::DataArg;
use crate::table::table;
use crate::text::LEFT;
use crate::{CliError, exit, ui};

/// Show what this host can isolate; exit code 0 when functions are fully isolated, 3 when they cannot be
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub data: DataArg,
}

/// Prints a table of what holds and what does not.
pub fn run(arguments: &DoctorArgs) -> ExitCode {
    ui::finish(examine(&arguments.data.data))
}

/// What this host can isolate, found out beside the data directory (its disk matters), or in the system's folder for
/// temporary files when there is none.
pub(crate) fn detect(data: &Path) -> Result<Capabilities, CliError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("lambent-doctor-");
    let folder = if data.is_dir() { builder.tempdir_in(data) } else { builder.tempdir() };
    let folder = folder.map_err(CliError::disk("make a folder in", data))?;
    Ok(Sandbox::detect(SandboxConfig { state_dir: folder.path().to_owned() })?)
}

fn examine(data: &Path) -> Result<u8, CliError> {
    let found = detect(data)?;
    ui::print(&report(&found))?;
    if found.missing().is_none() {
        ui::say("Functions are fully isolated on this host.");
        return Ok(exit::DONE);
    }
    ui::say(
        "Functions cannot be isolated fully on this host, so they are refused. For code that you trust,\n\
         `lambent up --allow-weak-isolation` runs them anyway.",
    );
    Ok(exit::WEAK_ISOLATION)
}

fn report(found: &Capabilities) -> String {
    let rows: Vec<Vec<String>> = found
        .rows
        .iter()
        .map(|row| {
            let holds = match (row.holds, row.required) {
                (true, _) => "yes",
                (false, true) => "NO, required",
                (false, false) => "no",
            };
            vec![row.what.to_owned(), holds.to_owned(), row.detail.clone()]
        })
        .collect();
    table(&[("ISOLATED", LEFT), ("HOLDS", LEFT), ("HOW, OR WHY NOT", LEFT)], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambent_sandbox::Capability;

    #[test]
    fn what_is_missing_is_said_in_words() {
        let row = |what, holds, required, detail: &str| Capability {
            what,
            holds,
            detail: detail.to_owned(),
            required,
        };
        let found = Capabilities {
            rows: vec![
                row("memory", true, true, "control groups, version 2"),
                row("CPU", false, false, "no controller"),
                row("system calls", false, true, "no seccomp"),
            ],
        };
        let expected = "\
ISOLATED      HOLDS         HOW, OR WHY NOT
memory        yes           control groups, version 2
CPU           no            no controller
system calls  NO, required  no seccomp
";
        assert_eq!(report(&found), expected);
    }
}
