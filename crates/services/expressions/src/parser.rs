//! What the parsers of all expressions share: the current token, placeholders, document paths, and the problems met on the way.
//!
//! A syntax error ends parsing at once. Everything else is noted and told when the whole text was read, as AWS does: which of
//! several problems it tells depends on their sort first, and on their place only then.

use std::sync::Arc;

use crate::lexer::{Kind, Lexer, Token, syntax_error};
use crate::path::{Path, Step};
use crate::placeholders::Placeholders;
use crate::reserved::is_reserved;
use crate::{Invalid, MAX_NESTING, Value};

/// Bytes of an expression as it is sent ("Quotas in Amazon DynamoDB": expression parameters).
pub(crate) const MAX_EXPRESSION_BYTES: usize = 4096;
/// Operators and functions of an expression.
pub(crate) const MAX_OPERATORS: u32 = 300;
/// Operands of an IN.
pub(crate) const MAX_IN_OPERANDS: usize = 100;
/// How deep parentheses, NOTs and functions may lie in one another: a bound on the stack. A parenthesis with something to say holds
/// two operators, so AWS's bound on these is met before, but for chains of NOT.
pub(crate) const MAX_DEPTH: u32 = 150;
/// The greatest index of a list in a path.
const MAX_INDEX: usize = i32::MAX as usize;
/// Elements of a path.
const MAX_PATH_STEPS: usize = MAX_NESTING;

/// A result of parsing: the error is AWS's message, but for which expression it is about.
pub(crate) type Parsed<T> = Result<T, String>;

/// Which of the expressions' grammars a text is read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grammar {
    Condition,
    Update,
    Projection,
}

impl Grammar {
    /// Whether a name may be none of these, as they have a meaning.
    fn is_keyword(self, name: &str) -> bool {
        let words: &[&str] = match self {
            Self::Condition => &["AND", "OR", "NOT", "BETWEEN", "IN"],
            Self::Update => &["SET", "REMOVE", "ADD", "DELETE"],
            Self::Projection => &[],
        };
        words.iter().any(|word| name.eq_ignore_ascii_case(word))
    }
}

/// The first problem of each sort.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// A word, or an index, that no path may have.
    pub(crate) reserved: Option<String>,
    pub(crate) unknown_function: Option<String>,
    /// A function where it may not be.
    pub(crate) misused_function: Option<String>,
    pub(crate) undefined_name: Option<String>,
    pub(crate) undefined_value: Option<String>,
    pub(crate) operand_count: Option<String>,
    /// An operand that is its own counterpart.
    pub(crate) not_distinct: Option<String>,
    /// An operand of a type that its operator does not take.
    pub(crate) operand_type: Option<String>,
    /// The first of those that a single condition had.
    pub(crate) condition: Option<String>,
    pub(crate) section: Option<String>,
}

/// Notes a problem, unless there was one of its sort before.
pub(crate) fn note(slot: &mut Option<String>, message: impl FnOnce() -> String) {
    if slot.is_none() {
        *slot = Some(message());
    }
}

/// A text that is being read.
pub(crate) struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The token that was not taken yet.
    pub(crate) token: Token,
    grammar: Grammar,
    placeholders: &'a mut Placeholders,
    pub(crate) problems: Problems,
    operators: u32,
}

/// Reads `text`, whose parameter is called `parameter`, by `grammar`.
pub(crate) fn parse<T>(
    parameter: &str,
    text: &str,
    grammar: Grammar,
    placeholders: &mut Placeholders,
    read: impl FnOnce(&mut Parser<'_>) -> Parsed<T>,
) -> Result<T, Invalid> {
    let invalid = |why: String| Invalid::new(format!("Invalid {parameter}: {why}"));
    if text.is_empty() {
        return Err(invalid("The expression can not be empty;".to_owned()));
    }
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(invalid(too_long(parameter, text.len())));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next();
    let problems = Problems::default();
    let mut parser = Parser { text, lexer, token, grammar, placeholders, problems, operators: 0 };
    read(&mut parser).map_err(invalid)
}

/// AWS tells the size of filters only.
fn too_long(parameter: &str, bytes: usize) -> String {
    let size =
        if parameter == "FilterExpression" { format!(" expression size: {bytes}") } else { String::new() };
    format!("Expression size has exceeded the maximum allowed size;{size}")
}

impl<'a> Parser<'a> {
    /// Takes the current token.
    pub(crate) fn take(&mut self) -> Token {
        std::mem::replace(&mut self.token, self.lexer.next())
    }

    /// Takes the current token if it is of this kind.
    pub(crate) fn takes(&mut self, kind: Kind) -> bool {
        let is = self.token.kind == kind;
        if is {
            self.take();
        }
        is
    }

    /// Takes the current token, which has to be of this kind.
    pub(crate) fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        if self.token.kind == kind { Ok(self.take()) } else { self.refuse() }
    }

    /// Nothing can go on with the current token.
    pub(crate) fn refuse<T>(&self) -> Parsed<T> {
        Err(syntax_error(self.text, self.token.start))
    }

    pub(crate) fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    /// Whether the current token is this keyword, in whatever case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.token.kind == Kind::Name && self.text_of(self.token).eq_ignore_ascii_case(word)
    }

    /// Takes the current token if it is this keyword.
    pub(crate) fn takes_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.take();
        }
        is
    }

    /// Counts an operator or a function.
    pub(crate) fn count_operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            let count = self.operators;
            return Err(format!("The expression contains too many operators; operator count: {count}"));
        }
        Ok(())
    }

    /// One level deeper than `depth`.
    pub(crate) fn deeper(&self, depth: u32) -> Parsed<u32> {
        if depth == MAX_DEPTH {
            return Err(format!("The expression has too many nesting levels; nesting levels: {}", depth + 1));
        }
        Ok(depth + 1)
    }

    /// The value behind the current token; `None` when the request has none, which is noted.
    pub(crate) fn value(&mut self) -> Parsed<Option<Arc<Value>>> {
        let token = self.expect(Kind::ValueRef)?;
        let key = self.text_of(token);
        let value = self.placeholders.value(key);
        if value.is_none() {
            // A condition tells what comes first, an update names before values.
            let slot = match self.grammar {
                Grammar::Update => &mut self.problems.undefined_value,
                Grammar::Condition | Grammar::Projection => &mut self.problems.undefined_name,
            };
            note(slot, || {
                format!(
                    "An expression attribute value used in expression is not defined; attribute value: {key}"
                )
            });
        }
        Ok(value)
    }

    /// The path that begins with the current token.
    pub(crate) fn path(&mut self) -> Parsed<Path> {
        let head = self.name()?;
        self.rest_of_path(Path::of_attribute(head))
    }

    /// The path that began with the name `head`, which was taken.
    pub(crate) fn path_from(&mut self, head: Token) -> Parsed<Path> {
        let head = self.literal(head);
        self.rest_of_path(Path::of_attribute(head))
    }

    /// Goes on with a path, if anything goes on.
    pub(crate) fn rest_of_path(&mut self, mut path: Path) -> Parsed<Path> {
        loop {
            match self.token.kind {
                Kind::Dot => {
                    self.take();
                    let name = self.name()?;
                    path.rest.push(Step::Name(name));
                }
                Kind::OpenIndex => {
                    self.take();
                    let index = self.expect(Kind::Int)?;
                    self.expect(Kind::CloseIndex)?;
                    let index = self.index(self.text_of(index));
                    path.rest.push(Step::Index(index));
                }
                _ => break,
            }
        }
        let steps = path.rest.len() + 1;
        if steps > MAX_PATH_STEPS {
            note(&mut self.problems.operand_type, || {
                format!("The document path has too many nesting levels; nesting levels: {steps}")
            });
        }
        Ok(path)
    }

    /// One name of a path, as a literal or as a placeholder.
    fn name(&mut self) -> Parsed<String> {
        match self.token.kind {
            Kind::Name if !self.grammar.is_keyword(self.text_of(self.token)) => {
                let token = self.take();
                Ok(self.literal(token))
            }
            Kind::NameRef => {
                let token = self.take();
                let key = self.text_of(token);
                if let Some(name) = self.placeholders.name(key) {
                    return Ok(name.to_owned());
                }
                note(&mut self.problems.undefined_name, || {
                    format!(
                        "An expression attribute name used in the document path is not defined; attribute name: {key}"
                    )
                });
                Ok(String::new())
            }
            _ => self.refuse(),
        }
    }

    /// The name that a token is.
    fn literal(&mut self, token: Token) -> String {
        let name = self.text_of(token);
        if is_reserved(name) {
            note(&mut self.problems.reserved, || {
                format!("Attribute name is a reserved keyword; reserved keyword: {name}")
            });
        }
        name.to_owned()
    }

    fn index(&mut self, digits: &str) -> usize {
        match digits.parse() {
            Ok(index) if index <= MAX_INDEX => index,
            _ => {
                note(&mut self.problems.reserved, || {
                    format!("List index is not within the allowable range; index: [{digits}]")
                });
                0
            }
        }
    }

    /// Whether the current token is a name that means nothing in this grammar, so that it may be a path's or a function's.
    pub(crate) fn is_free_name(&self) -> bool {
        self.token.kind == Kind::Name && !self.grammar.is_keyword(self.text_of(self.token))
    }
}

/// Two parentheses around the same thing.
pub(crate) fn redundant<T>() -> Parsed<T> {
    Err("The expression has redundant parentheses;".to_owned())
}

/// That an operand is of a type that its operator does not take.
pub(crate) fn wrong_type(operator: &str, found: &str) -> String {
    format!(
        "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {found}"
    )
}

/// That a function was given this many operands, and takes another number.
pub(crate) fn wrong_count(function: &str, found: usize) -> String {
    format!(
        "Incorrect number of operands for operator or function; operator or function: {function}, number of operands: {found}"
    )
}
