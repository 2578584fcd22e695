//! Keys sort as the tuples they are made of, and come back as those.

use lambent_store::{Key, KeyError, KeyReader};
use proptest::collection::vec;
use proptest::prelude::*;

type Tuple = (String, Vec<u8>, u64, i64, Vec<u8>);

fn encode((text, bytes, unsigned, signed, rest): &Tuple) -> Key {
    Key::new(b"t/").str(text).bytes(bytes).u64(*unsigned).i64(*signed).raw(rest)
}

/// Tuples whose parts are often equal, often prefixes of each other, and full of the bytes that escapes use.
fn tuples() -> impl Strategy<Value = Tuple> {
    let byte = prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()];
    let character = prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), any::<char>()];
    let number = prop_oneof![Just(0_u64), Just(u64::MAX), 0..4_u64, any::<u64>()];
    let text = vec(character, 0..4).prop_map(|characters| characters.into_iter().collect());
    let signed = prop_oneof![Just(i64::MIN), -2..2_i64, any::<i64>()];
    (text, vec(byte.clone(), 0..4), number, signed, vec(byte, 0..3))
}

proptest! {
    #[test]
    fn order_is_kept(left in tuples(), right in tuples()) {
        prop_assert_eq!(encode(&left)[..].cmp(&encode(&right)[..]), left.cmp(&right));
    }

    #[test]
    fn parts_come_back(tuple in tuples()) {
        let key = encode(&tuple);
        let mut reader = KeyReader::new(&key, b"t/").unwrap();
        let read = (reader.str(), reader.bytes(), reader.u64(), reader.i64());
        prop_assert_eq!(read, (Ok(tuple.0), Ok(tuple.1), Ok(tuple.2), Ok(tuple.3)));
        prop_assert_eq!(reader.rest(), &tuple.4[..]);
    }

    #[test]
    fn text_prefixes_cover_their_texts_and_no_others(start in "[a\0\u{1}]{0,3}", text in "[ab\0\u{1}]{0,5}") {
        let range = Key::new(b"t/").str_prefix(&start).range();
        prop_assert_eq!(range.contains(&Key::new(b"t/").str(&text)), text.starts_with(&start));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..40)) {
        let Ok(mut reader) = KeyReader::new(&bytes, b"") else { return Ok(()) };
        let read = (reader.bytes(), reader.str(), reader.u64(), reader.end());
        if let (Ok(first), Ok(second), Ok(number), Ok(())) = read {
            prop_assert_eq!(&Key::new(b"").bytes(&first).str(&second).u64(number)[..], &bytes[..]);
        }
    }
}

#[test]
fn malformed_keys_are_named() {
    assert_eq!(KeyReader::new(b"s3/x", b"iam/").err(), Some(KeyError::Prefix));
    let read = |bytes: &'static [u8]| KeyReader::new(bytes, b"").unwrap().str();
    assert_eq!(read(b"no end"), Err(KeyError::Short));
    assert_eq!(read(b"half an end\0"), Err(KeyError::Short));
    assert_eq!(read(b"wrong\0\x07"), Err(KeyError::Escape));
    assert_eq!(read(b"\xff\0\x01"), Err(KeyError::Utf8));
    assert_eq!(KeyReader::new(b"abc", b"").unwrap().u64(), Err(KeyError::Short));
    assert_eq!(KeyReader::new(b"abc", b"ab").unwrap().end(), Err(KeyError::Long));
}
