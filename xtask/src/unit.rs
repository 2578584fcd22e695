//! The unit and conformance tests of the workspace, by nextest or by cargo's own runner.
//!
//! What fails is run once more, as tests of other languages are: on a machine that does other things, too, a process may
//! come late. nextest does so by itself and one test at a time; of cargo's own runner the failing targets are run again.

use crate::tally::{Tally, of_line, run_counted, run_shown};
use crate::tools;

/// When more targets fail, it is not by chance.
const RERUN_TARGETS_MAX: usize = 5;

/// Runs them and counts.
pub(crate) fn run() -> anyhow::Result<Tally> {
    if tools::succeeds(&mut tools::cargo(&["nextest", "--version"])) {
        let words = ["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "--retries", "1"];
        return run_counted(&mut tools::cargo(&words));
    }
    let mut all = tools::cargo(&["test", "--locked", "--workspace", "--no-fail-fast"]);
    let mut first = Run::default();
    let status = run_shown(&mut all, |line| first.read(line))?;
    if first.targets.is_empty() || first.targets.len() > RERUN_TARGETS_MAX {
        return Ok(first.passing.plus(first.failing).ended_with(&all, status));
    }
    println!("\nonce more, what failed: {}", first.tests.join(", "));
    let mut tally = first.passing;
    for target in &first.targets {
        let words: Vec<&str> = target.split(' ').collect();
        let again = run_counted(tools::cargo(&["test", "--locked"]).args(words))?;
        if again.failed == 0 {
            println!("FLAKY: `{target}` failed, and passed when it was run once more: a defect to mend");
        }
        tally = tally.plus(again);
    }
    Ok(tally)
}

/// What cargo's own runner said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    /// The tests of targets in which all passed.
    passing: Tally,
    /// Those of the others. A target that crashed has not counted its own.
    failing: Tally,
    /// The names of failed tests.
    tests: Vec<String>,
    /// The failing targets, each as the arguments that cargo runs it with alone.
    targets: Vec<String>,
    /// The list of them has begun.
    listing: bool,
}

impl Run {
    fn read(&mut self, line: &str) {
        let tally = of_line(line);
        let of = if tally.failed == 0 { &mut self.passing } else { &mut self.failing };
        *of = of.plus(tally);
        if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix("... FAILED")) {
            self.tests.push(name.trim().to_owned());
        }
        // `error: 2 targets failed:`, and a line with each in backticks.
        let is_head = line.starts_with("error: ")
            && (line.ends_with(" target failed:") || line.ends_with(" targets failed:"));
        let target = line.trim().strip_prefix('`').and_then(|line| line.strip_suffix('`'));
        match target {
            Some(target) if self.listing => self.targets.push(target.to_owned()),
            _ => self.listing = is_head || self.listing && !line.starts_with("error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Run {
        let mut run = Run::default();
        output.lines().for_each(|line| run.read(line));
        run
    }

    #[test]
    fn failing_targets_and_tests_are_read() {
        let run = read(
            "     Running unittests src/lib.rs (target/debug/deps/lambent_store-1)
test keys::tests::order ... ok
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/main.rs (target/debug/deps/functions-1)
test pool_reuses_an_environment      ... FAILED
test pool_stops_what_is_idle         ... ok
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 41.33s
error: test failed, to rerun pass `-p lambent-pool --test functions`
     Running unittests src/lib.rs (target/debug/deps/lambent_s3-1)
error: test failed, to rerun pass `-p lambent-s3 --lib`

Caused by:
  process didn't exit successfully: `target/debug/deps/lambent_s3-1` (signal: 6, SIGABRT: process abort signal)
error: 2 targets failed:
    `-p lambent-pool --test functions`
    `-p lambent-s3 --lib`",
        );
        assert_eq!(run.passing, Tally { passed: 3, failed: 0 });
        assert_eq!(run.failing, Tally { passed: 1, failed: 1 });
        assert_eq!(run.tests, ["pool_reuses_an_environment"]);
        assert_eq!(run.targets, ["-p lambent-pool --test functions", "-p lambent-s3 --lib"]);
    }

    #[test]
    fn one_failing_target_is_a_list_too() {
        let run = read("error: 1 target failed:\n    `-p xtask --bin xtask`");
        assert_eq!(run.targets, ["-p xtask --bin xtask"]);
    }

    #[test]
    fn what_could_not_be_built_has_no_targets_to_run_again() {
        let run = read(
            "error[E0425]: cannot find value `x` in this scope
error: could not compile `lambent-store` (lib test) due to 1 previous error
    `x`",
        );
        assert_eq!(run, Run::default());
    }
}
