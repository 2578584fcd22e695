//! The meter: one record for each run of a function, sums for each function and day, and the bill made of them.
//!
//! [`Meter::record`] never waits and never loses what is owed: runs gather in memory, and a task makes them durable
//! within a second, sums and records in one transaction.
#![forbid(unsafe_code)]

mod bill;
mod check;
mod error;
mod keys;
mod meter;
mod month;
mod pending;
mod prices;
mod runs;
mod sweep;
#[cfg(test)]
mod tests;
mod usage;

pub use bill::{AwsCost, Bill, Cost, FunctionBill};
pub use check::check;
pub use error::MeterError;
pub use meter::Meter;
pub use month::{Month, MonthError};
pub use prices::{PriceError, PriceSource, Prices};
pub use runs::{LISTED_MAX, RunMark, RunMarkError, RunPage, RunsWanted, SLOWEST_OF};
pub use usage::{ERROR_TYPE_BYTES, RunOutcome, RunRecord};
