//! Texts of policies that are compared with those of requests: with wildcards, with policy variables.
//! Source: IAM User Guide, "IAM policy elements: Variables and tags".

use super::MalformedPolicy;
use super::glob::{self, Glob, Token};
use super::keys::{Key, Request};

/// A text to compare with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pattern {
    Fixed(Glob),
    /// With variables, which each request fills.
    Open {
        pieces: Box<[Piece]>,
        style: Style,
    },
}

/// How a pattern's text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether `*` and `?` stand for others.
    pub(crate) has_wildcards: bool,
    /// Whether case counts not.
    pub(crate) folds_case: bool,
    /// Whether `${...}` is a variable: only in policies of version 2012-10-17.
    pub(crate) has_variables: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(Box<str>),
    /// `${*}`, `${?}`, `${$}`: the character itself.
    Literal(char),
    Variable {
        key: Box<Key>,
        default: Option<Box<str>>,
    },
}

/// Whether a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// The request has not what a variable stands for.
    Unknown,
}

impl Pattern {
    pub(crate) fn new(text: &str, style: Style) -> Result<Self, MalformedPolicy> {
        Ok(Self::of(&pieces(text, style)?, style))
    }

    fn of(pieces: &[Piece], style: Style) -> Self {
        if pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. })) {
            return Self::Open { pieces: pieces.into(), style };
        }
        let mut tokens = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => style.write(text, &mut tokens),
                Piece::Literal(literal) => {
                    let mut bytes = [0; 4];
                    tokens.extend(literal.encode_utf8(&mut bytes).bytes().map(Token::Byte));
                }
                Piece::Variable { .. } => {}
            }
        }
        Self::Fixed(Glob::from_tokens(&tokens))
    }

    /// Compares; where case does not count, `text` is to be in small letters.
    pub(crate) fn matches(&self, text: &str, request: &Request<'_>) -> Match {
        let (pieces, style) = match self {
            Self::Fixed(glob) => return if glob.matches(text) { Match::Yes } else { Match::No },
            Self::Open { pieces, style } => (pieces, style),
        };
        let literal = Style { has_wildcards: false, ..*style };
        let mut tokens = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => style.write(text, &mut tokens),
                Piece::Literal(one) => literal.write(one.encode_utf8(&mut [0; 4]), &mut tokens),
                Piece::Variable { key, default } => match (request.single(key), default) {
                    (Some(value), _) => literal.write(&value, &mut tokens),
                    (None, Some(default)) => literal.write(default, &mut tokens),
                    (None, None) => return Match::Unknown,
                },
            }
        }
        if glob::matches(&tokens, text) { Match::Yes } else { Match::No }
    }

    /// What every text begins with that one of the patterns matches, whatever the request; nothing if there is none.
    pub(crate) fn common_start(patterns: &[Self]) -> &str {
        let Some((first, rest)) = patterns.split_first() else { return "" };
        rest.iter().fold(first.start(), |common, other| shared_start(common, other.start()))
    }

    fn start(&self) -> &str {
        match self {
            Self::Fixed(glob) => glob.start(),
            Self::Open { .. } => "",
        }
    }

    /// The keys that its variables name.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let pieces = match self {
            Self::Fixed(_) => &[][..],
            Self::Open { pieces, .. } => pieces,
        };
        pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(&**key),
            _ => None,
        })
    }
}

/// As much of the first text as the second begins with, in whole characters.
fn shared_start<'a>(text: &'a str, other: &str) -> &'a str {
    let same = text.char_indices().zip(other.chars()).find(|((_, one), other)| one != other);
    let end = same.map_or(text.len().min(other.len()), |((at, _), _)| at);
    &text[..end]
}

impl Style {
    fn write(self, text: &str, tokens: &mut Vec<Token>) {
        let lower;
        let text = if self.folds_case {
            lower = text.to_lowercase();
            &lower
        } else {
            text
        };
        if self.has_wildcards {
            tokens.extend(glob::tokens(text));
        } else {
            tokens.extend(text.bytes().map(Token::Byte));
        }
    }
}

/// A pattern of an ARN: each of the six parts matches by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArnPattern(Vec<Pattern>);

/// Parts of an ARN; the last one may have colons.
const ARN_PARTS: usize = 6;

impl ArnPattern {
    pub(crate) fn new(text: &str, style: Style) -> Result<Self, MalformedPolicy> {
        let mut parts: Vec<Vec<Piece>> = vec![Vec::new()];
        for piece in pieces(text, style)? {
            let Piece::Text(text) = &piece else {
                parts.last_mut().expect("there is always a part").push(piece);
                continue;
            };
            let mut rest = &**text;
            while parts.len() < ARN_PARTS
                && let Some((before, after)) = rest.split_once(':')
            {
                parts.last_mut().expect("there is always a part").push(Piece::Text(before.into()));
                parts.push(Vec::new());
                rest = after;
            }
            parts.last_mut().expect("there is always a part").push(Piece::Text(rest.into()));
        }
        Ok(Self(parts.iter().map(|pieces| Pattern::of(pieces, style)).collect()))
    }

    pub(crate) fn matches(&self, arn: &str, request: &Request<'_>) -> Match {
        if self.0.len() != ARN_PARTS || arn.splitn(ARN_PARTS, ':').count() != ARN_PARTS {
            return Match::No;
        }
        let mut all = Match::Yes;
        for (pattern, part) in self.0.iter().zip(arn.splitn(ARN_PARTS, ':')) {
            match pattern.matches(part, request) {
                Match::Yes => {}
                Match::No => return Match::No,
                Match::Unknown => all = Match::Unknown,
            }
        }
        all
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().flat_map(Pattern::keys)
    }

    /// Whether it says whose the ARN is, or of which resource: by an account, or by a name without wildcards.
    pub(crate) fn names_an_account_or_resource(&self) -> bool {
        self.names_an_account() || self.is_exact(ARN_PARTS - 1)
    }

    /// Whether it says of which account the ARN is.
    pub(crate) fn names_an_account(&self) -> bool {
        self.is_exact(ARN_PARTS - 2)
    }

    fn is_exact(&self, part: usize) -> bool {
        matches!(self.0.get(part), Some(Pattern::Fixed(Glob::Exact(text))) if !text.is_empty())
    }
}

/// Cuts a text at its variables.
fn pieces(text: &str, style: Style) -> Result<Vec<Piece>, MalformedPolicy> {
    if !style.has_variables {
        return Ok(vec![Piece::Text(text.into())]);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or(MalformedPolicy::Syntax)?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        pieces.push(variable(inside)?);
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// What stands between the braces: a character, a key, or a key and what it is when the request has none.
fn variable(inside: &str) -> Result<Piece, MalformedPolicy> {
    if let "*" | "?" | "$" = inside {
        return Ok(Piece::Literal(inside.chars().next().ok_or(MalformedPolicy::Syntax)?));
    }
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|default| default.strip_suffix('\''));
            (key, Some(quoted.ok_or(MalformedPolicy::Syntax)?))
        }
    };
    if key.trim().is_empty() {
        return Err(MalformedPolicy::Syntax);
    }
    Ok(Piece::Variable { key: Box::new(Key::new(key.trim())), default: default.map(Into::into) })
}
