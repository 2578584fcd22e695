//! Places for blobs: a directory of one process, one of several, an object store.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

mod conformance;
mod failures;
mod faulty;
mod support;
