use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{scalar, value};
use crate::ordered::{self, Kind};
use crate::{Number, Value, decode_item, encode_item, hash_of};

fn pushed(value: &Value) -> Vec<u8> {
    let mut key = Vec::new();
    ordered::push(value, &mut key);
    key
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::S(_) => Kind::S,
        Value::N(_) => Kind::N,
        _ => Kind::B,
    }
}

/// Computed with dynalite's way of hashing, which it checks against the order of AWS's scans.
#[test]
fn hashes_as_aws_does() {
    let number = |text: &str| Value::N(Number::parse(text).unwrap());
    for (key, hash) in HASHES {
        assert_eq!(format!("{:04x}", hash_of(&number(key))), hash, "{key}");
    }
    assert_eq!(format!("{:04x}", hash_of(&Value::S("a".to_owned()))), TEXT_HASH);
}

const HASHES: [(&str, &str); 7] = [
    ("0", "ce21"),
    ("1", "c3a0"),
    ("-1", "0267"),
    ("100.5", "5f8f"),
    ("-0.012", "db6d"),
    ("1e125", "2f28"),
    ("-12345678901234567890123456789012345678", "0895"),
];
const TEXT_HASH: &str = "f655";

proptest! {
    #[test]
    fn items_round_trip(item in btree_map("[a-z]{0,6}", value(), 0..6)) {
        prop_assert_eq!(decode_item(&encode_item(&item)), Ok(item));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in vec(any::<u8>(), 0..64), first in any::<bool>()) {
        if first && !bytes.is_empty() {
            bytes[0] = 1;
        }
        let _ = decode_item(&bytes);
    }

    #[test]
    fn what_is_cut_short_is_not_read(item in btree_map("[a-z]{0,6}", value(), 1..4), at in any::<prop::sample::Index>()) {
        let stored = encode_item(&item);
        prop_assert!(decode_item(&stored[..at.index(stored.len())]).is_err());
    }

    #[test]
    fn keys_sort_as_values_do(one in scalar(), other in scalar()) {
        prop_assume!(kind(&one) == kind(&other));
        prop_assert_eq!(pushed(&one).cmp(&pushed(&other)), one.cmp(&other));
    }

    #[test]
    fn keys_say_where_they_end(parts in vec(scalar(), 0..4), rest in vec(any::<u8>(), 0..8)) {
        let mut key = Vec::new();
        parts.iter().for_each(|part| ordered::push(part, &mut key));
        key.extend_from_slice(&rest);
        let mut from = key.as_slice();
        for part in &parts {
            prop_assert_eq!(ordered::pop(kind(part), &mut from), Ok(part.clone()));
        }
        prop_assert_eq!(from, rest.as_slice());
    }

    #[test]
    fn no_key_makes_the_reader_panic(bytes in vec(any::<u8>(), 0..48)) {
        for kind in [Kind::S, Kind::N, Kind::B] {
            let _ = ordered::pop(kind, &mut bytes.as_slice());
        }
    }
}
