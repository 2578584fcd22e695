//! `lambent runtime`: the languages that functions are written in.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lambent_runtimes::{
    CURRENT_RUNTIMES, Catalogue, DEPRECATED_RUNTIMES, Family, Runtime, RuntimeError, install,
    install_interpreter, is_installed,
};

use crate::base_image::take_from_image;
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
    /// Show which of AWS's runtimes this host runs, and on what
    List {
        #[command(flatten)]
        data: DataArg,
    },
    /// Install a runtime: its interpreter if need be, and the packages that AWS's runtimes carry (boto3, the AWS SDK for
    /// JavaScript)
    Install {
        /// A runtime, as nodejs22.x; or python or nodejs, for their packages only
        name: String,
        /// Take the interpreter out of a container image: a registry's (HOST/NAME:TAG, with http:// before it where there is
        /// no TLS), or a folder with an OCI layout
        #[arg(long, value_name = "IMAGE")]
        from: Option<String>,
        /// Passwords of registries, as container engines keep them (config.json)
        #[arg(long, value_name = "FILE", requires = "from")]
        registry_credentials: Option<PathBuf>,
        #[command(flatten)]
        data: DataArg,
    },
}

/// Lists or installs.
pub fn run(arguments: &RuntimeArgs) -> ExitCode {
    ui::finish(match &arguments.command {
        RuntimeCommand::List { data } => list(&data.data),
        RuntimeCommand::Install { name, from: None, data, .. } => add(name, &data.data),
        RuntimeCommand::Install { name, from: Some(image), registry_credentials, data } => {
            let credentials = registry_credentials.clone();
            take_from_image(name, image, credentials, &data.data).and_then(|()| add(name, &data.data))
        }
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
    let catalogue = Catalogue::with_installed(data);
    let family = match name {
        "python" => Family::Python,
        "nodejs" | "node" => Family::Node,
        _ => {
            let is_known = CURRENT_RUNTIMES.contains(&name);
            let family = Family::of(name).filter(|family| is_known && *family != Family::Provided);
            if family.is_none() && !is_known {
                return Err(CliError::UnknownRuntime(name.to_owned()));
            }
            add_interpreter(name, &catalogue, data)?;
            family.ok_or_else(|| CliError::UnknownRuntime(name.to_owned()))?
        }
    };
    let there = is_installed(family, data);
    install_with_progress(family, &catalogue, data)?;
    let folder = Catalogue::packages_dir(data, family);
    let what = if there { "were there already" } else { "are installed" };
    ui::say(format_args!("The packages of {} {what}, in {}.", family.name(), folder.display()));
    Ok(exit::DONE)
}

/// Has the very version of a runtime on this host.
fn add_interpreter(name: &str, catalogue: &Catalogue, data: &Path) -> Result<(), CliError> {
    let exact = catalogue.resolve(name).ok().filter(|runtime| runtime.note.is_none());
    if let Some(there) = exact.and_then(|runtime| runtime.interpreter) {
        ui::say(format_args!("{name} was there already: {}.", there.program.display()));
        return Ok(());
    }
    let mut steps = None;
    let interpreter = install_interpreter(name, catalogue, data, &mut |progress| {
        let steps = steps.get_or_insert_with(|| Steps::start("Installing an interpreter with npm"));
        steps.step(progress.done, progress.total, &progress.message);
    })?;
    drop(steps);
    let program = interpreter.program.display();
    ui::say(format_args!("{name} is installed: {program}. A cloud that runs uses it when it starts again."));
    Ok(())
}

fn list(data: &Path) -> Result<u8, CliError> {
    let catalogue = Catalogue::with_installed(data);
    let current = CURRENT_RUNTIMES.iter().map(|name| row(name, &catalogue, data));
    let deprecated = DEPRECATED_RUNTIMES.iter().map(|name| {
        let cells = [*name, "deprecated", "", "no function can be made or changed with it"];
        cells.map(str::to_owned).to_vec()
    });
    let rows: Vec<Vec<String>> = current.chain(deprecated).collect();
    let head = [("RUNTIME", LEFT), ("STATE", LEFT), ("AWS SDK", LEFT), ("RUNS ON", LEFT)];
    ui::print(&table(&head, &rows))?;
    Ok(exit::DONE)
}

/// A runtime, how well this host has it, whether its packages are installed, and what runs it.
fn row(name: &str, catalogue: &Catalogue, data: &Path) -> Vec<String> {
    let sdk = match Family::of(name) {
        Some(Family::Provided) | None => "",
        Some(family) if is_installed(family, data) => "installed",
        Some(_) => "not installed",
    };
    let (state, runs_on) = match catalogue.resolve(name) {
        Ok(Runtime { interpreter: None, .. }) => ("exact", "the function's own bootstrap".to_owned()),
        Ok(Runtime { interpreter: Some(one), note, .. }) => {
            (if note.is_none() { "exact" } else { "nearest version" }, one.program.display().to_string())
        }
        Err(RuntimeError::NoInterpreter { .. }) => {
            ("missing", format!("`lambent runtime install {name}` says more"))
        }
        Err(_) => ("missing", "a container image, or a bootstrap of its own for provided.al2023".to_owned()),
    };
    vec![name.to_owned(), state.to_owned(), sdk.to_owned(), runs_on]
}
