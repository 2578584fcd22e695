//! Tokens of all expressions, and where they lie in the text.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword: a letter, then letters, digits and underscores.
    Name,
    /// `#name`, a placeholder of a name.
    NameRef,
    /// `:name`, a placeholder of a value.
    ValueRef,
    /// Digits.
    Int,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    Comma,
    Dot,
    Plus,
    Minus,
    /// A character that means nothing.
    Bad,
    /// Behind the last token.
    End,
}

/// A token, and the bytes of the text that it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Reads one token after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token; `End` again and again behind the last.
    pub(crate) fn next(&mut self) -> Token {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        let start = self.at;
        let Some(&first) = bytes.get(start) else {
            return Token { kind: Kind::End, start, end: start };
        };
        let second = bytes.get(start + 1).copied();
        let (kind, length) = match (first, second) {
            (b'a'..=b'z' | b'A'..=b'Z', _) => (Kind::Name, 1 + self.run(start + 1, is_part)),
            (b'#' | b':', Some(byte)) if is_part(byte) => {
                let kind = if first == b'#' { Kind::NameRef } else { Kind::ValueRef };
                (kind, 1 + self.run(start + 1, is_part))
            }
            (b'0'..=b'9', _) => (Kind::Int, self.run(start, |byte| byte.is_ascii_digit())),
            (b'<', Some(b'>')) => (Kind::Ne, 2),
            (b'<', Some(b'=')) => (Kind::Le, 2),
            (b'>', Some(b'=')) => (Kind::Ge, 2),
            (b'<', _) => (Kind::Lt, 1),
            (b'>', _) => (Kind::Gt, 1),
            (b'=', _) => (Kind::Eq, 1),
            (b'(', _) => (Kind::Open, 1),
            (b')', _) => (Kind::Close, 1),
            (b'[', _) => (Kind::OpenIndex, 1),
            (b']', _) => (Kind::CloseIndex, 1),
            (b',', _) => (Kind::Comma, 1),
            (b'.', _) => (Kind::Dot, 1),
            (b'+', _) => (Kind::Plus, 1),
            (b'-', _) => (Kind::Minus, 1),
            _ => (Kind::Bad, self.text[start..].chars().next().map_or(1, char::len_utf8)),
        };
        self.at = start + length;
        Token { kind, start, end: self.at }
    }

    /// How many bytes from `start` on are as `belongs` wants them.
    fn run(&self, start: usize, belongs: impl Fn(u8) -> bool) -> usize {
        self.text.as_bytes()[start..].iter().take_while(|byte| belongs(**byte)).count()
    }
}

/// Whether a name or placeholder may go on with this.
pub(crate) fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// AWS's words for what is wrong at the token that begins at `start`: the token, and the text from the token before it to the
/// one behind it.
pub(crate) fn syntax_error(text: &str, start: usize) -> String {
    let mut lexer = Lexer::new(text);
    let (mut before, mut token) = (start, lexer.next());
    while token.start < start {
        before = token.start;
        token = lexer.next();
    }
    let found = if token.kind == Kind::End { "<EOF>" } else { &text[token.start..token.end] };
    let near = &text[before.min(token.start)..lexer.next().end];
    format!("Syntax error; token: \"{found}\", near: \"{near}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| Some(lexer.next().kind)).take_while(|kind| *kind != Kind::End).collect()
    }

    #[test]
    fn texts_are_cut_into_tokens() {
        use Kind::*;
        assert_eq!(kinds(" a.#b[12]<>:v\t"), [Name, Dot, NameRef, OpenIndex, Int, CloseIndex, Ne, ValueRef]);
        assert_eq!(kinds("a<=b>=c<d>e=f"), [Name, Le, Name, Ge, Name, Lt, Name, Gt, Name, Eq, Name]);
        assert_eq!(kinds("(a+b)-c,"), [Open, Name, Plus, Name, Close, Minus, Name, Comma]);
        assert_eq!(kinds("# : _a ü #$"), [Bad, Bad, Bad, Name, Bad, Bad, Bad]);
    }

    #[test]
    fn an_error_shows_the_tokens_beside_it() {
        let cases = [
            ("INVALID SYNTAX HERE", 0, "Syntax error; token: \"INVALID\", near: \"INVALID SYNTAX\""),
            ("ADD hits : incr", 9, "Syntax error; token: \":\", near: \"hits : incr\""),
            ("a-b", 1, "Syntax error; token: \"-\", near: \"a-b\""),
            ("SET a = :a,", 11, "Syntax error; token: \"<EOF>\", near: \",\""),
            ("tenantAgent:abc123-x", 11, "Syntax error; token: \":abc123\", near: \"tenantAgent:abc123-\""),
            ("!!a", 0, "Syntax error; token: \"!\", near: \"!!\""),
            ("size()", 5, "Syntax error; token: \")\", near: \"()\""),
        ];
        for (text, start, want) in cases {
            assert_eq!(syntax_error(text, start), want);
        }
    }
}
