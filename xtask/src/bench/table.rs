//! The table, and the machine that its figures are of.

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::Context;
use lambent_base::Clock;
use lambent_sigv4::AmzDate;

use super::load::{self, Outcome, percentile};
use crate::tools;

/// All that is printed.
pub(super) struct Table {
    machine: String,
    load_average: f64,
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// One line of it.
#[derive(Default)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) connections: Option<usize>,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) per_second: Option<f64>,
    pub(super) cpu_us: Option<f64>,
    /// What does not fit the other columns.
    pub(super) figure: String,
    pub(super) target: String,
}

impl Table {
    pub(super) fn new(clock: &Clock) -> anyhow::Result<Self> {
        let load = read("/proc/loadavg")?;
        let load_average = load.split(' ').next().and_then(|load| load.parse().ok());
        let load_average = load_average.context("/proc/loadavg has no number")?;
        Ok(Self { machine: machine(clock, load_average)?, load_average, rows: Vec::new(), notes: Vec::new() })
    }

    pub(super) fn load_average(&self) -> f64 {
        self.load_average
    }

    /// A sentence below the table.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// A row with one figure.
    pub(super) fn figure(&mut self, what: impl Into<String>, figure: String, target: &'static str) {
        self.row(Row { what: what.into(), figure, target: target.to_owned(), ..Row::default() });
    }

    /// A row of any kind.
    pub(super) fn row(&mut self, row: Row) {
        eprintln!("  {row}");
        self.rows.push(row);
    }

    /// A row for a load.
    pub(super) fn load(
        &mut self,
        what: impl Into<String>,
        connections: usize,
        outcome: &Outcome,
        figure: String,
        target: &'static str,
    ) {
        let row = Row {
            what: what.into(),
            connections: Some(connections),
            p50_us: Some(outcome.percentile_us(0.5)),
            p99_us: Some(outcome.percentile_us(0.99)),
            per_second: Some(outcome.per_second()),
            cpu_us: Some(outcome.per_operation_us(outcome.cpu.own())),
            figure,
            target: target.to_owned(),
        };
        if let Some((count, first)) = &outcome.refused {
            self.note(format!("{}, {connections} connections: {count} refused, {first}", row.what));
        }
        self.row(row);
    }
}

impl Row {
    /// A row for single times in microseconds, in any order.
    pub(super) fn times(what: impl Into<String>, times_us: Vec<f64>) -> Self {
        let sorted = load::sorted(times_us);
        let figure = format!("of {}, slowest {:.0} us", sorted.len(), percentile(&sorted, 1.0));
        let [p50_us, p99_us] = [0.5, 0.99].map(|part| Some(percentile(&sorted, part)));
        Self { what: what.into(), p50_us, p99_us, figure, ..Self::default() }
    }
}

/// Cores, kernel, load average, date and commit.
fn machine(clock: &Clock, load_average: f64) -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = read("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = read("/proc/sys/kernel/osrelease")?;
    let date = AmzDate::from_unix_s(clock.unix_s()).context("the clock is beyond the year 9999")?;
    let commit =
        Command::new("git").current_dir(tools::root()).args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    Ok(format!(
        "{cores} cores ({model}), Linux {}, load average {load_average:.2} at the start, {}, commit {}",
        kernel.trim(),
        date.as_str(),
        commit.unwrap_or_default(),
    ))
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("could not read {path}"))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}\n", self.machine)?;
        writeln!(
            f,
            "| What | Connections | p50 us | p99 us | per second | server CPU us/op | figure | target |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|---|---|")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        for note in &self.notes {
            writeln!(f, "\n- {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections.map(|count| count.to_string()).unwrap_or_default();
        let [p50, p99, per_second] =
            [self.p50_us, self.p99_us, self.per_second].map(|value| number(value, 0));
        let cpu = number(self.cpu_us, 1);
        let Self { what, figure, target, .. } = self;
        write!(f, "| {what} | {connections} | {p50} | {p99} | {per_second} | {cpu} | {figure} | {target} |")
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map(|value| format!("{value:.digits$}")).unwrap_or_default()
}
