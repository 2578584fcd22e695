//! Care of data: dumps of all rows, backups with their blobs, restoring them, and checking that everything fits together.
//!
//! What belongs to a service is the service's own: each gives a function that reads its rows and writes what it finds
//! into [`Findings`].
#![forbid(unsafe_code)]

mod dump;

pub use dump::{DumpEncoder, DumpError, DumpReader, DumpStream, Header, Totals};
