//! What a check has found.

use std::cmp::Ordering;
use std::collections::HashMap;

use bytes::Bytes;
use lambent_blobs::BlobId;
use serde::Serialize;

/// Problems that are kept; more are counted.
const PROBLEMS_MAX: usize = 100_000;
/// Bytes of rows that are kept for repairs.
const MEND_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Notes that are kept.
const NOTES_MAX: usize = 10_000;
/// Where rows go that cannot be read, unless their service has a place of its own for them; their key follows.
pub(super) const ASIDE: &[u8] = b"care/damaged/";

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// As `s3`.
    pub service: &'static str,
    /// Names it, and says what was expected and what was found.
    pub what: String,
    /// How it can be mended; empty when only a backup helps.
    #[serde(skip)]
    pub mends: Vec<Mend>,
}

/// One step of a repair. It is left out when the row is not what the check saw any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Writes another row, or none.
    Row { key: Bytes, seen: Option<Bytes>, to: Option<Bytes> },
    /// Moves a row to where it is in nobody's way.
    SetAside { key: Bytes, seen: Bytes, to: Bytes },
    /// Removes a chunk of a large value that no value has.
    Chunk(Bytes),
    /// Removes a blob that no row names.
    Blob(BlobId),
}

impl Mend {
    /// What it keeps in memory.
    fn bytes(&self) -> usize {
        let row = |row: &Option<Bytes>| row.as_ref().map_or(0, Bytes::len);
        match self {
            Self::Row { key, seen, to } => key.len() + row(seen) + row(to),
            Self::SetAside { key, seen, to } => key.len() + seen.len() + to.len(),
            Self::Chunk(key) => key.len(),
            Self::Blob(_) => 0,
        }
    }
}

/// A blob that rows name.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// In bytes, as far as a row says.
    pub(crate) length: Option<u64>,
    /// What needs it, for people; `None` when it only waits for its removal.
    pub(crate) by: Option<Box<str>>,
}

/// All that a check has found so far.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many rows there are.
    pub rows: u64,
    /// How many blobs there are.
    pub blobs: u64,
    pub problems: Vec<Problem>,
    /// Problems beyond those that are kept.
    pub more: u64,
    /// What is worth a word and not wrong.
    pub notes: Vec<String>,
    pub(crate) named: HashMap<BlobId, Named>,
    mend_bytes: usize,
    /// Rows that cannot be read: what they named is not known, so nothing may be removed for want of a name.
    unreadable: u64,
}

impl Findings {
    /// Something is worth a word and not wrong.
    pub fn note(&mut self, note: impl Into<String>) {
        match self.notes.len().cmp(&NOTES_MAX) {
            Ordering::Less => self.notes.push(note.into()),
            Ordering::Equal => self.notes.push("there is more to note than is kept here".to_owned()),
            Ordering::Greater => {}
        }
    }

    /// Something is wrong.
    pub fn problem(&mut self, service: &'static str, what: impl Into<String>, mends: Vec<Mend>) {
        let bytes = self.mend_bytes + mends.iter().map(Mend::bytes).sum::<usize>();
        if self.problems.len() >= PROBLEMS_MAX || bytes > MEND_BYTES_MAX {
            self.more += 1;
            return;
        }
        self.mend_bytes = bytes;
        self.problems.push(Problem { service, what: what.into(), mends });
    }

    /// A row cannot be read. `aside` is where it may be moved; without it, to a place for all.
    pub fn unreadable(
        &mut self,
        service: &'static str,
        what: impl Into<String>,
        (key, row): (&Bytes, &Bytes),
        aside: Option<Bytes>,
    ) {
        self.unreadable += 1;
        let to = aside.unwrap_or_else(|| [ASIDE, key].concat().into());
        let mend = Mend::SetAside { key: key.clone(), seen: row.clone(), to };
        self.problem(service, what, vec![mend]);
    }

    /// A row belongs to nothing. It goes only if everything that it could belong to can be read.
    pub fn stray(&mut self, service: &'static str, what: impl Into<String>, (key, row): (&Bytes, &Bytes)) {
        let what = what.into();
        if !self.is_all_known() {
            self.note(format!("{service}: {what}; it stays, as some rows cannot be read"));
            return;
        }
        self.problem(service, what, vec![Mend::Row { key: key.clone(), seen: Some(row.clone()), to: None }]);
    }

    /// A row that was set aside before may have named anything too.
    pub fn set_aside_before(&mut self, service: &'static str, key: &[u8]) {
        self.unreadable += 1;
        self.note(format!("{service}: the row {} was set aside", key.escape_ascii()));
    }

    /// Whether what all rows name is known.
    pub fn is_all_known(&self) -> bool {
        self.unreadable == 0
    }

    /// A row names a blob, `length` bytes long. `by` says what needs it; `None` when it only waits for its removal.
    pub fn names(&mut self, id: BlobId, length: Option<u64>, by: Option<&str>) {
        let named = self.named.entry(id).or_insert(Named { length, by: None });
        named.length = named.length.or(length);
        if named.by.is_none() {
            named.by = by.map(Box::from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_bounded() {
        let mut findings = Findings::default();
        let row = Bytes::from(vec![0; MEND_BYTES_MAX / 4]);
        for _ in 0..6 {
            findings.stray("test", "a row belongs to nothing", (&Bytes::from_static(b"key"), &row));
        }
        assert_eq!((findings.problems.len(), findings.more), (3, 3));
        for _ in 0..2 * NOTES_MAX {
            findings.note("again");
        }
        assert_eq!(findings.notes.len(), NOTES_MAX + 1);
    }
}
