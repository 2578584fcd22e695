//! Reading a dump: nothing is handed out before its checksum was right.

use std::io::Read;

use bytes::{Buf, Bytes};
use lambent_store::{Version, limits};
use sha2::{Digest, Sha256};

use super::{
    BLOCK_BYTES, BLOCK_HEAD_BYTES, BLOCK_TAG, END_TAG, FORMAT, Header, MAGIC, ROW_HEAD_BYTES, SUM_BYTES,
    TRAILER_BYTES, Totals, checksum,
};

/// The most that the rows of one block can have: the last row may bring it beyond its bound.
const BLOCK_BYTES_MAX: usize =
    BLOCK_BYTES + ROW_HEAD_BYTES + limits::MAX_KEY_BYTES + 16 + limits::MAX_VALUE_BYTES;

/// Why a file is no whole dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error("it is no dump of Lambent: it does not begin with `LMBNDUMP`")]
    Foreign,
    #[error(
        "it has format {found}, this program reads {FORMAT}; use the version of Lambent that wrote it, or a newer one"
    )]
    Format { found: u32 },
    /// The file is shorter than it was.
    #[error("it is cut off: {wanted} was expected at byte {at}, and the file ends before that is whole")]
    Truncated { wanted: &'static str, at: u64 },
    #[error("it is damaged at byte {at}: {what}")]
    Damaged { at: u64, what: String },
    #[error("it could not be read: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads a dump from its first byte to its last.
pub struct DumpReader<R> {
    source: R,
    header: Header,
    /// Where `source` stands.
    at: u64,
    block: Bytes,
    last_key: Bytes,
    totals: Totals,
    digest: Option<Sha256>,
}

impl<R: Read> DumpReader<R> {
    /// Reads the header.
    pub fn open(mut source: R) -> Result<Self, DumpError> {
        let mut head = Vec::new();
        let mut at = 0;
        take(&mut source, &mut at, &mut head, MAGIC.len(), "the header").map_err(|error| match error {
            DumpError::Truncated { .. } if !MAGIC.starts_with(&head) => DumpError::Foreign,
            other => other,
        })?;
        if head != MAGIC {
            return Err(DumpError::Foreign);
        }
        take(&mut source, &mut at, &mut head, 4, "the header")?;
        let found = (&head[8..]).get_u32_le();
        if found > FORMAT {
            return Err(DumpError::Format { found });
        }
        take(&mut source, &mut at, &mut head, 8 + 2, "the header")?;
        let (version, id_bytes) = ((&head[12..]).get_u64_le(), (&head[20..]).get_u16_le());
        take(&mut source, &mut at, &mut head, usize::from(id_bytes), "the header")?;
        let body = head.len();
        take(&mut source, &mut at, &mut head, SUM_BYTES, "the header")?;
        let damaged = |what: &str| DumpError::Damaged { at: 0, what: what.to_owned() };
        if (&head[body..]).get_u32_le() != checksum(&head[..body]) {
            return Err(damaged("the checksum of the header is wrong"));
        }
        let id = String::from_utf8(head[22..body].to_vec());
        let header = Header {
            version: Version(version),
            cloud_id: id.map_err(|_| damaged("the cloud's id is no text"))?,
        };
        let mut digest = Sha256::new();
        digest.update(&head);
        let (block, last_key) = (Bytes::new(), Bytes::new());
        Ok(Self { source, header, at, block, last_key, totals: Totals::default(), digest: Some(digest) })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How much was read so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The next row; `None` after the last, when the trailer was right.
    pub fn next_row(&mut self) -> Result<Option<(Bytes, Bytes)>, DumpError> {
        while self.block.is_empty() {
            if self.digest.is_none() || !self.read_block()? {
                return Ok(None);
            }
        }
        let at = self.at;
        let damaged = move |what: &str| DumpError::Damaged { at, what: what.to_owned() };
        if self.block.len() < ROW_HEAD_BYTES {
            return Err(damaged("a row of the block before ends too early"));
        }
        let key_bytes = usize::from(self.block.get_u16_le());
        let value_bytes = usize::try_from(self.block.get_u32_le()).unwrap_or(usize::MAX);
        if self.block.len() < key_bytes.saturating_add(value_bytes) {
            return Err(damaged("a row of the block before ends too early"));
        }
        let (key, value) = (self.block.split_to(key_bytes), self.block.split_to(value_bytes));
        if key <= self.last_key {
            return Err(damaged("a row of the block before is out of order"));
        }
        self.last_key = key.clone();
        self.totals.rows += 1;
        self.totals.bytes += (key_bytes + value_bytes) as u64;
        Ok(Some((key, value)))
    }

    /// Reads to the end, and gives how much there is: only then the dump is known to be whole.
    pub fn verify(mut self) -> Result<(Header, Totals), DumpError> {
        while self.next_row()?.is_some() {}
        Ok((self.header, self.totals))
    }

    /// Reads the next block; `false` when the trailer came instead.
    fn read_block(&mut self) -> Result<bool, DumpError> {
        let begins_at = self.at;
        let mut block = Vec::new();
        take(&mut self.source, &mut self.at, &mut block, 1, "a block or the end")?;
        match block[0] {
            BLOCK_TAG => {}
            END_TAG => return self.read_end(block).map(|()| false),
            tag => {
                let what = format!("a block begins with `B` or `E`, this one with byte {tag}");
                return Err(DumpError::Damaged { at: begins_at, what });
            }
        }
        let damaged = |what: String| DumpError::Damaged { at: begins_at, what };
        take(&mut self.source, &mut self.at, &mut block, BLOCK_HEAD_BYTES - 1, "a block")?;
        let length = usize::try_from((&block[5..]).get_u32_le()).unwrap_or(usize::MAX);
        if length > BLOCK_BYTES_MAX {
            return Err(damaged(format!(
                "a block has {BLOCK_BYTES_MAX} bytes at most, this one says {length}"
            )));
        }
        take(&mut self.source, &mut self.at, &mut block, length + SUM_BYTES, "a block")?;
        let body = block.len() - SUM_BYTES;
        if (&block[body..]).get_u32_le() != checksum(&block[..body]) {
            return Err(damaged("the checksum of a block is wrong".to_owned()));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&block);
        }
        self.totals.blocks += 1;
        self.block = Bytes::from(block).slice(BLOCK_HEAD_BYTES..body);
        Ok(true)
    }

    fn read_end(&mut self, mut trailer: Vec<u8>) -> Result<(), DumpError> {
        let begins_at = self.at - 1;
        let damaged = |what: &str| DumpError::Damaged { at: begins_at, what: what.to_owned() };
        take(&mut self.source, &mut self.at, &mut trailer, TRAILER_BYTES - 1, "the end")?;
        let body = TRAILER_BYTES - SUM_BYTES;
        if (&trailer[body..]).get_u32_le() != checksum(&trailer[..body]) {
            return Err(damaged("the checksum of the end is wrong"));
        }
        let mut numbers = &trailer[1..];
        let promised =
            Totals { blocks: numbers.get_u64_le(), rows: numbers.get_u64_le(), bytes: numbers.get_u64_le() };
        if promised != self.totals {
            return Err(damaged("blocks or rows are missing, or there are too many"));
        }
        let digest = self.digest.take().map(Digest::finalize);
        if digest.as_deref() != Some(&numbers[..32]) {
            return Err(damaged("the checksum of the whole is wrong"));
        }
        let mut more = [0];
        if self.source.read(&mut more)? > 0 {
            return Err(DumpError::Damaged {
                at: self.at,
                what: "the file goes on after its end".to_owned(),
            });
        }
        Ok(())
    }
}

/// Reads exactly so many bytes more.
fn take(
    source: &mut impl Read,
    at: &mut u64,
    into: &mut Vec<u8>,
    count: usize,
    wanted: &'static str,
) -> Result<(), DumpError> {
    let begins_at = *at;
    let got = source.take(count as u64).read_to_end(into)?;
    *at += got as u64;
    if got < count { Err(DumpError::Truncated { wanted, at: begins_at }) } else { Ok(()) }
}
