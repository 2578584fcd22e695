//! The torture test: what Lambent acknowledges must be there, whole, after it was killed at any moment.
//!
//! Workers send a load, each noting in a ledger what it attempts before it asks and what is acknowledged after the
//! answer; the server is killed, started again, and compared with the ledger.
#![forbid(unsafe_code)]

mod campaign;
mod client;
mod cloud;
mod content;
mod nodes;
mod options;
mod power;
mod pulse;
mod setup;
mod verify;
mod work;

use std::process::ExitCode;

use options::{Kind, Options};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(arguments)?;
    println!("seed {}; `--seed {}` repeats the schedule", options.seed, options.seed);
    if options.wants(Kind::Kill) {
        campaign::kill(&options)?;
    }
    if options.wants(Kind::Power) {
        campaign::power(&options)?;
    }
    if options.wants(Kind::Nodes) {
        nodes::run(&options)?;
    }
    Ok(())
}
