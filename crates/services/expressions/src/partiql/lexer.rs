//! A statement's tokens, each with its place: messages tell it as `line:column:length`, in characters from 1.

use std::fmt;

use crate::Invalid;

/// What AWS says of a statement that cannot be read, before the reason.
const NOT_WELL_FORMED: &str = "Statement wasn't well formed, can't be processed: ";

/// Marks, the longer ones first.
const MARKS: [&str; 25] = [
    "<<", ">>", "<=", ">=", "<>", "!=", "||", "=", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", ":",
    ";", "*", "?", "+", "-", "/",
];

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword without quotes, as it was written.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A text in single quotes.
    Text(String),
    /// A number without a sign, as it was written.
    Number(String),
    /// A mark.
    Mark(&'static str),
}

/// Where a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
    length: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.line, self.column, self.length)
    }
}

/// A token and where it is.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

/// A statement that cannot be read, and why; AWS gives no reason when already its tokens cannot.
pub(super) fn malformed(reason: &str) -> Invalid {
    Invalid::new(format!("{NOT_WELL_FORMED}{reason}"))
}

/// The tokens of a statement.
pub(super) fn tokens(statement: &str) -> Result<Vec<Token>, Invalid> {
    let mut lexer = Lexer { rest: statement, line: 1, column: 1 };
    let mut tokens = Vec::new();
    while lexer.skip_space()? {
        let place = Place { line: lexer.line, column: lexer.column, length: 0 };
        let before = lexer.rest;
        let kind = lexer.token()?;
        let length = before[..before.len() - lexer.rest.len()].chars().count();
        tokens.push(Token { kind, place: Place { length, ..place } });
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    /// Passes over blanks and comments, and says whether anything follows.
    fn skip_space(&mut self) -> Result<bool, Invalid> {
        loop {
            if self.rest.starts_with("--") {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| malformed(""))?;
                self.take("/*".len() + end + "*/".len());
            } else {
                let blanks = self.rest.len() - self.rest.trim_start().len();
                if blanks == 0 {
                    return Ok(!self.rest.is_empty());
                }
                self.take(blanks);
            }
        }
    }

    fn token(&mut self) -> Result<Kind, Invalid> {
        let first = self.rest.chars().next().ok_or_else(|| malformed(""))?;
        let mut following = self.rest.chars().skip(1);
        match first {
            '\'' => self.quoted('\'').map(Kind::Text),
            '"' => self.quoted('"').map(Kind::Quoted),
            '0'..='9' => self.number(),
            '.' if following.next().is_some_and(|next| next.is_ascii_digit()) => self.number(),
            _ if first.is_alphabetic() || matches!(first, '_' | '$') => {
                let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
                let end = self.rest.find(|c| !in_word(c)).unwrap_or(self.rest.len());
                Ok(Kind::Word(self.take(end).to_owned()))
            }
            _ => {
                let mark = MARKS
                    .into_iter()
                    .find(|mark| self.rest.starts_with(mark))
                    .ok_or_else(|| malformed(""))?;
                self.take(mark.len());
                Ok(Kind::Mark(mark))
            }
        }
    }

    /// What lies between two quotes; a doubled quote stands for one.
    fn quoted(&mut self, quote: char) -> Result<String, Invalid> {
        let mut text = String::new();
        self.take(1);
        loop {
            let end = self.rest.find(quote).ok_or_else(|| malformed(""))?;
            text.push_str(self.take(end));
            self.take(1);
            if !self.rest.starts_with(quote) {
                return Ok(text);
            }
            text.push(quote);
            self.take(1);
        }
    }

    fn number(&mut self) -> Result<Kind, Invalid> {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let mut end = digits(self.rest);
        let mut fraction = 0;
        if let Some(after) = self.rest[end..].strip_prefix('.') {
            fraction = digits(after);
            end += 1 + fraction;
        }
        if let Some(after) = self.rest[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(after.starts_with(['+', '-']));
            let power = digits(&after[sign..]);
            if power > 0 {
                // Exponent and scale are 32 bits wide on AWS.
                let exponent: i32 = after[..sign + power].parse().map_err(|_| malformed(""))?;
                let scale = i64::try_from(fraction).unwrap_or(i64::MAX).saturating_sub(exponent.into());
                i32::try_from(scale).map_err(|_| malformed(""))?;
                end += 1 + sign + power;
            }
        }
        Ok(Kind::Number(self.take(end).to_owned()))
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        match taken.rfind('\n') {
            Some(at) => {
                self.line += taken.matches('\n').count();
                self.column = taken[at + 1..].chars().count() + 1;
            }
            None => self.column += taken.chars().count(),
        }
        taken
    }
}
