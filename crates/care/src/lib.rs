//! Care of data: dumps of all rows, backups with their blobs, restoring them, and checking that everything fits together.
#![forbid(unsafe_code)]

mod dump;
mod error;
mod files;
mod rows;

pub use dump::{DumpEncoder, DumpError, DumpReader, DumpStream, Header, Totals};
pub use error::CareError;
pub use files::{NewFile, make_directory};
pub use rows::{import_dump, verify_dump, write_dump};
