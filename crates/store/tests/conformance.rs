//! What every engine must do. A new engine adds itself to `harness.rs` and passes all of it.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

#[macro_use]
#[path = "conformance/harness.rs"]
mod harness;

#[path = "conformance/conflicts.rs"]
mod conflicts;
#[path = "conformance/counters.rs"]
mod counters;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/history.rs"]
mod history;
#[path = "conformance/large.rs"]
mod large;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/rows.rs"]
mod rows;
#[path = "conformance/scans.rs"]
mod scans;
#[path = "conformance/stamps.rs"]
mod stamps;
#[path = "conformance/watches.rs"]
mod watches;
