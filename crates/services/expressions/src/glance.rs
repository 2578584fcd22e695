//! What an expression names, told without reading it: for who must know before the expression is looked at as a whole.

use crate::lexer::{Kind, Lexer, Token};

/// Words of the grammar that stand where an attribute may; no attribute can be called so without a placeholder.
const WORDS: [&str; 9] = ["SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"];

/// The piece of an expression that a glance tells from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A word, or a placeholder of a name with its `#`: the first step of a path.
    Attribute(&'a str),
    /// A placeholder of a value, with its colon.
    Value(&'a str),
    Equals,
    Other,
}

/// The pieces of an expression in their order; parentheses, commas and the further steps of paths are passed over. Of an
/// expression that can be read, every attribute is among them.
pub fn pieces(expression: &str) -> Vec<Piece<'_>> {
    let tokens = tokens(expression);
    let kind_at = |at: usize| tokens.get(at).map(|token| token.kind);
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(token) = tokens.get(at) {
        at += 1;
        let text = &expression[token.start..token.end];
        found.push(match token.kind {
            Kind::Open | Kind::Close | Kind::Comma => continue,
            Kind::ValueRef => Piece::Value(text),
            Kind::Eq => Piece::Equals,
            // A function's name, or a word of the grammar.
            Kind::Name if kind_at(at) == Some(Kind::Open) || is_word(text) => Piece::Other,
            Kind::Name | Kind::NameRef => {
                at += steps(&tokens[at..]);
                Piece::Attribute(text)
            }
            _ => Piece::Other,
        });
    }
    found
}

fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(text);
    std::iter::from_fn(|| Some(lexer.next())).take_while(|token| token.kind != Kind::End).collect()
}

/// How many tokens are the further steps of a path.
fn steps(tokens: &[Token]) -> usize {
    let mut length = 0;
    loop {
        let mut next = tokens[length..].iter().map(|token| token.kind);
        length += match (next.next(), next.next(), next.next()) {
            (Some(Kind::Dot), Some(Kind::Name | Kind::NameRef), _) => 2,
            (Some(Kind::OpenIndex), Some(Kind::Int), Some(Kind::CloseIndex)) => 3,
            _ => return length,
        };
    }
}

fn is_word(word: &str) -> bool {
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_the_grammar_ends_them() {
        use Piece::{Attribute, Equals, Other, Value};
        assert_eq!(
            pieces("SET a.b[0].#c = secret-:zero"),
            [Other, Attribute("a"), Equals, Attribute("secret"), Other, Value(":zero")]
        );
        assert_eq!(pieces("size(#a-b)=é"), [Other, Attribute("#a"), Other, Attribute("b"), Equals, Other]);
    }
}
