//! Tokens and key sets of any form: reading them never panics, and no key has signed what nobody signed.
#![no_main]

use lambent_identity::{KeySet, Unverified};
use libfuzzer_sys::fuzz_target;

const NOW_S: i64 = 1_800_000_000;

fuzz_target!(|input: &[u8]| {
    // A token, and behind a line end the keys of its issuer.
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (token, keys) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let keys = KeySet::read(keys);
    let Ok(token) = std::str::from_utf8(token) else { return };
    let Ok(token) = Unverified::read(token) else { return };
    let _ = token.issuer();
    if let Some(keys) = keys {
        assert!(token.verify(&keys, NOW_S).is_err(), "nobody signed this");
    }
});
