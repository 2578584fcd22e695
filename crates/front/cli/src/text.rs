//! Numbers, times and foreign text for people.

use jiff::Timestamp;

use crate::table::Align;

pub(crate) const LEFT: Align = Align::Left;
pub(crate) const RIGHT: Align = Align::Right;

/// Source: Lambda API Reference, "CreateFunction", FunctionName.
const FUNCTION_NAME_MAX: usize = 64;
const NANO_PER_DOLLAR: u64 = 1_000_000_000;

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nano-dollars as dollars, all nine decimals, so that nothing is rounded away.
pub(crate) fn dollars(nano_usd: u64) -> String {
    format!("${}.{:09}", count(nano_usd / NANO_PER_DOLLAR), nano_usd % NANO_PER_DOLLAR)
}

/// `192.0 KiB`.
pub fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = KIB * KIB;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{}.{} KiB", bytes / KIB, bytes % KIB * 10 / KIB),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

/// Microseconds as `1,234.57 ms`.
pub(crate) fn milliseconds(us: u64) -> String {
    // Rounded half up to hundredths.
    let hundredths = us.saturating_add(5) / 10;
    format!("{}.{:02} ms", count(hundredths / 100), hundredths % 100)
}

/// The name of a function, as it may stand in a URL.
pub(crate) fn parse_function_name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !text.is_empty() && text.len() <= FUNCTION_NAME_MAX && text.bytes().all(is_name) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected the name of a function (letters, digits, -, _ and ., at most {FUNCTION_NAME_MAX}), got `{}`",
        harmless(text)
    ))
}

/// `2026-11-21T16:40:01.123Z`.
pub fn time(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).map_or_else(|_| unix_ms.to_string(), |time| format!("{time:.3}"))
}

/// A time span as `90s`, `10m`, `2h`, `3d`, `1w`, in milliseconds.
pub(crate) fn parse_span_ms(text: &str) -> Result<i64, String> {
    let expected = || format!("expected a number and a unit (s, m, h, d, w) as in 10m, got `{text}`");
    let unit = text.chars().last().ok_or_else(expected)?;
    let unit_ms: i64 = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        'w' => 7 * 86_400_000,
        _ => return Err(expected()),
    };
    let number = &text[..text.len() - 1];
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| number.parse::<i64>().ok()).flatten();
    number.and_then(|number| number.checked_mul(unit_ms)).ok_or_else(expected)
}

/// Text from elsewhere without what could steer a terminal, or make it show something else than there is.
pub fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => safe.push(letter),
            _ if deceives(letter) => safe.extend(letter.escape_default()),
            _ => safe.push(letter),
        }
    }
    safe
}

/// The same for a cell of a table, which has one line.
pub(crate) fn cell(text: &str) -> String {
    harmless(&text.replace(['\n', '\t'], " "))
}

/// JSON that means the same and is harmless.
pub(crate) fn harmless_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        // Outside of strings there are only line ends; within them those are escaped already.
        if letter == '\n' || !deceives(letter) {
            safe.push(letter);
        } else {
            let mut units = [0; 2];
            let units = letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            safe.extend(units.collect::<Vec<_>>());
        }
    }
    safe
}

/// Whether a character is obeyed rather than shown: controls, what is not seen, and what turns the direction of writing.
/// Joiners, without which some scripts cannot be written, are none.
/// Source: Unicode Character Database, general categories Cc, Cf, Zl and Zp.
fn deceives(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(dollars(10_604), "$0.000010604");
        assert_eq!(dollars(1_234_000_000_001), "$1,234.000000001");
        assert_eq!([size(1023), size(196_653), size(7 << 20)], ["1023 B", "192.0 KiB", "7.0 MiB"]);
        assert_eq!(
            [milliseconds(4), milliseconds(5), milliseconds(1_234_567)],
            ["0.00 ms", "0.01 ms", "1,234.57 ms"]
        );
        assert_eq!(time(1_795_282_400_120), "2026-11-21T17:33:20.120Z");
    }

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(parse_span_ms("90s"), Ok(90_000));
        assert_eq!(parse_span_ms("10m"), Ok(600_000));
        assert_eq!(parse_span_ms("1w"), Ok(604_800_000));
        for text in ["", "m", "10", "-1m", "1.5h", "10é", "99999999999999999w"] {
            assert!(parse_span_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn functions_have_names() {
        assert_eq!(parse_function_name("my-f_1"), Ok("my-f_1".to_owned()));
        for text in ["", "a&b=c", "a b", "f:1", "\u{1b}", &"n".repeat(65)] {
            assert!(parse_function_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(harmless("a\tb\x1b[2J\r\n"), "a\tb\\u{1b}[2J\\r\n");
        assert_eq!(cell("a\tb\nc"), "a b c");
    }

    #[test]
    fn readers_are_not_deceived() {
        assert_eq!(
            harmless("a\u{202e}b\u{200b}c\u{2066}\u{feff}"),
            "a\\u{202e}b\\u{200b}c\\u{2066}\\u{feff}"
        );
        let joined = "\u{915}\u{94d}\u{200d}\u{937} é 漢";
        assert_eq!(harmless(joined), joined);
        let value = serde_json::json!({ "a": "\u{9b}2J\u{202e}\u{e0041}é\n" });
        let json = harmless_json(&format!("{value:#}"));
        assert!(json.contains("\\u009b2J\\u202e\\udb40\\udc41é\\n"), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }
}
