//! Where the statements of a policy document stand in its text: AWS tells of a statement that it begins where the mark
//! before it ends (the bracket of the list, the statement before, or its own brace where there is no list).

/// A place in a text, from 1: of the character that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: i32,
    pub(crate) column: i32,
}

/// Begin and end of each statement, in order. The text is known to be a policy.
pub(crate) fn statements(document: &str) -> Vec<(Place, Place)> {
    let mut scan = Scan::default();
    let mut found = Vec::new();
    for (at, character) in document.char_indices() {
        scan.take(character, &document[at..], &mut found);
    }
    found
}

/// A walk through a document's characters.
struct Scan {
    place: Place,
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    /// How deep statements lie: at 2 without a list, at 3 in one. `None` outside of `Statement`.
    statement_depth: Option<usize>,
    /// The key of the member that is being read was `Statement`.
    is_named: bool,
    begin: Place,
}

impl Default for Scan {
    fn default() -> Self {
        let place = Place { line: 1, column: 1 };
        Self {
            place,
            depth: 0,
            in_text: false,
            is_escaped: false,
            statement_depth: None,
            is_named: false,
            begin: place,
        }
    }
}

impl Scan {
    fn take(&mut self, character: char, rest: &str, found: &mut Vec<(Place, Place)>) {
        self.place = match character {
            '\n' => Place { line: self.place.line + 1, column: 1 },
            _ => Place { column: self.place.column + 1, ..self.place },
        };
        if self.in_text {
            self.in_text = character != '"' || self.is_escaped;
            self.is_escaped = character == '\\' && !self.is_escaped;
            return;
        }
        match character {
            '"' => {
                self.in_text = true;
                if self.depth == 1 && is_key(rest, "\"Statement\"") {
                    self.is_named = true;
                }
            }
            '{' | '[' => self.open(character),
            '}' | ']' => self.close(character, found),
            ',' if self.depth == 1 => self.is_named = false,
            _ => {}
        }
    }

    fn open(&mut self, character: char) {
        self.depth += 1;
        if self.depth == 2 && self.is_named {
            self.statement_depth = Some(if character == '[' { 3 } else { 2 });
            self.begin = self.place;
        }
    }

    fn close(&mut self, character: char, found: &mut Vec<(Place, Place)>) {
        if character == '}' && self.statement_depth == Some(self.depth) {
            found.push((self.begin, self.place));
            self.begin = self.place;
        }
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 1 {
            self.statement_depth = None;
        }
    }
}

/// Whether a text that begins here is this one, and the key of a member.
fn is_key(rest: &str, key: &str) -> bool {
    rest.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(document: &str) -> Vec<[i32; 4]> {
        let all = statements(document).into_iter();
        all.map(|(begin, end)| [begin.line, begin.column, end.line, end.column]).collect()
    }

    #[test]
    fn a_single_statement_begins_after_its_brace() {
        let recorded = r#"{"Version": "2012-10-17", "Statement": {"Sid": "", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}}"#;
        assert_eq!(places(recorded), [[1, 41, 1, 113]]);
    }

    #[test]
    fn statements_of_a_list_begin_after_what_is_before() {
        let document = "{\n    \"Version\": \"2012-10-17\",\n    \"Statement\": [\n        {\n            \"Sid\": \"}\\\"Statement\\\": [\"\n        },\n        {\"Condition\": {\"Bool\": {\"a\": \"b\"}}}\n    ]\n}";
        assert_eq!(places(document), [[3, 19, 6, 10], [6, 10, 7, 44]]);
    }
}
