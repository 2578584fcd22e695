//! Immutable byte objects. A service writes a blob, then publishes its id in a transaction of the store; a blob that
//! no row names is an orphan, and is swept when it is old enough.
//!
//! On local disk now: [`BlobStore`] hides where blobs are, so that an object store can take its place.
#![forbid(unsafe_code)]

mod error;
mod format;
mod id;
pub mod limits;
mod reader;
mod store;
mod sweep;
mod writer;

pub use error::BlobError;
pub use id::BlobId;
pub use reader::BlobReader;
pub use store::{BlobOptions, BlobStore};
pub use sweep::SweepReport;
pub use writer::{Blob, BlobWriter};
