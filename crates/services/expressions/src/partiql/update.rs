//! SET and REMOVE: read into the same updates as those of UpdateItem.

use std::sync::Arc;

use super::condition::wrong_type;
use super::cursor::Cursor;
use super::lexer::{Kind, malformed};
use super::literal;
use crate::path::{Path, clash_among};
use crate::update::{Action, Change, Source, Update};
use crate::{Invalid, Value};

/// Reads the clauses, as many as there are.
pub(super) fn update(cursor: &mut Cursor) -> Result<Update, Invalid> {
    let mut actions = Vec::new();
    loop {
        if cursor.word("set") {
            set(cursor, &mut actions)?;
        } else if cursor.word("remove") {
            remove(cursor, &mut actions)?;
        } else {
            break;
        }
    }
    if actions.is_empty() {
        return Err(malformed("Expected data manipulation"));
    }
    match clash_among(actions.iter().map(|action| &action.path)) {
        Some(message) => Err(Invalid::new(message)),
        None => Ok(Update::new(actions)),
    }
}

fn set(cursor: &mut Cursor, actions: &mut Vec<Action>) -> Result<(), Invalid> {
    loop {
        let path = cursor.path()?.ok_or_else(|| malformed("Expected assignment for SET"))?;
        cursor.expect("=", "EQUAL")?;
        let change = change(cursor, &path)?;
        actions.push(Action { path, change });
        if !cursor.mark(",") {
            return Ok(());
        }
    }
}

fn remove(cursor: &mut Cursor, actions: &mut Vec<Action>) -> Result<(), Invalid> {
    loop {
        let path = cursor.path()?.ok_or_else(|| malformed("Expected identifier for simple path"))?;
        actions.push(Action { path, change: Change::Remove });
        if !cursor.mark(",") {
            return Ok(());
        }
    }
}

fn change(cursor: &mut Cursor, target: &Path) -> Result<Change, Invalid> {
    match function_name(cursor).as_deref() {
        Some("set_add") => set_change(cursor, target, "SET_ADD").map(Change::Add),
        Some("set_delete") => set_change(cursor, target, "SET_DELETE").map(Change::Delete),
        _ => sum(cursor).map(Change::Set),
    }
}

/// The name of the function that is called here, if one is.
fn function_name(cursor: &Cursor) -> Option<String> {
    match (cursor.peek(), cursor.peek_second()) {
        (Some(Kind::Word(name)), Some(Kind::Mark("("))) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

/// `set_add(target, set)`: the set. The message about its type tells where the first argument is, as AWS's does.
fn set_change(cursor: &mut Cursor, target: &Path, name: &str) -> Result<Arc<Value>, Invalid> {
    let function = cursor.place();
    cursor.step();
    cursor.step();
    let first = cursor.place();
    let mut arguments = Vec::new();
    while !cursor.mark(")") {
        if !arguments.is_empty() {
            cursor.expect(",", "COMMA")?;
        }
        arguments.push(operand(cursor)?);
    }
    let Ok([one, two]) = <[Source; 2]>::try_from(arguments) else {
        return Err(Invalid::new(format!("{name} must have exactly two arguments at {function}")));
    };
    if !matches!(&one, Source::Path(path) if path == target) {
        return Err(Invalid::new(format!(
            "The first argument to {name} must equal the assignment value at {function}"
        )));
    }
    match two {
        Source::Value(value) if matches!(*value, Value::Ss(_) | Value::Ns(_) | Value::Bs(_)) => Ok(value),
        _ => Err(Invalid::new(format!(
            "The second argument to {name} must be a value with type SET at {first}"
        ))),
    }
}

/// Operands, added and subtracted from left to right.
fn sum(cursor: &mut Cursor) -> Result<Source, Invalid> {
    let mut sum = operand(cursor)?;
    loop {
        let sign = if cursor.mark("+") {
            "+"
        } else if cursor.mark("-") {
            "-"
        } else {
            return Ok(sum);
        };
        let other = operand(cursor)?;
        for side in [&sum, &other] {
            if let Some(found) = side.static_type().filter(|found| *found != "N") {
                return Err(wrong_type(sign, found));
            }
        }
        let (one, two) = (Box::new(sum), Box::new(other));
        sum = if sign == "+" { Source::Plus(one, two) } else { Source::Minus(one, two) };
    }
}

fn operand(cursor: &mut Cursor) -> Result<Source, Invalid> {
    if cursor.mark("(") {
        let inner = cursor.deeper(sum)?;
        cursor.expect(")", "RIGHT_PAREN")?;
        return Ok(inner);
    }
    if cursor.mark("?") {
        return Ok(Source::Value(Arc::new(cursor.parameter()?)));
    }
    if literal::begins(cursor) {
        return Ok(Source::Value(Arc::new(literal::literal(cursor)?)));
    }
    if let Some(name) = function_name(cursor) {
        return function(cursor, &name);
    }
    cursor.path()?.map(Source::Path).ok_or_else(|| cursor.unexpected())
}

fn function(cursor: &mut Cursor, name: &str) -> Result<Source, Invalid> {
    if !matches!(name, "list_append" | "if_not_exists") {
        return Err(Invalid::new(format!("Unrecognized function: {name} at {}", cursor.place())));
    }
    cursor.step();
    cursor.step();
    let mut operands = Vec::new();
    while !cursor.mark(")") {
        if !operands.is_empty() {
            cursor.expect(",", "COMMA")?;
        }
        operands.push(cursor.deeper(sum)?);
    }
    let count = operands.len();
    let Ok([one, two]) = <[Source; 2]>::try_from(operands) else {
        return Err(Invalid::new(format!(
            "Incorrect number of operands for operator or function; operator or function: {name}, number of operands: {count}"
        )));
    };
    if name == "list_append" {
        for side in [&one, &two] {
            if let Some(found) = side.static_type().filter(|found| *found != "L") {
                return Err(wrong_type(name, found));
            }
        }
        return Ok(Source::Append(Box::new(one), Box::new(two)));
    }
    match one {
        Source::Path(path) => Ok(Source::IfNotExists(path, Box::new(two))),
        _ => Err(Invalid::new(format!(
            "Operator or function requires a document path; operator or function: {name}"
        ))),
    }
}
