//! What every command needs: where things are, and running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies one folder below the workspace root").to_path_buf()
}

/// Where cargo puts what it builds: `CARGO_TARGET_DIR`, or `target` in the workspace.
pub(crate) fn target_dir() -> PathBuf {
    match lambent_base::env::var("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// A cargo command that runs in the workspace's root, with the cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = lambent_base::env::var("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(arguments);
    command
}

/// Runs a program to its end, its output going where ours goes; an exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let words = words_of(command);
    let status = command.status().with_context(|| format!("could not start `{words}`"))?;
    if !status.success() {
        bail!("`{words}` ended with {status}");
    }
    Ok(())
}

/// Whether a program can be started and ends well: a probe for tools that may be missing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    use std::process::Stdio;
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The command as one would type it, without its environment.
pub(crate) fn words_of(command: &Command) -> String {
    let mut words = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        words.push(' ');
        words.push_str(&argument.to_string_lossy());
    }
    words
}
