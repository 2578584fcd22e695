//! `cargo xtask torture`: kills `lambent up` under load, again and again, and checks that nothing acknowledged is lost.

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::{e2e, tools};

const USAGE: &str = "\
usage: cargo xtask torture [--rounds N] [--seed S] [--only kill|power|nodes] [--without-power]
                           [--bin LAMBENT]

20 rounds of each kind unless N is given; nightly: `cargo xtask torture --rounds 200`, which also
flips bits in a store's files for some minutes. Power cuts need root and /dev/fuse; without them that is an error,
unless `--without-power` leaves the rounds with power cuts out.";

/// So many rounds are the nightly form, to which flipped bits belong.
const LONG_ROUNDS: usize = 200;
/// What is given to the torture program as it is, each with a value.
const PASSED_ON: [&str; 3] = ["--rounds", "--seed", "--only"];

/// Builds the server and the torture with the `ci` profile and runs them; an error when anything is missing afterwards.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut binary = None;
    let mut passed_on = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--without-power" {
            passed_on.push(argument);
            continue;
        }
        let value = rest.next().with_context(|| format!("`{argument}` needs a value\n{USAGE}"))?;
        match argument.as_str() {
            "--bin" => binary = Some(PathBuf::from(value)),
            name if PASSED_ON.contains(&name) => passed_on.extend([argument, value]),
            other => bail!("`{other}` is not an argument of `torture`\n{USAGE}"),
        }
    }
    let built = e2e::build()?;
    // Below the target folder: a temporary folder may be in memory.
    let folder = tools::target_dir().join("torture");
    let mut torture = std::process::Command::new(built.join("lambent-torture"));
    torture.arg("--bin").arg(binary.unwrap_or_else(|| built.join("lambent"))).arg("--folder").arg(folder);
    tools::run(torture.args(&passed_on))?;
    let rounds = passed_on.iter().skip_while(|word| word.as_str() != "--rounds").nth(1);
    let is_long =
        rounds.and_then(|rounds| rounds.parse().ok()).is_some_and(|rounds: usize| rounds >= LONG_ROUNDS);
    let is_part = passed_on.iter().any(|word| word.as_str() == "--only");
    if is_long && !is_part { flip_bits() } else { Ok(()) }
}

/// The long form of the test that flips single bits in a store's files.
fn flip_bits() -> anyhow::Result<()> {
    let cargo = ["test", "--locked", "--profile", "ci", "--package=lambent-store", "--test=damage"];
    let test = ["--", "--ignored", "--exact", "no_flipped_bit_loses_rows_silently_long", "--nocapture"];
    tools::run(tools::cargo(&cargo).args(test))
}
