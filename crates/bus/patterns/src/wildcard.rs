//! Texts with places that may be anything: `*`; `\*` and `\\` stand for themselves.

/// The texts between the places that may be anything; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard(Vec<String>);

impl Wildcard {
    /// Errors: a sentence on what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let mut was_star = false;
        let mut characters = text.chars();
        let mut at = 0;
        while let Some(character) = characters.next() {
            let is_star = character == '*';
            if is_star && was_star {
                return Err(format!("Consecutive wildcard characters at pos {}", at - 1));
            }
            match character {
                '*' => parts.push(String::new()),
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '\\')) => {
                        at += 1;
                        push(&mut parts, escaped);
                    }
                    _ => return Err(format!("Invalid escape character at pos {at}")),
                },
                other => push(&mut parts, other),
            }
            was_star = is_star;
            at += 1;
        }
        Ok(Self(parts))
    }

    pub(crate) fn accepts(&self, text: &str) -> bool {
        let (first, rest) = self.0.split_first().expect("there is always a part");
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
        for part in middle {
            let Some(at) = left.find(part.as_str()) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(last.as_str())
    }
}

fn push(parts: &mut [String], character: char) {
    if let Some(last) = parts.last_mut() {
        last.push(character);
    }
}
