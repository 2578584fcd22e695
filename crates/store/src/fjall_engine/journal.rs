//! What fjall's journals must look like before fjall may open them.
//!
//! fjall ends a journal, for itself, at the first record that does not parse, and refuses one whose checksum is wrong.
//! After a power cut that is wrong both ways: the batch that was being written, which nobody was told of, may lie there
//! with holes (to be dropped, not refused), and a damaged record in the middle is no end (to be refused, not dropped).
//! The committer syncs each batch before it writes the next. So an unfinished batch can only be the very last; what
//! does not parse and is followed by a whole batch, or lies in a journal that was sealed, is damage.
//!
//! A journal, named `NUMBER.jnl`, is batches, then zeros. Numbers are little-endian:
//!
//! | record | bytes |
//! |---|---|
//! | start | 1, items `u32`, sequence number `u64` |
//! | item | 2, kind `u8`, compression `u8` (0), keyspace `u64`, key length `u16`, value length `u32`, the same as stored `u32`, key, value |
//! | clear | 4, keyspace `u64` |
//! | end | 3, XXH3 of the items' bytes `u64`, `FJL`, 3 |

use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::tree::VERSION_KEY;
use crate::error::StoreError;

const ENDING: &str = "jnl";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = *b"FJL\x03";
const START_BYTES: usize = 1 + 4 + 8;
/// Values are read in such pieces.
const PIECE_BYTES: usize = 64 * 1024;
/// Sequence numbers grow by one with each batch; one that is further ahead is no batch's.
const SEQUENCE_STEP_MAX: u64 = 1 << 32;

/// Checks every journal in fjall's directory, and cuts an unfinished batch off the newest. Everything up to the version
/// `promised` was acknowledged. `version_without` says which version the tables hold, asked with the newest journal and
/// where it is to end, if no journal tells.
///
/// Errors: `Corrupt`, naming file and place, when anything that may have been acknowledged does not parse; nothing is
/// changed then.
pub(super) fn check(
    directory: &Path,
    promised: u64,
    version_without: impl FnOnce(&Path, u64) -> Result<u64, StoreError>,
) -> Result<(), StoreError> {
    let journals = list(directory)?;
    let Some(((_, path), sealed)) = journals.split_last() else {
        return Err(StoreError::Corrupt(format!("{} holds no journal", directory.display())));
    };
    let mut known = None;
    for (_, path) in sealed {
        let mut journal = Journal::open(path)?;
        let end = journal.skip_batches()?;
        if !journal.is_empty_from(end)? {
            return Err(damage(path, end, "in a journal that was complete"));
        }
        known = journal.version.or(known);
    }
    let mut journal = Journal::open(path)?;
    let end = journal.skip_batches()?;
    if journal.is_empty_from(end)? {
        return Ok(());
    }
    known = journal.version.or(known);
    if journal.has_batch_after(end, known.unwrap_or(0))? {
        return Err(damage(path, end, "and whole records follow"));
    }
    // Before anything is cut off: of what was acknowledged, every byte may be needed.
    let version = match known {
        Some(version) => version,
        None => version_without(path, end)?,
    };
    if version < promised {
        let what = format!("after commit {version}, but {promised} were acknowledged");
        return Err(damage(path, end, &what));
    }
    tracing::warn!(journal = %path.display(), at = end, "an unfinished batch, which was never acknowledged, is dropped");
    journal.cut_off(end)
}

/// The journals by number.
fn list(directory: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|e| StoreError::io("list", directory, e))? {
        let path = entry.map_err(|e| StoreError::io("list", directory, e))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let number = number
                .ok_or_else(|| StoreError::Corrupt(format!("{} is no journal's name", path.display())))?;
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals)
}

fn damage(path: &Path, at: u64, what: &str) -> StoreError {
    StoreError::Corrupt(format!("{} has a damaged record at byte {at}, {what}", path.display()))
}

/// A journal that is read from its beginning.
struct Journal {
    reader: BufReader<File>,
    path: PathBuf,
    bytes: u64,
    /// Of the last whole batch.
    sequence: u64,
    /// The newest that a whole batch has.
    version: Option<u64>,
}

impl Journal {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |e| StoreError::io("open", path, e);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let reader = BufReader::with_capacity(PIECE_BYTES, file);
        Ok(Self { reader, path: path.to_owned(), bytes, sequence: 0, version: None })
    }

    /// Reads batches as long as they are whole; gives where they end.
    fn skip_batches(&mut self) -> Result<u64, StoreError> {
        let mut end = 0;
        loop {
            let batch = read_batch(&mut self.reader, self.bytes - end);
            match batch.map_err(|e| StoreError::io("read", &self.path, e))? {
                Some(batch) => {
                    end += batch.bytes;
                    self.sequence = batch.sequence;
                    self.version = batch.version.or(self.version);
                }
                None => return Ok(end),
            }
        }
    }

    /// Whether there are only zeros from there on; holes are not read.
    fn is_empty_from(&mut self, mut at: u64) -> Result<bool, StoreError> {
        let io = |e| StoreError::io("read", &self.path, e);
        let mut piece = vec![0; PIECE_BYTES];
        while at < self.bytes {
            at = match rustix::fs::seek(self.reader.get_ref(), rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => data.max(at),
                Err(rustix::io::Errno::NXIO) => return Ok(true),
                // A file system that knows of no holes.
                Err(rustix::io::Errno::INVAL) => at,
                Err(e) => return Err(io(e.into())),
            };
            let read = self.reader.get_ref().read_at(&mut piece, at).map_err(io)?;
            if read == 0 {
                break;
            }
            if piece[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += read as u64;
        }
        Ok(true)
    }

    /// Whether a whole batch of a version after `known` begins anywhere after that place. Every batch of ours says its
    /// version; what does not is a part of somebody's value that looks like a batch.
    fn has_batch_after(&mut self, at: u64, known: u64) -> Result<bool, StoreError> {
        let io = |e| StoreError::io("read", &self.path, e);
        self.reader.seek(SeekFrom::Start(at)).map_err(io)?;
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).map_err(io)?;
        let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let rest = &rest[..used];
        for start in 1..rest.len() {
            if rest[start] != START || !self.may_follow(&rest[start..]) {
                continue;
            }
            let mut candidate = &rest[start..];
            let left = candidate.len() as u64;
            let batch = read_batch(&mut candidate, left).map_err(io)?;
            if batch.and_then(|batch| batch.version).is_some_and(|version| version > known) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether these bytes begin with a start whose sequence number comes after ours: saves reading each as a batch.
    fn may_follow(&self, bytes: &[u8]) -> bool {
        let sequence =
            bytes.get(5..START_BYTES).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        sequence.is_some_and(|sequence| sequence.wrapping_sub(self.sequence) < SEQUENCE_STEP_MAX)
    }

    fn cut_off(&self, at: u64) -> Result<(), StoreError> {
        let cut = self.reader.get_ref().set_len(at).and_then(|()| self.reader.get_ref().sync_all());
        cut.map_err(|e| StoreError::io("shorten", &self.path, e))
    }
}

struct Batch {
    sequence: u64,
    version: Option<u64>,
    bytes: u64,
}

/// Reads one batch; `None` when what comes is no whole batch. `left` bounds what is believed of lengths.
fn read_batch(reader: &mut impl Read, left: u64) -> std::io::Result<Option<Batch>> {
    let mut source = Source { reader, left, read: 0, version: None };
    match source.batch() {
        Ok(Some(sequence)) => Ok(Some(Batch { sequence, version: source.version, bytes: source.read })),
        Ok(None) => Ok(None),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

struct Source<'a, R> {
    reader: &'a mut R,
    left: u64,
    read: u64,
    version: Option<u64>,
}

impl<R: Read> Source<'_, R> {
    /// The sequence number of a whole batch.
    fn batch(&mut self) -> std::io::Result<Option<u64>> {
        let [START, rest @ ..] = self.take::<START_BYTES>()? else { return Ok(None) };
        let (items, sequence) = rest.split_at(4);
        let items = number(items);
        let mut hash = Xxh3::new();
        for _ in 0..items {
            if !self.item(&mut hash)? {
                return Ok(None);
            }
        }
        let end = self.take::<13>()?;
        let is_whole = end[0] == END && number(&end[1..9]) == hash.digest() && end[9..] == TRAILER;
        Ok(is_whole.then(|| number(sequence)))
    }

    /// Reads an item into the hash; says whether it was one.
    fn item(&mut self, hash: &mut Xxh3) -> std::io::Result<bool> {
        let tag = self.take::<1>()?;
        hash.update(&tag);
        match tag[0] {
            CLEAR => {
                hash.update(&self.take::<8>()?);
                Ok(true)
            }
            ITEM => {
                let head = self.take::<20>()?;
                hash.update(&head);
                let mut left = number(&head[10..12]) + number(&head[16..20]);
                if left > self.left {
                    return Ok(false);
                }
                let mut piece = [0; 4096];
                if left == (VERSION_KEY.len() + 8) as u64 {
                    let row = self.take::<10>()?;
                    hash.update(&row);
                    if let Some(version) = row.strip_prefix(VERSION_KEY) {
                        self.version = Some(version.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
                    }
                    left = 0;
                }
                while left > 0 {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                    self.fill(&mut piece[..length])?;
                    hash.update(&piece[..length]);
                    left -= length as u64;
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn take<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.reader.read_exact(bytes)?;
        self.read += bytes.len() as u64;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(())
    }
}

/// At most eight bytes, little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequence: u64, rows: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut items = Vec::new();
        for (key, value) in rows {
            let length = u32::try_from(value.len()).unwrap().to_le_bytes();
            items.extend([ITEM, 0, 0]);
            items.extend(1_u64.to_le_bytes());
            items.extend(u16::try_from(key.len()).unwrap().to_le_bytes());
            items.extend([length, length].concat());
            items.extend([*key, *value].concat());
        }
        let mut hash = Xxh3::new();
        hash.update(&items);
        let count = u32::try_from(rows.len()).unwrap().to_le_bytes();
        let head = [&[START][..], &count, &sequence.to_le_bytes()].concat();
        [head, items, vec![END], hash.digest().to_le_bytes().to_vec(), TRAILER.to_vec()].concat()
    }

    fn versioned(version: u64, value: &[u8]) -> Vec<u8> {
        batch(version, &[(b"row", value), (VERSION_KEY, &version.to_be_bytes())])
    }

    /// Checks journals of these bytes; gives what is left of the newest.
    fn checked(journals: &[&[u8]], promised: u64, tables: u64) -> (Result<(), StoreError>, Vec<u8>) {
        let at = tempfile::tempdir().unwrap();
        let paths = (0..journals.len()).map(|number| at.path().join(format!("{number}.{ENDING}")));
        let paths: Vec<_> = paths.collect();
        for (path, bytes) in paths.iter().zip(journals) {
            std::fs::write(path, bytes).unwrap();
        }
        let outcome = check(at.path(), promised, |_, _| Ok(tables));
        (outcome, std::fs::read(paths.last().unwrap()).unwrap())
    }

    /// Without its last 20 bytes.
    fn torn(mut batch: Vec<u8>) -> Vec<u8> {
        batch.truncate(batch.len() - 20);
        batch
    }

    #[test]
    fn nothing_is_cut_off_that_may_have_been_acknowledged() {
        let (first, second) = (versioned(5, b"a"), torn(versioned(6, b"b")));
        // The version is that of the same journal, of the one before it, or of the tables.
        let same = [&first[..], &second].concat();
        for (journals, tables) in
            [(vec![&same[..]], 0), (vec![&first[..], &second], 0), (vec![&second[..]], 5)]
        {
            let (outcome, left) = checked(&journals, 6, tables);
            assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
            assert_eq!(left, *journals[journals.len() - 1]);
            let (outcome, left) = checked(&journals, 5, tables);
            outcome.unwrap();
            assert!(left.is_empty() || left == first);
        }
    }

    #[test]
    fn what_somebody_wrote_is_no_batch_however_it_looks() {
        let (first, empty) = (versioned(5, b"a"), batch(7, &[]));
        assert_eq!(empty.len(), 26);
        let stale = versioned(3, b"copied");
        let unfinished = torn(versioned(6, &[&empty[..], &stale].concat()));
        let (outcome, left) = checked(&[&[&first[..], &unfinished].concat()], 5, 0);
        outcome.unwrap();
        assert_eq!(left, first);
        // A batch of ours after a damaged one is seen.
        let followed = [&first[..], &torn(versioned(6, b"b")), &versioned(7, b"c")].concat();
        let (outcome, left) = checked(&[&followed], 5, 0);
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
        assert_eq!(left, followed);
    }
}
