//! `lambent`: a serverless cloud in one binary.
#![forbid(unsafe_code)]

mod cloud;
mod data_dir;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A serverless cloud that you own
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the cloud in the foreground
    Up(up::UpArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Up(arguments) => up::run(&arguments),
    }
}
