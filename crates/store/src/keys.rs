//! Order-preserving keys: the parts of a tuple one after the other, so that keys sort as their tuples do.
//!
//! | part | bytes |
//! |---|---|
//! | prefix of a layer | as given, no end mark; prefixes of one store must not start with one another |
//! | text, bytes | the bytes, each 0x00 as 0x00 0xff, then the end mark 0x00 0x01 |
//! | `u64` | 8 bytes, big-endian |
//! | `i64` | 8 bytes, big-endian, sign bit flipped |
//! | raw | as given, no end mark: only as the last part |
//!
//! A part has no type mark: the same place of one layout always holds the same type.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use crate::range::KeyRange;

const ESCAPE: u8 = 0x00;
const ESCAPED_NUL: u8 = 0xff;
const END_MARK: u8 = 0x01;
const SIGN_BIT: u64 = 1 << 63;

/// A key under construction; derefs to its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key that starts with the prefix of a layer, as `b"s3/object/"`.
    pub fn new(prefix: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(prefix.len() + 48);
        bytes.extend_from_slice(prefix);
        Self(bytes)
    }

    /// Adds a text with its end mark.
    #[must_use]
    pub fn str(self, part: &str) -> Self {
        self.bytes(part.as_bytes())
    }

    /// Adds bytes with their end mark.
    #[must_use]
    pub fn bytes(mut self, part: &[u8]) -> Self {
        self.escape(part);
        self.0.extend_from_slice(&[ESCAPE, END_MARK]);
        self
    }

    /// Adds the beginning of a text: with [`Key::range`] this finds every key whose text starts with `part`.
    #[must_use]
    pub fn str_prefix(mut self, part: &str) -> Self {
        self.escape(part.as_bytes());
        self
    }

    /// Adds an unsigned number.
    #[must_use]
    pub fn u64(mut self, part: u64) -> Self {
        self.0.extend_from_slice(&part.to_be_bytes());
        self
    }

    /// Adds a signed number.
    #[must_use]
    pub fn i64(mut self, part: i64) -> Self {
        self.0.extend_from_slice(&(part.cast_unsigned() ^ SIGN_BIT).to_be_bytes());
        self
    }

    /// Adds bytes as they are: only as the last part.
    #[must_use]
    pub fn raw(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(part);
        self
    }

    /// Every key that starts with this one.
    pub fn range(&self) -> KeyRange {
        KeyRange::prefix(&self.0)
    }

    /// The key's bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }

    fn escape(&mut self, part: &[u8]) {
        if !part.contains(&ESCAPE) {
            self.0.extend_from_slice(part);
            return;
        }
        for &byte in part {
            self.0.push(byte);
            if byte == ESCAPE {
                self.0.push(ESCAPED_NUL);
            }
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// Why a key does not have the layout that its reader expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the key does not start with the expected prefix")]
    Prefix,
    #[error("the key ends within a part")]
    Short,
    #[error("a part of the key has a wrong escape")]
    Escape,
    #[error("a text of the key is not UTF-8")]
    Utf8,
    #[error("the key goes on after its last part")]
    Long,
}

/// Reads the parts of a key in the order in which they were added.
#[derive(Clone, Debug)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Starts after `prefix`.
    pub fn new(key: &'a [u8], prefix: &[u8]) -> Result<Self, KeyError> {
        key.strip_prefix(prefix).map(Self).ok_or(KeyError::Prefix)
    }

    /// The next part, a text.
    pub fn str(&mut self) -> Result<String, KeyError> {
        String::from_utf8(self.bytes()?).map_err(|_| KeyError::Utf8)
    }

    /// The next part, bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, KeyError> {
        let mut part = Vec::new();
        loop {
            let at = self.0.iter().position(|&byte| byte == ESCAPE).ok_or(KeyError::Short)?;
            part.extend_from_slice(&self.0[..at]);
            let mark = *self.0.get(at + 1).ok_or(KeyError::Short)?;
            self.0 = &self.0[at + 2..];
            match mark {
                END_MARK => return Ok(part),
                ESCAPED_NUL => part.push(ESCAPE),
                _ => return Err(KeyError::Escape),
            }
        }
    }

    /// The next part, an unsigned number.
    pub fn u64(&mut self) -> Result<u64, KeyError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(KeyError::Short)?;
        self.0 = tail;
        Ok(u64::from_be_bytes(*head))
    }

    /// The next part, a signed number.
    pub fn i64(&mut self) -> Result<i64, KeyError> {
        Ok((self.u64()? ^ SIGN_BIT).cast_signed())
    }

    /// All bytes that are left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Checks that nothing is left.
    pub fn end(self) -> Result<(), KeyError> {
        if self.0.is_empty() { Ok(()) } else { Err(KeyError::Long) }
    }
}
