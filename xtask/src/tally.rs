//! How many tests a runner says passed and failed, read from its closing lines.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use crate::tools;

/// Tests by outcome; what a runner skipped is in neither number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// The sum of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }

    /// With a failure if the runner failed and named none.
    pub(crate) fn ended_with(mut self, command: &Command, status: ExitStatus) -> Self {
        if !status.success() && self.failed == 0 {
            println!("`{}` ended with {status}", tools::words_of(command));
            self.failed = 1;
        }
        self
    }

    /// What a single check counts as.
    pub(crate) fn of_check(succeeded: bool) -> Self {
        Self { passed: u64::from(succeeded), failed: u64::from(!succeeded) }
    }
}

/// Runs a test runner, shows its output as it comes, and counts.
///
/// A runner that fails without naming a failed test (it could not be built, it crashed) counts as one failure.
pub(crate) fn run_counted(command: &mut Command) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let status = run_shown(command, |line| tally = tally.plus(of_line(line)))?;
    Ok(tally.ended_with(command, status))
}

/// Runs a program, shows its output as it comes, and gives each line of it away.
pub(crate) fn run_shown(
    command: &mut Command,
    on_line: impl FnMut(&str) + Send,
) -> anyhow::Result<ExitStatus> {
    let words = tools::words_of(command);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().with_context(|| format!("could not start `{words}`"))?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let on_line = Mutex::new(on_line);
    std::thread::scope(|scope| {
        scope.spawn(|| show(stderr, &on_line));
        show(stdout, &on_line);
    });
    child.wait().with_context(|| format!("could not wait for `{words}`"))
}

fn show(output: impl Read, on_line: &Mutex<impl FnMut(&str)>) {
    for line in BufReader::new(output).split(b'\n') {
        // An output that can no longer be read has ended.
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        on_line.lock().unwrap_or_else(PoisonError::into_inner)(&line);
    }
}

/// What one line adds: the closing lines of nextest, cargo's own harness, pytest and node's runner.
pub(crate) fn of_line(line: &str) -> Tally {
    let line = line.trim().trim_matches('=').trim();
    let counts = if let Some((_, counts)) = line.split_once("tests run: ").or(line.split_once("test run: ")) {
        if line.starts_with("Summary") { counts } else { "" }
    } else if let Some(counts) = line.strip_prefix("test result: ") {
        counts.split_once(". ").map_or("", |(_, counts)| counts)
    } else if let Some(counts) = line.strip_prefix('\u{2139}') {
        return node(counts.trim());
    } else {
        pytest(line)
    };
    let mut tally = Tally::default();
    for part in counts.split([',', ';']) {
        let mut words = part.split_whitespace();
        let Some(Ok(number)) = words.next().map(str::parse::<u64>) else { continue };
        match words.next() {
            Some("passed") => tally.passed += number,
            Some("failed" | "error" | "errors" | "timed" | "exec") => tally.failed += number,
            _ => {}
        }
    }
    tally
}

/// The counts of pytest's closing line, `1 failed, 2 passed in 3.4s`; nothing for any other line.
fn pytest(line: &str) -> &str {
    let Some((counts, time)) = line.rsplit_once(" in ") else { return "" };
    let is_time = time
        .split_whitespace()
        .next()
        .is_some_and(|first| first.strip_suffix('s').is_some_and(|seconds| seconds.parse::<f64>().is_ok()));
    let counts_only = counts
        .split(", ")
        .all(|part| part.split_once(' ').is_some_and(|(number, _)| number.parse::<u64>().is_ok()));
    if is_time && counts_only { counts } else { "" }
}

/// Node prints one line for each outcome: `pass 3`, `fail 0`, `cancelled 0`.
fn node(line: &str) -> Tally {
    let mut words = line.split_whitespace();
    let outcome = words.next();
    let number = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    match outcome {
        Some("pass") => Tally { passed: number, failed: 0 },
        Some("fail" | "cancelled") => Tally { passed: 0, failed: number },
        _ => Tally::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Tally, of_line};

    #[track_caller]
    fn check(line: &str, passed: u64, failed: u64) {
        assert_eq!(of_line(line), Tally { passed, failed }, "{line}");
    }

    #[test]
    fn closing_lines_of_the_runners_we_use() {
        check("     Summary [   0.068s] 14 tests run: 12 passed (1 slow), 2 failed, 3 skipped", 12, 2);
        check("     Summary [   0.068s] 1 test run: 1 passed, 0 skipped", 1, 0);
        check("     Summary [   9.0s] 3 tests run: 1 passed, 1 failed, 1 timed out, 0 skipped", 1, 2);
        check(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            3,
            0,
        );
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored", 3, 2);
        check("==== 1 failed, 20 passed, 2 skipped, 1 error in 61.20s (0:01:01) ====", 20, 2);
        check("==== 1 failed, 20 passed, 3 rerun in 61.20s (0:01:01) ====", 20, 1);
        check("     Summary [   9.0s] 3 tests run: 3 passed (1 slow, 2 flaky), 0 skipped", 3, 0);
        check("20 passed in 0.20s", 20, 0);
        check("\u{2139} pass 7", 7, 0);
        check("\u{2139} fail 2", 0, 2);
        check("\u{2139} duration_ms 711", 0, 0);
    }

    #[test]
    fn other_lines_count_nothing() {
        check("        PASS [   0.011s] ( 1/14) xtask tidy::tests::x", 0, 0);
        check("3 passed cars were seen in town", 0, 0);
        check("test tally ... ok", 0, 0);
    }
}
