//! Just enough of Rust's lexical grammar to tell code from comments and literals.

/// The text with every comment, string and character blanked by spaces, line for line and byte for byte,
/// so that a search in the result finds code only.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut blanked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment_end(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut blanked[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&blanked).into_owned()
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn literal_or_comment_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at + position(rest, b"\n").unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + block_comment_length(rest);
    }
    if rest[0] == b'"' {
        return at + quoted_length(rest);
    }
    if rest[0] == b'r' && !continues_a_word(bytes, at) {
        return at + raw_string_length(rest);
    }
    if rest[0] == b'\'' {
        return at + character_length(rest);
    }
    at
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn continues_a_word(bytes: &[u8], at: usize) -> bool {
    // `br"..."` is a raw string too; any other letter before the `r` makes it part of a name.
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_') && bytes[at - 1] != b'b'
}

fn block_comment_length(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `r"..."` or `r#"..."#`; 0 when `r` starts a name.
fn raw_string_length(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    let body = 2 + hashes;
    position(&rest[body..], &closing).map_or(rest.len(), |found| body + found + closing.len())
}

/// The length of a character literal; 0 when the quote starts a lifetime.
fn character_length(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return rest[2..].iter().skip(1).position(|byte| *byte == b'\'').map_or(0, |found| found + 4);
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]).unwrap_or_else(|error| {
        std::str::from_utf8(&rest[1..1 + error.valid_up_to()]).expect("the text up to there is valid UTF-8")
    });
    let length = text.chars().next().map_or(0, char::len_utf8);
    if length > 0 && rest.get(1 + length) == Some(&b'\'') { length + 2 } else { 0 }
}
