//! The project's own tools: `cargo xtask COMMAND`.
//!
//! Each command is a file with `pub(crate) fn run(args: &[String]) -> anyhow::Result<()>`; adding one is a `mod` line,
//! a `match` line and a line of `USAGE`.
#![forbid(unsafe_code)]

mod tools;

const USAGE: &str = "\
usage: cargo xtask COMMAND [ARGUMENTS]

";

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "help" | "--help" | "-h" => help(rest),
        other => Err(anyhow::anyhow!("there is no command `{other}`\n\n{USAGE}")),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {command}: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn help(_arguments: &[String]) -> anyhow::Result<()> {
    println!("{USAGE}");
    Ok(())
}
