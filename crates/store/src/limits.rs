//! Bounds of the contract: small enough that every engine, also a remote one, can meet them.

use std::time::Duration;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 4 * 1024;
/// The longest value, in bytes; [`crate::large`] splits longer ones.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// The sum of all keys and values that one transaction writes, in bytes: room for an item of 400 KB in a table with
/// twenty indexes, whose images go to a stream.
pub const MAX_TXN_BYTES: usize = 16 * 1024 * 1024;
/// The same of one that [`crate::Db::run_large`] runs: what one change may come to that cannot be cut in two. It is
/// computed from the largest there is, a transaction of DynamoDB's: 4 MiB of items, each in its table, in 25 indexes, in
/// both images of its stream record and in its table's log, are 116 MiB, and their keys some more. An engine may take less:
/// see [`crate::engine::Engine::max_large_txn_bytes`].
pub const MAX_LARGE_TXN_BYTES: usize = 128 * 1024 * 1024;
/// How long a large transaction waits for another one: a process runs one at a time, as each is held in memory.
pub const MAX_LARGE_TXN_WAIT: Duration = Duration::from_secs(10);
/// How many reads (keys and ranges) one transaction may depend on.
pub const MAX_TXN_READS: usize = 100_000;
/// How many operations one transaction may hold.
pub const MAX_TXN_OPS: usize = 100_000;
/// How long one attempt of a transaction may take, and how long [`crate::Db::run`] retries.
pub const MAX_TXN_AGE: Duration = Duration::from_secs(5);
/// How many rows one `delete_range` may hit; [`crate::Db::clear`] deletes more, in several transactions.
pub const MAX_RANGE_DELETE_ROWS: usize = 10_000;
/// How many times [`crate::Db::run`] tries before it gives up, whatever the clock says.
pub const MAX_ATTEMPTS: u32 = 1_000;
/// The most rows that one page of a scan holds.
pub const MAX_PAGE_ROWS: usize = 10_000;
/// The most bytes (keys and values) that one page of a scan holds; one row more may exceed it.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// The first byte of a key may not reach this: keys above belong to the store itself.
pub const FIRST_RESERVED_BYTE: u8 = 0xfd;
/// Keys whose first byte is this one or higher are an engine's bookkeeping; all others are content and move with an export.
pub const FIRST_ENGINE_BYTE: u8 = 0xfe;
