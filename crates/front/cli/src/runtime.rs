//! `lambent runtime`: the languages that functions are written in.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lambent_runtimes::{Catalogue, Family, install, is_installed};

use crate::cloud::DataArg;
use crate::table::table;
use crate::text::LEFT;
use crate::ui::Steps;
use crate::{CliError, exit, ui};

/// Show and install what functions run on
#[derive(Args, Clone, Debug)]
pub struct RuntimeArgs {
    #[command(subcommand)]
    pub command: RuntimeCommand,
}

#[derive(Subcommand, Clone, Debug)]
pub enum RuntimeCommand {
    /// Show the interpreters of this host, and whether the AWS SDK is installed for them
    List {
        #[command(flatten)]
        data: DataArg,
    },
    /// Install the packages that AWS's runtimes carry (boto3, the AWS SDK for JavaScript)
    Install {
        /// python or nodejs
        name: String,
        #[command(flatten)]
        data: DataArg,
    },
}

/// Lists or installs.
pub fn run(arguments: &RuntimeArgs) -> ExitCode {
    ui::finish(match &arguments.command {
        RuntimeCommand::List { data } => list(&data.data),
        RuntimeCommand::Install { name, data } => add(name, &data.data),
    })
}

/// Installs the packages of a family beneath a directory, and shows how far it is.
pub(crate) fn install_with_progress(
    family: Family,
    catalogue: &Catalogue,
    data: &Path,
) -> Result<(), CliError> {
    if is_installed(family, data) {
        return Ok(());
    }
    let title = match family {
        Family::Node => "Installing the AWS SDK for Node.js with npm",
        _ => "Installing boto3 for Python with pip",
    };
    let mut steps = Steps::start(title);
    install(family, catalogue, data, &mut |progress| {
        steps.step(progress.done, progress.total, &progress.message);
    })?;
    Ok(())
}

fn add(name: &str, data: &Path) -> Result<u8, CliError> {
    let family = match name {
        "python" => Some(Family::Python),
        "nodejs" | "node" => Some(Family::Node),
        _ => Family::of(name).filter(|family| *family != Family::Provided),
    };
    let family = family.ok_or_else(|| CliError::UnknownRuntime(name.to_owned()))?;
    let there = is_installed(family, data);
    install_with_progress(family, &Catalogue::new(), data)?;
    let folder = Catalogue::packages_dir(data, family);
    let what = if there { "were there already" } else { "are installed" };
    ui::say(format_args!("The packages of {} {what}, in {}.", family.name(), folder.display()));
    Ok(exit::DONE)
}

fn list(data: &Path) -> Result<u8, CliError> {
    let catalogue = Catalogue::new();
    let mut rows = Vec::new();
    for family in [Family::Python, Family::Node] {
        let packages = if is_installed(family, data) { "installed" } else { "not installed" };
        let interpreters = catalogue.interpreters(family);
        for one in interpreters {
            let program = one.program.display().to_string();
            rows.push(vec![identifier(family, one.version), packages.to_owned(), program]);
        }
        if interpreters.is_empty() {
            let none = "no interpreter on this host".to_owned();
            rows.push(vec![family.name().to_owned(), packages.to_owned(), none]);
        }
    }
    rows.push(vec![
        "provided.al2023".to_owned(),
        "not needed".to_owned(),
        "the function's own bootstrap".to_owned(),
    ]);
    ui::print(&table(&[("RUNTIME", LEFT), ("AWS SDK", LEFT), ("RUNS ON", LEFT)], &rows))?;
    Ok(exit::DONE)
}

fn identifier(family: Family, (major, minor): (u32, u32)) -> String {
    match family {
        Family::Node => format!("nodejs{major}.x"),
        _ => format!("python{major}.{minor}"),
    }
}
