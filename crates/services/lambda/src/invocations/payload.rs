//! Whether an event is JSON, and what AWS says when it is not.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Where AWS's parser says that it stands.
const SOURCE: &str = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)";
/// The first byte of a character of two to four bytes.
const UTF8_STARTS: std::ops::RangeInclusive<u8> = 0xc2..=0xf4;

/// `Ok` for one JSON value; else the problem in AWS's words, as far as they are known.
pub(crate) fn check(payload: &[u8]) -> Result<(), String> {
    if let Err(error) = std::str::from_utf8(payload) {
        return Err(not_utf8(payload, error.valid_up_to()));
    }
    let mut reader = serde_json::Deserializer::from_slice(payload);
    let error = match IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end()) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let word = first_word(payload);
    if word.is_empty() {
        return Err(located(&error.to_string(), error.line(), error.column()));
    }
    let problem = format!(
        "Unrecognized token '{word}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or \
         'false')"
    );
    // AWS's parser stands behind the word when it complains.
    Err(located(&problem, error.line(), error.column() + word.len()))
}

fn not_utf8(payload: &[u8], at: usize) -> String {
    let byte = payload[at];
    let line = 1 + payload[..at].iter().filter(|&&byte| byte == b'\n').count();
    let line_start = payload[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let column = at - line_start + 1;
    if payload[..at].iter().all(u8::is_ascii_whitespace) {
        let problem = format!(
            "Unexpected character ((CTRL-CHAR, code {byte})): expected a valid value (JSON String, Number, Array, \
             Object or token 'null', 'true' or 'false')"
        );
        return located(&problem, line, column);
    }
    // A byte that could start a character is followed by one that cannot go on with it.
    let (kind, byte) = if UTF8_STARTS.contains(&byte) {
        ("middle", payload.get(at + 1).copied().unwrap_or_default())
    } else {
        ("start", byte)
    };
    located(&format!("Invalid UTF-8 {kind} byte 0x{byte:x}"), line, column + 1)
}

/// The word that an event starts with, if it starts with one that JSON does not know.
fn first_word(payload: &[u8]) -> String {
    let start = payload.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let word: String = payload[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .map(|&byte| char::from(byte))
        .collect();
    let is_known = ["true", "false", "null"].contains(&word.as_str());
    if is_known || !word.starts_with(|first: char| first.is_ascii_alphabetic()) {
        String::new()
    } else {
        word
    }
}

fn located(problem: &str, line: usize, column: usize) -> String {
    format!("{problem}\n at [Source: {SOURCE}; line: {line}, column: {column}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_any_kind_passes() {
        for payload in ["{}", "null", " [1, 2.5e3] ", "\"text\"", "{\"a\":{\"b\":[true]}}"] {
            assert_eq!(check(payload.as_bytes()), Ok(()), "{payload}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_as_aws_names_them() {
        let told = check(b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt").unwrap_err();
        assert!(told.starts_with("Invalid UTF-8 start byte 0x87\n at [Source: REDACTED ("), "{told}");
        assert!(told.ends_with("disabled); line: 1, column: 3]"), "{told}");
        let told = check(b"\x99\xeb,j\x07\xa1zYh").unwrap_err();
        assert!(
            told.starts_with("Unexpected character ((CTRL-CHAR, code 153)): expected a valid value"),
            "{told}"
        );
        assert!(told.ends_with("disabled); line: 1, column: 1]"), "{told}");
    }

    #[test]
    fn words_and_broken_values_are_told_apart() {
        let told = check(b"hello").unwrap_err();
        assert!(told.starts_with("Unrecognized token 'hello': was expecting (JSON"), "{told}");
        assert!(told.ends_with("line: 1, column: 6]"), "{told}");
        assert!(check(b"{\"a\":").unwrap_err().contains("line: 1, column: 5]"));
        assert!(check(b"{} {}").is_err());
    }

    #[test]
    fn deep_values_do_not_exhaust_the_stack() {
        assert!(check("[".repeat(1 << 20).as_bytes()).is_err());
    }
}
