//! The grammar of updates, and what AWS checks of them before it looks at a table.

use std::sync::Arc;

use crate::Value;
use crate::lexer::{Kind, Token};
use crate::parser::{Parsed, Parser, note, redundant, wrong_count, wrong_type};
use crate::path::{Path, clash_among};
use crate::update::{Action, Change, Source};

const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

/// Reads a whole update.
pub(crate) fn update(parser: &mut Parser<'_>) -> Parsed<Vec<Action>> {
    let mut actions = Vec::new();
    let mut seen = [false; SECTIONS.len()];
    loop {
        let Some(section) = SECTIONS.iter().position(|section| parser.is_word(section)) else {
            return parser.refuse();
        };
        parser.take();
        loop {
            actions.push(action(parser, SECTIONS[section])?);
            if !parser.takes(Kind::Comma) {
                break;
            }
        }
        if std::mem::replace(&mut seen[section], true) {
            note(&mut parser.problems.section, || {
                let section = SECTIONS[section];
                format!("The \"{section}\" section can only be used once in an update expression;")
            });
        }
        if parser.token.kind == Kind::End {
            break;
        }
    }
    first_problem(parser, &actions).map_or(Ok(actions), Err)
}

/// What AWS tells of all that is wrong.
fn first_problem(parser: &mut Parser<'_>, actions: &[Action]) -> Option<String> {
    let problems = &mut parser.problems;
    let of_words = [
        &mut problems.reserved,
        &mut problems.unknown_function,
        &mut problems.misused_function,
        &mut problems.section,
        &mut problems.undefined_name,
        &mut problems.undefined_value,
    ];
    of_words
        .into_iter()
        .find_map(Option::take)
        .or_else(|| clash_among(actions.iter().map(|action| &action.path)))
        .or_else(|| problems.condition.take())
        .or_else(|| problems.operand_type.take())
}

fn action(parser: &mut Parser<'_>, section: &str) -> Parsed<Action> {
    let path = parser.path()?;
    let change = match section {
        "SET" => {
            parser.expect(Kind::Eq)?;
            Change::Set(assigned(parser, 0)?.0)
        }
        "REMOVE" => Change::Remove,
        "ADD" => Change::Add(added(parser, section, &["N", "SS", "NS", "BS"])?),
        _ => Change::Delete(added(parser, section, &["SS", "NS", "BS"])?),
    };
    Ok(Action { path, change })
}

/// The value of an ADD or a DELETE. A wrong type of it is told before those of functions.
fn added(parser: &mut Parser<'_>, section: &str, types: &[&str]) -> Parsed<Arc<Value>> {
    let Some(value) = parser.value()? else { return Ok(Arc::new(Value::Null)) };
    if !types.contains(&value.type_name()) {
        let found = long_type_name(&value);
        note(&mut parser.problems.condition, || {
            format!(
                "Incorrect operand type for operator or function; operator: {section}, operand type: {found}"
            )
        });
    }
    Ok(value)
}

/// As the messages of ADD and DELETE call a type.
fn long_type_name(value: &Value) -> &'static str {
    match value {
        Value::S(_) => "STRING",
        Value::N(_) => "NUMBER",
        Value::B(_) => "BINARY",
        Value::Bool(_) => "BOOLEAN",
        Value::Null => "NULL",
        Value::L(_) => "LIST",
        Value::M(_) => "MAP",
        Value::Ss(_) => "STRING_SET",
        Value::Ns(_) => "NUMBER_SET",
        Value::Bs(_) => "BINARY_SET",
    }
}

/// What may be a sum.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A path, a value or a function.
    Bare,
    /// One of them in parentheses.
    Wrapped,
    /// A sum or a difference.
    Sum,
    /// One of them in parentheses.
    WrappedSum,
}

/// What is assigned by a SET: an operand, or the sum or difference of two; any of it may be in parentheses.
fn assigned(parser: &mut Parser<'_>, depth: u32) -> Parsed<(Source, Form)> {
    let (left, form) = if parser.takes(Kind::Open) {
        let deeper = parser.deeper(depth)?;
        let (inner, form) = assigned(parser, deeper)?;
        parser.expect(Kind::Close)?;
        match form {
            Form::Bare => (inner, Form::Wrapped),
            Form::Sum => return Ok((inner, Form::WrappedSum)),
            Form::Wrapped | Form::WrappedSum => return redundant(),
        }
    } else {
        (simple(parser, depth)?, Form::Bare)
    };
    let operator = match parser.token.kind {
        Kind::Plus => "+",
        Kind::Minus => "-",
        _ => return Ok((left, form)),
    };
    parser.count_operator()?;
    parser.take();
    let right = operand(parser, depth)?.0;
    check_types(parser, operator, "N", [&left, &right]);
    let (left, right) = (Box::new(left), Box::new(right));
    Ok((if operator == "+" { Source::Plus(left, right) } else { Source::Minus(left, right) }, Form::Sum))
}

/// An operand, and whether parentheses were the last thing around it.
fn operand(parser: &mut Parser<'_>, depth: u32) -> Parsed<(Source, bool)> {
    if !parser.takes(Kind::Open) {
        return Ok((simple(parser, depth)?, false));
    }
    let deeper = parser.deeper(depth)?;
    let (inner, wrapped) = operand(parser, deeper)?;
    parser.expect(Kind::Close)?;
    if wrapped { redundant() } else { Ok((inner, true)) }
}

fn simple(parser: &mut Parser<'_>, depth: u32) -> Parsed<Source> {
    if parser.token.kind == Kind::ValueRef {
        return Ok(parser.value()?.map_or_else(nothing, Source::Value));
    }
    if !parser.is_free_name() {
        return Ok(Source::Path(parser.path()?));
    }
    let name = parser.take();
    if parser.token.kind == Kind::Open {
        return call(parser, name, depth);
    }
    Ok(Source::Path(parser.path_from(name)?))
}

/// The function `name`, whose name was taken.
fn call(parser: &mut Parser<'_>, name: Token, depth: u32) -> Parsed<Source> {
    parser.count_operator()?;
    parser.expect(Kind::Open)?;
    let depth = parser.deeper(depth)?;
    let mut operands = vec![operand(parser, depth)?.0];
    while parser.takes(Kind::Comma) {
        operands.push(operand(parser, depth)?.0);
    }
    parser.expect(Kind::Close)?;
    let name = parser.text_of(name);
    let problems = &mut parser.problems;
    match name {
        "if_not_exists" | "list_append" => {}
        "attribute_exists"
        | "attribute_not_exists"
        | "attribute_type"
        | "begins_with"
        | "contains"
        | "size" => {
            note(&mut problems.misused_function, || {
                format!("The function is not allowed in an update expression; function: {name}")
            });
            return Ok(nothing());
        }
        _ => {
            note(&mut problems.unknown_function, || format!("Invalid function name; function: {name}"));
            return Ok(nothing());
        }
    }
    let Ok([one, two]) = <[Source; 2]>::try_from(operands).map_err(|operands| {
        note(&mut problems.operand_type, || wrong_count(name, operands.len()));
    }) else {
        return Ok(nothing());
    };
    if name == "list_append" {
        check_types(parser, name, "L", [&one, &two]);
        return Ok(Source::Append(Box::new(one), Box::new(two)));
    }
    let Source::Path(path) = one else {
        note(&mut problems.operand_type, || {
            format!("Operator or function requires a document path; operator or function: {name}")
        });
        return Ok(nothing());
    };
    Ok(Source::IfNotExists(path, Box::new(two)))
}

/// That no operand is a value of another type than `wanted`.
fn check_types(parser: &mut Parser<'_>, operator: &str, wanted: &str, operands: [&Source; 2]) {
    for operand in operands {
        if let Source::Value(value) = operand
            && value.type_name() != wanted
        {
            note(&mut parser.problems.operand_type, || wrong_type(operator, value.type_name()));
        }
    }
}

/// In place of what cannot be had, which was noted.
fn nothing() -> Source {
    Source::Path(Path::of_attribute(""))
}
