//! Values longer than [`limits::MAX_VALUE_BYTES`], split over several rows.
//!
//! The row under the caller's key holds a mark and either the value itself (mark 0) or the number of chunks (mark 1,
//! then a `u32` big-endian). Chunks live in the store's own part of the key space, so that scans over the callers'
//! rows never meet them: 0xfd, the caller's key, the chunk's index as `u32` big-endian.
//! Rows written here must be read and deleted here: a plain `delete` or `delete_range` would leave chunks behind.

use bytes::Bytes;

use crate::error::StoreError;
use crate::limits::{FIRST_RESERVED_BYTE, MAX_TXN_BYTES, MAX_VALUE_BYTES};
use crate::txn::Txn;

const INLINE: u8 = 0;
const CHUNKED: u8 = 1;

/// Writes a value of up to [`MAX_TXN_BYTES`]. Reads the row that it replaces.
pub async fn put_large(txn: &Txn, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let old = txn.get(key).await?;
    put_over(txn, key, old.as_deref(), value)
}

/// [`put_large`] over a row that this transaction has read already: `old`, or `None` where there was none.
pub fn put_over(txn: &Txn, key: &[u8], old: Option<&[u8]>, value: &[u8]) -> Result<(), StoreError> {
    if value.len() > MAX_TXN_BYTES {
        return Err(StoreError::TransactionTooLarge { bytes: value.len(), at_most: MAX_TXN_BYTES });
    }
    let old_chunks = chunk_count(old)?;
    if value.len() < MAX_VALUE_BYTES {
        txn.put(key, &[&[INLINE], value].concat());
        delete_chunks(txn, key, 0, old_chunks);
        return Ok(());
    }
    let chunks = value.chunks(MAX_VALUE_BYTES);
    let count = u32::try_from(chunks.len()).expect("a transaction's bytes make few chunks");
    for (index, chunk) in (0..).zip(chunks) {
        txn.change_own(&chunk_key(key, index), Some(chunk));
    }
    delete_chunks(txn, key, count, old_chunks);
    txn.put(key, &[&[CHUNKED][..], &count.to_be_bytes()].concat());
    Ok(())
}

/// Reads a value that [`put_large`] wrote.
pub async fn get_large(txn: &Txn, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
    match txn.get(key).await? {
        Some(row) => load_large(txn, key, row).await.map(Some),
        None => Ok(None),
    }
}

/// Completes a row that a scan found under `key`.
pub async fn load_large(txn: &Txn, key: &[u8], row: Bytes) -> Result<Bytes, StoreError> {
    let count = chunk_count(Some(&row))?;
    if count == 0 {
        return Ok(row.slice(1..));
    }
    let mut value = Vec::new();
    for index in 0..count {
        // The head row is read before, and every change of chunks changes it: no need to depend on each.
        match txn.get_snapshot(&chunk_key(key, index)).await? {
            Some(chunk) => value.extend_from_slice(&chunk),
            None => return Err(StoreError::Corrupt(format!("chunk {index} of {count} is missing"))),
        }
    }
    Ok(value.into())
}

/// Deletes a value that [`put_large`] wrote. Reads its row.
pub async fn delete_large(txn: &Txn, key: &[u8]) -> Result<(), StoreError> {
    let old = txn.get(key).await?;
    delete_read(txn, key, old.as_deref())
}

/// [`delete_large`] of a row that this transaction has read already.
pub fn delete_read(txn: &Txn, key: &[u8], old: Option<&[u8]>) -> Result<(), StoreError> {
    delete_chunks(txn, key, 0, chunk_count(old)?);
    txn.delete(key);
    Ok(())
}

/// The row of a value that needs no other rows; `None` where it does.
pub fn large_row(value: &[u8]) -> Option<Vec<u8>> {
    (value.len() < MAX_VALUE_BYTES).then(|| [&[INLINE], value].concat())
}

/// Whether the value of a row that [`put_large`] wrote lies in other rows.
pub fn is_chunked(row: &[u8]) -> bool {
    row.first() == Some(&CHUNKED)
}

/// The row whose chunk lies under a key, and the chunk's index.
pub fn chunk_owner(key: &[u8]) -> Option<(&[u8], u32)> {
    let (row, index) = key.strip_prefix(&[FIRST_RESERVED_BYTE])?.split_last_chunk()?;
    (!row.is_empty()).then_some((row, u32::from_be_bytes(*index)))
}

fn delete_chunks(txn: &Txn, key: &[u8], from: u32, to: u32) {
    for index in from..to {
        txn.change_own(&chunk_key(key, index), None);
    }
}

pub(crate) fn chunk_count(row: Option<&[u8]>) -> Result<u32, StoreError> {
    match row {
        None | Some([INLINE, ..]) => Ok(0),
        Some([CHUNKED, a, b, c, d]) => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        Some(_) => Err(StoreError::Corrupt("a row was read as a large value and is none".to_owned())),
    }
}

pub(crate) fn chunk_key(key: &[u8], index: u32) -> Vec<u8> {
    let mut chunk = Vec::with_capacity(key.len() + 5);
    chunk.push(FIRST_RESERVED_BYTE);
    chunk.extend_from_slice(key);
    chunk.extend_from_slice(&index.to_be_bytes());
    chunk
}
