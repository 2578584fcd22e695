//! The store: ordered keys, serializable transactions, several engines behind one contract.
//!
//! Services open transactions with [`Db::run`] and [`Db::read`], make keys with [`Key`] and read them with
//! [`KeyReader`]. Everything is bounded by [`limits`]; scans come in pages.
#![forbid(unsafe_code)]

mod active;
mod data_lock;
mod db;
mod directory;
pub mod engine;
mod error;
pub mod fjall_engine;
pub mod keys;
pub mod large;
pub mod limits;
pub mod memory;
mod overlay;
mod range;
mod resolve;
mod transfer;
mod txn;
mod wakes;
mod window;

pub use data_lock::DataLock;
pub use db::Db;
pub use engine::Version;
pub use error::StoreError;
pub use fjall_engine::{FjallEngine, FjallOptions};
pub use keys::{Key, KeyError, KeyReader};
pub use large::{
    chunk_owner, delete_large, delete_read, get_large, is_chunked, large_row, load_large, put_large, put_over,
};
pub use memory::{Faults, MemoryEngine};
pub use range::{KeyRange, Page, ScanOptions, prefix_end};
pub use transfer::{Export, Import, expect_whole};
pub use txn::Txn;
pub use wakes::Watch;
