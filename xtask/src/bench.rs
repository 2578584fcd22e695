//! `cargo xtask bench`: what Lambent costs on this machine, in one Markdown table.
//!
//! The load generator is this program, in a process of its own; the server is the release binary in a data directory
//! of its own. Requests are signed before the clock runs. Nothing here asserts a timing: the table has the targets
//! beside the figures, and readers judge.

mod big;
mod bundle;
mod calls;
mod cold;
mod crowd;
mod door;
mod floor;
mod floors;
mod functions;
mod image;
mod load;
mod logs;
mod mapping;
mod nginx;
mod objects;
mod process;
mod restart;
mod server;
mod shared;
mod starts;
mod store;
mod table;
mod tables;
mod url;
mod warm;
mod wasm;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Clock;

use crate::tools;
use table::Table;

const USAGE: &str = "\
usage: cargo xtask bench [--quick] [--only NAME]... [--bin LAMBENT --floor FLOOR]

NAME is one of floor, identity, door, get, put, logs, dynamodb, mapping, big, floors, warm, url, cold, image, scale-out, burst, start, restart, idle,
postgres, store, outbox, policy, wasm; and, only when it is named, dynamodb-big: ten million items.
--quick measures a tenth as long. --bin and --floor give binaries that are measured instead of being built; `store`,
`outbox` and `policy` measure the `store_bench`, the `outbox_bench` and the `policy_bench` beside the floor.";

/// A part of the benchmark: its name and what adds its rows.
type Part = (&'static str, fn(&Bench, &mut Table) -> anyhow::Result<()>);

const PARTS: [Part; 25] = [
    ("floor", floor::measure),
    ("identity", calls::measure),
    ("door", door::measure),
    ("get", objects::measure_get),
    ("put", objects::measure_put),
    ("logs", logs::measure),
    ("dynamodb", tables::measure),
    (DYNAMODB_BIG, tables::measure_big),
    ("mapping", mapping::measure),
    ("big", big::measure),
    ("floors", floors::measure),
    ("warm", warm::measure),
    ("url", url::measure),
    ("cold", cold::measure),
    ("image", image::measure),
    ("scale-out", crowd::measure_scale_out),
    ("burst", crowd::measure_burst),
    ("start", starts::measure_start),
    ("restart", restart::measure),
    ("idle", starts::measure_idle),
    ("postgres", shared::measure),
    ("store", store::measure),
    ("outbox", store::measure_outbox),
    ("policy", store::measure_policies),
    ("wasm", wasm::measure),
];

/// Takes too long to be measured unasked.
const DYNAMODB_BIG: &str = "dynamodb-big";

/// Connections that each kind of request is measured with.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// The most time that one row's load runs.
const ROW_TIME: Duration = Duration::from_secs(5);
const ROW_TIME_QUICK: Duration = Duration::from_millis(500);
/// Above this, others use the machine and the figures say less.
const LOAD_AVERAGE_QUIET: f64 = 1.0;

/// What every part needs.
struct Bench {
    clock: Clock,
    lambent: PathBuf,
    floor: PathBuf,
    quick: bool,
}

#[derive(Default)]
struct Options {
    quick: bool,
    only: Vec<String>,
    lambent: Option<PathBuf>,
    floor: Option<PathBuf>,
}

impl Bench {
    fn row_time(&self) -> Duration {
        if self.quick { ROW_TIME_QUICK } else { ROW_TIME }
    }

    /// `count`, or a tenth of it when time is short.
    fn count(&self, count: usize) -> usize {
        if self.quick { (count / 10).max(1) } else { count }
    }

    /// Where data directories and files lie: below the target folder, as a temporary folder may be in memory, where
    /// durability costs nothing.
    fn folder(&self) -> PathBuf {
        tools::target_dir().join("bench")
    }
}

/// Measures, prints the table and writes it to `bench.md` in the target folder; an error when a part could not run.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let options = parse(arguments)?;
    let (Some(lambent), Some(floor)) = (options.lambent, options.floor) else {
        return build_and_run(arguments);
    };
    let bench = Bench { clock: Clock::system(), lambent, floor, quick: options.quick };
    std::fs::create_dir_all(bench.folder())
        .with_context(|| format!("could not make {}", bench.folder().display()))?;
    let mut table = Table::new(&bench.clock)?;
    if table.load_average() > LOAD_AVERAGE_QUIET {
        let load = table.load_average();
        table.note(format!(
            "WARNING: the load average was {load:.2} at the start, so others used this machine; run again when it is quiet"
        ));
    }
    let mut failed = 0;
    for (name, measure) in PARTS {
        let is_named = options.only.iter().any(|only| only == name);
        if !is_named && (!options.only.is_empty() || name == DYNAMODB_BIG) {
            continue;
        }
        eprintln!("measuring {name}");
        if let Err(error) = measure(&bench, &mut table) {
            failed += 1;
            eprintln!("{name}: {error:#}");
            table.note(format!("`{name}` could not be measured: {error:#}"));
        }
    }
    let text = table.to_string();
    print!("{text}");
    let file = tools::target_dir().join("bench.md");
    std::fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))?;
    if failed > 0 {
        bail!("{failed} parts could not be measured; the table says why");
    }
    Ok(())
}

/// Builds server, floor and this program for release, with one set of features, and lets that one measure.
fn build_and_run(arguments: &[String]) -> anyhow::Result<()> {
    tools::run(&mut tools::cargo(&[
        "build",
        "--locked",
        "--release",
        "--package=lambent",
        "--package=lambent-gateway",
        "--package=lambent-store",
        "--package=lambent-bus",
        "--package=lambent-identity",
        "--package=xtask",
        "--features=lambent/wasm",
        "--bins",
        "--example=floor",
        "--example=store_bench",
        "--example=outbox_bench",
        "--example=policy_bench",
    ]))?;
    let release = tools::target_dir().join("release");
    let mut command = Command::new(release.join("xtask"));
    command.arg("bench").arg("--bin").arg(release.join("lambent"));
    tools::run(command.arg("--floor").arg(release.join("examples/floor")).args(arguments))
}

fn parse(arguments: &[String]) -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("`{argument}` needs a value\n{USAGE}"));
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--only" => options.only.push(value()?.clone()),
            "--bin" => options.lambent = Some(PathBuf::from(value()?)),
            "--floor" => options.floor = Some(PathBuf::from(value()?)),
            other => bail!("`{other}` is not an argument of `bench`\n{USAGE}"),
        }
    }
    if let Some(unknown) = options.only.iter().find(|only| !PARTS.iter().any(|(name, _)| name == only)) {
        bail!("there is no part `{unknown}`\n{USAGE}");
    }
    if options.lambent.is_some() != options.floor.is_some() {
        bail!("`--bin` and `--floor` go together\n{USAGE}");
    }
    Ok(options)
}
