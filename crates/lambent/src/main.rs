//! `lambent`: a serverless cloud in one binary.
#![forbid(unsafe_code)]

mod account_paths;
mod audit;
mod blobs;
mod care;
mod care_paths;
mod cloud;
mod data_dir;
mod joints;
mod keyring;
mod orphans;
mod owner;
mod privacy;
mod rotate;
mod runners;
mod store_id;
mod table_streams;
mod top;
mod transport;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lambent_cli::{
    account, audit as audit_command, bill, dead_letters, demo, doctor, env, iam, invocations, logs, runtime,
    top as top_command, trust,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Print what a shell needs to use the cloud: eval "$(lambent env)"
    Env(env::EnvArgs),
    /// Make and list accounts
    Account(account::AccountArgs),
    /// Say how to trust the cloud's own certificates
    Trust(trust::TrustArgs),
    /// Print what a function wrote
    Logs(logs::LogsArgs),
    /// Print a function's last calls: how long each took, what it cost, how it ended
    Invocations(invocations::InvocationsArgs),
    /// Show what every function does now: environments, cold starts, durations, memory, cost
    Top(top_command::TopArgs),
    /// Print requests, GB-seconds and cost by function
    Bill(bill::BillArgs),
    /// Show who asked for what, and what was decided
    Audit(audit_command::AuditArgs),
    /// Explain decisions, and suggest policies
    Iam(iam::IamArgs),
    /// Print events that were given up, and why
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Write all rows to a file, from a running or a stopped cloud
    Export(care::rows::ExportArgs),
    /// Bring the rows of a file into an empty store, of any engine
    Import(care::rows::ImportArgs),
    /// Copy rows and blobs to a directory or a bucket, while the cloud runs
    Backup(care::backup::BackupArgs),
    /// Bring a backup into an empty place
    Restore(care::restore::RestoreArgs),
    /// See whether rows and blobs fit together, and mend what can be mended
    Check(care::check::CheckArgs),
    /// Replace the master key
    Keys(rotate::KeysArgs),
    /// Say what this host can isolate
    Doctor(doctor::DoctorArgs),
    /// List and install runtimes
    Runtime(runtime::RuntimeArgs),
    /// Show the whole path once, in a temporary cloud
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    // A function's environment starts as a copy of this program; it must not get further than this.
    lambent_sandbox::run_if_forge();
    match Arguments::parse().command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Env(arguments) => env::run(&arguments),
        Command::Account(arguments) => account::run(&arguments),
        Command::Trust(arguments) => trust::run(&arguments),
        Command::Logs(arguments) => logs::run(&arguments),
        Command::Invocations(arguments) => invocations::run(&arguments),
        Command::Top(arguments) => top_command::run(&arguments),
        Command::Bill(arguments) => bill::run(&arguments),
        Command::Audit(arguments) => audit_command::run(&arguments),
        Command::Iam(arguments) => iam::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(&arguments),
        Command::Export(arguments) => care::rows::export(&arguments),
        Command::Import(arguments) => care::rows::import(&arguments),
        Command::Backup(arguments) => care::backup::run(&arguments),
        Command::Restore(arguments) => care::restore::run(&arguments),
        Command::Check(arguments) => care::check::run(&arguments),
        Command::Keys(arguments) => rotate::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Runtime(arguments) => runtime::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
}
