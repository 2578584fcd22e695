//! A dump: all rows of a store in one file, the same bytes for the same content whatever engine it came from.
//!
//! | part | bytes |
//! |---|---|
//! | header | magic (8), format `u32`, the store's version `u64`, length of the cloud's id `u16`, the id, CRC-32C of the header `u32` |
//! | block, any number | `B`, rows `u32`, bytes of the rows `u32`, the rows, CRC-32C of the block `u32` |
//! | a row | length of the key `u16`, length of the value `u32`, key, value |
//! | trailer | `E`, blocks `u64`, rows `u64`, bytes of keys and values `u64`, SHA-256 of all before the trailer (32), CRC-32C of the trailer `u32` |
//!
//! Numbers are little-endian. Keys ascend. A block ends with the row that brings it to [`BLOCK_BYTES`].

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use lambent_store::Version;
use sha2::{Digest, Sha256};

mod read;
mod write;

pub use read::{DumpError, DumpReader};
pub use write::DumpStream;

const MAGIC: &[u8; 8] = b"LMBNDUMP";
/// The format that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// A block takes no further row once its rows have this many bytes.
const BLOCK_BYTES: usize = 256 * 1024;
const BLOCK_TAG: u8 = b'B';
const END_TAG: u8 = b'E';
const BLOCK_HEAD_BYTES: usize = 1 + 4 + 4;
const ROW_HEAD_BYTES: usize = 2 + 4;
const SUM_BYTES: usize = 4;
const TRAILER_BYTES: usize = 1 + 3 * 8 + 32 + SUM_BYTES;

/// What a dump says of itself before its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the store when it was dumped.
    pub version: Version,
    /// Names the cloud whose rows these are; empty when it had no name yet.
    pub cloud_id: String,
}

/// How much a dump holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub blocks: u64,
    pub rows: u64,
    /// Of keys and values.
    pub bytes: u64,
}

/// Makes a dump of rows, piece by piece.
pub struct DumpEncoder {
    block: BytesMut,
    rows_in_block: u32,
    totals: Totals,
    digest: Sha256,
}

impl DumpEncoder {
    /// Begins; the bytes are the dump's first.
    pub fn new(header: &Header) -> (Self, Bytes) {
        let mut bytes = BytesMut::new();
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(FORMAT);
        bytes.put_u64_le(header.version.0);
        let id = header.cloud_id.as_bytes();
        let id = &id[..id.len().min(usize::from(u16::MAX))];
        bytes.put_u16_le(u16::try_from(id.len()).expect("cut just before"));
        bytes.put_slice(id);
        bytes.put_u32_le(checksum(&bytes));
        let mut digest = Sha256::new();
        digest.update(&bytes);
        let encoder = Self { block: new_block(), rows_in_block: 0, totals: Totals::default(), digest };
        (encoder, bytes.freeze())
    }

    /// Adds a row, whose key comes after all before; gives a block when one is full.
    pub fn row(&mut self, key: &[u8], value: &[u8]) -> Option<Bytes> {
        self.block.put_u16_le(u16::try_from(key.len()).expect("the store's keys are shorter than 64 KiB"));
        self.block.put_u32_le(u32::try_from(value.len()).expect("the store's values are shorter than 4 GiB"));
        self.block.put_slice(key);
        self.block.put_slice(value);
        self.rows_in_block += 1;
        self.totals.rows += 1;
        self.totals.bytes += (key.len() + value.len()) as u64;
        (self.block.len() - BLOCK_HEAD_BYTES >= BLOCK_BYTES).then(|| self.end_block())
    }

    /// The dump's last bytes, and how much it holds.
    pub fn finish(mut self) -> (Bytes, Totals) {
        let mut last = BytesMut::new();
        if self.rows_in_block > 0 {
            last.extend_from_slice(&self.end_block());
        }
        let trailer_at = last.len();
        last.put_u8(END_TAG);
        last.put_u64_le(self.totals.blocks);
        last.put_u64_le(self.totals.rows);
        last.put_u64_le(self.totals.bytes);
        last.put_slice(&self.digest.finalize());
        last.put_u32_le(checksum(&last[trailer_at..]));
        (last.freeze(), self.totals)
    }

    fn end_block(&mut self) -> Bytes {
        let mut block = std::mem::replace(&mut self.block, new_block());
        let bytes =
            u32::try_from(block.len() - BLOCK_HEAD_BYTES).expect("a block is one row longer than its bound");
        block[1..5].copy_from_slice(&self.rows_in_block.to_le_bytes());
        block[5..9].copy_from_slice(&bytes.to_le_bytes());
        let sum = checksum(&block);
        block.put_u32_le(sum);
        self.digest.update(&block);
        self.rows_in_block = 0;
        self.totals.blocks += 1;
        block.freeze()
    }
}

/// Room for a block; the counts are filled in when it is full.
fn new_block() -> BytesMut {
    let mut block = BytesMut::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4);
    block.put_u8(BLOCK_TAG);
    block.put_bytes(0, BLOCK_HEAD_BYTES - 1);
    block
}

fn checksum(bytes: &[u8]) -> u32 {
    let sum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(sum).expect("a CRC-32C has 32 bits")
}
