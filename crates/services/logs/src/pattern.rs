//! Filter patterns for unstructured text: terms, quoted phrases, `?` for any of several, `-` for none.
//! Source: CloudWatch Logs user guide, "Filter pattern syntax". Terms are case-sensitive and match anywhere in a message.

use lambent_model_logs::errors::invalid_parameter_exception;

use crate::LogsError;

/// A filter pattern, ready to be tried on messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    All,
    Any,
    None,
}

impl Pattern {
    /// Reads a pattern; an empty one matches everything.
    pub(crate) fn parse(text: &str) -> Result<Self, LogsError> {
        let text = text.trim();
        refuse_other_kinds(text)?;
        let mut pattern = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (role, term, after) = next_term(rest)?;
            match role {
                Role::All => pattern.all.push(term),
                Role::Any => pattern.any.push(term),
                Role::None => pattern.none.push(term),
            }
            rest = after.trim_start();
        }
        // AWS ignores `?` terms beside others: the guide warns against mixing them.
        if !pattern.all.is_empty() || !pattern.none.is_empty() {
            pattern.any.clear();
        }
        Ok(pattern)
    }

    /// Whether the pattern wants this message.
    pub(crate) fn matches(&self, message: &str) -> bool {
        self.all.iter().all(|term| message.contains(term.as_str()))
            && !self.none.iter().any(|term| message.contains(term.as_str()))
            && (self.any.is_empty() || self.any.iter().any(|term| message.contains(term.as_str())))
    }
}

fn refuse_other_kinds(text: &str) -> Result<(), LogsError> {
    let kind = match text.as_bytes().first() {
        Some(b'{') => "JSON filter patterns ({ $.field = value })",
        Some(b'[') => "space-delimited filter patterns ([a, b, c])",
        Some(b'%') => "regular expressions in filter patterns (%...%)",
        _ => return Ok(()),
    };
    Err(refuse(format!("Lambent does not support {kind} yet; use terms and quoted phrases.")))
}

fn next_term(text: &str) -> Result<(Role, String, &str), LogsError> {
    let (role, text) = match text.as_bytes()[0] {
        b'?' => (Role::Any, &text[1..]),
        b'-' => (Role::None, &text[1..]),
        _ => (Role::All, text),
    };
    if let Some(quoted) = text.strip_prefix('"') {
        let (term, after) = quoted_term(quoted)?;
        return Ok((role, term, after));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (term, after) = text.split_at(end);
    if term.is_empty() {
        return Err(refuse("Invalid filter pattern: a `?` or `-` stands without a term".to_owned()));
    }
    if !term.chars().all(|letter| letter.is_alphanumeric() || letter == '_') {
        return Err(refuse(format!("Invalid character(s) in term '{term}'")));
    }
    Ok((role, term.to_owned(), after))
}

/// The phrase up to its closing quote, and what comes after. `\"` and `\\` stand for themselves.
fn quoted_term(text: &str) -> Result<(String, &str), LogsError> {
    let mut term = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((term, &text[at + 1..])),
            '\\' => match letters.next() {
                Some((_, escaped @ ('"' | '\\'))) => term.push(escaped),
                Some((_, other)) => term.extend(['\\', other]),
                None => break,
            },
            other => term.push(other),
        }
    }
    Err(refuse(format!("Invalid filter pattern: the quote of `\"{text}` is not closed")))
}

fn refuse(message: String) -> LogsError {
    invalid_parameter_exception(message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_messages() {
        let messages =
            ["[ERROR 400] BAD REQUEST", "[ERROR 419] MISSING ARGUMENTS", "[WARN] SLOW", "say \"hi\""];
        let cases: &[(&str, &[usize])] = &[
            ("", &[0, 1, 2, 3]),
            (" ", &[0, 1, 2, 3]),
            ("ERROR", &[0, 1]),
            ("error", &[]),
            ("ERROR ARGUMENTS", &[1]),
            ("?BAD ?SLOW", &[0, 2]),
            ("ERROR -ARGUMENTS", &[0]),
            ("-ERROR", &[2, 3]),
            ("\"BAD REQUEST\"", &[0]),
            ("-\"[ERROR\" SLOW", &[2]),
            ("?\"[WARN]\" ?MISSING", &[1, 2]),
            ("?WARN ERROR", &[0, 1]),
            ("ARG", &[1]),
            (r#""say \"hi\"""#, &[3]),
        ];
        for (text, expected) in cases {
            let pattern = Pattern::parse(text).unwrap();
            let found: Vec<usize> = (0..messages.len()).filter(|at| pattern.matches(messages[*at])).collect();
            assert_eq!(&found, expected, "{text}");
        }
    }

    #[test]
    fn other_patterns_are_refused_in_words() {
        let cases = [
            ("{ $.level = \"x\" }", "JSON filter patterns"),
            ("[ip, user]", "space-delimited filter patterns"),
            ("%a+%", "regular expressions"),
            ("foo:bar", "Invalid character(s) in term 'foo:bar'"),
            ("\"open", "is not closed"),
            ("a ?", "stands without a term"),
        ];
        for (text, expected) in cases {
            let error = Pattern::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
