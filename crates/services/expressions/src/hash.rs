//! Where an item lies among the partitions: the order in which a scan meets items on AWS.

use md5::{Digest, Md5};

use crate::{Number, Value};

/// What AWS hashes before the key.
const SALT: &[u8] = b"Outliers";
/// Pairs of digits up to which a negative number has an end mark.
const MARKED_PAIRS: usize = 20;

/// The first two bytes of the partition key's hash. Values that cannot be keys have the hash of an empty key.
pub fn hash_of(key: &Value) -> u16 {
    let mut digest = Md5::new();
    digest.update(SALT);
    match key {
        Value::S(text) => digest.update(text.as_bytes()),
        Value::B(bytes) => digest.update(bytes),
        Value::N(number) => digest.update(number_bytes(number)),
        _ => {}
    }
    let hash = digest.finalize();
    u16::from_be_bytes([hash[0], hash[1]])
}

/// The number as AWS hashes it: a byte for the power of a hundred, then the digits in pairs, each one more than it is; below
/// zero all is turned round.
fn number_bytes(number: &Number) -> Vec<u8> {
    const ZERO: u8 = 0x80;
    const POWER_BIAS: i32 = 0xc0;
    if number.digits() == 0 {
        return vec![ZERO];
    }
    let places = number.magnitude() + 1;
    let odd = places.rem_euclid(2) == 1;
    let power = (places + i32::from(odd)).div_euclid(2) + POWER_BIAS;
    let mut digits = number.digits().to_string();
    if odd {
        digits.insert(0, '0');
    }
    if !digits.len().is_multiple_of(2) {
        digits.push('0');
    }
    let power = power.to_le_bytes()[0];
    let mut bytes = vec![if number.is_negative() { !power } else { power }];
    for pair in digits.as_bytes().chunks(2) {
        let pair = (pair[0] - b'0') * 10 + (pair[1] - b'0');
        bytes.push(if number.is_negative() { 101 - pair } else { pair + 1 });
    }
    if number.is_negative() && bytes.len() <= MARKED_PAIRS {
        bytes.push(102);
    }
    bytes
}
