//! Reads JSON, straight from its bytes into typed values.

use std::borrow::Cow;

use base64::Engine;
use bytes::Bytes;

use super::constants::BASE64;
use super::text::kind_name;
use crate::{Document, Kind, Location, Member, ReadContext, ReadError, Reader, Shape, Timestamp, limits};

/// A strict pull reader. An empty text reads as an empty structure, as AWS's services take an empty body.
#[derive(Debug)]
pub struct JsonReader<'a> {
    text: &'a str,
    position: usize,
    /// For each open object or array, whether nothing of it was read yet.
    fresh: Vec<bool>,
    /// Where in its table the last member was: clients mostly write in the order of the model.
    hint: usize,
    context: ReadContext,
}

impl<'a> JsonReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ReadError::Syntax(format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
        Ok(Self { text, position: 0, fresh: Vec::new(), hint: 0, context: ReadContext::default() })
    }

    fn syntax(&self, problem: &str) -> ReadError {
        ReadError::Syntax(format!("{problem} at byte {}", self.position))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn peek_token(&mut self) -> Result<u8, ReadError> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.position += 1,
                _ => return Ok(byte),
            }
        }
        Err(self.syntax("unexpected end of JSON"))
    }

    fn take_if(&mut self, byte: u8) -> Result<bool, ReadError> {
        let taken = self.peek_token()? == byte;
        self.position += usize::from(taken);
        Ok(taken)
    }

    fn take_literal(&mut self, literal: &str) -> Result<(), ReadError> {
        if !self.text[self.position..].starts_with(literal) {
            return Err(self.syntax("unrecognized token"));
        }
        self.position += literal.len();
        Ok(())
    }

    fn take_null(&mut self) -> Result<bool, ReadError> {
        let null = self.peek_token()? == b'n';
        if null {
            self.take_literal("null")?;
        }
        Ok(null)
    }

    /// A value of the wrong type, called as AWS's services call its token.
    fn wrong_type(&mut self) -> ReadError {
        let found = match self.peek_token() {
            Ok(b'"') => "STRING_VALUE",
            Ok(b'{') => "START_OBJECT",
            Ok(b'[') => "START_ARRAY",
            Ok(b't') => "TRUE_VALUE",
            Ok(b'f') => "FALSE_VALUE",
            Ok(b'n') => "NULL_VALUE",
            Ok(b'-' | b'0'..=b'9') => match self.take_number() {
                Ok(number) if number.contains(['.', 'e', 'E']) => "DECIMAL_VALUE",
                Ok(_) => "NUMBER_VALUE",
                Err(error) => return error,
            },
            Ok(_) => return self.syntax("unexpected character"),
            Err(error) => return error,
        };
        self.context.type_error(kind_name(&self.context.target().kind), found)
    }

    fn at_end(&self) -> bool {
        self.text[self.position..].bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    fn close(&mut self) -> Result<(), ReadError> {
        self.fresh.pop();
        if self.fresh.is_empty() && !self.at_end() {
            return Err(self.syntax("unexpected text after the JSON value"));
        }
        self.context.close();
        Ok(())
    }

    /// Goes to the next element of the open object or array; false when it ends here.
    fn advance(&mut self, end: u8) -> Result<bool, ReadError> {
        if self.text.is_empty() {
            return Ok(false);
        }
        if self.take_if(end)? {
            return Ok(false);
        }
        let fresh = self.fresh.last_mut().map(std::mem::take).unwrap_or_default();
        if !fresh && !self.take_if(b',')? {
            return Err(self.syntax("expected a comma or a closing bracket"));
        }
        Ok(true)
    }

    /// The next key of the open object, with its colon taken.
    fn advance_key(&mut self) -> Result<Option<Cow<'a, str>>, ReadError> {
        if !self.advance(b'}')? {
            return Ok(None);
        }
        if self.peek_token()? != b'"' {
            return Err(self.syntax("expected a member name in double quotes"));
        }
        let key = self.take_string()?;
        if !self.take_if(b':')? {
            return Err(self.syntax("expected a colon after a member name"));
        }
        Ok(Some(key))
    }

    /// Takes a string that starts at the current byte.
    fn take_string(&mut self) -> Result<Cow<'a, str>, ReadError> {
        let start = self.position + 1;
        let rest = &self.text.as_bytes()[start..];
        let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let Some(stop) = stop else { return Err(self.syntax("unterminated string")) };
        let plain = &self.text[start..start + stop];
        self.position = start + stop;
        if rest[stop] == b'"' {
            self.position += 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.take_escaped(plain.to_owned()).map(Cow::Owned)
    }

    fn take_escaped(&mut self, mut out: String) -> Result<String, ReadError> {
        let text = self.text;
        let mut copied = self.position;
        loop {
            let Some(byte) = self.peek() else { return Err(self.syntax("unterminated string")) };
            match byte {
                b'"' => {
                    out.push_str(&text[copied..self.position]);
                    self.position += 1;
                    return Ok(out);
                }
                b'\\' => {
                    out.push_str(&text[copied..self.position]);
                    self.position += 1;
                    out.push(self.take_escape()?);
                    copied = self.position;
                }
                0..=0x1f => return Err(self.syntax("a control character must be escaped")),
                _ => self.position += 1,
            }
        }
    }

    /// What stands after a backslash.
    fn take_escape(&mut self) -> Result<char, ReadError> {
        let escape = self.peek().ok_or_else(|| self.syntax("unterminated string"))?;
        self.position += 1;
        Ok(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.take_hex()?;
                let low = if (0xd800..0xdc00).contains(&unit) && self.text[self.position..].starts_with("\\u")
                {
                    self.position += 2;
                    Some(self.take_hex()?)
                } else {
                    None
                };
                let mut chars = char::decode_utf16([Some(unit), low].into_iter().flatten());
                chars.next().and_then(Result::ok).ok_or_else(|| self.syntax("unpaired surrogate"))?
            }
            _ => return Err(self.syntax("unknown escape")),
        })
    }

    fn take_hex(&mut self) -> Result<u16, ReadError> {
        let digits = self.text.get(self.position..self.position + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let value = value.ok_or_else(|| self.syntax("expected four hexadecimal digits"))?;
        self.position += 4;
        Ok(value)
    }

    /// Takes a number by JSON's grammar and gives its text.
    fn take_number(&mut self) -> Result<&'a str, ReadError> {
        let start = self.position;
        self.position += usize::from(self.peek() == Some(b'-'));
        let whole = self.take_digits()?;
        if whole > 1 && self.text.as_bytes()[self.position - whole] == b'0' {
            return Err(self.syntax("leading zeroes are not allowed"));
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.take_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            self.position += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.take_digits()?;
        }
        Ok(&self.text[start..self.position])
    }

    fn take_digits(&mut self) -> Result<usize, ReadError> {
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        let count = self.position - start;
        if count == 0 { Err(self.syntax("expected a digit")) } else { Ok(count) }
    }

    fn skip_value(&mut self, depth: usize) -> Result<(), ReadError> {
        if depth > limits::DEPTH_MAX {
            return Err(ReadError::Limit(format!("values nest deeper than {} levels", limits::DEPTH_MAX)));
        }
        match self.peek_token()? {
            b'"' => self.take_string().map(drop),
            b't' => self.take_literal("true"),
            b'f' => self.take_literal("false"),
            b'n' => self.take_literal("null"),
            b'{' => {
                self.position += 1;
                self.fresh.push(true);
                while self.advance_key()?.is_some() {
                    self.skip_value(depth + 1)?;
                }
                self.fresh.pop();
                Ok(())
            }
            b'[' => {
                self.position += 1;
                self.fresh.push(true);
                while self.advance(b']')? {
                    self.skip_value(depth + 1)?;
                }
                self.fresh.pop();
                Ok(())
            }
            b'-' | b'0'..=b'9' => self.take_number().map(drop),
            _ => Err(self.syntax("unexpected character")),
        }
    }

    fn find(&self, members: &'static [Member], key: &str) -> Option<usize> {
        // Only at the root can members be bound to other parts of the HTTP message.
        let root = self.context.depth() == 1;
        let matches =
            |member: &Member| member.wire_name() == key && (!root || member.location == Location::Body);
        if members.get(self.hint).is_some_and(matches) {
            return Some(self.hint);
        }
        members.iter().position(matches)
    }
}

impl Reader for JsonReader<'_> {
    fn context(&mut self) -> &mut ReadContext {
        &mut self.context
    }

    fn begin_structure(&mut self, shape: &'static Shape) -> Result<(), ReadError> {
        if self.fresh.is_empty() && self.at_end() {
            self.text = "";
            self.position = 0;
        } else if !self.take_if(b'{')? {
            return Err(self.wrong_type());
        }
        self.fresh.push(true);
        self.hint = 0;
        self.context.open(shape)
    }

    fn next_member(&mut self) -> Result<Option<usize>, ReadError> {
        while let Some(key) = self.advance_key()? {
            if self.take_null()? {
                continue;
            }
            if let Some(index) = self.find(self.context.shape().members(), &key) {
                self.hint = index + 1;
                self.context.at_member(index);
                return Ok(Some(index));
            }
            self.skip_value(self.context.depth())?;
        }
        self.close()?;
        Ok(None)
    }

    fn begin_list(&mut self) -> Result<(), ReadError> {
        if !self.take_if(b'[')? {
            return Err(self.wrong_type());
        }
        self.fresh.push(true);
        self.context.open_here()
    }

    fn next_item(&mut self) -> Result<bool, ReadError> {
        while self.advance(b']')? {
            if !self.take_null()? {
                self.context.at_item();
                return Ok(true);
            }
        }
        self.close()?;
        Ok(false)
    }

    fn begin_map(&mut self) -> Result<(), ReadError> {
        if !self.take_if(b'{')? {
            return Err(self.wrong_type());
        }
        self.fresh.push(true);
        self.context.open_here()
    }

    fn next_key(&mut self) -> Result<Option<String>, ReadError> {
        while let Some(key) = self.advance_key()? {
            if !self.take_null()? {
                self.context.at_key(&key);
                return Ok(Some(key.into_owned()));
            }
        }
        self.close()?;
        Ok(None)
    }

    fn string(&mut self) -> Result<String, ReadError> {
        if self.peek_token()? != b'"' {
            return Err(self.wrong_type());
        }
        let text = self.take_string()?;
        self.context.check_string(&text);
        Ok(text.into_owned())
    }

    fn blob(&mut self) -> Result<Bytes, ReadError> {
        if self.peek_token()? != b'"' {
            return Err(self.wrong_type());
        }
        let text = self.take_string()?;
        let bytes = BASE64.decode(text.as_ref());
        let bytes = bytes.map_err(|_| self.context.base64_error(text.len()))?;
        self.context.check_blob(bytes.len());
        Ok(bytes.into())
    }

    fn boolean(&mut self) -> Result<bool, ReadError> {
        match self.peek_token()? {
            b't' => self.take_literal("true").map(|()| true),
            b'f' => self.take_literal("false").map(|()| false),
            b'"' => {
                let start = self.position;
                let truth = truth(&self.take_string()?);
                truth.ok_or_else(|| {
                    self.position = start;
                    self.wrong_type()
                })
            }
            _ => Err(self.wrong_type()),
        }
    }

    fn long(&mut self) -> Result<i64, ReadError> {
        if !matches!(self.peek_token()?, b'-' | b'0'..=b'9') {
            return Err(self.wrong_type());
        }
        let number = self.take_number()?;
        let value = number.parse().ok().or_else(|| whole(number));
        let kind = kind_name(&self.context.target().kind);
        let value = value.ok_or_else(|| self.context.type_error(kind, number))?;
        self.context.check_number(value)?;
        Ok(value)
    }

    fn double(&mut self) -> Result<f64, ReadError> {
        let value = match self.peek_token()? {
            b'-' | b'0'..=b'9' => {
                let number = self.take_number()?;
                number.parse().map_err(|_| self.syntax("unreadable number"))?
            }
            b'"' => {
                let start = self.position;
                match self.take_string()?.as_ref() {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    _ => {
                        self.position = start;
                        return Err(self.wrong_type());
                    }
                }
            }
            _ => return Err(self.wrong_type()),
        };
        self.context.check_double(value);
        Ok(value)
    }

    fn timestamp(&mut self) -> Result<Timestamp, ReadError> {
        let text = match self.peek_token()? {
            b'-' | b'0'..=b'9' => Cow::Borrowed(self.take_number()?),
            b'"' => self.take_string()?,
            _ => return Err(self.wrong_type()),
        };
        Timestamp::parse(&text).ok_or_else(|| self.context.type_error("a Timestamp", text))
    }

    fn document(&mut self) -> Result<Document, ReadError> {
        self.peek_token()?;
        let start = self.position;
        self.skip_value(self.context.depth())?;
        let value = &self.text[start..self.position];
        if self.fresh.is_empty() && !self.at_end() {
            return Err(self.syntax("unexpected text after the JSON value"));
        }
        serde_json::from_str(value).map_err(|error| ReadError::Syntax(error.to_string()))
    }

    fn skip(&mut self) -> Result<(), ReadError> {
        self.skip_value(self.context.depth())
    }
}

/// A whole number that is written with a fraction or an exponent, as `1.0` or `1e3`.
fn whole(number: &str) -> Option<i64> {
    /// Beyond this, a double does not hold every whole number.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let value: f64 = number.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
    (number.contains(['.', 'e', 'E']) && value.fract() == 0.0 && value.abs() <= EXACT_MAX)
        .then_some(value as i64)
}

/// Whether a shape's value can stand alone as a JSON text.
pub(super) fn is_json_payload(shape: &Shape) -> bool {
    shape.is_aggregate() || matches!(shape.kind, Kind::Document)
}

/// What AWS takes for yes or no where a text stands in place of a boolean.
fn truth(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "yes", "1"]) {
        Some(true)
    } else if is(["false", "no", "0"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dynamic, Value};

    static TRUTH: Shape = Shape::new("Truth", Kind::Boolean);
    static INPUT: Shape = Shape::new("Input", Kind::Structure(&[Member::new("On", &TRUTH)]));

    #[test]
    fn texts_say_yes_or_no() {
        let read = |text: &str| {
            let body = format!(r#"{{"On":{text}}}"#);
            let input = Dynamic::read(&INPUT, &mut JsonReader::new(body.as_bytes())?)?;
            Ok::<_, ReadError>(input.value().clone())
        };
        let cases =
            [("true", true), (r#""true""#, true), (r#""Yes""#, true), (r#""1""#, true), (r#""no""#, false)];
        for (text, truth) in cases {
            let want = Value::Structure(vec![(0, Value::Boolean(truth))]);
            assert_eq!(read(text).unwrap(), want, "{text}");
        }
        let others = [
            (r#""23""#, "STRING_VALUE"),
            (r#""""#, "STRING_VALUE"),
            ("-1", "NUMBER_VALUE"),
            ("34.56", "DECIMAL_VALUE"),
            ("[]", "START_ARRAY"),
        ];
        for (text, want) in others {
            assert!(matches!(read(text), Err(ReadError::Type { found, .. }) if found == want), "{text}");
        }
    }
}
