//! Policy documents of any form: reading them never panics, and what was accepted once is accepted again.
#![no_main]

use lambent_identity::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = [
        Policy::identity(text),
        Policy::stored(text),
        Policy::managed(text),
        Policy::session(text),
        Policy::trust(text),
        Policy::resource(text, "s3"),
        Policy::resource(text, "lambda"),
    ];
    for policy in read.into_iter().flatten() {
        assert_eq!(policy.text(), text);
        let _ = (policy.is_public(), policy.resources().count(), policy.context_keys());
    }
    assert!(Policy::identity(text).is_err() || Policy::stored(text).is_ok(), "what is stored must be readable");
});
