//! Deployment packages: read, checked, unpacked, kept once for equal content, signed for. What lies on a node's disk is a
//! cache of the blobs.

mod archive;
mod compiled;
mod download;
pub(crate) mod folders;
pub(crate) mod packages;
pub(crate) mod signing;
pub(crate) mod signing_use;
pub(crate) mod space;
mod spool;
mod unpacking;

pub use download::CODE_PATH;
pub(crate) use unpacking::{CodeError, Depth, check, make_folder, put_in_place, remove_folder, unpack};
