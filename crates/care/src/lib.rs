//! Care of data: dumps of all rows, backups with their blobs, restoring them, and checking that everything fits together.
#![forbid(unsafe_code)]

mod backup;
mod check;
mod copy;
mod dump;
mod error;
mod files;
mod manifest;
mod restore;
mod rows;
mod shelf;
mod turn;

pub use backup::{BLOBS_NAME, BackedUp, Backups, Pruned, Scratch};
pub use check::{CheckRows, CheckStep, Checker, Findings, Mend, Mended, Problem};
pub use copy::{Copied, NamedBlob};
pub use dump::{DumpEncoder, DumpError, DumpReader, DumpStream, Header, Totals};
pub use error::CareError;
pub use files::{NewFile, make_directory};
pub use manifest::{DumpEntry, Manifest};
pub use restore::{RestoreStep, Restored};
pub use rows::{import_dump, verify_dump, write_dump};
pub use shelf::{DirectoryShelf, Shelf};
pub use turn::{Mark, STANDS_FOR, Slot, Turn};
