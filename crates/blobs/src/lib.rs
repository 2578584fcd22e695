//! Immutable byte objects. A service writes a blob, then publishes its id in a transaction of the store; a blob that
//! no row names is an orphan, and is swept when it is old enough.
//!
//! [`BlobStore`] hides where blobs are: a directory of this host, a directory that several hosts mount, or any
//! [`Place`]. Their files are the same everywhere.
#![forbid(unsafe_code)]

mod cursor;
mod disk;
mod error;
mod far;
mod format;
mod id;
pub mod limits;
pub mod place;
mod place_mark;
mod raw;
mod reader;
mod store;
mod sweep;
mod writer;

pub use error::BlobError;
pub use id::BlobId;
pub use place::Place;
pub use place_mark::MARK_NAME;
pub use raw::RawReader;
pub use reader::BlobReader;
pub use store::{BlobOptions, BlobStore};
pub use sweep::SweepReport;
pub use writer::{Blob, BlobWriter};
