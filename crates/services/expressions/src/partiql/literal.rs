//! Values that are written in a statement.

use std::collections::{BTreeMap, BTreeSet};

use super::cursor::Cursor;
use super::lexer::{Kind, malformed};
use crate::{Invalid, MAX_NESTING, Number, Value};

const INVALID: &str = "One or more parameter values were invalid: ";

/// Reads a value; question marks stand for values only where they stand alone, not in lists, maps and sets.
pub(super) fn literal(cursor: &mut Cursor) -> Result<Value, Invalid> {
    let mut place = "root".to_owned();
    nested(cursor, &mut place, 0)
}

/// Whether a value begins here that [`literal`] reads.
pub(super) fn begins(cursor: &Cursor) -> bool {
    match cursor.peek() {
        Some(Kind::Text(_) | Kind::Number(_)) => true,
        Some(Kind::Mark(mark)) => ["[", "{", "<<", "+", "-"].contains(mark),
        Some(Kind::Word(_)) => ["true", "false", "null"].iter().any(|word| cursor.at_word(word)),
        _ => false,
    }
}

/// `place` is where the value is in what is being written: `root.a[0]`.
fn nested(cursor: &mut Cursor, place: &mut String, depth: usize) -> Result<Value, Invalid> {
    if depth >= MAX_NESTING {
        return Err(Invalid::new(format!("Nesting Levels have exceeded supported limits under {place}")));
    }
    if cursor.mark("[") {
        return list(cursor, place, depth);
    }
    if cursor.mark("{") {
        return map(cursor, place, depth);
    }
    if cursor.mark("<<") {
        return bag(cursor, place);
    }
    if cursor.at_mark("?") {
        let at = cursor.place();
        return Err(Invalid::new(format!("Unsupported data type: Parameter under key {place} at {at}")));
    }
    scalar(cursor, place)
}

fn scalar(cursor: &mut Cursor, place: &str) -> Result<Value, Invalid> {
    if cursor.at_mark("+") || cursor.at_mark("-") || matches!(cursor.peek(), Some(Kind::Number(_))) {
        return number(cursor, place).map(|(number, _)| Value::N(number));
    }
    for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
        if cursor.word(word) {
            return Ok(value);
        }
    }
    match cursor.peek() {
        Some(Kind::Text(text)) => {
            let text = text.clone();
            cursor.step();
            Ok(Value::S(text))
        }
        Some(Kind::Word(word) | Kind::Quoted(word)) => {
            let at = cursor.place();
            Err(Invalid::new(format!(
                "Unsupported data type: {} under key {place} at {at}",
                word.to_ascii_lowercase()
            )))
        }
        _ => Err(cursor.unexpected()),
    }
}

/// A number with any count of signs before it, and as it was written.
fn number(cursor: &mut Cursor, place: &str) -> Result<(Number, String), Invalid> {
    let mut is_negative = false;
    loop {
        if cursor.mark("-") {
            is_negative = !is_negative;
        } else if !cursor.mark("+") {
            break;
        }
    }
    let Some(Kind::Number(text)) = cursor.peek() else { return Err(cursor.unexpected()) };
    let text = if is_negative { format!("-{text}") } else { text.clone() };
    cursor.step();
    let number = Number::parse(&text).map_err(|error| Invalid::new(format!("{error} under {place}")))?;
    Ok((number, text))
}

fn list(cursor: &mut Cursor, place: &mut String, depth: usize) -> Result<Value, Invalid> {
    let mut values = Vec::new();
    let end = place.len();
    while !cursor.mark("]") {
        if !values.is_empty() {
            cursor.expect(",", "COMMA")?;
        }
        place.push_str(&format!("[{}]", values.len()));
        values.push(cursor.deeper(|cursor| nested(cursor, place, depth + 1))?);
        place.truncate(end);
    }
    Ok(Value::L(values))
}

fn map(cursor: &mut Cursor, place: &mut String, depth: usize) -> Result<Value, Invalid> {
    let mut map = BTreeMap::new();
    let end = place.len();
    while !cursor.mark("}") {
        if !map.is_empty() {
            cursor.expect(",", "COMMA")?;
        }
        let name = attribute_name(cursor)?;
        place.push('.');
        place.push_str(&name);
        let value = cursor.deeper(|cursor| nested(cursor, place, depth + 1))?;
        map.insert(name, value);
        place.truncate(end);
    }
    Ok(Value::M(map))
}

/// Reads `{'name': value, ...}` of INSERT, where a question mark may stand for the value of an attribute.
pub(super) fn item(cursor: &mut Cursor) -> Result<BTreeMap<String, Value>, Invalid> {
    let mut item = BTreeMap::new();
    cursor.expect("{", "LEFT_CURLY")?;
    while !cursor.mark("}") {
        if !item.is_empty() {
            cursor.expect(",", "COMMA")?;
        }
        let name = attribute_name(cursor)?;
        let value = if cursor.mark("?") { cursor.parameter()? } else { literal(cursor)? };
        item.insert(name, value);
    }
    Ok(item)
}

fn attribute_name(cursor: &mut Cursor) -> Result<String, Invalid> {
    let name = match cursor.peek() {
        Some(Kind::Text(name) | Kind::Quoted(name)) => name.clone(),
        _ => return Err(cursor.unexpected()),
    };
    cursor.step();
    cursor.expect(":", "COLON")?;
    Ok(name)
}

/// `<<'a', 'b'>>`: a set of texts or of numbers.
fn bag(cursor: &mut Cursor, place: &str) -> Result<Value, Invalid> {
    if cursor.mark(">>") {
        return Err(Invalid::new("Empty bags are not supported"));
    }
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    loop {
        match cursor.peek() {
            Some(Kind::Text(text)) => {
                texts.push(text.clone());
                cursor.step();
            }
            Some(Kind::Number(_) | Kind::Mark("+" | "-")) => numbers.push(number(cursor, place)?),
            _ => return Err(malformed("a set has texts or numbers in it, all of one type")),
        }
        if cursor.mark(">>") {
            break;
        }
        cursor.expect(",", "COMMA")?;
    }
    match (texts.is_empty(), numbers.is_empty()) {
        (false, true) => text_set(texts),
        (true, false) => number_set(&numbers, place),
        _ => Err(malformed("a set has texts or numbers in it, all of one type")),
    }
}

fn text_set(texts: Vec<String>) -> Result<Value, Invalid> {
    let set: BTreeSet<&String> = texts.iter().collect();
    if set.len() < texts.len() {
        let all = texts.join(", ");
        return Err(Invalid::new(format!("{INVALID}Input collection [{all}] contains duplicates.")));
    }
    Ok(Value::Ss(texts.into_iter().collect()))
}

fn number_set(numbers: &[(Number, String)], place: &str) -> Result<Value, Invalid> {
    let set: BTreeSet<Number> = numbers.iter().map(|(number, _)| *number).collect();
    if set.len() < numbers.len() {
        let all: Vec<&str> = numbers.iter().map(|(_, text)| text.as_str()).collect();
        let all = all.join(", ");
        return Err(Invalid::new(format!(
            "{INVALID}Input collection [{all}] contains duplicates! under {place}"
        )));
    }
    Ok(Value::Ns(set))
}
