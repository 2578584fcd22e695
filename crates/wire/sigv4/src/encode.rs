//! Percent encoding as SigV4 wants it: upper-case digits, and only RFC 3986's unreserved characters left bare.

/// Whether a byte is unreserved (RFC 3986, section 2.3); a table, because every byte of every request passes it.
const BARE: [bool; 256] = {
    let mut bare = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let text = byte as u8;
        bare[byte] = text.is_ascii_alphanumeric() || matches!(text, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    bare
};

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `bytes` encoded; `keep_slash` leaves `/` bare, as in paths.
pub(crate) fn encode(bytes: &[u8], keep_slash: bool, out: &mut Vec<u8>) {
    for &byte in bytes {
        encode_byte(byte, keep_slash, out);
    }
}

/// Appends a path whose escapes are brought to the one canonical form: decoded, then encoded again.
/// An escaped slash stays escaped, because it does not separate.
pub(crate) fn recode_path(bytes: &[u8], out: &mut Vec<u8>) {
    recode(bytes, |byte, was_escaped| encode_byte(byte, !was_escaped, out));
}

/// Appends a piece of a query string in canonical form. A plus sign means a space, as in forms.
pub(crate) fn recode_query(bytes: &[u8], out: &mut Vec<u8>) {
    recode(bytes, |byte, was_escaped| {
        let byte = if byte == b'+' && !was_escaped { b' ' } else { byte };
        encode_byte(byte, false, out);
    });
}

/// The text that a piece of a query string stands for; `None` when it is not UTF-8.
pub(crate) fn decode_query(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    recode(text.as_bytes(), |byte, was_escaped| {
        bytes.push(if byte == b'+' && !was_escaped { b' ' } else { byte });
    });
    String::from_utf8(bytes).ok().map(Into::into)
}

fn recode(bytes: &[u8], mut take: impl FnMut(u8, bool)) {
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| escape(bytes.get(at + 1..at + 3)?)).flatten();
        take(escaped.unwrap_or(bytes[at]), escaped.is_some());
        at += if escaped.is_some() { 3 } else { 1 };
    }
}

fn escape(digits: &[u8]) -> Option<u8> {
    let high = char::from(digits[0]).to_digit(16)?;
    let low = char::from(digits[1]).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

fn encode_byte(byte: u8, keep_slash: bool, out: &mut Vec<u8>) {
    if BARE[usize::from(byte)] || (keep_slash && byte == b'/') {
        out.push(byte);
    } else {
        let digit = |nibble: u8| UPPER_HEX[usize::from(nibble)];
        out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_brought_to_one_form() {
        assert_eq!(text(|out| recode_path(b"/a:b/%7e%2f%e1 +", out)), "/a%3Ab/~%2F%E1%20%2B");
        assert_eq!(text(|out| recode_path(b"/100%/%4", out)), "/100%25/%254");
        assert_eq!(text(|out| encode(b"/a%20b", true, out)), "/a%2520b");
    }

    #[test]
    fn queries_are_brought_to_one_form() {
        assert_eq!(text(|out| recode_query(b"a+b%2Bc/d%zz", out)), "a%20b%2Bc%2Fd%25zz");
        assert_eq!(decode_query("a%2Fb+c").as_deref(), Some("a/b c"));
        assert_eq!(decode_query("%ff"), None);
    }
}
