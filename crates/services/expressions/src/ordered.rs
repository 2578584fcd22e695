//! Key attributes as bytes that sort as the values do and say where they end.
//!
//! | type | bytes |
//! |---|---|
//! | S, B | the bytes, each 0x00 as 0x00 0xff, then 0x00 0x01 (as `store::Key` writes them) |
//! | N, zero | 0x80 |
//! | N, above zero | 0x81, the place of the first digit + 130, pairs of digits + 1, 0x00 |
//! | N, below zero | 0x7f, then what the number above zero has, each bit turned round |
//!
//! There is no type mark: the same place of one layout always holds the same type.

use bytes::Bytes;

use crate::stored::Corrupt;
use crate::{Number, Value};

const ESCAPE: u8 = 0x00;
const ESCAPED_NUL: u8 = 0xff;
const END_MARK: u8 = 0x01;
const ZERO: u8 = 0x80;
const POSITIVE: u8 = 0x81;
const NEGATIVE: u8 = 0x7f;
const NUMBER_END: u8 = 0x00;
const MAGNITUDE_BIAS: i32 = 130;

/// The type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A text.
    S,
    /// A number.
    N,
    /// Bytes.
    B,
}

/// Adds a key attribute with its end mark. Values that cannot be keys add nothing; callers have checked the type.
pub fn push(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::S(text) => push_bytes(text.as_bytes(), out),
        Value::B(bytes) => push_bytes(bytes, out),
        Value::N(number) => push_number(number, out),
        _ => {}
    }
}

/// Adds the beginning of a text or of bytes, without an end mark: a prefix of all keys that begin with it.
pub fn push_prefix(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::S(text) => escape(text.as_bytes(), out),
        Value::B(bytes) => escape(bytes, out),
        _ => push(value, out),
    }
}

/// Reads an attribute of this type back and moves `from` behind it.
pub fn pop(kind: Kind, from: &mut &[u8]) -> Result<Value, Corrupt> {
    match kind {
        Kind::S => String::from_utf8(pop_bytes(from)?).map(Value::S).map_err(|_| Corrupt::Utf8),
        Kind::B => Ok(Value::B(Bytes::from(pop_bytes(from)?))),
        Kind::N => pop_number(from).map(Value::N),
    }
}

fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    escape(bytes, out);
    out.extend_from_slice(&[ESCAPE, END_MARK]);
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.contains(&ESCAPE) {
        out.extend_from_slice(bytes);
        return;
    }
    for &byte in bytes {
        out.push(byte);
        if byte == ESCAPE {
            out.push(ESCAPED_NUL);
        }
    }
}

fn pop_bytes(from: &mut &[u8]) -> Result<Vec<u8>, Corrupt> {
    let mut bytes = Vec::new();
    loop {
        let at = from.iter().position(|&byte| byte == ESCAPE).ok_or(Corrupt::Short)?;
        bytes.extend_from_slice(&from[..at]);
        let mark = *from.get(at + 1).ok_or(Corrupt::Short)?;
        *from = &from[at + 2..];
        match mark {
            END_MARK => return Ok(bytes),
            ESCAPED_NUL => bytes.push(ESCAPE),
            _ => return Err(Corrupt::Mark(mark)),
        }
    }
}

fn push_number(number: &Number, out: &mut Vec<u8>) {
    if number.digits() == 0 {
        out.push(ZERO);
        return;
    }
    out.push(if number.is_negative() { NEGATIVE } else { POSITIVE });
    let turn = if number.is_negative() { 0xff } else { 0x00 };
    // The range of numbers is as wide as a byte: from 1E-130 to 9.99E+125.
    let magnitude = (number.magnitude() + MAGNITUDE_BIAS).to_le_bytes()[0];
    out.push(magnitude ^ turn);
    let count = number.digit_count();
    let even = if count.is_multiple_of(2) { number.digits() } else { number.digits() * 10 };
    let mut pairs = [0u8; 20];
    let (mut left, mut at) = (even, pairs.len());
    while left > 0 {
        at -= 1;
        pairs[at] = u8::try_from(left % 100).unwrap_or_default();
        left /= 100;
    }
    out.extend(pairs[at..].iter().map(|pair| (pair + 1) ^ turn));
    out.push(NUMBER_END ^ turn);
}

fn pop_number(from: &mut &[u8]) -> Result<Number, Corrupt> {
    let negative = match take(from)? {
        ZERO => return Ok(Number::ZERO),
        POSITIVE => false,
        NEGATIVE => true,
        other => return Err(Corrupt::Mark(other)),
    };
    let turn = if negative { 0xff } else { 0x00 };
    let magnitude = i32::from(take(from)? ^ turn) - MAGNITUDE_BIAS;
    let (mut digits, mut count) = (0u128, 0i32);
    loop {
        match take(from)? ^ turn {
            NUMBER_END => break,
            pair @ 1..=100 => {
                digits = digits
                    .checked_mul(100)
                    .and_then(|digits| digits.checked_add(u128::from(pair - 1)))
                    .ok_or(Corrupt::Number)?;
                // The first pair's first digit is never a zero.
                count += 2;
            }
            other => return Err(Corrupt::Mark(other)),
        }
    }
    let number = Number::normal(negative, digits, magnitude - count + 1).map_err(|_| Corrupt::Number)?;
    if number.magnitude() == magnitude { Ok(number) } else { Err(Corrupt::Number) }
}

fn take(from: &mut &[u8]) -> Result<u8, Corrupt> {
    let (&first, rest) = from.split_first().ok_or(Corrupt::Short)?;
    *from = rest;
    Ok(first)
}
