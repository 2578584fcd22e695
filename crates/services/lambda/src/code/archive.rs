//! Reads zip files whose every byte may be hostile: nothing that a header says is believed before it is bounded.
//! Source: PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", sections 4.3 and 4.4.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::limits::CODE_ENTRIES_MAX;

/// Bytes of the central directory: its entries' paths, comments and extra fields together.
const DIRECTORY_BYTES_MAX: u64 = 32 << 20;
/// How many bytes are inflated at a time.
const CHUNK_BYTES: usize = 64 << 10;

const END_SIGNATURE: u32 = 0x0605_4b50;
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 0xffff;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const END64_BYTES: usize = 56;
const LOCATOR64_SIGNATURE: u32 = 0x0706_4b50;
const LOCATOR64_BYTES: usize = 20;
const ENTRY_SIGNATURE: u32 = 0x0201_4b50;
const ENTRY_BYTES: usize = 46;
const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const LOCAL_BYTES: usize = 30;
const EXTRA_ZIP64: u16 = 0x0001;
const FLAG_ENCRYPTED: u16 = 1;
const MADE_BY_UNIX: u8 = 3;
const SEE_ZIP64: u32 = u32::MAX;

/// Bytes that can be read at any place.
pub(crate) trait ReadAt {
    fn length(&self) -> u64;
    /// Fills `buffer` from `offset` on; fails with `UnexpectedEof` when there are fewer bytes.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Why a zip file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("not a zip file: {0}")]
    Format(&'static str),
    #[error("the zip file uses {0}")]
    Unsupported(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An opened zip file.
pub(crate) struct Archive<S> {
    source: S,
    entries: Vec<Entry>,
}

/// One entry, as the central directory describes it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The path as it is written there.
    pub(crate) path: Vec<u8>,
    /// The mode of a Unix file, zero where the zip was made elsewhere.
    pub(crate) unix_mode: u32,
    method: Method,
    crc: u32,
    packed: u64,
    /// Bytes once unpacked, as the header claims.
    pub(crate) claimed: u64,
    header_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Stored,
    Deflated,
}

impl<S: ReadAt> Archive<S> {
    /// Reads the central directory.
    pub(crate) fn open(source: S) -> Result<Self, ArchiveError> {
        let directory = find_directory(&source)?;
        if directory.entries > CODE_ENTRIES_MAX as u64 {
            return Err(ArchiveError::Unsupported("more entries than a deployment package may have"));
        }
        if directory.bytes > DIRECTORY_BYTES_MAX {
            return Err(ArchiveError::Unsupported("a central directory larger than its entries need"));
        }
        let bytes = read_bytes(&source, directory.at, directory.bytes)?;
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        for _ in 0..directory.entries {
            entries.push(read_entry(&mut rest, directory.shift)?);
        }
        Ok(Self { source, entries })
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Unpacks an entry piece by piece into `sink`, and checks its length and checksum.
    pub(crate) fn read<E: From<ArchiveError>>(
        &self,
        entry: &Entry,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let packed = self.packed(entry).map_err(E::from)?;
        let mut reader: Box<dyn Read + '_> = match entry.method {
            Method::Stored => Box::new(packed),
            Method::Deflated => Box::new(DeflateDecoder::new(packed)),
        };
        let (mut crc, mut length) = (Crc::new(), 0_u64);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = reader.read(&mut chunk).map_err(|error| E::from(error.into()))?;
            if count == 0 {
                break;
            }
            crc.update(&chunk[..count]);
            length += count as u64;
            sink(&chunk[..count])?;
        }
        if length != entry.claimed || crc.sum() != entry.crc {
            return Err(ArchiveError::Format("an entry's bytes are not what its header says").into());
        }
        Ok(())
    }

    /// The packed bytes of an entry.
    fn packed(&self, entry: &Entry) -> Result<Packed<'_, S>, ArchiveError> {
        let mut header = [0; LOCAL_BYTES];
        self.source.read_at(entry.header_at, &mut header)?;
        if u32_at(&header, 0) != LOCAL_SIGNATURE {
            return Err(ArchiveError::Format("an entry's header is not where the directory says"));
        }
        let skipped = LOCAL_BYTES as u64 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let at = entry.header_at.saturating_add(skipped);
        let end = at.saturating_add(entry.packed);
        if end > self.source.length() {
            return Err(ArchiveError::Format("an entry reaches beyond the file"));
        }
        Ok(Packed { source: &self.source, at, end })
    }
}

/// A part of the file, read from front to back.
struct Packed<'a, S> {
    source: &'a S,
    at: u64,
    end: u64,
}

impl<S: ReadAt> Read for Packed<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        self.source.read_at(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Where the central directory lies.
struct Directory {
    at: u64,
    bytes: u64,
    entries: u64,
    /// Bytes before the zip proper, by which every stored offset is too small.
    shift: u64,
}

fn find_directory(source: &impl ReadAt) -> Result<Directory, ArchiveError> {
    let length = source.length();
    let tail_bytes = length.min((END_BYTES + COMMENT_BYTES_MAX) as u64);
    let tail = read_bytes(source, length - tail_bytes, tail_bytes)?;
    let found = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(|&at| {
        let Some(end) = tail.get(at..at + END_BYTES) else { return false };
        u32_at(end, 0) == END_SIGNATURE && at + END_BYTES + usize::from(u16_at(end, 20)) == tail.len()
    });
    let at = found.ok_or(ArchiveError::Format("it has no end of central directory"))?;
    let end = &tail[at..at + END_BYTES];
    let end_at = length - tail_bytes + at as u64;
    let (entries, bytes, offset) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
    if (entries == u16::MAX || bytes == SEE_ZIP64 || offset == SEE_ZIP64)
        && let Some(directory) = find_directory64(source, end_at)?
    {
        return Ok(directory);
    }
    let (bytes, offset) = (u64::from(bytes), u64::from(offset));
    let at = end_at.checked_sub(bytes).ok_or(ArchiveError::Format("its directory is larger than it"))?;
    let shift = at.checked_sub(offset).ok_or(ArchiveError::Format("its directory lies behind its end"))?;
    Ok(Directory { at, bytes, entries: u64::from(entries), shift })
}

/// The directory as the Zip64 records describe it; `None` when there are none.
fn find_directory64(source: &impl ReadAt, end_at: u64) -> Result<Option<Directory>, ArchiveError> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR64_BYTES as u64) else { return Ok(None) };
    let mut locator = [0; LOCATOR64_BYTES];
    source.read_at(locator_at, &mut locator)?;
    if u32_at(&locator, 0) != LOCATOR64_SIGNATURE {
        return Ok(None);
    }
    let mut end = [0; END64_BYTES];
    source.read_at(u64_at(&locator, 8), &mut end)?;
    if u32_at(&end, 0) != END64_SIGNATURE {
        return Err(ArchiveError::Format("its Zip64 record is not where it should be"));
    }
    let (entries, bytes, at) = (u64_at(&end, 32), u64_at(&end, 40), u64_at(&end, 48));
    Ok(Some(Directory { at, bytes, entries, shift: 0 }))
}

fn read_entry(rest: &mut &[u8], shift: u64) -> Result<Entry, ArchiveError> {
    const SHORT: ArchiveError = ArchiveError::Format("its directory ends within an entry");
    let (header, after) = rest.split_at_checked(ENTRY_BYTES).ok_or(SHORT)?;
    if u32_at(header, 0) != ENTRY_SIGNATURE {
        return Err(ArchiveError::Format("its directory has something else than entries"));
    }
    let lengths = [28, 30, 32].map(|at| usize::from(u16_at(header, at)));
    let (path, after) = after.split_at_checked(lengths[0]).ok_or(SHORT)?;
    let (extra, after) = after.split_at_checked(lengths[1]).ok_or(SHORT)?;
    let (_comment, after) = after.split_at_checked(lengths[2]).ok_or(SHORT)?;
    *rest = after;
    if u16_at(header, 8) & FLAG_ENCRYPTED != 0 {
        return Err(ArchiveError::Unsupported("encryption"));
    }
    let method = match u16_at(header, 10) {
        0 => Method::Stored,
        8 => Method::Deflated,
        _ => return Err(ArchiveError::Unsupported("a compression that is neither Deflate nor none")),
    };
    let mut wide = zip64_fields(extra);
    let mut field = |at: usize| match u32_at(header, at) {
        SEE_ZIP64 => wide.next().unwrap_or(u64::from(SEE_ZIP64)),
        narrow => u64::from(narrow),
    };
    // The order of Zip64's fields is that of the specification, not that of the header.
    let (claimed, packed, header_at) = (field(24), field(20), field(42));
    let unix_mode = if header[5] == MADE_BY_UNIX { u32_at(header, 38) >> 16 } else { 0 };
    Ok(Entry {
        path: path.to_vec(),
        unix_mode,
        method,
        crc: u32_at(header, 16),
        packed,
        claimed,
        header_at: header_at.saturating_add(shift),
    })
}

/// The 64-bit values of an entry's Zip64 extra field.
fn zip64_fields(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut values = Vec::new();
    while let Some((head, after)) = extra.split_at_checked(4) {
        let (id, length) = (u16_at(head, 0), usize::from(u16_at(head, 2)));
        let Some((data, after)) = after.split_at_checked(length) else { break };
        if id == EXTRA_ZIP64 {
            values = data.chunks_exact(8).map(|value| u64_at(value, 0)).collect();
            break;
        }
        extra = after;
    }
    values.into_iter()
}

fn read_bytes(source: &impl ReadAt, at: u64, length: u64) -> Result<Vec<u8>, ArchiveError> {
    if at.checked_add(length).is_none_or(|end| end > source.length()) {
        return Err(ArchiveError::Format("its directory reaches beyond its end"));
    }
    let length = usize::try_from(length).map_err(|_| ArchiveError::Format("its directory is too large"))?;
    let mut bytes = vec![0; length];
    source.read_at(at, &mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl ReadAt for Bytes {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(buffer.len()));
        let found = start.zip(end).and_then(|(start, end)| self.get(start..end));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for std::fs::File {
    fn length(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}
