//! `cargo xtask fuzz`: inputs of any form, guided by what they reach, thrown at what reads the words of strangers.
//!
//! libFuzzer does the work. Its flags of the compiler are those that stable Rust has too, so that no other toolchain is
//! needed; a C++ compiler is, for libFuzzer itself.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::tools;

/// Each is a program in `fuzz/src`, with its first inputs in `fuzz/seeds`.
const TARGETS: [&str; 4] = ["sigv4", "policy", "jwt", "expressions"];
const SECONDS_DEFAULT: u32 = 60;
/// For each target, beside the time that it takes to build them.
const SHORT_SECONDS: u32 = 5;
const QUICKLY: &str = "--quick";
/// Profiles of `fuzz/Cargo.toml`: whoever fuzzes for seconds must not build for minutes.
const QUICK: &str = "quick";
const LONG: &str = "release";
/// Longer inputs reach nothing that shorter ones do not.
const INPUT_BYTES_MAX: &str = "-max_len=8192";
/// What takes longer for one input is a finding, too.
const INPUT_TIMEOUT_S: &str = "-timeout=5";
const MEMORY_MIB_MAX: &str = "-rss_limit_mb=2048";
/// Counts which edges an input takes, and tells what it is compared with.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";
/// Named, so that what runs at build time is built without the flags.
const HOST: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

const USAGE: &str = "\
usage: cargo xtask fuzz [TARGET]... [--seconds N] [--quick]

TARGET is one of sigv4, policy, jwt, expressions; all of them unless some are given. Each is fuzzed for N seconds, 60 unless given; `--quick` is the form that
`cargo xtask test` runs: 5 seconds of programs that are built without being optimised. What was found
useful is kept in the target folder and is where the next run begins; an input that breaks something is kept beside it.";

/// Builds the targets and runs them one after another; an error when one breaks.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (mut targets, mut seconds, mut profile) = (Vec::new(), SECONDS_DEFAULT, LONG);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => {
                let value = rest.next().with_context(|| format!("`--seconds` needs a value\n{USAGE}"))?;
                seconds = value.parse().with_context(|| format!("`{value}` is no number of seconds"))?;
            }
            QUICKLY => (seconds, profile) = (SHORT_SECONDS, QUICK),
            target if TARGETS.contains(&target) => targets.push(target),
            other => bail!("`{other}` is not an argument of `fuzz`\n{USAGE}"),
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    build(&targets, profile)?;
    targets.iter().try_for_each(|target| fuzz(target, profile, seconds))
}

/// A run that is over soon: what each change has to pass.
pub(crate) fn quick() -> anyhow::Result<()> {
    run(&[QUICKLY.to_owned()])
}

/// Where everything of this command lies.
fn folder() -> PathBuf {
    tools::target_dir().join("fuzz")
}

fn build(targets: &[&str], profile: &str) -> anyhow::Result<()> {
    let manifest = tools::root().join("fuzz/Cargo.toml");
    let mut cargo =
        tools::cargo(&["build", "--locked", "--profile", profile, "--target", HOST, "--manifest-path"]);
    cargo.arg(manifest).arg("--target-dir").arg(folder()).env("RUSTFLAGS", FLAGS);
    for target in targets {
        cargo.args(["--bin", target]);
    }
    for target in targets {
        let feature = match *target {
            "sigv4" => continue,
            "expressions" => "expressions",
            _ => "identity",
        };
        cargo.args(["--features", feature]);
    }
    tools::run(&mut cargo)
}

fn fuzz(target: &str, profile: &str, seconds: u32) -> anyhow::Result<()> {
    let corpus = folder().join("corpus").join(target);
    std::fs::create_dir_all(&corpus).with_context(|| format!("could not make {}", corpus.display()))?;
    let mut command = Command::new(folder().join(HOST).join(profile).join(target));
    command.args([INPUT_BYTES_MAX, INPUT_TIMEOUT_S, MEMORY_MIB_MAX, "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/{target}-", folder().display()));
    command.arg(corpus).arg(tools::root().join("fuzz/seeds").join(target));
    // AWS's own cases, where they are.
    let cases = tools::root().join("../shared/data/sigv4/v4");
    if target == "sigv4" && cases.is_dir() {
        command.arg(cases);
    }
    tools::run(&mut command)
}
