//! `cargo xtask test`: everything that must hold before a change is taken.

use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use lambent_base::Clock;

use crate::tally::Tally;
use crate::{e2e, fuzz, tidy, tools, torture, unit};

/// What one step came to.
struct Outcome {
    name: &'static str,
    tally: Tally,
    took: Duration,
}

/// Runs every step, also after one has failed, so that one run tells everything; then says how it went.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if let Some(extra) = arguments.first() {
        bail!("`test` takes no arguments, but was given `{extra}`; for a part, run that part's own command");
    }
    let clock = Clock::system();
    let mut outcomes = Vec::new();
    let mut step = |name: &'static str, work: &mut dyn FnMut() -> anyhow::Result<Tally>| {
        println!("\n--- {name}");
        let started = clock.monotonic();
        let tally = work().unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            Tally::of_check(false)
        });
        outcomes.push(Outcome { name, tally, took: clock.monotonic().saturating_sub(started) });
    };
    step("format", &mut || check(&mut tools::cargo(&["fmt", "--all", "--check"])));
    step("clippy", &mut || check(&mut clippy()));
    step("tidy", &mut || tidy::run(&[]).map(|()| Tally::of_check(true)));
    // A process of its own, so that this command does not depend on how the generator is built.
    step("generated code", &mut || {
        check(&mut tools::cargo(&["run", "--quiet", "--package", "xtask", "--", "models", "--check"]))
    });
    step("unit tests", &mut unit::run);
    step("fuzzing", &mut || fuzz::quick().map(|()| Tally::of_check(true)));
    step("end to end", &mut || e2e::suites(&e2e::Options::default()));
    step("torture", &mut || torture::run(&[]).map(|()| Tally::of_check(true)));
    report(&outcomes)
}

fn check(command: &mut Command) -> anyhow::Result<Tally> {
    tools::run(command).map(|()| Tally::of_check(true))
}

fn clippy() -> Command {
    tools::cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn report(outcomes: &[Outcome]) -> anyhow::Result<()> {
    println!();
    for outcome in outcomes {
        let Outcome { name, tally, took } = outcome;
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        let (passed, failed, seconds) = (tally.passed, tally.failed, took.as_secs());
        println!("{name:<16} {passed:>5} passed {failed:>4} failed {seconds:>5} s  {verdict}");
    }
    let total = outcomes.iter().fold(Tally::default(), |sum, outcome| sum.plus(outcome.tally));
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 {
        // The count above stays the last line: that is what readers of a log look for.
        std::process::exit(1);
    }
    Ok(())
}
