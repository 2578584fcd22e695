//! Runs that are not durable yet.

use crate::RunRecord;
use crate::usage::{self, Sums};

/// How many whole records wait in memory. Runs beyond are kept as sums: the bill stays right, the records are lost,
/// and that is logged.
pub(crate) const RUNS_MAX: usize = 50_000;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) runs: Vec<RunRecord>,
    /// Of runs whose records found no room.
    pub(crate) sums: Sums,
    /// How many records found no room.
    pub(crate) records_lost: u64,
}

impl Pending {
    pub(crate) fn push(&mut self, run: RunRecord) {
        if self.runs.len() < RUNS_MAX {
            self.runs.push(run);
        } else {
            usage::add(&mut self.sums, &run);
            self.records_lost += 1;
        }
    }

    /// Takes back what could not be written.
    pub(crate) fn take_back(&mut self, other: Self) {
        for run in other.runs {
            self.push(run);
        }
        for (key, values) in other.sums {
            usage::merge(&mut self.sums, key, values);
        }
        self.records_lost += other.records_lost;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.sums.is_empty()
    }
}
