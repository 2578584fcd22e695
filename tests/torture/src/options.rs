//! The command line.

use std::path::PathBuf;

use anyhow::{Context, bail};
use lambent_base::Random;

pub(crate) const USAGE: &str = "\
usage: lambent-torture --bin LAMBENT --folder FOLDER [--rounds N] [--seed S] [--only kill|power|nodes]
                       [--without-power]

Runs a load against `lambent up`, kills it at random moments, and checks after each restart that everything that was
acknowledged is there and whole. A seed repeats the schedule of operations. N is the number of rounds of each kind, of
which one in five is played with three nodes. Power cuts need root and /dev/fuse; where they are missing that is an error,
unless the rounds with power cuts are left out by `--without-power`.";

/// Rounds of each kind, unless others are asked for: what a pull request waits for.
const ROUNDS: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The process is killed; what it wrote to files is there.
    Kill,
    /// The power fails; of what it wrote only what was synced is surely there.
    Power,
    /// One of three nodes over one database is killed, stopped or cut off; the others go on.
    Nodes,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
    pub(crate) only: Option<Kind>,
    /// Power cuts are left out.
    pub(crate) without_power: bool,
}

impl Options {
    /// Reads the arguments.
    pub(crate) fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let (mut binary, mut folder, mut only) = (None, None, None);
        let (mut rounds, mut seed) = (ROUNDS, Random::system().u64() % 1_000_000_000);
        let (mut rest, mut without_power) = (arguments.iter(), false);
        while let Some(argument) = rest.next() {
            if argument == "--without-power" {
                without_power = true;
                continue;
            }
            let value = rest.next().with_context(|| format!("`{argument}` needs a value\n{USAGE}"))?;
            let number = || value.parse::<u64>().with_context(|| format!("`{value}` is no number\n{USAGE}"));
            match argument.as_str() {
                "--bin" => binary = Some(PathBuf::from(value)),
                "--folder" => folder = Some(PathBuf::from(value)),
                "--rounds" => rounds = usize::try_from(number()?)?,
                "--seed" => seed = number()?,
                "--only" => {
                    only = Some(match value.as_str() {
                        "kill" => Kind::Kill,
                        "power" => Kind::Power,
                        "nodes" => Kind::Nodes,
                        other => bail!("there is no kind `{other}`\n{USAGE}"),
                    });
                }
                other => bail!("`{other}` is not an argument\n{USAGE}"),
            }
        }
        let binary: PathBuf = binary.with_context(|| format!("`--bin` is missing\n{USAGE}"))?;
        let binary = binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?;
        let folder = folder.with_context(|| format!("`--folder` is missing\n{USAGE}"))?;
        Ok(Self { binary, folder, rounds, seed, only, without_power })
    }

    pub(crate) fn wants(&self, kind: Kind) -> bool {
        self.only.is_none_or(|only| only == kind)
    }
}
