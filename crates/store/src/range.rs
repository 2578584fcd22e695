//! Ranges of keys and pages of rows.

use bytes::Bytes;

use crate::limits;

/// All keys `k` with `start <= k < end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub start: Bytes,
    pub end: Bytes,
}

impl KeyRange {
    /// `start <= k < end`.
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: end.into() }
    }

    /// Every key that starts with `prefix`, the prefix itself included.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: Bytes::copy_from_slice(prefix), end: prefix_end(prefix) }
    }

    /// The keys of this range that come after `key`.
    pub fn after(mut self, key: &[u8]) -> Self {
        self.start = self.start.max(successor(key));
        self
    }

    /// The keys of this range that are `key` or come after it.
    pub fn starting_at(mut self, key: &[u8]) -> Self {
        if key > &self.start[..] {
            self.start = Bytes::copy_from_slice(key);
        }
        self
    }

    /// The keys of this range that come before `key`.
    pub fn before(mut self, key: &[u8]) -> Self {
        if key < &self.end[..] {
            self.end = Bytes::copy_from_slice(key);
        }
        self
    }

    /// What is left to scan after `page`, or `None` when the page was the last.
    pub fn rest(&self, page: &Page, reverse: bool) -> Option<Self> {
        let resume = page.more.clone()?;
        Some(if reverse {
            Self { start: self.start.clone(), end: resume }
        } else {
            Self { start: resume, end: self.end.clone() }
        })
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        &self.start[..] <= key && key < &self.end[..]
    }

    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// The first key after every key that starts with `prefix`.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff);
    match kept {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
        // Nothing sorts after a run of 0xff but a longer one; no user key gets there.
        None => Bytes::from(vec![0xff; limits::MAX_KEY_BYTES + 1]),
    }
}

/// The smallest key after `key`.
pub(crate) fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// How much one page of a scan may hold, and in which order.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// At least 1; at most [`limits::MAX_PAGE_ROWS`].
    pub max_rows: usize,
    /// Keys and values together; a page ends with the row that reaches it.
    pub max_bytes: usize,
    /// From the last key to the first.
    pub reverse: bool,
    /// Values are left out (empty).
    pub keys_only: bool,
}

impl ScanOptions {
    /// Forward, `max_rows` rows of keys and values, at most [`limits::MAX_PAGE_BYTES`].
    pub fn rows(max_rows: usize) -> Self {
        Self { max_rows, max_bytes: limits::MAX_PAGE_BYTES, reverse: false, keys_only: false }
    }

    /// The same from the last key to the first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The same without values.
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// The same with a bound on the bytes.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    pub(crate) fn clamped(mut self) -> Self {
        self.max_rows = self.max_rows.clamp(1, limits::MAX_PAGE_ROWS);
        self.max_bytes = self.max_bytes.clamp(1, limits::MAX_PAGE_BYTES);
        self
    }
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self::rows(1_000)
    }
}

/// One page of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and values in the order asked for.
    pub rows: Vec<(Bytes, Bytes)>,
    /// Where to go on: the first key not read (forward) or the end, exclusive (reverse); see [`KeyRange::rest`].
    pub more: Option<Bytes>,
}

impl Page {
    /// The first page of `rows`, which come in the order of the scan and end after it, or with a row more. `read` gives key
    /// and value of each row that the page takes, and is not asked for the one after.
    ///
    /// Errors: those of `read`.
    pub fn fill<R, E>(
        rows: impl IntoIterator<Item = R>,
        options: ScanOptions,
        read: impl Fn(R) -> Result<(Bytes, Bytes), E>,
    ) -> Result<Self, E> {
        let mut page = Self::default();
        let mut bytes = 0;
        for row in rows {
            if page.rows.len() >= options.max_rows || bytes >= options.max_bytes {
                let last = page.rows.last().map(|(key, _)| key);
                page.more = last.map(|last| if options.reverse { last.clone() } else { successor(last) });
                break;
            }
            let (key, value) = read(row)?;
            bytes += key.len() + value.len();
            page.rows.push((key, value));
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_after_all_their_keys() {
        assert_eq!(&prefix_end(b"ab")[..], b"ac");
        assert_eq!(&prefix_end(b"a\xff\xff")[..], b"b");
        assert!(KeyRange::prefix(b"a\xff").contains(b"a\xff\xff\xff"));
        assert!(!KeyRange::prefix(b"a\xff").contains(b"b"));
        assert!(prefix_end(b"\xff") > vec![0xff; limits::MAX_KEY_BYTES]);
    }

    #[test]
    fn ranges_shrink_from_both_sides() {
        let range = KeyRange::prefix(b"k").after(b"k1").before(b"k5");
        assert!(!range.contains(b"k1") && range.contains(b"k1\0") && range.contains(b"k4"));
        assert!(!range.contains(b"k5"));
        assert_eq!(KeyRange::prefix(b"k").after(b"a"), KeyRange::prefix(b"k"));
    }
}
