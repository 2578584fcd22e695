//! Items as they are stored.
//!
//! A version byte, then the attributes: their count, and for each the length of its name, the name and the value. Counts and
//! lengths are numbers of seven bits a byte, least first. A value is a tag and what the tag says; whole numbers, which most
//! are, take as few bytes as they need.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{Item, MAX_NESTING, Number, Value};

const VERSION: u8 = 1;
/// Deeper than any item that was let in: what is read back must not go on for ever.
const MAX_DEPTH: usize = 2 * MAX_NESTING;

mod tag {
    pub(super) const NULL: u8 = 0;
    pub(super) const FALSE: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    pub(super) const S: u8 = 3;
    pub(super) const B: u8 = 4;
    pub(super) const N_POSITIVE: u8 = 5;
    pub(super) const N_NEGATIVE: u8 = 6;
    pub(super) const L: u8 = 7;
    pub(super) const M: u8 = 8;
    pub(super) const SS: u8 = 9;
    pub(super) const NS: u8 = 10;
    pub(super) const BS: u8 = 11;
}

/// Why stored bytes are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    #[error("an item of version {0} was found, and this program reads version 1: it needs a newer one")]
    Version(u8),
    #[error("the bytes end within a value")]
    Short,
    #[error("the bytes go on after the last attribute")]
    Long,
    #[error("{0:#04x} is no type or mark of a value")]
    Mark(u8),
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("a number is out of range")]
    Number,
    #[error("values are nested too deep")]
    Depth,
}

/// The stored form of an item.
pub fn encode_item(item: &Item) -> Vec<u8> {
    let mut out = Vec::with_capacity(crate::item_bytes(item) + 4 * item.len() + 8);
    out.push(VERSION);
    put_map(item, &mut out);
    out
}

/// Reads an item's stored form.
pub fn decode_item(stored: &[u8]) -> Result<Item, Corrupt> {
    let mut from = Reader(stored);
    match from.byte()? {
        VERSION => {}
        other => return Err(Corrupt::Version(other)),
    }
    let item = from.map(0)?;
    if from.0.is_empty() { Ok(item) } else { Err(Corrupt::Long) }
}

fn put_map(item: &Item, out: &mut Vec<u8>) {
    put_count(item.len(), out);
    for (name, value) in item {
        put_bytes(name.as_bytes(), out);
        put_value(value, out);
    }
}

fn put_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(tag::NULL),
        Value::Bool(false) => out.push(tag::FALSE),
        Value::Bool(true) => out.push(tag::TRUE),
        Value::S(text) => {
            out.push(tag::S);
            put_bytes(text.as_bytes(), out);
        }
        Value::B(bytes) => {
            out.push(tag::B);
            put_bytes(bytes, out);
        }
        Value::N(number) => put_number(number, out),
        Value::L(values) => {
            out.push(tag::L);
            put_count(values.len(), out);
            values.iter().for_each(|value| put_value(value, out));
        }
        Value::M(item) => {
            out.push(tag::M);
            put_map(item, out);
        }
        Value::Ss(texts) => {
            out.push(tag::SS);
            put_count(texts.len(), out);
            texts.iter().for_each(|text| put_bytes(text.as_bytes(), out));
        }
        Value::Ns(numbers) => {
            out.push(tag::NS);
            put_count(numbers.len(), out);
            numbers.iter().for_each(|number| put_number(number, out));
        }
        Value::Bs(all) => {
            out.push(tag::BS);
            put_count(all.len(), out);
            all.iter().for_each(|bytes| put_bytes(bytes, out));
        }
    }
}

/// The sign as the tag, the exponent as two bytes, and the digits.
fn put_number(number: &Number, out: &mut Vec<u8>) {
    out.push(if number.is_negative() { tag::N_NEGATIVE } else { tag::N_POSITIVE });
    out.extend_from_slice(&number.exponent().to_le_bytes());
    let mut digits = number.digits();
    while digits >= 0x80 {
        out.push(low_bits(digits) | 0x80);
        digits >>= 7;
    }
    out.push(low_bits(digits));
}

fn low_bits(number: u128) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn put_count(mut count: usize, out: &mut Vec<u8>) {
    while count >= 0x80 {
        out.push(count.to_le_bytes()[0] & 0x7f | 0x80);
        count >>= 7;
    }
    out.push(count.to_le_bytes()[0]);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Corrupt> {
        let (&first, rest) = self.0.split_first().ok_or(Corrupt::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// A count or length. No content is shorter than its count, so a larger one than there are bytes left is wrong.
    fn count(&mut self) -> Result<usize, Corrupt> {
        let (mut count, mut shift) = (0usize, 0u32);
        loop {
            let byte = self.byte()?;
            if shift > 35 {
                return Err(Corrupt::Short);
            }
            count |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        if count > self.0.len() { Err(Corrupt::Short) } else { Ok(count) }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Corrupt> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Corrupt::Utf8)
    }

    fn map(&mut self, depth: usize) -> Result<Item, Corrupt> {
        let count = self.count()?;
        // Names are in order, so the map is built in one go.
        let mut attributes = Vec::with_capacity(count.min(256));
        for _ in 0..count {
            attributes.push((self.text()?, self.value(depth)?));
        }
        Ok(BTreeMap::from_iter(attributes))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Corrupt> {
        if depth > MAX_DEPTH {
            return Err(Corrupt::Depth);
        }
        Ok(match self.byte()? {
            tag::NULL => Value::Null,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::S => Value::S(self.text()?),
            tag::B => Value::B(Bytes::copy_from_slice(self.bytes()?)),
            tag::N_POSITIVE => Value::N(self.number(false)?),
            tag::N_NEGATIVE => Value::N(self.number(true)?),
            tag::L => {
                let count = self.count()?;
                let mut values = Vec::with_capacity(count.min(256));
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::L(values)
            }
            tag::M => Value::M(self.map(depth + 1)?),
            tag::SS => Value::Ss(self.set(Self::text)?),
            tag::NS => Value::Ns(self.set(Self::tagged_number)?),
            tag::BS => Value::Bs(self.set(|from| from.bytes().map(Bytes::copy_from_slice))?),
            other => return Err(Corrupt::Mark(other)),
        })
    }

    fn set<T: Ord>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, Corrupt>,
    ) -> Result<BTreeSet<T>, Corrupt> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn tagged_number(&mut self) -> Result<Number, Corrupt> {
        match self.byte()? {
            tag::N_POSITIVE => self.number(false),
            tag::N_NEGATIVE => self.number(true),
            other => Err(Corrupt::Mark(other)),
        }
    }

    fn number(&mut self, negative: bool) -> Result<Number, Corrupt> {
        let exponent = i16::from_le_bytes([self.byte()?, self.byte()?]);
        let (mut digits, mut shift) = (0u128, 0u32);
        loop {
            let byte = self.byte()?;
            if shift > 126 {
                return Err(Corrupt::Number);
            }
            digits |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        Number::normal(negative, digits, exponent.into()).map_err(|_| Corrupt::Number)
    }
}
