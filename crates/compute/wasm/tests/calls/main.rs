//! Calls of components that were written by hand.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

mod artifacts;
mod ends;
mod hosts;
mod instances;
mod outgoing;
mod results;
mod support;
