//! Patterns with `*` and `?`, split once.

/// A pattern, in the form that is quickest to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Glob {
    /// `*`.
    Any,
    /// Without wildcards.
    Exact(Box<str>),
    /// With one star, at the end.
    Prefix(Box<str>),
    /// With more: a text that all begin with, most often enough to say no, and what comes after it.
    Tokens { start: Box<str>, rest: Box<[Token]> },
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Byte(u8),
    /// `?`: any one character.
    One,
    /// `*`: any characters, or none.
    Many,
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        Self::from_tokens(&tokens(pattern))
    }

    pub(crate) fn from_tokens(tokens: &[Token]) -> Self {
        let literal = |tokens: &[Token]| -> Option<Box<str>> {
            let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
            let bytes: Option<Vec<u8>> = tokens.iter().map(byte).collect();
            String::from_utf8(bytes?).ok().map(String::into_boxed_str)
        };
        match tokens {
            [Token::Many] => Self::Any,
            [start @ .., Token::Many] if literal(start).is_some() => {
                Self::Prefix(literal(start).unwrap_or_default())
            }
            all => literal(all).map_or_else(|| Self::cut(all), Self::Exact),
        }
    }

    /// Cuts off the literal start; at a whole character, for the rest is matched character by character.
    fn cut(tokens: &[Token]) -> Self {
        let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
        let start: Vec<u8> = tokens.iter().map_while(byte).collect();
        let rest = tokens[start.len()..].into();
        match String::from_utf8(start) {
            Ok(start) => Self::Tokens { start: start.into(), rest },
            Err(_) => Self::Tokens { start: Box::default(), rest: tokens.into() },
        }
    }

    /// What every text begins with that the pattern matches.
    pub(crate) fn start(&self) -> &str {
        match self {
            Self::Any => "",
            Self::Exact(start) | Self::Prefix(start) | Self::Tokens { start, .. } => start,
        }
    }

    /// Whether the pattern matches the whole text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Tokens { start, rest } => {
                text.strip_prefix(&**start).is_some_and(|after| matches(rest, after))
            }
        }
    }
}

/// The pieces of a pattern's text.
pub(crate) fn tokens(pattern: &str) -> Vec<Token> {
    let token = |byte| match byte {
        b'*' => Token::Many,
        b'?' => Token::One,
        byte => Token::Byte(byte),
    };
    pattern.bytes().map(token).collect()
}

/// Whether the pattern matches the whole text, in time that is at most pattern times text.
pub(crate) fn matches(pattern: &[Token], text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star, and how far into the text that star reaches.
    let mut retry: Option<(usize, usize)> = None;
    while t < bytes.len() {
        match pattern.get(p) {
            Some(Token::Many) => {
                p += 1;
                retry = Some((p, t));
            }
            Some(Token::One) => {
                p += 1;
                t += character(bytes[t]);
            }
            Some(Token::Byte(byte)) if *byte == bytes[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, reached)) => {
                    let reached = reached + character(bytes[reached]);
                    retry = Some((after_star, reached));
                    (p, t) = (after_star, reached);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Many)
}

/// How many bytes a character of UTF-8 has, by its first.
fn character(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, in exponential time.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| slow(rest, &text[taken..])),
            (['?', rest @ ..], [_, after @ ..]) => slow(rest, after),
            ([one, rest @ ..], [first, after @ ..]) => one == first && slow(rest, after),
            _ => false,
        }
    }

    #[test]
    fn wildcards_match_as_in_aws() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get?bject", "s3:GetObject", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
            ("arn:aws:s3:::b*/x", "arn:aws:s3:::b/y/x", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("", "a", false),
            ("?", "ä", true),
            ("??", "ä", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    proptest! {
        #[test]
        fn globs_are_as_defined(pattern in "[aä*?]{0,7}", text in "[aä]{0,7}") {
            let (chars, wanted): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Glob::new(&pattern).matches(&text), slow(&chars, &wanted));
        }
    }
}
