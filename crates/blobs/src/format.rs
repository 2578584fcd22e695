//! A blob's file: the bytes as they are, then a trailer.
//!
//! | bytes | what |
//! |---|---|
//! | length | the blob |
//! | 4 for each block of [`BLOCK_BYTES`], the last may be short | CRC-32C of the block, `u32` LE |
//! | 8 | length, `u64` LE |
//! | 4 | block size, `u32` LE |
//! | 4 | CRC-32C of the trailer up to here, `u32` LE |
//! | 8 | magic |
//!
//! CRC-32C finds bit rot, not malice: whoever can write these files can write the store too.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use crate::limits::BLOCK_BYTES;

const MAGIC: &[u8; 8] = b"LMBNBL01";
pub(crate) const FOOTER_BYTES: usize = 8 + 4 + 4 + 8;
const SUM_BYTES: usize = 4;

/// Checksums of the blocks of a byte stream.
pub(crate) struct BlockSums {
    digest: Digest,
    in_block: usize,
    sums: Vec<u8>,
    length: u64,
}

impl BlockSums {
    pub(crate) fn new() -> Self {
        Self { digest: Digest::new(CrcAlgorithm::Crc32Iscsi), in_block: 0, sums: Vec::new(), length: 0 }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.in_block));
            self.digest.update(now);
            self.in_block += now.len();
            if self.in_block == BLOCK_BYTES {
                self.end_block();
            }
            bytes = later;
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The trailer that ends the file.
    pub(crate) fn into_trailer(mut self) -> Vec<u8> {
        if self.in_block > 0 {
            self.end_block();
        }
        seal(self.sums, self.length)
    }

    fn end_block(&mut self) {
        let sum = u32::try_from(self.digest.finalize_reset()).expect("a CRC-32C has 32 bits");
        self.sums.extend_from_slice(&sum.to_le_bytes());
        self.in_block = 0;
    }
}

/// What a trailer says.
#[derive(Debug)]
pub(crate) struct Trailer {
    pub(crate) length: u64,
    sums: Vec<u8>,
}

/// The end of a trailer, from which on the rest of it can be found.
pub(crate) struct Footer {
    length: u64,
    table_bytes: usize,
    footer: [u8; FOOTER_BYTES],
}

impl Footer {
    /// Reads the footer of a file out of its last bytes; the error says what is wrong with it.
    pub(crate) fn parse(tail: &[u8], file_bytes: u64) -> Result<Self, String> {
        let Some((_, footer)) = tail.split_last_chunk::<FOOTER_BYTES>() else {
            return Err(format!("the file has {file_bytes} bytes, too few for a trailer"));
        };
        let length = u64::from_le_bytes(footer[..8].try_into().expect("eight bytes were taken"));
        if &footer[16..] != MAGIC || footer[8..12] != (BLOCK_BYTES as u32).to_le_bytes() {
            return Err("the trailer has a wrong mark".to_owned());
        }
        let table_bytes = length.div_ceil(BLOCK_BYTES as u64).saturating_mul(SUM_BYTES as u64);
        let expected = length.checked_add(table_bytes).and_then(|end| end.checked_add(FOOTER_BYTES as u64));
        if expected != Some(file_bytes) {
            return Err(format!("the trailer speaks of {length} bytes, the file has {file_bytes}"));
        }
        let table_bytes = usize::try_from(table_bytes).unwrap_or(usize::MAX);
        Ok(Self { length, table_bytes, footer: *footer })
    }

    /// Where in the file the checksums are.
    pub(crate) fn table(&self) -> Range<u64> {
        self.length..self.length + self.table_bytes as u64
    }

    /// The trailer, given the bytes of [`Footer::table`].
    pub(crate) fn complete(&self, table: &[u8]) -> Result<Trailer, String> {
        let mut sums = Vec::with_capacity(self.table_bytes + FOOTER_BYTES);
        sums.extend_from_slice(table);
        sums.extend_from_slice(&self.footer[..12]);
        if table.len() != self.table_bytes || checksum(&sums) != self.footer[12..16] {
            return Err("the trailer's checksum is wrong".to_owned());
        }
        sums.truncate(self.table_bytes);
        Ok(Trailer { length: self.length, sums })
    }
}

impl Trailer {
    /// Reads the trailer of an open file. `Ok(Err)` says what is wrong with it.
    pub(crate) fn read(file: &File) -> std::io::Result<Result<Self, String>> {
        let file_bytes = file.metadata()?.len();
        let mut tail = [0; FOOTER_BYTES];
        let parsed = match file_bytes.checked_sub(FOOTER_BYTES as u64) {
            Some(footer_at) => {
                file.read_exact_at(&mut tail, footer_at)?;
                Footer::parse(&tail, file_bytes)
            }
            None => Footer::parse(&[], file_bytes),
        };
        let footer = match parsed {
            Ok(footer) => footer,
            Err(what) => return Ok(Err(what)),
        };
        let mut table = vec![0; footer.table_bytes];
        file.read_exact_at(&mut table, footer.length)?;
        Ok(footer.complete(&table))
    }

    /// The trailer as it is in the file.
    pub(crate) fn to_bytes(&self) -> Bytes {
        seal(self.sums.clone(), self.length).into()
    }

    /// Checks whole blocks, the first of which has this index; gives the index of the first wrong one.
    pub(crate) fn check(&self, first_block: u64, bytes: &[u8]) -> Result<(), u64> {
        for (index, block) in (first_block..).zip(bytes.chunks(BLOCK_BYTES)) {
            let at = usize::try_from(index).ok().and_then(|index| index.checked_mul(SUM_BYTES));
            let expected = at.and_then(|at| self.sums.get(at..at + SUM_BYTES));
            if expected != Some(&checksum(block)[..]) {
                return Err(index);
            }
        }
        Ok(())
    }
}

/// A whole trailer.
fn seal(sums: Vec<u8>, length: u64) -> Vec<u8> {
    let mut trailer = sums;
    trailer.extend_from_slice(&length.to_le_bytes());
    let block = u32::try_from(BLOCK_BYTES).expect("the block size is a small constant");
    trailer.extend_from_slice(&block.to_le_bytes());
    let sum = checksum(&trailer);
    trailer.extend_from_slice(&sum);
    trailer.extend_from_slice(MAGIC);
    trailer
}

fn checksum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    let sum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(sum).expect("a CRC-32C has 32 bits").to_le_bytes()
}
