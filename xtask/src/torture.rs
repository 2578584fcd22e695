//! `cargo xtask torture`: kills `lambent up` under load, again and again, and checks that nothing acknowledged is lost.

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::tools;

const USAGE: &str = "\
usage: cargo xtask torture [--rounds N] [--seed S] [--only kill|power] [--bin LAMBENT]

20 rounds of each kind unless N is given; nightly: `cargo xtask torture --rounds 200`.";

/// What is given to the torture program as it is, each with a value.
const PASSED_ON: [&str; 3] = ["--rounds", "--seed", "--only"];

/// Builds the server and the torture with the `ci` profile and runs them; an error when anything is missing afterwards.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut binary = None;
    let mut passed_on = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let value = rest.next().with_context(|| format!("`{argument}` needs a value\n{USAGE}"))?;
        match argument.as_str() {
            "--bin" => binary = Some(PathBuf::from(value)),
            name if PASSED_ON.contains(&name) => passed_on.extend([argument, value]),
            other => bail!("`{other}` is not an argument of `torture`\n{USAGE}"),
        }
    }
    let mut build = tools::cargo(&[
        "build",
        "--locked",
        "--profile",
        "ci",
        "--package=lambent",
        "--package=lambent-torture",
    ]);
    tools::run(&mut build)?;
    let built = tools::target_dir().join("ci");
    // Below the target folder: a temporary folder may be in memory.
    let folder = tools::target_dir().join("torture");
    let mut torture = std::process::Command::new(built.join("lambent-torture"));
    torture.arg("--bin").arg(binary.unwrap_or_else(|| built.join("lambent"))).arg("--folder").arg(folder);
    tools::run(torture.args(passed_on))
}
