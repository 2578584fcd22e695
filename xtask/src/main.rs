//! The project's own tools: `cargo xtask COMMAND`.
//!
//! Each command is a file with `pub(crate) fn run(args: &[String]) -> anyhow::Result<()>`; adding one is a `mod` line,
//! a `match` line and a line of `USAGE`.
#![forbid(unsafe_code)]

mod bench;
mod e2e;
mod fuzz;
mod models;
mod tally;
mod test;
mod tidy;
mod tools;
mod torture;
mod unit;

const USAGE: &str = "\
usage: cargo xtask COMMAND [ARGUMENTS]

  test               checks everything: format, lints, house rules, generated code, unit and end-to-end tests
  e2e                runs the official clients against a freshly started `lambent up`
  torture            kills `lambent up` under load, and checks that nothing acknowledged is lost
  fuzz               throws inputs of any form at what reads the words of strangers
  bench              measures speed and size, and prints one table
  models [--check]   writes the model crates from the pinned botocore
  tidy               checks the house rules that a machine can check
";

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "test" => test::run(rest),
        "e2e" => e2e::run(rest),
        "bench" => bench::run(rest),
        "models" => models::run(rest),
        "tidy" => tidy::run(rest),
        "torture" => torture::run(rest),
        "fuzz" => fuzz::run(rest),
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
