//! A walk along a statement's tokens.

use super::lexer::{Kind, Place, Token, malformed, tokens};
use crate::path::{Path, Step};
use crate::{Invalid, Value};

/// How deep parentheses, NOT and literals may lie in one another: each is a call on the stack.
const MAX_DEPTH: usize = 100;
/// The largest index of a list that AWS reads.
const MAX_INDEX: i64 = i32::MAX as i64;

/// Words that are never names unless they are quoted.
const KEYWORDS: [&str; 52] = [
    "all",
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "cross",
    "delete",
    "desc",
    "distinct",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "false",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "join",
    "left",
    "like",
    "missing",
    "natural",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "remove",
    "returning",
    "right",
    "select",
    "set",
    "then",
    "true",
    "union",
    "update",
    "value",
    "values",
    "when",
    "where",
];

/// A statement that is being read, with the values for its question marks.
pub(super) struct Cursor {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    parameters: std::vec::IntoIter<Value>,
}

impl Cursor {
    pub(super) fn new(statement: &str, parameters: Vec<Value>) -> Result<Self, Invalid> {
        Ok(Self { tokens: tokens(statement)?, at: 0, depth: 0, parameters: parameters.into_iter() })
    }

    pub(super) fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    pub(super) fn peek_second(&self) -> Option<&Kind> {
        self.tokens.get(self.at + 1).map(|token| &token.kind)
    }

    /// Where the next token is.
    pub(super) fn place(&self) -> Place {
        self.tokens.get(self.at).map(|token| token.place).unwrap_or_default()
    }

    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Whether the next token is this keyword, in whatever case.
    pub(super) fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn at_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Kind::Mark(found)) if *found == mark)
    }

    /// Passes this keyword, if it comes.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        self.at += usize::from(found);
        found
    }

    /// Passes this mark, if it comes.
    pub(super) fn mark(&mut self, mark: &str) -> bool {
        let found = self.at_mark(mark);
        self.at += usize::from(found);
        found
    }

    /// Passes this mark, or says with its name on AWS that it is missing.
    pub(super) fn expect(&mut self, mark: &str, name: &str) -> Result<(), Invalid> {
        if self.mark(mark) { Ok(()) } else { Err(malformed(&format!("Expected {name}"))) }
    }

    /// Goes one level deeper, as long as there are levels.
    pub(super) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Invalid>,
    ) -> Result<T, Invalid> {
        if self.depth >= MAX_DEPTH {
            return Err(malformed(&format!("more than {MAX_DEPTH} levels of nesting")));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    /// Passes a name. Keywords are none unless they are quoted.
    pub(super) fn name(&mut self) -> Option<String> {
        let name = match self.peek()? {
            Kind::Word(word) if !is_keyword(word) => word.clone(),
            Kind::Quoted(name) => name.clone(),
            _ => return None,
        };
        self.at += 1;
        Some(name)
    }

    /// The value for the question mark that was passed.
    pub(super) fn parameter(&mut self) -> Result<Value, Invalid> {
        self.parameters.next().ok_or_else(parameters_differ)
    }

    /// Passes a document path: `a.b[0]`, `"a"."b"`, `a['b']`.
    pub(super) fn path(&mut self) -> Result<Option<Path>, Invalid> {
        let Some(head) = self.name() else { return Ok(None) };
        let mut rest = Vec::new();
        loop {
            if self.mark(".") {
                let name = self.name().ok_or_else(|| malformed("Invalid path dot component"))?;
                rest.push(Step::Name(name));
            } else if self.mark("[") {
                rest.push(self.bracket()?);
                self.expect("]", "RIGHT_BRACKET")?;
            } else {
                return Ok(Some(Path { head, rest }));
            }
        }
    }

    fn bracket(&mut self) -> Result<Step, Invalid> {
        let negative = self.mark("-");
        let place = self.place();
        match self.peek() {
            Some(Kind::Text(name)) if !negative => {
                let name = name.clone();
                self.step();
                Ok(Step::Name(name))
            }
            Some(Kind::Number(digits)) => {
                let digits = digits.clone();
                self.step();
                let index: Option<i64> = digits.parse().ok();
                let index = if negative { index.filter(|index| *index == 0) } else { index };
                let index =
                    index.filter(|index| *index <= MAX_INDEX).and_then(|index| usize::try_from(index).ok());
                index.map(Step::Index).ok_or_else(|| {
                    let sign = if negative { "-" } else { "" };
                    Invalid::new(format!(
                        "List index is not within the allowable range; index: [{sign}{digits}] at {place}"
                    ))
                })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// What AWS says of a token where something else should begin.
    pub(super) fn unexpected(&self) -> Invalid {
        malformed(match self.peek() {
            Some(Kind::Word(word))
                if ["is", "like", "in", "between"].contains(&word.to_ascii_lowercase().as_str()) =>
            {
                "Unexpected operator"
            }
            Some(Kind::Word(_)) => "Unexpected keyword",
            Some(Kind::Mark("=" | "<" | ">" | "<=" | ">=" | "<>" | "!=" | "+" | "-" | "*" | "/" | "||")) => {
                "Unexpected operator"
            }
            _ => "Unexpected term",
        })
    }

    /// Checks that nothing is left but a semicolon, and that all parameters were used.
    pub(super) fn finish(mut self) -> Result<(), Invalid> {
        self.mark(";");
        if self.peek().is_some() {
            return Err(malformed("Unexpected token after expression"));
        }
        if self.parameters.next().is_some() { Err(parameters_differ()) } else { Ok(()) }
    }
}

/// Whether a word without quotes cannot be a name.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.binary_search(&word.to_ascii_lowercase().as_str()).is_ok()
}

fn parameters_differ() -> Invalid {
    Invalid::new("Number of parameters in request and statement don't match.")
}
